//! uv resolves.

use std::path::Path;

use super::freeze::Question;
use super::other_files;
use super::pylock::{self, Package, PyLock};
use super::resolver::{Resolver, failure};
use crate::error::{Error, Result};
use crate::fs;
use crate::process::Log;
use crate::text;

pub(super) fn resolve(
    resolver: &Resolver<'_>,
    question: &Question<'_>,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<Vec<Package>> {
    let write = |name: &str, lines: &[String]| {
        let path = question.staging.join(name);
        fs::write_atomic(&path, (lines.join("\n") + "\n").as_bytes()).map(|()| path)
    };
    // What an address includes, uv reads itself; all other options are variables and arguments.
    let included = question.options.iter().map(|stated| stated.line.text()).filter(|text| {
        text.contains("://")
            && ["-r", "--requirement", "-c", "--constraint"].iter().any(|name| text.starts_with(name))
    });
    let lines: Vec<String> = included.map(str::to_owned).chain(question.lines.iter().cloned()).collect();
    let requirements = write("requirements.in", &lines)?;
    let constraints = write("constraints.txt", &question.constraints)?;
    let output = question.staging.join(pylock::FILE);
    // uv keeps the versions that it finds in its output.
    fs::remove_file(&output)?;
    if !question.prefer.is_empty() {
        fs::write_atomic(&output, preferences(question).as_bytes())?;
    }
    let mut program = resolver
        .uv(question.sources)?
        // A pyproject.toml or uv.toml further up is about another project.
        .arguments(["pip", "compile", "--no-config", "--no-progress", "--no-header", "--quiet"])
        .arguments(["--color", "never", "--format", "pylock.toml", "--python"])
        .argument(&resolver.python)
        .argument("--output-file")
        .argument(&output)
        .arguments(question.sources.uv_arguments())
        .argument("--constraint")
        .argument(&constraints);
    for address in question.sources.constraint_addresses() {
        program = program.arguments(["--constraint", address]);
    }
    if resolver.offline {
        program = program.argument("--offline");
    }
    let finished = program.argument(&requirements).run(log, on_line)?;
    if !finished.succeeded() {
        let what = format!("resolve {}", text::path(question.file));
        return Err(failure("uv", &what, &finished, reason(&finished.output))
            .hint_if_none("correct that requirement"));
    }
    let mut packages = read(&output)?;
    other_files::add(resolver, question, &mut packages, log)?;
    Ok(packages)
}

fn preferences(question: &Question<'_>) -> String {
    let known = |pin: &super::Pin| Package {
        name: pin.name.clone(),
        version: Some(pin.version.clone()),
        ..Package::default()
    };
    PyLock::new(None, question.prefer.iter().map(known).collect(), String::new()).render()
}

fn read(output: &Path) -> Result<Vec<Package>> {
    let lock = PyLock::parse(&fs::read_text(output)?).map_err(|reason| {
        Error::machine(format!("uv's lock cannot be read: {}", text::visible(&reason))).hint("update uv")
    })?;
    Ok(lock.packages)
}

/// uv explains itself in `cause:` lines, the last of which is the root; older ones in a paragraph behind `╰─▶`. What it
/// concludes from what has lines of its own; those that it broke for its own width are whole again.
fn reason(output: &str) -> Option<String> {
    let start = output.find("error:").or_else(|| output.find("×"))?;
    let explanation = output[start..].split("\n\n").next()?;
    let root =
        ["╰─▶", "cause:", "Caused by:", "error:"].iter().find_map(|sign| explanation.rsplit_once(sign))?;
    let mut reason = String::new();
    for line in root.1.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !reason.is_empty() {
            reason.push(if is_conclusion(line) { '\n' } else { ' ' });
        }
        reason.push_str(line);
    }
    Some(reason)
}

fn is_conclusion(line: &str) -> bool {
    line.starts_with("And because ") || line.starts_with("Because ") || line.starts_with("So, ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_explanation_with_a_line_for_each_conclusion() {
        let output = "  × No solution found when resolving dependencies:\n  ╰─▶ Because nosuch was not found\n      and you require nosuch, we\n      give up.\n\n  hint: x\n";
        assert_eq!(
            reason(output).unwrap(),
            "Because nosuch was not found and you require nosuch, we give up."
        );
        let output = "error: No solution found\n  cause: Because a\n    and b.\n\nhint: x\n";
        assert_eq!(reason(output).unwrap(), "Because a and b.");
        let output = "  ╰─▶ Because a needs\n      b, a is out.\n      And because you require\n      a, nothing is left.\n";
        let output = format!("error: No solution\n{output}");
        assert_eq!(
            reason(&output).unwrap(),
            "Because a needs b, a is out.\nAnd because you require a, nothing is left."
        );
        assert_eq!(reason("error: Failed to parse\n").unwrap(), "Failed to parse");
    }
}
