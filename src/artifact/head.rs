//! The members that describe a plugin: label, metadata and list of files.

use std::path::Path;

use super::limits::Limits;
use super::members::{Member, Refusal, Type};
use super::metadata::Metadata;
use super::stream::HINT;
use super::{FILES, LABEL, METADATA, ROOT};
use crate::error::{Error, Result};
use crate::plugin::Label;
use crate::text;

/// Their contents, as far as they were seen.
#[derive(Default)]
pub(super) struct Head {
    label: Option<Vec<u8>>,
    metadata: Option<Vec<u8>>,
    files: Option<Vec<u8>>,
}

/// What they say.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) label: Label,
    pub(super) metadata: Metadata,
    pub(super) files: Vec<String>,
}

/// What the list of files may name, whatever the limits: it is read before they are known.
const MOST_FILES: usize = 4_000_000;

impl Head {
    /// Whether the member with this path, relative to the plugin, is one of them; then it must be a file, and of
    /// reasonable size.
    pub(super) fn wants(path: &str, member: &Member) -> Result<bool, Refusal> {
        let most = match path {
            LABEL => 4 * 1024,
            METADATA => 1024 * 1024,
            FILES => Limits::DESCRIPTION,
            _ => return Ok(false),
        };
        if member.kind != Type::File {
            return Err(Refusal::Content(format!("has a `{ROOT}/{path}` that is no file")));
        }
        if member.size > most {
            let size = text::size(member.size);
            return Err(Refusal::Content(format!("has a `{ROOT}/{path}` of {size}, which is too much")));
        }
        Ok(true)
    }

    pub(super) fn set(&mut self, path: &str, content: Vec<u8>) -> Result<(), Refusal> {
        let slot = match path {
            LABEL => &mut self.label,
            METADATA => &mut self.metadata,
            _ => &mut self.files,
        };
        match slot.replace(content) {
            None => Ok(()),
            Some(_) => Err(Refusal::Content(format!("has `{ROOT}/{path}` twice"))),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.label.is_some() && self.metadata.is_some() && self.files.is_some()
    }

    /// Reads what they say; `archive` is for messages.
    pub(super) fn identity(self, archive: &Path) -> Result<Identity> {
        let missing = |name: &str| refuse(archive, Refusal::Content(format!("has no `{ROOT}/{name}`")));
        let within = |name: &str, error: &Error| {
            Error::input(format!("{}: `{ROOT}/{name}`: {error}", text::path(archive))).hint(HINT)
        };
        let label = self.label.ok_or_else(|| missing(LABEL))?;
        let label = String::from_utf8_lossy(&label);
        let label = label.strip_suffix('\n').unwrap_or(&label);
        let label =
            label.strip_suffix('\r').unwrap_or(label).parse().map_err(|error| within(LABEL, &error))?;
        let metadata = self.metadata.ok_or_else(|| missing(METADATA))?;
        let metadata = Metadata::parse(&metadata).map_err(|error| within(METADATA, &error))?;
        let files = self.files.ok_or_else(|| missing(FILES))?;
        let files = super::bounded::list(&files, MOST_FILES)
            .map_err(|error| within(FILES, &Error::input(text::visible(&error.to_string()))))?;
        Ok(Identity { label, metadata, files })
    }
}

/// The error for an archive that is not read on.
pub(super) fn refuse(path: &Path, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Content(reason) => {
            Error::input(format!("{}: the archive {reason}", text::path(path))).hint(HINT)
        }
        Refusal::Hinted { reason, hint } => {
            Error::input(format!("{}: the archive {reason}", text::path(path))).hint(hint)
        }
        Refusal::Read(error) => Error::io("read", path, &error),
        Refusal::Other(error) => error,
    }
}
