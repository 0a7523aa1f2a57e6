//! TOML to a recipe, and what it says where it cannot be read.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::text;
use crate::toml_text;

/// TOML to a struct; an error names file, line, key and what is allowed.
pub(super) fn read<T: for<'a> Deserialize<'a>>(file: &str, content: &str) -> Result<T> {
    toml_text::from_str(content).map_err(|error: toml::de::Error| not_read(file, content, &error))
}

pub(super) fn not_read(file: &str, content: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map_or(1, |span| line_of(content, span.start));
    let reason = error.message().trim().replace('\n', "; ");
    let place = text::place(Path::new(file), line, None);
    let refused = Error::input(format!("{place}: {}", text::visible(&reason)));
    match near_miss(&reason) {
        Some(near) => refused.hint(format!("did you mean `{near}`?")),
        None => refused.hint("`mwp help recipes` describes every key of a task, with an example"),
    }
}

pub(super) fn line_of(content: &str, offset: usize) -> usize {
    content[..offset.min(content.len())].matches('\n').count() + 1
}

/// Of ``unknown field `task`, expected one of `disable`, `tasks` ``, what is nearest to what was found.
fn near_miss(reason: &str) -> Option<&str> {
    let (found, expected) = reason.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    text::nearest(found, expected.split('`').skip(1).step_by(2))
}
