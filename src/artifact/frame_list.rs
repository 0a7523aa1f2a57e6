//! Which members each frame of an archive held, written down beside the files that were made of them.
//!
//! A frame of the next version's archive that has the same bytes holds the same members: an update passes over it and takes
//! them from the installed version, without decompressing anything. Neither the list nor the mark by which a frame is known
//! again is trusted: the members are judged and compared with the new archive's manifest as if they came from there, their
//! content too, and what is not as it has to be is read from the archive after all. Only the times of files, which no
//! manifest has, are as the list says and the installed files have them. A list that is damaged, or of another version, is
//! no list.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frames::Mark;
use super::members::{Member, Type};
use crate::fs;

/// In the directory of an installed plugin.
pub(super) const FILE: &str = ".mwp_frames";

/// Raised when what is written changes.
const VERSION: u32 = 1;

/// Of a list, unpacked: that of a million members has some 100 MB.
const MOST: u64 = 1 << 28;

/// Enough for what repeats itself as paths do.
const LEVEL: i32 = 1;

/// Some frames in a row that hold whole members: one frame, or those of a large member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) members: Vec<Member>,
    /// The marks of the frames after the first.
    pub(super) further: Vec<Mark>,
}

/// Runs of frames, by the mark of the first frame.
#[derive(Debug, Default)]
pub(super) struct FrameList(HashMap<Mark, Run>);

impl FrameList {
    /// Of the plugin that is installed at `home`; empty where there is none that counts.
    pub(super) fn read(home: &Path) -> FrameList {
        let read = || {
            let packed = fs::read_optional(&home.join(FILE)).ok()??;
            let mut content = Vec::new();
            zstd::Decoder::new(packed.as_slice()).ok()?.take(MOST).read_to_end(&mut content).ok()?;
            let (version, runs): (u32, Vec<(Mark, Run)>) = postcard::from_bytes(&content).ok()?;
            (version == VERSION).then(|| FrameList(runs.into_iter().collect()))
        };
        read().unwrap_or_default()
    }

    pub(super) fn get(&self, frame: &Mark) -> Option<&Run> {
        self.0.get(frame)
    }

    /// The frames of which every member is wanted.
    pub(super) fn frames<'a>(
        &'a self,
        is_wanted: impl Fn(&Member) -> bool + 'a,
    ) -> impl Iterator<Item = Mark> + 'a {
        let wanted = self.0.iter().filter(move |(_, run)| run.members.iter().all(&is_wanted));
        wanted.flat_map(|(first, run)| std::iter::once(first).chain(&run.further)).copied()
    }
}

/// The list in the making.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    runs: Vec<(Mark, Run)>,
    open: Option<Open>,
}

/// A frame that began with a member.
#[derive(Debug)]
struct Open {
    /// Among the frames of the archive.
    number: usize,
    members: Vec<Member>,
    is_plain: bool,
}

#[derive(Serialize)]
struct Written<'a>(u32, &'a [(Mark, Run)]);

impl Recorder {
    /// The next member is the first of the frame with this number; `marks` are those of all frames up to it.
    pub(super) fn begin(&mut self, number: usize, marks: &[Mark]) {
        let mark = |number: usize| marks.get(number).copied();
        if let Some(open) = self.open.take()
            && open.is_plain
            && let Some(first) = mark(open.number)
        {
            let further = (open.number + 1..number).filter_map(mark).collect();
            self.runs.push((first, Run { members: open.members, further }));
        }
        self.open = Some(Open { number, members: Vec::new(), is_plain: true });
    }

    pub(super) fn add(&mut self, member: &Member) {
        if let Some(open) = &mut self.open {
            open.is_plain &= matches!(member.kind, Type::Directory | Type::File | Type::Link { .. });
            open.members.push(member.clone());
        }
    }

    /// What [`FrameList::read`] reads; `None` where there is nothing to be listed.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        if self.runs.is_empty() {
            return None;
        }
        let content = postcard::to_extend(&Written(VERSION, &self.runs), Vec::new()).ok()?;
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).ok()?;
        encoder.include_checksum(true).ok()?;
        encoder.write_all(&content).ok()?;
        encoder.finish().ok()
    }
}

/// The list with the members of each frame changed, as it is written.
#[cfg(test)]
pub(super) fn changed(list: FrameList, change: fn(&mut Vec<Member>)) -> Vec<u8> {
    let mut runs: Vec<_> = list.0.into_iter().collect();
    assert!(!runs.is_empty());
    runs.iter_mut().for_each(|(_, run)| change(&mut run.members));
    Recorder { runs, open: None }.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &str, kind: Type) -> Member {
        Member { path: path.into(), kind, size: 3, mode: 0o644, modified: 7 }
    }

    fn recorded() -> Vec<u8> {
        let marks: Vec<Mark> = (0..7).map(Mark::stand_in).collect();
        let mut recorder = Recorder::default();
        recorder.begin(2, &marks[..3]);
        recorder.add(&member("a", Type::File));
        recorder.add(&member("b", Type::Link { target: b"a".to_vec() }));
        recorder.begin(3, &marks[..4]);
        recorder.add(&member("large", Type::File));
        recorder.begin(5, &marks[..6]);
        recorder.add(&member("hard", Type::HardLink { target: b"a".to_vec() }));
        recorder.begin(6, &marks);
        recorder.finish().unwrap()
    }

    #[test]
    fn frames_of_whole_plain_members_are_listed() {
        let home = tempfile::tempdir().unwrap();
        fs::write_atomic(&home.path().join(FILE), &recorded()).unwrap();
        let list = FrameList::read(home.path());
        let found = |number| list.get(&Mark::stand_in(number));
        assert_eq!(found(2).map(|run| (run.members.len(), run.further.len())), Some((2, 0)));
        assert_eq!(found(3).map(|run| (run.members.len(), run.further.len())), Some((1, 1)));
        assert!([0, 1, 4, 5, 6].into_iter().all(|number| found(number).is_none()));
        assert_eq!(list.frames(|member| member.path != b"b").count(), 2);
        assert_eq!(list.frames(|member| member.path != b"large").count(), 1);
    }

    #[test]
    fn a_list_that_is_damaged_is_none() {
        let home = tempfile::tempdir().unwrap();
        let whole = recorded();
        assert!(FrameList::read(home.path()).0.is_empty());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            for content in [&damaged, &whole[..at]] {
                fs::write_atomic(&home.path().join(FILE), content).unwrap();
                let list = FrameList::read(home.path());
                let is_same = list.get(&Mark::stand_in(2)).is_some_and(|run| run.members[0].path == b"a");
                assert!(list.0.is_empty() || is_same, "{at}");
            }
        }
    }
}
