//! `include`, `extends` and `import` in what a plugin brings along: its own files, and none outside.

use std::path::Path;

use minijinja::{Environment, Error};

use super::{invalid, set_loader};
use crate::fs;

/// Files are found by their path in the plugin `home` or in the directory `beside` of the including file.
pub(crate) fn include_from(engine: &mut Environment<'static>, home: &Path, beside: &Path) {
    let (home, beside) = (home.to_owned(), beside.to_owned());
    set_loader(engine, move |name| included(&home, &beside, name));
}

/// Links to places outside are not among them.
fn included(home: &Path, beside: &Path, name: &str) -> Result<Option<String>, Error> {
    let Ok(home) = std::fs::canonicalize(home) else { return Ok(None) };
    for dir in [beside, home.as_path()] {
        let Ok(file) = std::fs::canonicalize(dir.join(name)) else { continue };
        if !file.starts_with(&home) {
            return Err(invalid(format!("`{name}` is outside the plugin; its own files can be included")));
        }
        return fs::read_text_optional(&file).map_err(|error| invalid(error.to_string()));
    }
    Ok(None)
}
