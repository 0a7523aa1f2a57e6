//! Blocks of plugins in the text of a user's crontab; everything else in it stays as it is, byte for byte.
//!
//! ```text
//! ##### BEGINNING OF METWORK MFSERV PLUGIN hello CRONTAB #####
//! # made by mwp, edits are lost; plugins base: /home/me/.local/share/mwp/mfserv/var/plugins
//! 0 2 * * * …
//! ##### END OF METWORK MFSERV PLUGIN hello CRONTAB #####
//! ```
//!
//! A block is a beginning and the end of the same module and plugin, with no other such line between them. A
//! beginning without its end is nobody's: where it was meant to end cannot be known, so it stays, with all that
//! follows, and whoever looks is told.
//!
//! Variables that cron needs to see as lines hold within their block alone: its last lines put back what held before it
//! (see [`variables`]).
//!
//! Ours are those with our comment and our base. One without the comment was made by an earlier tool; it becomes ours
//! when its plugin is dealt with by name, and is left alone otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::variables;

const BEGINNING: &str = "##### BEGINNING OF METWORK ";
const END: &str = "##### END OF METWORK ";
const MADE: &str = "# made by mwp, edits are lost; plugins base: ";
/// The text before the block had no newline at its end: the one that it got goes with the block.
const MADE_WITH_NEWLINE: &str = "# made by mwp with the newline before it, edits are lost; plugins base: ";

/// Whose blocks these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// In upper case.
    pub(super) module: String,
    /// The plugins base, on one line.
    pub(super) base: String,
    /// To whom cron sends mail when nothing else is said.
    pub(super) user: String,
}

/// Lines per plugin that is dealt with; none where it has no block.
pub(super) type Wanted = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    module: String,
    pub(super) name: String,
    /// `None` where the block has no comment of ours.
    base: Option<String>,
    has_newline_before: bool,
    range: Range<usize>,
}

/// A beginning without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) module: String,
    pub(super) name: String,
    /// From 1.
    pub(super) line: usize,
}

/// What is in a crontab.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) blocks: Vec<Block>,
    pub(super) unfinished: Vec<Unfinished>,
}

impl Blocks {
    pub(super) fn parse(text: &[u8]) -> Blocks {
        let mut found = Blocks::default();
        let mut open: Option<(Block, usize)> = None;
        let mut position = 0;
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let range = position..position + line.len();
            position = range.end;
            let line = String::from_utf8_lossy(line.trim_ascii_end());
            if let Some((module, name)) = marker(&line, BEGINNING) {
                found.leave(open.take());
                let (module, name) = (module.to_owned(), name.to_owned());
                open =
                    Some((Block { module, name, base: None, has_newline_before: false, range }, index + 1));
            } else if let Some((module, name)) = marker(&line, END) {
                match open.take() {
                    Some((mut block, _)) if block.module == module && block.name == name => {
                        block.range.end = range.end;
                        found.blocks.push(block);
                    }
                    other => found.leave(other),
                }
            } else if line.starts_with(BEGINNING) || line.starts_with(END) {
                found.leave(open.take());
            } else if let Some((block, at)) = &mut open
                && index == *at
            {
                let with_newline = line.strip_prefix(MADE_WITH_NEWLINE);
                block.has_newline_before = with_newline.is_some();
                block.base = with_newline.or_else(|| line.strip_prefix(MADE)).map(str::to_owned);
            }
        }
        found.leave(open);
        found
    }

    fn leave(&mut self, open: Option<(Block, usize)>) {
        if let Some((block, line)) = open {
            self.unfinished.push(Unfinished { module: block.module, name: block.name, line });
        }
    }

    /// Those of the owner, and of `names` those that are nobody's.
    pub(super) fn of<'a>(
        &'a self,
        owner: &'a Owner,
        names: &'a dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| {
            block.module == owner.module
                && match &block.base {
                    Some(base) => *base == owner.base,
                    None => names(&block.name),
                }
        })
    }
}

