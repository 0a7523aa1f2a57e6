//! Reading what a `.plugin` file says about itself: plain, gzip or zstd tar, told by content.
//!
//! Reading stops once label, metadata and list of files were seen: after the first frame of our own files. In
//! upstream's they may be anywhere, then the file is read through.

use std::path::{Path, PathBuf};

use super::head::{Head, Identity, refuse};
use super::limits::Limits;
use super::members::{Members, Refusal};
use super::metadata::Metadata;
use super::stream::{Compression, Extent, Stream};
use super::{MANIFEST, ROOT};
use crate::error::Result;
use crate::plugin::Label;

/// A `.plugin` file, opened.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    compression: Compression,
    identity: Identity,
}

impl Artifact {
    pub fn open(path: &Path) -> Result<Artifact> {
        let limits = Limits::default();
        let (stream, compression) = Stream::open(path, Extent::Start, &limits)?;
        let head = read(Members::new(stream), &limits).map_err(|refusal| refuse(path, refusal))?;
        Ok(Artifact { path: path.to_owned(), compression, identity: head.identity(path)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    pub fn label(&self) -> &Label {
        &self.identity.label
    }

    pub fn metadata(&self) -> &Metadata {
        &self.identity.metadata
    }

    /// The paths of the plugin's files and links, each below `metwork_plugin/`. As the file has them: to be
    /// escaped when printed.
    pub fn files(&self) -> &[String] {
        &self.identity.files
    }
}

/// The manifest of a `.plugin` file as it stands there, `None` where it has none.
pub fn manifest_of(path: &Path, limits: &Limits) -> Result<Option<Vec<u8>>> {
    let failed = |refusal| refuse(path, refusal);
    let (stream, _) = Stream::open(path, Extent::Start, limits)?;
    let mut members = Members::new(stream);
    // It is behind what describes the plugin and before everything else.
    for _ in 0..BEFORE_MANIFEST {
        let Some(member) = members.next().map_err(failed)? else { break };
        let is_manifest =
            member.path.strip_prefix(ROOT.as_bytes()) == Some(format!("/{MANIFEST}").as_bytes());
        if is_manifest && member.size <= Limits::DESCRIPTION {
            return members.whole(member.size).map(Some).map_err(failed);
        }
    }
    Ok(None)
}

/// The directory, three that describe it, and the manifest.
const BEFORE_MANIFEST: usize = 5;

fn read(mut members: Members<Stream>, limits: &Limits) -> Result<Head, Refusal> {
    let mut head = Head::default();
    let mut seen = 0;
    while !head.is_complete() {
        let Some(member) = members.next()? else { break };
        seen += 1;
        if seen > limits.members {
            return Err(Refusal::Content(format!("has more than {} members", limits.members)));
        }
        let path = member.path.strip_prefix(ROOT.as_bytes()).and_then(|path| path.strip_prefix(b"/"));
        let Some(path) = path.and_then(|path| std::str::from_utf8(path).ok()) else { continue };
        if Head::wants(path, &member)? {
            head.set(path, members.whole(member.size)?)?;
        }
    }
    Ok(head)
}
