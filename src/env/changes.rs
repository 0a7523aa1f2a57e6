//! What one environment has and another has not, and how a shell is told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::site::Environment;

/// A variable that was set, or (`None`) unset.
pub type Change = (OsString, Option<OsString>);

/// What has to be done to get from one environment to the other, in the order of the names.
pub fn changes(before: &Environment, after: &Environment) -> Vec<Change> {
    let set = after.iter().filter(|(name, value)| before.get_os(name) != Some(value.as_os_str()));
    let unset = before.iter().filter(|(name, _)| after.get_os(name).is_none());
    let mut changes: Vec<Change> = set.map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    changes.extend(unset.map(|(name, _)| (name.clone(), None)));
    changes.sort();
    changes
}

/// One word for a POSIX shell, whatever it holds.
pub fn quoted(word: &OsStr) -> OsString {
    let mut result = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => result.extend_from_slice(b"'\\''"),
            other => result.push(*other),
        }
    }
    result.push(b'\'');
    OsString::from_vec(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let before = environment(&[("A", "1"), ("B", "1"), ("C", "1")]);
        let after = environment(&[("A", "1"), ("B", "2"), ("D", "1")]);
        let changed = |name: &str, value: Option<&str>| (OsString::from(name), value.map(OsString::from));
        let expected = [changed("B", Some("2")), changed("C", None), changed("D", Some("1"))];
        assert_eq!(changes(&before, &after), expected);
    }

    #[test]
    fn a_quoted_word_is_one_word_to_a_shell() {
        for word in ["", "a b", "it's", "''", "$HOME `x` \"y\" \\ !", "two\nlines"] {
            let mut script = OsString::from("printf %s ");
            script.push(quoted(OsStr::new(word)));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
