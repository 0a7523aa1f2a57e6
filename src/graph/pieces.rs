//! The entries of a snapshot as they are written: in pieces, so that tens of thousands are read by several threads.

use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::snapshot::Entry;
use crate::threads;

const PIECE: usize = 1000;
/// Fewer pieces are read sooner than threads are started for them.
const WORTH_THREADS: usize = 4;

pub(super) fn serialize<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
    let pieces: Result<Vec<_>, _> = entries.chunks(PIECE).map(postcard::to_stdvec).collect();
    pieces.map_err(S::Error::custom)?.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Vec<Entry>>, D::Error> {
    let pieces = Vec::<&[u8]>::deserialize(deserializer)?;
    let read = threads::map(pieces, WORTH_THREADS, postcard::from_bytes::<Vec<Entry>>);
    let pieces = read.into_iter().collect::<Result<Vec<_>, _>>().map_err(D::Error::custom)?;
    let mut entries = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
    entries.extend(pieces.into_iter().flatten());
    Ok(Arc::new(entries))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::digest::Digest;
    use crate::fs::Stat;
    use crate::graph::name::Name;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Written(#[serde(with = "super")] Arc<Vec<Entry>>);

    fn entry(number: u64) -> Entry {
        let name = format!("in/{number:05}");
        let stat = Stat { inode: number, mode: 0o100_644, ..Stat::NOWHERE };
        Entry {
            name: Name::new(Path::new(&name)),
            behind_link: false,
            stat,
            digest: Digest::of(name.as_bytes()),
        }
    }

    #[test]
    fn entries_of_any_number_come_back_in_their_order() {
        for number in [0, 1, PIECE, PIECE + 1, PIECE * (WORTH_THREADS + 3) + 7] {
            let written = Written(Arc::new((0..number as u64).map(entry).collect()));
            let bytes = postcard::to_stdvec(&written).unwrap();
            assert_eq!(postcard::from_bytes::<Written>(&bytes).unwrap(), written);
        }
    }

    #[test]
    fn one_damaged_piece_is_damage() {
        let written = Written(Arc::new((0..PIECE as u64 * 6).map(entry).collect()));
        let mut bytes = postcard::to_stdvec(&written).unwrap();
        // The number of entries in the first piece, behind the number of pieces and the length of this one.
        assert_eq!(bytes[4..6], [0xe8, 0x07]);
        bytes[4] = 0xe9;
        assert!(postcard::from_bytes::<Written>(&bytes).is_err());
    }
}
