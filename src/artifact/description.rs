//! What the maker of a plugin says about it: the part of the metadata that comes from `config.ini`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::plugin::{Label, Plugin};
use crate::text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub label: Label,
    pub version: String,
    pub release: String,
    pub summary: String,
    pub license: String,
    /// The maintainer.
    pub packager: String,
    pub vendor: String,
    pub url: String,
}

impl Description {
    /// From the plugin's configuration.
    pub fn of(plugin: &Plugin) -> Description {
        let general = &plugin.config.general;
        Description {
            label: plugin.label.clone(),
            version: general.version.clone(),
            release: general.release.clone(),
            summary: general.summary.clone(),
            license: general.license.clone(),
            packager: general.maintainer.clone(),
            vendor: general.vendor.clone(),
            url: general.url.clone(),
        }
    }

    /// `{name}-{version}-{release}.metwork.{module}.plugin`
    pub fn file_name(&self) -> String {
        let Description { label, version, release, .. } = self;
        format!("{}-{version}-{release}.metwork.{}.plugin", label.name, label.module)
    }

    /// That file in the directory `output`, where no directory is in its place.
    pub fn file_in(&self, output: &Path) -> Result<PathBuf> {
        let file = output.join(self.file_name());
        match file.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Err(Error::input(format!(
                "{} is a directory; the release is a file of that name",
                text::path(&file)
            ))
            .hint("move it away, or write to another directory with `--output`")),
            _ => Ok(file),
        }
    }

    /// Version and release end up in file names and on command lines.
    pub(super) fn check(&self) -> Result<()> {
        check_version("version", &self.version)?;
        check_version("release", &self.release)
    }
}

const MAX_LENGTH: usize = 50;

/// `^[a-z0-9-_.]+$`, of a length that leaves room for the rest of the file name.
pub(super) fn check_version(what: &str, value: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let found = match value {
        "" => "is empty".to_owned(),
        _ if value.len() > MAX_LENGTH => format!("has {}", text::count(value.len(), "character")),
        _ if value.chars().all(good) => return Ok(()),
        _ => format!("is `{}`", text::visible(value)),
    };
    Err(Error::input(format!(
        "the {what} {found}; up to 50 lower-case letters, digits, `-`, `_` and `.` are allowed"
    ))
    .hint("write it as in `1.2.0`"))
}
