//! Which members share a frame.
//!
//! Where a group ends depends on the members around that place alone: after a group has its least size, a hash of
//! each member's path decides, with a chance that grows with the member's size. An edited, new or removed file
//! therefore changes its own group and rarely the next, and all others are found in the frame store. Members
//! larger than a frame stand alone and are cut into pieces. The lists of all members are cut in the same way, at their
//! lines.

use std::ops::Range;

use super::header::BLOCK;
use super::tree::{Node, NodeKind};

const MEGABYTE: u64 = 1 << 20;
/// Below this, zstd loses by starting afresh.
const LEAST: u64 = 3 * MEGABYTE / 2;
/// How much more than the least a group holds on average.
const SPREAD: u64 = 5 * MEGABYTE / 2;
/// What a frame holds at most: bounds the memory, and how much one edit makes anew.
const MOST: u64 = 6 * MEGABYTE;
/// How much of a large member is in one frame.
pub(super) const PIECE: u64 = 6 * MEGABYTE;

/// As above, for the lists of members: they change with every release, and there is little of them.
const LEAST_TEXT: usize = 128 << 10;
const SPREAD_TEXT: u64 = 128 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    /// Members that share one frame.
    Members(Range<usize>),
    /// One member in frames of its own.
    Large(usize),
}

/// Groups the members of a tree, in their order.
pub(super) fn plan(nodes: &[Node]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut start = 0;
    let mut held = 0;
    let mut close = |start: &mut usize, end: usize| {
        if *start < end {
            groups.push(Group::Members(*start..end));
        }
        *start = end;
    };
    let mut large = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let weight = weight(node);
        if weight > MOST {
            close(&mut start, index);
            large.push(index);
            start = index + 1;
            held = 0;
            continue;
        }
        if held + weight > MOST {
            close(&mut start, index);
            held = 0;
        }
        held += weight;
        if held >= LEAST && ends(hash(&node.path), weight, SPREAD) {
            close(&mut start, index + 1);
            held = 0;
        }
    }
    close(&mut start, nodes.len());
    groups.extend(large.into_iter().map(Group::Large));
    groups.sort_by_key(|group| match group {
        Group::Members(range) => range.start,
        Group::Large(index) => *index,
    });
    groups
}

/// Where text is cut: after lines, in pieces that an edit elsewhere leaves as they are.
pub(super) fn cut(text: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut line) = (0, 0);
    for end in memchr::memchr_iter(b'\n', text).map(|position| position + 1) {
        let is_long = end - start >= LEAST_TEXT;
        if is_long && ends(crc32fast::hash(&text[line..end]), (end - line) as u64, SPREAD_TEXT) {
            pieces.push(start..end);
            start = end;
        }
        line = end;
    }
    if start < text.len() {
        pieces.push(start..text.len());
    }
    pieces
}

/// How many bytes of tar a group becomes, long names aside.
pub(super) fn capacity(nodes: &[Node]) -> usize {
    let size: u64 = nodes.iter().map(|node| weight(node).next_multiple_of(BLOCK as u64)).sum();
    usize::try_from(size).unwrap_or(0)
}

fn weight(node: &Node) -> u64 {
    let content = match &node.kind {
        NodeKind::File { stat, .. } => stat.size,
        NodeKind::Directory { .. } | NodeKind::Link { .. } => 0,
    };
    BLOCK as u64 + content
}

/// Whether a piece ends after the item with this hash: true for a share of `weight / spread` of all.
fn ends(hash: u32, weight: u64, spread: u64) -> bool {
    u64::from(hash) * spread < weight << 32
}

/// FNV-1a with a final mix: the same on every machine and in every version.
fn hash(path: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in path.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    ((hash ^ (hash >> 33)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Stat;

    fn file(path: String, size: u64) -> Node {
        let kind = NodeKind::File { mode: 0o644, stat: Stat { size, ..Stat::NOWHERE } };
        Node { path, kind, modified: 0 }
    }

    fn tree() -> Vec<Node> {
        (0..20_000_u64).map(|n| file(format!("d{:03}/f{n:05}", n / 100), (n * 7919) % 30_000)).collect()
    }

    fn contents(nodes: &[Node]) -> Vec<Vec<(String, u64)>> {
        plan(nodes)
            .into_iter()
            .map(|group| match group {
                Group::Members(range) => {
                    nodes[range].iter().map(|node| (node.path.clone(), weight(node))).collect()
                }
                Group::Large(index) => vec![(nodes[index].path.clone(), weight(&nodes[index]))],
            })
            .collect()
    }

    #[test]
    fn every_member_is_in_one_group_in_order() {
        let mut nodes = tree();
        nodes.insert(500, file("d005/large".to_owned(), 50 * MEGABYTE));
        let groups = contents(&nodes);
        let together: Vec<_> = groups.iter().flatten().map(|(path, _)| path.clone()).collect();
        assert_eq!(together, nodes.iter().map(|node| node.path.clone()).collect::<Vec<_>>());
        assert!(
            groups
                .iter()
                .all(|group| group.len() == 1 || group.iter().map(|(_, size)| size).sum::<u64>() <= MOST)
        );
        assert!((60..200).contains(&groups.len()), "{} groups", groups.len());
        assert!(plan(&[]).is_empty());
    }

    #[test]
    fn an_edit_changes_few_groups() {
        let before = contents(&tree());
        let mut edited = tree();
        edited[7000] = file(edited[7000].path.clone(), 31_234);
        let mut added = tree();
        added.insert(3000, file("d029/f02999-new".to_owned(), 20_000));
        let mut removed = tree();
        removed.remove(12_345);
        for after in [edited, added, removed] {
            let changed = contents(&after).into_iter().filter(|group| !before.contains(group)).count();
            assert!((1..=3).contains(&changed), "{changed} groups changed");
        }
    }

    #[test]
    fn text_is_cut_after_lines_and_an_edit_changes_few_pieces() {
        let lines = |edited: usize| -> Vec<u8> {
            let line = |n: usize| format!("{n} {}\n", n.wrapping_mul(7919 + usize::from(n == edited)));
            (0..200_000).flat_map(|n| line(n).into_bytes()).collect()
        };
        let pieces = |text: &[u8]| -> Vec<Vec<u8>> {
            cut(text).into_iter().map(|range| text[range].to_vec()).collect()
        };
        let text = lines(usize::MAX);
        let before = pieces(&text);
        assert_eq!(before.concat(), text);
        assert!(before.len() > 5 && before.iter().all(|piece| piece.ends_with(b"\n")), "{}", before.len());
        let after = pieces(&lines(77_777));
        let changed = after.iter().filter(|piece| !before.contains(piece)).count();
        assert!((1..=2).contains(&changed), "{changed} pieces changed");
        assert!(cut(b"").is_empty());
        assert_eq!(cut(b"no line"), vec![0..7]);
    }
}