impl Block {
    pub(super) fn text<'a>(&self, crontab: &'a [u8]) -> &'a [u8] {
        &crontab[self.range.clone()]
    }

    /// As it is, but that the newline before it goes with it.
    fn with_newline(&self, crontab: &[u8], newline_is_ours: bool) -> Vec<u8> {
        let text = self.text(crontab);
        let made = text.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        match text[made..].strip_prefix(MADE.as_bytes()) {
            Some(rest) if newline_is_ours => [&text[..made], MADE_WITH_NEWLINE.as_bytes(), rest].concat(),
            _ => text.to_vec(),
        }
    }

    /// Whether this is what we would write.
    pub(super) fn is(&self, crontab: &[u8], owner: &Owner, lines: &[String]) -> bool {
        let before = &crontab[..self.range.start];
        self.text(crontab) == write(owner, &self.name, lines, before, self.has_newline_before).as_bytes()
    }
}

fn marker<'a>(line: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let inner = line.strip_prefix(start)?.strip_suffix(" CRONTAB #####")?;
    inner.split_once(" PLUGIN ")
}

/// The block for a crontab with this text before it.
fn write(owner: &Owner, name: &str, lines: &[String], before: &[u8], with_newline: bool) -> String {
    let Owner { module, base, user } = owner;
    let made = if with_newline { MADE_WITH_NEWLINE } else { MADE };
    let mut text = format!("{BEGINNING}{module} PLUGIN {name} CRONTAB #####\n{made}{base}\n");
    for line in lines.iter().chain(&variables::restored(lines, before, user)) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format!("{END}{module} PLUGIN {name} CRONTAB #####\n"));
    text
}

/// The block alone, for cron to judge.
pub(super) fn alone(owner: &Owner, name: &str, lines: &[String]) -> Vec<u8> {
    write(owner, name, lines, b"", false).into_bytes()
}

/// The crontab with the owner's blocks as wanted: each in its old place, new ones at the end. Blocks of plugins that
/// `wanted` does not name stay, unless `all` says that they are stale.
pub(super) fn apply(crontab: &[u8], owner: &Owner, wanted: &Wanted, all: bool) -> Vec<u8> {
    let blocks = Blocks::parse(crontab);
    let mut result: Vec<u8> = Vec::with_capacity(crontab.len() + 1024);
    let mut placed = BTreeSet::new();
    let mut position = 0;
    // The newline before a block that went belongs to the next one, or goes too where nothing follows.
    let mut newline_is_ours = false;
    let is_named = |name: &str| wanted.contains_key(name);
    for block in blocks.of(owner, &is_named) {
        newline_is_ours &= block.range.start == position;
        result.extend_from_slice(&crontab[position..block.range.start]);
        position = block.range.end;
        let lines = wanted.get(&block.name);
        if lines.is_none() && !all {
            result.extend_from_slice(&block.with_newline(crontab, newline_is_ours));
            newline_is_ours = false;
            continue;
        }
        newline_is_ours |= block.has_newline_before;
        if let Some(lines) = lines.filter(|lines| !lines.is_empty())
            && placed.insert(&block.name)
        {
            let text = write(owner, &block.name, lines, &result, newline_is_ours);
            result.extend_from_slice(text.as_bytes());
            newline_is_ours = false;
        }
    }
    newline_is_ours &= position == crontab.len();
    result.extend_from_slice(&crontab[position..]);
    for (name, lines) in wanted.iter().filter(|(name, lines)| !lines.is_empty() && !placed.contains(name)) {
        if !result.is_empty() && !result.ends_with(b"\n") {
            result.push(b'\n');
            newline_is_ours = true;
        }
        let text = write(owner, name, lines, &result, newline_is_ours);
        result.extend_from_slice(text.as_bytes());
        newline_is_ours = false;
    }
    if newline_is_ours && result.ends_with(b"\n") {
        result.pop();
    }
    result
}

#[cfg(test)]
mod tests;
