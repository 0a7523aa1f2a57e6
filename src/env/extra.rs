//! `.layerapi2_extra_env`: variables that a layer sets, and `{OTHER}` in what layers say.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::Result;
use crate::fs;
use crate::site::Environment;

const FILE: &str = ".layerapi2_extra_env";

/// Sets what the layer at `home` asks for, line by line: a later line sees what an earlier one set.
pub(super) fn apply(home: &Path, environment: &mut Environment) -> Result<()> {
    for (name, value) in read(home)? {
        let value = replaced(&value, environment);
        environment.set(OsString::from_vec(name), value);
    }
    Ok(())
}

pub(super) fn remove(home: &Path, environment: &mut Environment) -> Result<()> {
    for (name, _) in read(home)? {
        if let Ok(name) = std::str::from_utf8(&name) {
            environment.remove(name);
        }
    }
    Ok(())
}

/// `KEY=value` lines; others, and comments, say nothing.
fn read(home: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let content = fs::read_optional(&home.join(FILE))?.unwrap_or_default();
    let mut variables = Vec::new();
    for line in content.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.starts_with(b"#") || line.contains(&0) {
            continue;
        }
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
        if !name.is_empty() {
            variables.push((name.to_vec(), value.to_vec()));
        }
    }
    Ok(variables)
}

/// `{NAME}` becomes the value of that variable, nothing where it is unset.
pub(super) fn replaced(text: &[u8], environment: &Environment) -> OsString {
    let mut result = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
        let after = &rest[open + 1..];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = after.iter().position(|byte| !is_name(byte)).unwrap_or(after.len());
        let name = std::str::from_utf8(&after[..length]).unwrap_or_default();
        if length > 0 && after.get(length) == Some(&b'}') {
            result.extend_from_slice(&rest[..open]);
            result.extend_from_slice(environment.get(name).map_or(b"", OsStrExt::as_bytes));
            rest = &after[length + 1..];
        } else {
            result.extend_from_slice(&rest[..=open]);
            rest = after;
        }
    }
    result.extend_from_slice(rest);
    OsString::from_vec(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_braces_are_replaced_and_other_braces_stay() {
        let mut environment = Environment::default();
        environment.set("A", "x y");
        for (text, expected) in
            [("{A}/b", "x y/b"), ("{{A}}", "{x y}"), ("{B}|", "|"), ("{", "{"), ("{a b}{}", "{a b}{}")]
        {
            assert_eq!(replaced(text.as_bytes(), &environment), expected, "{text}");
        }
    }

    #[test]
    fn a_line_sees_what_an_earlier_one_set() {
        let home = tempfile::tempdir().unwrap();
        let content = b"# X=1\nFOO = bar \nnonsense\nEMPTY=\nTWO={FOO}=2\n";
        fs::write_atomic(&home.path().join(FILE), content).unwrap();
        let mut environment = Environment::default();
        apply(home.path(), &mut environment).unwrap();
        let all: Vec<_> =
            environment.iter().map(|(n, v)| format!("{}={}", n.display(), v.display())).collect();
        assert_eq!(all, ["EMPTY=", "FOO=bar", "TWO=bar=2"]);
        remove(home.path(), &mut environment).unwrap();
        assert_eq!(environment.iter().count(), 0);
    }
}
