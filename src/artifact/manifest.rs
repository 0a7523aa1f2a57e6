//! `.mwp_manifest.json`: what each member must be after the installation.
//!
//! It lists every member but the plugin's own directory and itself, the generated `.metadata.json` and
//! `.files.json` included; paths are relative to the plugin's directory. One member per line, in the order of the
//! archive, so that two versions can be compared with `diff`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::bounded::AtMost;
use crate::error::{Error, Result};
use crate::{text, threads};

/// 1: the first.
pub(super) const VERSION: u32 = 1;
/// How many members a thread writes at once.
const AT_ONCE: usize = 2048;
/// After the last member.
const END: &[u8] = b"\n]}\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    version: u32,
    pub members: Vec<ManifestEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct ManifestEntry {
    pub path: String,
    #[serde(flatten)]
    pub kind: MemberKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum MemberKind {
    Directory {
        /// `0700` where it is its owner's alone.
        #[serde(skip_serializing_if = "Option::is_none")]
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

/// An entry as it stands there. What a later version may add is skipped and takes no memory.
#[derive(Deserialize)]
struct Written {
    path: String,
    kind: String,
    mode: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
    target: Option<String>,
}

impl TryFrom<Written> for ManifestEntry {
    type Error = String;

    fn try_from(written: Written) -> Result<ManifestEntry, String> {
        let Written { path, kind, mode, size, sha256, target } = written;
        let kind = match (kind.as_str(), mode, size, sha256, target) {
            ("directory", mode, ..) => MemberKind::Directory { mode },
            ("file", Some(mode), Some(size), Some(sha256), _) => MemberKind::File { size, mode, sha256 },
            ("link", _, _, _, Some(target)) => MemberKind::Link { target },
            _ => return Err(format!("an entry of the kind `{kind}` that is none")),
        };
        Ok(ManifestEntry { path, kind })
    }
}

/// Reads a manifest of at most so many members.
struct Reading {
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let (mut version, mut members) = (None, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match &*key {
                "version" if version.is_none() => version = Some(map.next_value()?),
                "members" if members.is_none() => {
                    members = Some(map.next_value_seed(AtMost::new(self.most))?);
                }
                "version" | "members" => return Err(A::Error::custom(format!("`{key}` twice"))),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let missing = |name: &str| A::Error::custom(format!("no `{name}`"));
        Ok(Manifest {
            version: version.ok_or_else(|| missing("version"))?,
            members: members.ok_or_else(|| missing("members"))?,
        })
    }
}

impl MemberKind {
    /// A directory with this mode.
    pub(super) fn directory(mode: u32) -> MemberKind {
        let is_private = mode & 0o077 == 0;
        MemberKind::Directory { mode: is_private.then(|| format!("{:04o}", mode & 0o777)) }
    }
}

/// Members as they stand in a manifest, each on a line of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines(
    /// Before each member a comma and a line break; the first member of all loses its comma.
    Vec<u8>,
);

impl Lines {
    pub(super) fn of<'e>(members: impl IntoIterator<Item = &'e ManifestEntry>) -> Result<Lines> {
        let members = members.into_iter();
        let mut lines = Vec::with_capacity(members.size_hint().0 * 256);
        for entry in members {
            lines.extend(b",\n");
            serde_json::to_writer(&mut lines, entry).map_err(|error| Error::input(error.to_string()))?;
        }
        Ok(Lines(lines))
    }

    /// What [`as_bytes`](Lines::as_bytes) gave, of this version of the format.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Lines {
        Lines(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The manifest that these lines add up to.
    pub(super) fn whole(lines: &[Lines]) -> Vec<u8> {
        let start = format!("{{\"version\": {VERSION}, \"members\": [");
        let length: usize = lines.iter().map(|lines| lines.0.len()).sum();
        let mut bytes = Vec::with_capacity(start.len() + length + END.len());
        bytes.extend(start.as_bytes());
        let mut is_first = true;
        for Lines(lines) in lines.iter().filter(|lines| !lines.0.is_empty()) {
            bytes.extend(&lines[usize::from(is_first)..]);
            is_first = false;
        }
        bytes.extend(END);
        bytes
    }
}

impl Manifest {
    /// What the files add up to.
    pub(super) fn bytes(&self) -> u64 {
        let size = |entry: &ManifestEntry| match entry.kind {
            MemberKind::File { size, .. } => size,
            MemberKind::Directory { .. } | MemberKind::Link { .. } => 0,
        };
        self.members.iter().map(size).fold(0, u64::saturating_add)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let lines = |members: &[ManifestEntry]| Lines::of(members);
        Ok(Lines::whole(&threads::try_map(self.members.chunks(AT_ONCE).collect(), 1, lines)?))
    }

    pub fn parse(content: &[u8]) -> Result<Manifest> {
        Manifest::parse_within(content, usize::MAX)
    }

    /// As [`parse`](Manifest::parse), for a file that nobody vouches for.
    pub(super) fn parse_within(content: &[u8], most: usize) -> Result<Manifest> {
        let mut reader = serde_json::Deserializer::from_slice(content);
        let manifest = Reading { most }
            .deserialize(&mut reader)
            .and_then(|manifest| reader.end().map(|()| manifest))
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
        let members = vec![
            ManifestEntry { path: "a".to_owned(), kind: MemberKind::Directory { mode: None } },
            ManifestEntry { path: "a/b \"c\"".to_owned(), kind: file },
            ManifestEntry { path: "l".to_owned(), kind: MemberKind::Link { target: "a".to_owned() } },
        ];
        let lines = [Lines::default(), Lines::of(&members[..1]).unwrap(), Lines::of(&members[1..]).unwrap()];
        let manifest = Manifest { version: VERSION, members };
        assert_eq!(Lines::whole(&lines), manifest.to_bytes().unwrap());
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

    #[test]
    fn a_manifest_is_read_no_further_than_its_limit_and_skips_what_it_does_not_know() {
        let link = r#"{"path": "l", "kind": "link", "target": "a", "x": [0, {"y": [0]}]}"#;
        let manifest = |count: usize| {
            format!(r#"{{"x": [0, 0], "version": 1, "members": [{}]}}"#, vec![link; count].join(","))
        };
        assert_eq!(Manifest::parse_within(manifest(3).as_bytes(), 3).unwrap().members.len(), 3);
        let error = Manifest::parse_within(manifest(4).as_bytes(), 3).unwrap_err().to_string();
        assert!(error.contains("more than 3 items"), "{error}");
        for bad in [
            r#"{"version": 1, "members": [{"path": "a", "kind": "file"}]}"#,
            r#"{"version": 1, "members": [{"path": "a", "kind": "fifo"}]}"#,
            r#"{"version": 1, "members": [], "members": []}"#,
            r#"{"version": 1}"#,
            r#"{"version": 1, "members": []} x"#,
        ] {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
