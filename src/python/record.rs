//! Writing what a wheel brings into a virtualenv, piece by piece, and its RECORD: every file with digest and size.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::archive::Member;
use super::contents::{Contents, Layout, Source};
use super::scripts;
use super::wheel::Wheel;
use crate::artifact::Limits;
use crate::digest::{Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::fs::{self, Beneath, NewFile};
use crate::text;

/// Of a script of Python, which is kept in memory; programs are not.
const MOST_SCRIPT: u64 = 1 << 24;

impl Wheel {
    /// Writes the files of `contents` beneath `place`, and their RECORD; returns the digest of each.
    pub(super) fn write(
        &self,
        contents: &Contents,
        layout: &Layout,
        limits: &Limits,
        place: &mut Beneath,
    ) -> Result<Vec<(String, Digest)>> {
        let archive = self.open(limits)?;
        let mut digests = Vec::with_capacity(contents.files.len() + 1);
        let mut lines = Vec::with_capacity(contents.files.len() + 1);
        for (path, brought) in &contents.files {
            let file = place.file(path)?;
            let mode = if brought.is_executable { 0o755 } else { 0o644 };
            let (digest, size) = match &brought.source {
                Source::Made(content) => (write(&file, mode, content)?, content.len() as u64),
                Source::Member { index, is_script } => {
                    let Member { size, .. } = archive.members[*index];
                    let mut member =
                        archive.read(&archive.members[*index]).map_err(|error| self.unreadable(&error))?;
                    let mut start = Vec::new();
                    if *is_script {
                        let read =
                            (&mut member).take(scripts::PLACEHOLDER.len() as u64).read_to_end(&mut start);
                        read.map_err(|error| self.unreadable(&error))?;
                    }
                    if start == scripts::PLACEHOLDER {
                        if size > MOST_SCRIPT {
                            let most = text::size(MOST_SCRIPT);
                            return Err(self.refused(&format!(
                                "its script `{}` has more than {most}",
                                text::visible(path)
                            )));
                        }
                        let read = (&mut member).take(size).read_to_end(&mut start);
                        read.map_err(|error| self.unreadable(&error))?;
                        let content = scripts::relocatable(start);
                        (write(&file, mode, &content)?, content.len() as u64)
                    } else {
                        (self.stream(&file, mode, start.as_slice().chain(member), size)?, size)
                    }
                }
            };
            lines.push(format!(
                "{},sha256={},{size}",
                csv_field(&layout.relative_to_site_packages(path)),
                URL_SAFE_NO_PAD.encode(digest.bytes())
            ));
            digests.push((path.clone(), digest));
        }
        if contents.record.is_empty() {
            return Ok(digests);
        }
        lines.push(format!("{},,", csv_field(&layout.relative_to_site_packages(&contents.record))));
        lines.sort();
        let mut content = lines.join("\n");
        content.push('\n');
        digests.push((
            contents.record.clone(),
            write(&place.file(&contents.record)?, 0o644, content.as_bytes())?,
        ));
        Ok(digests)
    }

    /// Writes exactly `size` bytes: what the limits were held against.
    fn stream(&self, file: &NewFile, mode: u32, mut content: impl Read, size: u64) -> Result<Digest> {
        let mut target = file.create(mode)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut left = size;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) if left == 0 => {
                    fs::begin_write_back(&target, size);
                    return Ok(hasher.finish());
                }
                Ok(0) => return Err(self.damaged("a member is shorter than it says")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(&error)),
            };
            let Some(rest) = left.checked_sub(read as u64) else {
                return Err(self.damaged("a member is longer than it says"));
            };
            left = rest;
            hasher.bytes(&buffer[..read]);
            target.write_all(&buffer[..read]).at("write", file.path())?;
        }
    }

    fn unreadable(&self, error: &io::Error) -> Error {
        self.damaged(&error.to_string())
    }
}

fn write(file: &NewFile, mode: u32, content: &[u8]) -> Result<Digest> {
    file.create(mode)?.write_all(content).at("write", file.path())?;
    Ok(Digest::of(content))
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
