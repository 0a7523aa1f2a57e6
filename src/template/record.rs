//! What a plugin keeps of its making, in `.mwp-template.toml`: the template, the answers, time and chance, and the base of
//! later merges, which is every file as the template made it, packed. The file belongs under version control and is never
//! released.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Shelf;
use super::create::Request;
use super::extensions::Chance;
use super::merge::{File, Tree};
use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// Names that start so are not shipped.
pub const FILE: &str = ".mwp-template.toml";
const HEADER: &str = "\
# Which template this plugin was made from, and how: `mwp bootstrap update` brings in what changed there since.
# Keep this file under version control. It is not released.
";
/// Larger ones are no templates.
const MOST_BASE: u64 = 256 << 20;
const LINE: usize = 100;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    /// A name, or the path of a template's directory.
    pub(super) template: String,
    /// As it was asked for then, which its files may name.
    pub(super) given: String,
    /// Of all that the template consists of, for people: plugins with the same one are from the same template.
    digest: String,
    pub(super) module: String,
    pub(super) name: String,
    pub(super) time: String,
    pub(super) seed: String,
    pub(super) answers: Map<String, Value>,
    base: String,
}

impl Record {
    /// Of a plugin that was just made in `directory`.
    pub(super) fn of(
        request: &Request<'_>,
        answers: Map<String, Value>,
        chance: &Chance,
        directory: &Path,
    ) -> Result<Record> {
        let template = request.template;
        let place = match &template.shelf {
            // One in a directory is found again from wherever the command is run.
            Shelf::Disk(_) if template.is_by_path => template.place().to_string_lossy().into_owned(),
            _ => template.name.clone(),
        };
        Ok(Record {
            format: 1,
            template: place,
            given: template.given.clone(),
            digest: template.digest()?.to_string(),
            module: request.module.to_string(),
            name: request.name.to_string(),
            time: chance.time.to_string(),
            seed: chance.seed.clone(),
            answers: answers.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            base: packed(&tree(directory)?)?,
        })
    }

    pub(super) fn read(directory: &Path) -> Result<Record> {
        let path = directory.join(FILE);
        let Some(content) = fs::read_text_optional(&path)? else {
            return Err(Error::input(format!("there is no {}", text::path(&path)))
                .hint("it is made by `mwp new`; a plugin from elsewhere is not tied to a template"));
        };
        let record: Record = toml::from_str(&content).map_err(|error| damaged(&path, error.message()))?;
        if record.format != 1 {
            return Err(damaged(&path, &format!("found format {}; 1 is allowed", record.format)));
        }
        Ok(record)
    }

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        fs::write_atomic(&directory.join(FILE), self.text()?.as_bytes())
    }

    pub(super) fn text(&self) -> Result<String> {
        let body = toml::to_string_pretty(self)
            .map_err(|error| Error::machine(format!("cannot write `{FILE}`: {error}")))?;
        Ok(format!("{HEADER}{body}"))
    }

    pub(super) fn base(&self, directory: &Path) -> Result<Tree> {
        let damaged = |reason: String| damaged(&directory.join(FILE), &format!("base: {reason}"));
        let digits: String = self.base.split_whitespace().collect();
        let packed = STANDARD.decode(digits).map_err(|error| damaged(error.to_string()))?;
        let mut content = Vec::new();
        let unpacked = zstd::Decoder::new(packed.as_slice())
            .and_then(|decoder| std::io::copy(&mut std::io::Read::take(decoder, MOST_BASE), &mut content));
        unpacked.map_err(|error| damaged(text::io_reason(&error)))?;
        postcard::from_bytes(&content).map_err(|error| damaged(error.to_string()))
    }

    pub(super) fn chance(&self, directory: &Path) -> Result<Chance> {
        let time: Timestamp = self.time.parse().map_err(|_| {
            damaged(&directory.join(FILE), &format!("time: found `{}`", text::visible(&self.time)))
        })?;
        Ok(Chance::again(time, self.seed.clone()))
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::input(format!("{}: {}", text::path(path), text::visible(reason)))
        .hint("take the file from version control as it was; after a merge, one whole side of it")
}

/// The files in a directory, version control's own and ours left out.
pub(super) fn tree(directory: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    walk(directory, "", &mut tree)?;
    Ok(tree)
}

fn walk(directory: &Path, prefix: &str, tree: &mut Tree) -> Result<()> {
    for entry in fs::list(directory)? {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
        if prefix.is_empty() && (matches!(name, ".git" | ".hg" | ".svn") || name.starts_with(".mwp")) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.is_symlink() {
            continue;
        }
        if entry.is_dir() {
            walk(&entry, &format!("{path}/"), tree)?;
        } else {
            tree.insert(path, File::read(&entry)?);
        }
    }
    Ok(())
}

fn packed(tree: &Tree) -> Result<String> {
    let failed = |reason: String| Error::machine(format!("cannot pack what the template made: {reason}"));
    let content = postcard::to_extend(tree, Vec::new()).map_err(|error| failed(error.to_string()))?;
    let packed = zstd::encode_all(content.as_slice(), 19).map_err(|error| failed(text::io_reason(&error)))?;
    let digits = STANDARD.encode(packed);
    let mut text = String::with_capacity(digits.len() + digits.len() / LINE + 1);
    for start in (0..digits.len()).step_by(LINE) {
        text.push_str(&digits[start..digits.len().min(start + LINE)]);
        text.push('\n');
    }
    Ok(text)
}
