//! Renders a template into a staging directory: questions, hooks, files, hooks again.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::answers::{self, Answers};
use super::create::Request;
use super::extensions::Chance;
use super::hooks::{Hooks, Moment};
use super::nested::{self, Settled};
use super::render::{Renderer, variables};
use super::shelf::Found;
use super::{Ask, tidy};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::jinja;
use crate::site::Site;
use crate::text;

/// What was made.
pub(super) struct Made {
    /// Holds the directory until it is dropped.
    pub(super) staging: fs::Staging,
    pub(super) directory: PathBuf,
    pub(super) asked: Map<String, Value>,
}

/// `scratch` is where the staging directory goes.
pub(super) fn make(
    request: &Request<'_>,
    scratch: &Path,
    chance: &Chance,
    site: &Site,
    ask: &mut Ask<'_>,
) -> Result<Made> {
    let mut request = request.clone();
    let Settled { template, chosen, copies: _copies } =
        nested::settled(request.template, &mut request.answers, scratch, site, ask)?;
    request.template = &template;
    let renderer = Renderer::new(&template, chance)?;
    let Answers { all, mut asked } = answers::gather(&request, &renderer, site, ask)?;
    asked.extend(chosen.map(|choice| ("template".to_owned(), Value::from(choice))));
    let before = &template.questions.entries;
    let before = before.iter().filter(|(name, _)| !name.starts_with('_'));
    let variables = variables(&all, &before.map(|(name, value)| (name.clone(), value.clone())).collect());
    let staging = fs::Staging::claimed_in(scratch)?;
    let directory = staging.join(request.name.as_str());
    fs::create_dir_all(&directory)?;
    let scripts = staging.join("hooks");
    let hooks =
        Hooks { scripts: &template.hooks, renderer: Some((&renderer, &variables)), site, scratch: &scripts };
    hooks.run(Moment::Before, &directory)?;
    let copied = template.questions.strings("_copy_without_render");
    // Directories last: those that hold something are there by then.
    let (files, directories): (Vec<_>, Vec<_>) =
        template.files.iter().partition(|file| file.content.is_some());
    for file in files.into_iter().chain(directories) {
        let (rendered, verbatim) = split(&file.path, &copied);
        let mut path = renderer.render(&file.path, rendered, &variables)?;
        path.push_str(verbatim);
        let Some(path) = inside(&directory, &path)? else { continue };
        let Some(content) = &file.content else {
            fs::create_dir_all(&path)?;
            continue;
        };
        let is_copied =
            !verbatim.is_empty() || copied.iter().any(|pattern| jinja::fnmatch(&file.path, pattern));
        match std::str::from_utf8(content) {
            Ok(text) if !is_copied && !text.contains('\0') => {
                write(&path, renderer.render_file(&file.path, text, &variables)?.as_bytes(), file)?;
            }
            _ => write(&path, content, file)?,
        }
    }
    hooks.run(Moment::After, &directory)?;
    if super::hooks::use_metwork_module(&template.hooks) {
        tidy::apply_markers(&directory)?;
    }
    if template.is_tidied() {
        tidy::remove_empty(&directory)?;
    }
    Ok(Made { staging, directory, asked })
}

/// The part of a path that is rendered, and the rest: below a directory that is copied, names are as they are.
fn split<'a>(path: &'a str, copied: &[String]) -> (&'a str, &'a str) {
    let is_copied = |directory: &str| copied.iter().any(|pattern| jinja::fnmatch(directory, pattern));
    let end = path.match_indices('/').map(|(at, _)| at).find(|at| is_copied(&path[..*at]));
    path.split_at(end.unwrap_or(path.len()))
}

/// The place of a file; `None` where its name renders empty, which leaves it out.
fn inside(directory: &Path, path: &str) -> Result<Option<PathBuf>> {
    if path.is_empty() || path.ends_with('/') {
        return Ok(None);
    }
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Error::input(format!(
            "the template makes a file `{}`; a path inside the plugin is allowed",
            text::visible(path)
        ))
        .hint("look at the names below `{{cookiecutter.name}}` and at the answers in them"));
    }
    Ok(Some(directory.join(path)))
}

fn write(path: &Path, content: &[u8], file: &Found) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Two names of a template may render to one: the later file counts, as cookiecutter has it.
    fs::remove_file(path)?;
    fs::create_file(path)?.write_all(content).at("write", path)?;
    if file.is_executable { fs::set_mode(path, 0o755) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_inside_the_plugin() {
        let directory = Path::new("/d");
        assert!(inside(directory, "../x").is_err() && inside(directory, "/x").is_err());
        assert_eq!(inside(directory, "").unwrap(), None);
        assert_eq!(inside(directory, "main/").unwrap(), None);
        assert_eq!(inside(directory, "a/b").unwrap(), Some(PathBuf::from("/d/a/b")));
    }

    #[test]
    fn below_a_copied_directory_names_are_as_they_are() {
        let copied = ["raw".to_owned(), "*.bin".to_owned()];
        assert_eq!(split("raw/{{ x }}/y", &copied), ("raw", "/{{ x }}/y"));
        assert_eq!(split("a/{{ x }}.bin", &copied), ("a/{{ x }}.bin", ""));
    }
}
