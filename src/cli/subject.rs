//! A plugin that a command looks into: a `.plugin` file, an installed one, or a directory.

use std::path::Path;

use super::Context;
use super::exec::BaseOption;
use super::installed::find;
use crate::artifact::{Description, Limits, Remade};
use crate::contents::Contents;
use crate::error::{At, Error, Result};
use crate::plugin::Plugin;
use crate::{install, recipe, text};

/// What of an installed plugin counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that is in its home.
    Installed,
    /// What came in its `.plugin` file.
    Shipped,
}

pub(super) struct Subject {
    pub(super) contents: Contents,
    /// Of the `.plugin` file.
    pub(super) file_size: Option<u64>,
}

impl Subject {
    /// A file or a directory by its path, else an installed plugin by its name.
    pub(super) fn read(
        given: &Path,
        extent: Extent,
        base: &BaseOption,
        context: &Context,
    ) -> Result<Subject> {
        let limits = Limits::of(&context.site)?;
        if given.is_file() {
            let contents = Contents::of_file(given, &limits)?;
            let size = given.metadata().at("read", given)?.len();
            return Ok(Subject { contents, file_size: Some(size) });
        }
        let installed = match is_path(given) {
            true => None,
            // An installed plugin goes before a directory here of the same name.
            false => match find(&given.to_string_lossy(), base, context) {
                Err(_) if given.is_dir() => None,
                found => Some(found?.2.home),
            },
        };
        let contents = match (installed, extent) {
            (None, _) => sources(given, &limits, context)?,
            (Some(home), Extent::Installed) => Contents::of_installed(&home)?,
            (Some(home), Extent::Shipped) => {
                let made_after = install::made_by_installation(&home)?;
                Contents::of_shipped(&home, &made_after)?
            }
        };
        Ok(Subject { contents, file_size: None })
    }

    /// `1.0.0-1`
    pub(super) fn version(&self) -> Option<String> {
        let metadata = self.contents.metadata()?;
        Some(format!("{}-{}", metadata.version, metadata.release))
    }
}

/// What a release of the directory as it is would hold.
fn sources(dir: &Path, limits: &Limits, context: &Context) -> Result<Contents> {
    if !dir.is_dir() {
        return Err(Error::usage(format!("{} is neither a file nor a directory", text::path(dir)))
            .hint("give a `.plugin` file, a plugin's directory, or the name of an installed plugin"));
    }
    let plugin = Plugin::load(dir, &context.site)?;
    let remade = Remade::of(dir, recipe::release(dir)?.omit_dev, &context.site)?;
    let description = Description::of(&plugin);
    Contents::of_sources(dir, &description, limits, &|path| remade.contains(path))
}

/// A name has neither a slash nor the ending of a file.
pub(super) fn is_path(given: &Path) -> bool {
    let bytes = given.as_os_str().as_encoded_bytes();
    bytes.contains(&b'/') || bytes.ends_with(b".plugin") || matches!(bytes, b"." | b"..")
}
