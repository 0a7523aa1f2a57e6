//! How much an archive may ask for: enough for any plugin, too little to fill a disk or the memory.

use crate::text;

#[derive(Debug, Clone)]
pub struct Limits {
    pub members: usize,
    /// Of all files together, unpacked.
    pub bytes: u64,
    /// Unpacked bytes per byte of the file; holds from [`Limits::RATIO_FREE`] bytes on.
    pub ratio: u64,
    /// Of all names and link targets together; they are kept in memory.
    pub name_bytes: usize,
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { members: 200_000, bytes: 16 << 30, ratio: 100, name_bytes: 32 << 20, depth: 100 }
    }
}

impl Limits {
    /// So much may come out of however small a file.
    pub const RATIO_FREE: u64 = 128 << 20;
    /// What a file name may have on any file system that we know.
    pub(super) const COMPONENT: usize = 255;
    /// Longer paths cannot be named in one system call.
    pub(super) const PATH: usize = 2048;

    /// How long the tar stream of a file of this size may be.
    pub(super) fn stream(&self, file_size: u64) -> u64 {
        // Headers and padding come on top of the content.
        let overhead = 4096 * self.members as u64;
        let by_ratio = file_size.saturating_mul(self.ratio).max(Limits::RATIO_FREE);
        by_ratio.min(self.bytes.saturating_add(overhead))
    }
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
