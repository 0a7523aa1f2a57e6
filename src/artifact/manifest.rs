//! `.mwp_manifest.json`: what each member must be after the installation.
//!
//! It lists every member but the plugin's own directory and itself, the generated `.metadata.json` and
//! `.files.json` included; paths are relative to the plugin's directory. One member per line, in the order of the
//! archive, so that two versions can be compared with `diff`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text;

/// 1: the first.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    version: u32,
    pub members: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    #[serde(flatten)]
    pub kind: MemberKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum MemberKind {
    Directory {
        /// `0700` where it is its owner's alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    File {
        size: u64,
        /// `0644` or `0755`; `0600` or `0700` where it is its owner's alone.
        mode: String,
        /// In hexadecimal.
        sha256: String,
    },
    Link {
        target: String,
    },
}

impl MemberKind {
    /// A directory with this mode.
    pub(super) fn directory(mode: u32) -> MemberKind {
        let is_private = mode & 0o077 == 0;
        MemberKind::Directory { mode: is_private.then(|| format!("{:04o}", mode & 0o777)) }
    }
}

impl Manifest {
    /// What the files add up to.
    pub(super) fn bytes(&self) -> u64 {
        let size = |entry: &Entry| match entry.kind {
            MemberKind::File { size, .. } => size,
            MemberKind::Directory { .. } | MemberKind::Link { .. } => 0,
        };
        self.members.iter().map(size).fold(0, u64::saturating_add)
    }

    pub(super) fn new(members: Vec<Entry>) -> Manifest {
        Manifest { version: VERSION, members }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = format!("{{\"version\": {}, \"members\": [", self.version).into_bytes();
        for (index, entry) in self.members.iter().enumerate() {
            bytes.extend(if index == 0 { &b"\n"[..] } else { b",\n" });
            serde_json::to_writer(&mut bytes, entry).map_err(|error| Error::input(error.to_string()))?;
        }
        bytes.extend(b"\n]}\n");
        Ok(bytes)
    }

    pub fn parse(content: &[u8]) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_slice(content)
            .map_err(|error| Error::input(format!("bad manifest: {}", text::visible(&error.to_string()))))?;
        if manifest.version != VERSION {
            let found = manifest.version;
            return Err(Error::input(format!("the manifest has version {found}; {VERSION} is known"))
                .hint("a newer mwp made this file: install that one"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_one_member_per_line_and_is_read_back() {
        let file = MemberKind::File { size: 3, mode: "0644".to_owned(), sha256: "ab".to_owned() };
        let manifest = Manifest::new(vec![
            Entry { path: "a".to_owned(), kind: MemberKind::Directory { mode: None } },
            Entry { path: "a/b \"c\"".to_owned(), kind: file },
            Entry { path: "l".to_owned(), kind: MemberKind::Link { target: "a".to_owned() } },
        ]);
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            concat!(
                "{\"version\": 1, \"members\": [\n",
                "{\"path\":\"a\",\"kind\":\"directory\"},\n",
                "{\"path\":\"a/b \\\"c\\\"\",\"kind\":\"file\",\"size\":3,\"mode\":\"0644\",\"sha256\":\"ab\"},\n",
                "{\"path\":\"l\",\"kind\":\"link\",\"target\":\"a\"}\n",
                "]}\n"
            )
        );
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        assert!(Manifest::parse(b"{\"version\": 2, \"members\": []}").is_err());
    }
}
