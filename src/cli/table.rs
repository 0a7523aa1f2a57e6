//! Rows in columns. Where a terminal has no room for them the columns shrink, and their cells break between words.

use std::borrow::Cow;

use textwrap::WordSeparator;
use textwrap::core::Word;

use super::style::{Look, Style};
use super::wrap::by_words;

/// Between two columns.
const GAP: usize = 2;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    look: Look,
    /// A figure and its unit, which stay together.
    is_whole: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), ..Cell::default() }
    }
}

impl Cell {
    pub(super) fn new(look: Look, text: impl Into<String>) -> Cell {
        Cell { look, ..Cell::from(text) }
    }

    pub(super) fn whole(text: impl Into<String>) -> Cell {
        Cell { is_whole: true, ..Cell::from(text) }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The longest word.
    fn least_width(&self) -> usize {
        if self.is_whole {
            return self.width();
        }
        words(&self.text).map(|word| word.word.chars().count()).max().unwrap_or(0)
    }

    fn lines(&self, columns: usize) -> Vec<Cow<'_, str>> {
        if self.width() <= columns {
            return vec![Cow::Borrowed(&self.text)];
        }
        textwrap::wrap(&self.text, by_words(columns).word_separator(WordSeparator::Custom(words_of)))
    }
}

/// Words as they may be parted: a path ends a word after each `/`.
fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let pieces = text.split_inclusive(' ').flat_map(|word| {
        // The `/` of a path's beginning stays with it.
        let begin = word.len() - word.trim_start_matches('/').len();
        let (root, rest) = word.split_at(begin);
        let mut pieces = rest.split_inclusive('/');
        let first = pieces.next().map_or(root, |first| &word[..root.len() + first.len()]);
        std::iter::once(first).chain(pieces)
    });
    pieces.map(Word::from)
}

fn words_of(text: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    Box::new(words(text))
}

/// The columns that the rows take where there is room.
pub(super) fn width(rows: &[Vec<Cell>]) -> usize {
    total(&widths(rows, Cell::width))
}

/// The fewest columns of a terminal that the rows fit into.
pub(super) fn least_width(rows: &[Vec<Cell>]) -> usize {
    total(&widths(rows, Cell::least_width))
}

/// The lines of the rows; all rows have the same number of cells.
pub(super) fn table(rows: &[Vec<Cell>], columns: Option<usize>, style: Style) -> Vec<String> {
    let mut widths = widths(rows, Cell::width);
    if let Some(columns) = columns {
        shrink(&mut widths, &self::widths(rows, Cell::least_width), columns);
    }
    rows.iter().flat_map(|row| lines(row, &widths, style)).collect()
}

fn widths(rows: &[Vec<Cell>], width: impl Fn(&Cell) -> usize) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns).map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect()
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Takes from the widest columns until all have room, or none has anything to give.
fn shrink(widths: &mut [usize], least: &[usize], columns: usize) {
    while total(widths) > columns {
        let wide = (0..widths.len()).filter(|column| widths[*column] > least[*column]);
        let Some(widest) = wide.max_by_key(|column| widths[*column]) else { return };
        widths[widest] -= 1;
    }
}

fn lines(row: &[Cell], widths: &[usize], style: Style) -> Vec<String> {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| cell.lines(*width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |number: usize| {
        let mut line = String::new();
        let mut end = 0;
        for ((cell, lines), width) in row.iter().zip(&cells).zip(widths) {
            let text = lines.get(number).map_or("", |text| text.trim_end());
            if !text.is_empty() {
                line.push_str(&" ".repeat(end));
                line.push_str(&style.paint(cell.look, text));
                end = 0;
            }
            end += width.saturating_sub(text.chars().count()) + GAP;
        }
        line
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: &[&[&str]], columns: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<Cell>> =
            rows.iter().map(|row| row.iter().map(|cell| Cell::from(*cell)).collect()).collect();
        table(&rows, columns, Style::PLAIN)
    }

    #[test]
    fn columns_are_as_wide_as_their_cells_where_there_is_room() {
        let rows: [&[&str]; 2] = [&["a", "long name", ""], &["bcd", "x", "y"]];
        assert_eq!(shown(&rows, None), ["a    long name", "bcd  x          y"]);
        assert_eq!(shown(&rows, Some(80)), shown(&rows, None));
    }

    #[test]
    fn columns_shrink_between_words_and_never_within_one() {
        let rows: [&[&str]; 2] = [&["lock", "make the lock", "after"], &["x", "y", "z"]];
        assert_eq!(shown(&rows, Some(21)), ["lock  make the  after", "      lock", "x     y         z"]);
        assert_eq!(shown(&rows, Some(3)), ["lock  make  after", "      the", "      lock", "x     y     z"]);
        assert_eq!(
            shown(&[&["a", "/srv/var/plugins/a b"]], Some(13)),
            ["a  /srv/var/", "   plugins/a", "   b"]
        );
    }
}
