//! How much a `.plugin` file may hold: enough for any plugin, too little to fill a disk or the memory.
//!
//! There is one set of limits: what is packed under them is installed under them. Whoever needs more raises them, as in
//! `MWP_LIMITS=members=1000000,bytes=64G`, where the file is made and where it is installed.

use crate::error::{Error, Result};
use crate::site::Site;
use crate::text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub members: usize,
    /// How many files the wheels inside make together.
    pub wheels: usize,
    /// Of all files together, unpacked.
    pub bytes: u64,
    /// Unpacked bytes per byte of a file without a manifest; holds from [`Limits::RATIO_FREE`] bytes on. A manifest
    /// says how much there is before anything of it is written.
    pub ratio: u64,
    /// Of all names and link targets together; they are kept in memory.
    pub names: usize,
    pub depth: usize,
    /// Of one path, in bytes.
    pub path: usize,
    /// Whether links may lead out of the plugin: whoever operates the machine says so.
    pub external_links: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            members: 400_000,
            wheels: 200_000,
            bytes: 16_000_000_000,
            ratio: 100,
            names: 64_000_000,
            depth: 100,
            path: 2048,
            external_links: false,
        }
    }
}

impl Limits {
    /// The variable, and what may be set by it.
    pub const VARIABLE: &str = "MWP_LIMITS";
    /// So much may come out of however small a file.
    pub const RATIO_FREE: u64 = 128 << 20;
    /// What a file name may have on any file system that we know.
    pub(super) const COMPONENT: usize = 255;
    /// The list of files, and the manifest: they are kept in memory.
    pub(super) const DESCRIPTION: u64 = 128 << 20;

    /// Those of this machine: `MWP_LIMITS` counts.
    pub fn of(site: &Site) -> Result<Limits> {
        let mut limits = Limits::default();
        limits.set(site.environment.text(Limits::VARIABLE).unwrap_or_default())?;
        Ok(limits)
    }

    /// Raises or lowers limits: `NAME=NUMBER`, with `,` between; numbers may end with `k`, `M`, `G` or `T`.
    pub fn set(&mut self, settings: &str) -> Result<()> {
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let value =
                setting.split_once('=').and_then(|(name, number)| Some((name.trim(), number_of(number)?)));
            let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
            match value {
                Some(("members", value)) => self.members = small(value),
                Some(("wheels", value)) => self.wheels = small(value),
                Some(("bytes", value)) => self.bytes = value,
                Some(("ratio", value)) => self.ratio = value,
                Some(("names", value)) => self.names = small(value),
                Some(("depth", value)) => self.depth = small(value),
                Some(("path", value)) => self.path = small(value),
                _ => {
                    return Err(Error::input(format!(
                        "found the limit `{}`; `NAME=NUMBER` is allowed, where NAME is `members`, `wheels`, \
                         `bytes`, `ratio`, `names`, `depth` or `path`",
                        text::visible(setting)
                    ))
                    .hint("for example `members=1000000,bytes=64G`"));
                }
            }
        }
        Ok(())
    }

    /// How long the tar stream of a file of this size may be before a manifest says how long it is.
    pub(super) fn stream(&self, file_size: u64) -> u64 {
        file_size.saturating_mul(self.ratio).max(Limits::RATIO_FREE).min(self.longest_stream(self.bytes))
    }

    /// How long the tar stream is at most that holds files of this size: headers, padding and the description come
    /// on top.
    pub(super) fn longest_stream(&self, bytes: u64) -> u64 {
        let overhead = 8192_u64.saturating_mul(self.members as u64).saturating_add(4 * Limits::DESCRIPTION);
        bytes.saturating_add(overhead)
    }

    /// Why a member cannot have this path, which is that in the archive.
    pub fn path_fault(&self, path: &str) -> Option<String> {
        if path.len() > self.path {
            return Some(format!("a path of more than {} bytes", self.path));
        }
        let (mut depth, mut start) = (0, 0);
        for end in memchr::memchr_iter(b'/', path.as_bytes()).chain([path.len()]) {
            if end - start > Limits::COMPONENT {
                return Some(format!("a name with a part of more than {} bytes", Limits::COMPONENT));
            }
            depth += usize::from(end < path.len());
            start = end + 1;
        }
        // The plugin's own directory does not count.
        (depth > self.depth).then(|| format!("a path that is deeper than {} directories", self.depth))
    }
}

fn number_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        b'G' => (&text[..text.len() - 1], 1_000_000_000),
        b'T' => (&text[..text.len() - 1], 1_000_000_000_000),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Says that an archive is larger than the limits allow.
#[derive(Debug)]
pub(super) struct TooLarge {
    pub(super) limit: u64,
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unpacks to more than {}, which is out of proportion", text::size(self.limit))
    }
}

impl std::error::Error for TooLarge {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_their_names() {
        let mut limits = Limits::default();
        limits.set("members=5, bytes = 64G,depth=7").unwrap();
        assert_eq!((limits.members, limits.bytes, limits.depth), (5, 64_000_000_000, 7));
        assert_eq!(limits.path, Limits::default().path);
        limits.set("").unwrap();
        for bad in ["members", "members=many", "files=5", "bytes=99999999999G", "bytes=1X"] {
            assert!(limits.set(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_has_so_many_bytes_and_directories() {
        let limits = Limits { depth: 2, path: 30, ..Limits::default() };
        assert_eq!(limits.path_fault("metwork_plugin/a/b"), None);
        assert!(
            limits.path_fault("metwork_plugin/a/b/c").is_some_and(|fault| fault.contains("deeper than 2"))
        );
        assert!(limits.path_fault(&"x".repeat(31)).is_some_and(|fault| fault.contains("30 bytes")));
        assert!(Limits::default().path_fault(&"x".repeat(256)).is_some());
    }
}
