//! A `config.ini` of before 1.0, line by line: comments, order and whatever is not changed stay as they were written.
//!
//! The dialect is that of the time: `:` delimits too, `;` begins a comment, sections and keys may come twice, and
//! `[x:parent]` has the keys of `[parent]`. What is written is today's dialect.

use std::collections::HashSet;
use std::fmt::Write;

/// A file of sections.
#[derive(Debug, Default)]
pub(super) struct Ini {
    /// Lines above the first section.
    top: Vec<String>,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) items: Vec<Item>,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A comment or an empty line, in today's dialect.
    Text(String),
    Key(Key),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    /// As in `[DEV]`; empty where there is none.
    pub(super) variant: String,
    /// The lines of the value; the later ones with their indentation.
    value: Vec<String>,
    pub(super) line: usize,
    /// What is between the key and its value.
    delimiter: String,
}

/// Something that a person has to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Ini {
    pub(super) fn parse(text: &str) -> (Ini, Vec<Doubt>) {
        let (mut ini, mut doubts) = (Ini::default(), Vec::new());
        let mut current: Option<usize> = None;
        let mut is_in_value = false;
        // Of each section, what has been seen.
        let mut seen: HashSet<(usize, String, String)> = HashSet::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (number, trimmed) = (index + 1, line.trim());
            let items = current.map(|section| &mut ini.sections[section].items);
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                let comment = match trimmed.strip_prefix(';') {
                    Some(comment) => format!("#{comment}"),
                    None => line.trim_end().to_owned(),
                };
                match items {
                    Some(items) => items.push(Item::Text(comment)),
                    None => ini.top.push(comment),
                }
            } else if line.starts_with([' ', '\t']) && is_in_value {
                if let Some(Item::Key(key)) = items.and_then(|items| items.iter_mut().rfind(|it| it.is_key()))
                {
                    key.value.push(line.trim_end().to_owned());
                }
            } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                is_in_value = false;
                let known = ini.sections.iter().position(|section| section.name == name.trim());
                current = known.or_else(|| {
                    let name = name.trim().to_owned();
                    ini.sections.push(Section { name, line: number, items: Vec::new() });
                    Some(ini.sections.len() - 1)
                });
            } else if let Some(items) = items
                && let Some(key) = Key::parse(line, number)
            {
                is_in_value = true;
                let place = (current.unwrap_or_default(), key.name.clone(), key.variant.clone());
                let is_new = seen.insert(place);
                let known = items.iter_mut().filter(|_| !is_new).find_map(|item| match item {
                    Item::Key(known) if (&known.name, &known.variant) == (&key.name, &key.variant) => {
                        Some(known)
                    }
                    _ => None,
                });
                match known {
                    Some(known) => {
                        if known.value != key.value {
                            let (first, last) = (known.line, key.line);
                            let text = format!(
                                "`{}` is given twice, in line {first} and here, and differs: the later counts",
                                key.name
                            );
                            doubts.push(Doubt { line: last, text });
                        }
                        *known = key;
                    }
                    None => items.push(Item::Key(key)),
                }
            } else {
                doubts.push(Doubt { line: number, text: format!("`{trimmed}` is no setting: left out") });
            }
        }
        ini.inherit();
        (ini, doubts)
    }

    /// `[x:parent]` becomes `[x]` with the keys of its parent that it does not have.
    fn inherit(&mut self) {
        for index in 0..self.sections.len() {
            let name = self.sections[index].name.clone();
            let Some((own, parent)) = name.split_once(':') else { continue };
            let Some(parent) = self.sections.iter().find(|section| section.name == parent.trim()) else {
                continue;
            };
            let inherited: Vec<Key> = parent.keys().cloned().collect();
            let section = &mut self.sections[index];
            own.trim().clone_into(&mut section.name);
            for key in inherited {
                if section.get(&key.name).is_none() {
                    section.add_key(key);
                }
            }
        }
    }

    /// The section of that name; a new one at the end.
    pub(super) fn section_or_new(&mut self, name: &str) -> &mut Section {
        let known = self.sections.iter().position(|section| section.name == name);
        let index = known.unwrap_or_else(|| {
            if let Some(last) = self.sections.last_mut()
                && !matches!(last.items.last(), Some(Item::Text(text)) if text.is_empty())
            {
                last.items.push(Item::Text(String::new()));
            }
            self.sections.push(Section { name: name.to_owned(), line: 0, items: Vec::new() });
            self.sections.len() - 1
        });
        &mut self.sections[index]
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for line in &self.top {
            let _ = writeln!(text, "{line}");
        }
        for section in &self.sections {
            let _ = writeln!(text, "[{}]", section.name);
            for item in &section.items {
                let _ = match item {
                    Item::Text(line) => writeln!(text, "{line}"),
                    Item::Key(key) => {
                        writeln!(text, "{}{}{}{}", key.name, key.variant, key.delimiter, key.value.join("\n"))
                    }
                };
            }
        }
        let end = text.trim_end().len();
        text.truncate(end);
        text.push('\n');
        text
    }
}

impl Item {
    fn is_key(&self) -> bool {
        matches!(self, Item::Key(_))
    }
}

