//! The programs of a virtualenv: scripts that wheels bring, and launchers for their entry points. They find their
//! interpreter beside themselves, wherever the virtualenv is moved, and whatever its path holds.

use std::collections::BTreeMap;

use super::decode::coding;

/// The shell's way to the interpreter beside the script.
///
/// For Python the line is a comment, because a form feed before `#` is white space to it: what follows keeps its
/// docstring and its `from __future__`. For the shell it is a command that does not exist, told to nobody.
const BESIDE: &str =
    "\u{c}# 2>/dev/null; exec \"$(dirname -- \"$(realpath -- \"$0\")\")\"/python3 \"$0\" \"$@\"\n";

/// How a script of a wheel begins that wants the virtualenv's interpreter.
pub(super) const PLACEHOLDER: &[u8] = b"#!python";

/// A wheel's script with `#!python` made relocatable; others stay as they are.
pub(super) fn relocatable(content: Vec<u8>) -> Vec<u8> {
    if !content.starts_with(PLACEHOLDER) {
        return content;
    }
    let line_end =
        |text: &[u8]| text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let body = &content[line_end(&content)..];
    let first = &body[..line_end(body)];
    // Python looks for the encoding in the first two lines.
    let (coding, rest) = match coding(first).filter(|_| first.trim_ascii_start().starts_with(b"#")) {
        Some(_) => body.split_at(first.len()),
        None => (&b"\n"[..0], body),
    };
    let coding = [coding, if coding.is_empty() || coding.ends_with(b"\n") { b"" } else { b"\n" }].concat();
    [b"#!/bin/sh\n", coding.as_slice(), BESIDE.as_bytes(), rest].concat()
}

/// `name = module:function [extras]` in the sections for scripts; later ones win.
pub(super) fn entry_points(text: &str) -> BTreeMap<String, (String, String)> {
    let mut scripts = BTreeMap::new();
    let mut counts = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            counts = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if counts
            && !line.starts_with(['#', ';'])
            && let Some((name, target)) = line.split_once('=')
        {
            let target = target.split('[').next().unwrap_or_default().trim();
            let (module, function) = target.split_once(':').unwrap_or((target, ""));
            let name = name.trim();
            let plain = |text: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.".contains(c))
            };
            if is_file_name(name) && plain(module.trim()) && plain(function.trim()) {
                scripts.insert(name.to_owned(), (module.trim().to_owned(), function.trim().to_owned()));
            }
        }
    }
    scripts
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(|c: char| c == '/' || c.is_control())
}

pub(super) fn launcher((module, function): &(String, String)) -> Vec<u8> {
    let import = function.split('.').next().unwrap_or_default();
    format!(
        "#!/bin/sh\n{BESIDE}import sys\n\nfrom {module} import {import}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_become_scripts_and_odd_ones_do_not() {
        let scripts = entry_points(
            "[console_scripts]\nflask = flask.cli:main\nx=a:b.c [extra]\n../evil = a:b\n.. = a:b\n. = a:b\n\
             e\u{1b}[2J = a:b\nbad = a;b:c\n[other]\ny = a:b\n",
        );
        assert_eq!(scripts.keys().collect::<Vec<_>>(), ["flask", "x"]);
        assert!(String::from_utf8(launcher(&scripts["x"])).unwrap().contains("from a import b\n"));
    }
}
