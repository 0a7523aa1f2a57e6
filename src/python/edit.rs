//! Edits of `requirements-to-freeze.txt`: a line comes, changes or goes; comments and order stay.

use super::requirements::Requirements;
use crate::error::{Error, Result};
use crate::text;

/// What a requirement is called, in canonical form; an error where it is none.
pub fn name_of(requirement: &str) -> Result<String> {
    let shown = text::visible(requirement);
    let lines = Requirements::parse(requirement).lines;
    let name = match lines.as_slice() {
        [line] => line.name(),
        _ => None,
    };
    name.ok_or_else(|| {
        Error::usage(format!(
            "found `{shown}`; a requirement as in `flask`, `flask>=3,<4` or `name @ URL` is allowed"
        ))
        .hint("quote it for the shell: `mwp add 'flask>=3'`")
    })
}

/// The text with the requirement in place of the one for the same project, else at its end.
pub fn add(content: &str, requirement: &str) -> Result<String> {
    let name = name_of(requirement)?;
    let mut is_there = false;
    let mut lines: Vec<String> = Vec::new();
    for line in content.lines() {
        if is_for(line, &name) {
            if !is_there {
                lines.push(format!("{requirement}{}", comment_of(line)));
            }
            is_there = true;
        } else {
            lines.push(line.to_owned());
        }
    }
    if !is_there {
        lines.push(requirement.to_owned());
    }
    Ok(lines.join("\n") + "\n")
}

/// The text without the lines for a project; `None` where there is none.
pub fn remove(content: &str, name: &str) -> Result<Option<String>> {
    let name = name_of(name)?;
    let kept: Vec<&str> = content.lines().filter(|line| !is_for(line, &name)).collect();
    let is_there = kept.len() < content.lines().count();
    Ok(is_there.then(|| kept.join("\n") + if kept.is_empty() { "" } else { "\n" }))
}

/// The projects that a text names.
pub fn names(content: &str) -> Vec<String> {
    Requirements::parse(content).lines.iter().filter_map(super::requirements::Line::name).collect()
}

fn is_for(line: &str, name: &str) -> bool {
    Requirements::parse(line).lines.iter().any(|line| line.name().as_deref() == Some(name))
}

/// What a person wrote behind a requirement, with the space before it.
fn comment_of(line: &str) -> &str {
    line.find(" #").map_or("", |at| &line[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# web\nFlask>=2  # the framework\n\nwaitress\n";

    #[test]
    fn a_requirement_replaces_the_one_for_its_project_and_keeps_the_comment() {
        assert_eq!(add(TEXT, "flask==3.0").unwrap(), "# web\nflask==3.0 # the framework\n\nwaitress\n");
        assert_eq!(add(TEXT, "django").unwrap(), format!("{TEXT}django\n"));
        assert_eq!(add("", "a[b]>1; python_version > '3'").unwrap(), "a[b]>1; python_version > '3'\n");
    }

    #[test]
    fn a_requirement_goes_by_any_spelling_of_its_name() {
        assert_eq!(remove(TEXT, "FLASK").unwrap().unwrap(), "# web\n\nwaitress\n");
        assert_eq!(remove(TEXT, "django").unwrap(), None);
        assert_eq!(remove("a\n", "a").unwrap().unwrap(), "");
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for wrong in ["", "a b", "--index-url=x", "a\nb", "==3"] {
            assert!(name_of(wrong).is_err(), "{wrong}");
        }
    }
}
