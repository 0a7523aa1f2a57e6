//! Values as systemd reads them. `%` begins a specifier everywhere; `$` a variable in commands alone.

use std::path::Path;

use crate::error::{Error, Result};
use crate::run::export::utf8;
use crate::text;

/// The words of a command; `%i` in `last` stays what it is.
pub(super) fn command(words: &[String], last: Option<&str>) -> Result<String> {
    if let Some(program) = words.first().filter(|program| program.contains(['"', '\'', '\\'])) {
        let program = text::path(Path::new(program));
        return Err(Error::input(format!(
            "systemd runs no program with a quote or `\\` in its path: {program}"
        ))
        .hint("move it to another path"));
    }
    let words = words.iter().enumerate().map(|(index, text)| word(text, index == 0));
    Ok(words.chain(last.map(str::to_owned)).collect::<Vec<_>>().join(" "))
}

/// In the path of the program a `$` is nothing special.
fn word(text: &str, is_program: bool) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            '$' if !is_program => quoted.push_str("$$"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// A path that is a value by itself. There is no quoting there, and some values are patterns: what cannot be said is
/// refused.
pub(super) fn path(path: &Path) -> Result<String> {
    let given = utf8(path)?;
    let is_bad = |c: char| c.is_control() || matches!(c, '\\' | '*' | '?' | '[');
    if given.contains(is_bad) || given.ends_with(char::is_whitespace) {
        return Err(Error::input(format!(
            "{} cannot be written into a unit; control characters, `\\`, `*`, `?`, `[` and a space at the end are \
             not allowed",
            text::path(path)
        ))
        .hint("move it to another path"));
    }
    Ok(given.replace('%', "%%"))
}

/// Paths in a list, of which any may be missing.
pub(super) fn optional_paths(paths: &[&Path]) -> Result<String> {
    let quoted = paths.iter().map(|path| Ok(word(&format!("-{}", utf8(path)?), true)));
    Ok(quoted.collect::<Result<Vec<_>>>()?.join(" "))
}

/// A part of a unit's name. `-` stands between the parts, so within one it is escaped, as `systemd-escape` does.
pub(super) fn name_part(text: &str) -> String {
    text.replace('-', "\\x2d")
}

/// A line of an environment file.
pub(super) fn variable(name: &str, value: &str) -> String {
    let mut line = format!("{name}=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '`' | '$') {
            line.push('\\');
        }
        line.push(character);
    }
    line + "\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_and_nothing_in_them_is_expanded() {
        let words = ["/usr/bin/mwp", "plain", "a b", "", "50%", "$HOME", "say \"\\n\"", "a\nb", "-g"];
        assert_eq!(
            command(&words.map(str::to_owned), Some("%i")).unwrap(),
            "/usr/bin/mwp plain \"a b\" \"\" \"50%%\" \"$$HOME\" \"say \\\"\\\\n\\\"\" \"a\\U0000000ab\" -g %i"
        );
        assert_eq!(command(&["/a $b%".to_owned()], None).unwrap(), "\"/a $b%%\"");
        assert!(command(&["/it's".to_owned()], None).is_err());
    }

    #[test]
    fn paths_that_cannot_be_said_are_refused() {
        assert_eq!(path(Path::new("/a b/50%")).unwrap(), "/a b/50%%");
        for bad in ["/a\nb", "/a ", "/a\\", "/a*"] {
            let error = path(Path::new(bad)).unwrap_err();
            assert!(error.to_string().contains("cannot be written into a unit"), "{error}");
        }
    }

    #[test]
    fn lists_of_paths_are_words_where_a_dollar_is_nothing_special() {
        let paths = ["/a", "/b c/50%", "/$x"].map(Path::new);
        assert_eq!(optional_paths(&paths).unwrap(), "-/a \"-/b c/50%%\" \"-/$x\"");
    }

    #[test]
    fn variables_come_out_of_a_shell_as_they_went_in() {
        let value = "a b\n\"c\" 'd' $HOME `x` \\n %i";
        let script = format!("{}printf %s \"$V\"", variable("V", value));
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}
