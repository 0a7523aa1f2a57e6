//! uv resolves.

use std::path::{Path, PathBuf};

use super::index;
use super::requirements::{Line, Requirements};
use super::resolver::{Resolver, failure};
use crate::error::Result;
use crate::fs;
use crate::process::Log;
use crate::text;
use crate::tools;

pub(super) fn freeze(
    resolver: &Resolver<'_>,
    requirements: &Path,
    constraints: &[PathBuf],
    staging: &Path,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<Vec<String>> {
    let uv = resolver.uv.as_ref().ok_or_else(|| tools::missing("uv"))?;
    let output = staging.join("uv-lock.txt");
    let mut program = resolver
        .program(uv)
        // A pyproject.toml or uv.toml further up is about another project.
        .arguments([
            "pip",
            "compile",
            "--no-config",
            "--no-progress",
            "--no-header",
            "--no-annotate",
            "--quiet",
        ])
        .arguments(["--color", "never", "--python"])
        .argument(&resolver.python)
        .argument("--output-file")
        .argument(&output);
    for (name, value) in index::uv_variables(resolver.site) {
        program = program.set(name, value);
    }
    for constraint in constraints {
        program = program.argument("--constraint").argument(constraint);
    }
    if resolver.offline {
        program = program.argument("--offline");
    }
    let finished = program.argument(requirements).run(log, on_line)?;
    if !finished.succeeded() {
        return Err(failure(
            "uv",
            &format!("resolve {}", text::path(requirements)),
            &finished,
            reason(&finished.output),
        )
        .hint_if_none("correct that requirement"));
    }
    let lines = Requirements::parse(&fs::read_text(&output)?).lines;
    Ok(lines
        .into_iter()
        .filter(|line| !matches!(line, Line::Option(_)))
        .map(|line| without_egg(line.text()))
        .collect())
}

/// `name @ URL#egg=name` says the name twice, which pip refuses.
fn without_egg(line: &str) -> String {
    match line.split_once('#') {
        Some((url, fragment)) if line.contains(" @ ") => {
            let rest: Vec<&str> = fragment.split('&').filter(|part| !part.starts_with("egg=")).collect();
            if rest.is_empty() { url.to_owned() } else { format!("{url}#{}", rest.join("&")) }
        }
        _ => line.to_owned(),
    }
}

/// uv explains itself in `cause:` lines, the last of which is the root; older ones in a paragraph behind `╰─▶`.
fn reason(output: &str) -> Option<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let start = output.find("error:").or_else(|| output.find("×"))?;
    let explanation = output[start..].split("\n\n").next()?;
    let root =
        ["╰─▶", "cause:", "Caused by:", "error:"].iter().find_map(|sign| explanation.rsplit_once(sign))?;
    Some(words(root.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_said_twice() {
        assert_eq!(without_egg("a @ git+https://h/a@1#egg=a"), "a @ git+https://h/a@1");
        assert_eq!(
            without_egg("a @ git+https://h/a@1#egg=a&subdirectory=b"),
            "a @ git+https://h/a@1#subdirectory=b"
        );
        assert_eq!(without_egg("-e git+https://h/a@1#egg=a"), "-e git+https://h/a@1#egg=a");
    }

    #[test]
    fn the_reason_is_the_explanation_on_one_line() {
        let output = "  × No solution found when resolving dependencies:\n  ╰─▶ Because nosuch was not found\n      and you require nosuch, we\n      give up.\n\n  hint: x\n";
        assert_eq!(
            reason(output).unwrap(),
            "Because nosuch was not found and you require nosuch, we give up."
        );
        let output = "error: No solution found\n  cause: Because a\n    and b.\n\nhint: x\n";
        assert_eq!(reason(output).unwrap(), "Because a and b.");
        assert_eq!(reason("error: Failed to parse\n").unwrap(), "Failed to parse");
    }
}
