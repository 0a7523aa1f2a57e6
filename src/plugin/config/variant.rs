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

/// A key as written, taken apart: it has a variant only where it ends with `]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    pub name: &'a str,
    pub variant: Option<&'a str>,
}

impl<'a> Key<'a> {
    pub fn parse(written: &'a str) -> Key<'a> {
        let variant = written.strip_suffix(']').and_then(|rest| rest.split_once('['));
        match variant {
            Some((name, variant)) => Key { name, variant: Some(variant).filter(|it| !it.is_empty()) },
            None => Key::plain(written),
        }
    }

    /// A key that has no variant whatever it looks like, such as a pattern.
    pub fn plain(written: &'a str) -> Key<'a> {
        Key { name: written, variant: None }
    }

    /// `key[]`: no variant, though hardly as it was meant.
    pub fn is_malformed(&self, written: &str) -> bool {
        self.variant.is_none() && self.name.len() < written.len()
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
    fn a_key_has_a_variant_only_where_it_ends_with_a_bracket() {
        for (written, name, variant) in [
            ("k", "k", None),
            ("k[A]", "k", Some("A")),
            ("k[A][B]", "k", Some("A][B")),
            ("k[]", "k", None),
            ("k[", "k[", None),
            ("k[A", "k[A", None),
            ("k[A]b", "k[A]b", None),
            ("k]", "k]", None),
            ("W_FR[0-9]*.grib", "W_FR[0-9]*.grib", None),
        ] {
            let key = Key::parse(written);
            assert_eq!((key.name, key.variant), (name, variant), "{written}");
            assert_eq!(key.is_malformed(written), written == "k[]", "{written}");
        }
    }
}
