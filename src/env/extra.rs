//! `.layerapi2_extra_env`: variables that a layer sets, and `{OTHER}` in what layers say.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::site::Environment;
use crate::text;

const FILE: &str = ".layerapi2_extra_env";

/// Sets what the layer at `home` asks for, line by line: a later line sees what an earlier one set.
pub(super) fn apply(home: &Path, environment: &mut Environment) -> Result<()> {
    let file = home.join(FILE);
    let mut total = 0;
    for (name, value) in read(home)? {
        // What steers mwp itself is for the machine to say.
        if name.starts_with(b"MWP_") {
            continue;
        }
        let value = replaced(&value, environment, &file)?;
        total += name.len() + value.len();
        if total > LONGEST_OF_ALL {
            return Err(too_long(&file, LONGEST_OF_ALL, "all its values together"));
        }
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
    let content = fs::read_optional_within(&home.join(FILE), fs::MOST_TEXT)?.unwrap_or_default();
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

/// Linux starts no process with a longer variable, nor with more of them. `A={A}{A}` doubles with every line.
const LONGEST: usize = 128 * 1024;
const LONGEST_OF_ALL: usize = 2 << 20;

fn too_long(file: &Path, most: usize, what: &str) -> Error {
    Error::input(format!("{}: {what} would have more than {}", text::path(file), text::size(most as u64)))
        .hint("no process can be started with that: look at what stands between `{` and `}`")
}

/// `{NAME}` becomes the value of that variable, nothing where it is unset. The text is from `file`.
pub(super) fn replaced(text: &[u8], environment: &Environment, file: &Path) -> Result<OsString> {
    let mut result = Vec::new();
    let mut rest = text;
    while result.len() + rest.len() <= LONGEST
        && let Some(open) = rest.iter().position(|byte| *byte == b'{')
    {
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
    if result.len() > LONGEST {
        return Err(too_long(file, LONGEST, "a text with its values filled in"));
    }
    Ok(OsString::from_vec(result))
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
            let found = replaced(text.as_bytes(), &environment, Path::new("x")).unwrap();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn values_that_grow_with_every_line_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let doubling = format!("A=x\n{}", "A={A}{A}\n".repeat(60));
        let many: String = (0..100).map(|n| format!("A{n}={}\n", "x".repeat(100_000))).collect();
        for content in [doubling, many] {
            fs::write_atomic(&home.path().join(FILE), content.as_bytes()).unwrap();
            let error = apply(home.path(), &mut Environment::default()).unwrap_err().to_string();
            assert!(error.contains("extra_env`: ") && error.contains("would have more than"), "{error}");
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
