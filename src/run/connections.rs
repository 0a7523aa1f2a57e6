//! Live connections to a listening socket.

use std::path::Path;

use crate::error::Result;
use crate::fs;

/// How many connections, accepted and waiting ones, lead to the socket that was bound to this path.
pub(crate) fn connections(bound: &Path) -> Result<usize> {
    let table = fs::read(Path::new("/proc/net/unix"))?;
    let bound = bound.as_os_str().as_encoded_bytes();
    // Num RefCount Protocol Flags Type St Inode Path; the listener itself has the flag 00010000.
    let leads_there = |line: &&[u8]| {
        line.strip_suffix(bound).is_some_and(|rest| rest.ends_with(b" "))
            && !line.windows(10).any(|w| w == b" 00010000 ")
    };
    Ok(table.split(|byte| *byte == b'\n').filter(leads_there).count())
}
