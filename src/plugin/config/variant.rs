//! Variants: `key[NAME]=…` beats `key=…` on machines whose configuration name is NAME or starts with `NAME_`.

/// How well a key fits a configuration name; the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// A key without a variant.
    Plain,
    /// The length of the part of the configuration name that the variant names.
    Prefix(usize),
    Whole,
}

/// A key as written, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    pub name: &'a str,
    pub variant: Option<&'a str>,
    /// `key[`, `key[]`, `key[A]b`: read as upstream does, though hardly as it was meant.
    pub malformed: bool,
}

impl<'a> Key<'a> {
    pub fn parse(written: &'a str) -> Key<'a> {
        let Some((name, rest)) = written.split_once('[') else {
            return Key { name: written, variant: None, malformed: false };
        };
        let Some((variant, after)) = rest.split_once(']') else {
            return Key { name, variant: None, malformed: true };
        };
        let malformed = variant.is_empty() || variant.contains('[') || !after.is_empty();
        let variant = variant.split('[').next().filter(|variant| !variant.is_empty());
        Key { name, variant, malformed }
    }

    /// `None` where the key is for other configurations. Case does not count.
    pub fn fit(&self, configuration_name: &str) -> Option<Fit> {
        let Some(variant) = self.variant else { return Some(Fit::Plain) };
        let (variant, name) = (variant.to_lowercase(), configuration_name.to_lowercase());
        match name.strip_prefix(&variant) {
            Some("") => Some(Fit::Whole),
            Some(rest) if rest.starts_with('_') => Some(Fit::Prefix(variant.len())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_matching_variant_wins() {
        let table = [
            ("debug", 0),
            ("debug[DEV]", 1),
            ("debug[DEV_JOHN]", 2),
            ("debug[DEV_PETER]", 3),
            ("debug[DEV_JOHN_MONDAY]", 4),
            ("debug[DEV_JOHN_TUESDAY]", 5),
            ("debug[QA]", 6),
        ];
        for (configuration, expected) in [
            ("FOO", 0),
            ("DEV", 1),
            ("dev", 1),
            ("DEV_JOHN", 2),
            ("DEV_JOHN_MONDAY", 4),
            ("DEV_JOHN_FRIDAY", 2),
            ("DEV_PETER", 3),
            ("DEV_KATE", 1),
            ("DEV_SMITH_FOO_BAR_1", 1),
            ("DEV_JOHN_QA", 2),
            ("FOO_QA", 0),
            ("QA5", 0),
            ("QA_5", 6),
            ("DEVELOPMENT", 0),
        ] {
            let best = table
                .iter()
                .filter_map(|(key, value)| Some((Key::parse(key).fit(configuration)?, value)))
                .max_by_key(|(fit, _)| *fit);
            assert_eq!(best.map(|(_, value)| *value), Some(expected), "{configuration}");
        }
    }

    #[test]
    fn a_malformed_variant_is_read_as_upstream_reads_it() {
        for (written, name, variant) in [
            ("k[", "k", None),
            ("k[]", "k", None),
            ("k[A", "k", None),
            ("k[A]b", "k", Some("A")),
            ("k[A][B]", "k", Some("A")),
        ] {
            let key = Key::parse(written);
            assert_eq!((key.name, key.variant, key.malformed), (name, variant, true), "{written}");
        }
        assert!(!Key::parse("k[A]").malformed && !Key::parse("k").malformed);
    }
}