impl Section {
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.items.iter().filter_map(|item| match item {
            Item::Key(key) => Some(key),
            Item::Text(_) => None,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The value of a key, one line; empty where there is none.
    pub(super) fn value(&self, name: &str) -> String {
        self.get(name).map(Key::value).unwrap_or_default()
    }

    /// Takes a key out with all its variants.
    pub(super) fn take(&mut self, name: &str) -> Vec<Key> {
        let (taken, kept) = std::mem::take(&mut self.items)
            .into_iter()
            .partition(|item| matches!(item, Item::Key(key) if key.name == name));
        self.items = kept;
        let taken: Vec<Item> = taken;
        taken
            .into_iter()
            .filter_map(|item| if let Item::Key(key) = item { Some(key) } else { None })
            .collect()
    }

    /// What has the new name already stays, beside the old one.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        let taken: HashSet<String> =
            self.keys().filter(|key| key.name == new).map(|key| key.variant.clone()).collect();
        for item in &mut self.items {
            if let Item::Key(key) = item
                && key.name == old
                && !taken.contains(&key.variant)
            {
                new.clone_into(&mut key.name);
            }
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let known = self.items.iter_mut().find_map(|item| match item {
            Item::Key(key) if key.name == name && key.variant.is_empty() => Some(key),
            _ => None,
        });
        match known {
            Some(key) => key.value = vec![value.to_owned()],
            None => self.add_key(Key::new(name, value)),
        }
    }

    /// Behind the last key, before the empty lines that end the section.
    pub(super) fn add_key(&mut self, key: Key) {
        let at = self.items.iter().rposition(Item::is_key).map_or(0, |last| last + 1);
        self.items.insert(at, Item::Key(key));
    }
}

impl Key {
    pub(super) fn new(name: &str, value: &str) -> Key {
        Key {
            name: name.to_owned(),
            variant: String::new(),
            value: vec![value.to_owned()],
            line: 0,
            delimiter: "=".to_owned(),
        }
    }

    fn parse(line: &str, number: usize) -> Option<Key> {
        let at = line.find(['=', ':'])?;
        let written = &line[..at];
        let name = written.trim();
        if name.is_empty() {
            return None;
        }
        let rest = &line[at + 1..];
        let value = rest.trim();
        let delimiter = match &line[at..=at] {
            "=" => format!(
                "{}={}",
                &written[written.trim_end().len()..],
                &rest[..rest.len() - rest.trim_start().len()]
            ),
            _ => "=".to_owned(),
        };
        let (name, variant) = name.find('[').map_or((name, ""), |at| name.split_at(at));
        Some(Key {
            name: name.trim().to_owned(),
            variant: variant.to_owned(),
            value: vec![value.to_owned()],
            line: number,
            delimiter: if value.is_empty() { delimiter.trim_end().to_owned() } else { delimiter },
        })
    }

    pub(super) fn value(&self) -> String {
        let lines: Vec<&str> = self.value.iter().map(|line| line.trim()).collect();
        lines.join(" ").trim().to_owned()
    }

    pub(super) fn set_value(&mut self, value: &str) {
        self.value = vec![value.to_owned()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_and_the_dialect_is_todays() {
        let old = "# top\n[general]\n; a comment\nname = x\nversion: 1.0\nlong=a\n  b\n\n[app_main]\nworkers[DEV]=2\n";
        let (ini, doubts) = Ini::parse(old);
        assert_eq!(doubts, []);
        assert_eq!(
            ini.render(),
            "# top\n[general]\n# a comment\nname = x\nversion=1.0\nlong=a\n  b\n\n[app_main]\nworkers[DEV]=2\n"
        );
        assert_eq!(ini.sections[0].value("long"), "a b");
    }

    #[test]
    fn a_mark_of_the_byte_order_is_no_part_of_the_first_line_and_a_name_that_is_taken_stays_taken() {
        let (mut ini, doubts) = Ini::parse("\u{feff}[a]\nold=1\nnew=2\n");
        assert_eq!(doubts, []);
        ini.sections[0].rename("old", "new");
        assert_eq!(ini.render(), "[a]\nold=1\nnew=2\n");
    }

    #[test]
    fn what_comes_twice_is_merged_and_told_where_it_differs() {
        let (ini, doubts) = Ini::parse("[a]\nx=1\ny=1\n[b]\nz=1\n[a]\nx=2\ny=1\n");
        assert_eq!(ini.render(), "[a]\nx=2\ny=1\n[b]\nz=1\n");
        assert_eq!(doubts.len(), 1);
        assert_eq!((doubts[0].line, doubts[0].text.contains("`x` is given twice, in line 2")), (7, true));
    }

    #[test]
    fn a_section_has_what_its_parent_has() {
        let (ini, _) =
            Ini::parse("[step_a]\nx=1\ny=1\n[step_b:step_a]\nx=2\n[switch_rules:fnmatch:t]\n*=a/b\n");
        assert_eq!(ini.render(), "[step_a]\nx=1\ny=1\n[step_b]\nx=2\ny=1\n[switch_rules:fnmatch:t]\n*=a/b\n");
    }
}
