//! Unpacking a `.plugin` file from anywhere into a new directory: the whole plugin as its maker packed it, or a
//! reason and nothing.
//!
//! What may be in an archive is decided by [`policy`](super::policy), how it is written by [`Beneath`]. Nothing of
//! the archive is ever run. One thread reads the stream, others create the files: that is where the time goes.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::checklist::{self, Checklist};
use super::frame_list::{self, FrameList, Recorder};
use super::frames::Position;
use super::head::{Head, Identity, refuse};
use super::limits::Limits;
use super::manifest::MemberKind;
use super::members::{Member, Members, Refusal, Type};
use super::metadata::{Metadata, hex};
use super::policy::{Accepted, Policy};
use super::reuse::{Reuse, is_of_a_package};
use super::room::Update;
use super::stream::{Extent, Stream};
use super::writers::{self, Batches, Content, Job};
use super::{MANIFEST, ROOT};
use crate::error::{At, Error, Result};
use crate::fs::{self, Beneath, Shared, Wanted};
use crate::plugin::Label;

/// Larger files are written by the reader itself, piece by piece: bounds the memory.
const WHOLE: u64 = 4 * 1024 * 1024;

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    pub label: Label,
    pub metadata: Metadata,
    /// Whether there was a manifest, against which every file was checked.
    pub verified: bool,
    pub files: usize,
    pub bytes: u64,
    /// What the installed version has a name of as well.
    pub shared: Vec<Shared>,
    /// How many files are clones of the installed version's.
    pub cloned: usize,
}

/// The installed version, of which an update may take files.
#[derive(Debug, Clone)]
pub struct Installed {
    pub home: PathBuf,
    /// Nothing of the new version runs before it is final, so that files may have a name in both.
    pub may_link: bool,
}

/// Unpacks `archive` as the directory `into`, which must not exist yet. After an error it does not exist either.
pub fn unpack(archive: &Path, into: &Path, limits: &Limits) -> Result<Unpacked> {
    Attempt { archive, into, installed: None, limits, is_listed: false }.run()
}

/// As [`unpack`], with unchanged files taken from the version that is installed, where there is one and they may be
/// taken: `reuse.rs` says when, and why that is safe. Leaves a list for the next update.
pub fn unpack_update(
    archive: &Path,
    into: &Path,
    installed: Option<&Installed>,
    limits: &Limits,
) -> Result<Unpacked> {
    Attempt { archive, into, installed, limits, is_listed: true }.run()
}

/// An archive that is unpacked, at a second attempt where the list of the installed version is at fault.
struct Attempt<'a> {
    archive: &'a Path,
    into: &'a Path,
    installed: Option<&'a Installed>,
    limits: &'a Limits,
    /// Which frames held which members is written down.
    is_listed: bool,
}

struct Failure {
    refusal: Refusal,
    /// Frames were passed over before.
    has_passed: bool,
}

impl Attempt<'_> {
    fn run(&self) -> Result<Unpacked> {
        let (stream, directory) = self.open()?;
        let list = self.installed.map(|installed| FrameList::read(&installed.home)).unwrap_or_default();
        let unpacked = match self.unpack(stream, directory, list) {
            Err(Failure { refusal: Refusal::Content(_) | Refusal::Hinted { .. }, has_passed: true }) => {
                fs::remove_tree(self.into)?;
                let (stream, directory) = self.open()?;
                self.unpack(stream, directory, FrameList::default())
            }
            unpacked => unpacked,
        };
        unpacked.map_err(|failure| {
            // The caller's own clean-up removes what this cannot.
            let _ = fs::remove_tree(self.into);
            refuse(self.archive, failure.refusal)
        })
    }

    fn open(&self) -> Result<(Stream, Beneath)> {
        let extent = if self.is_listed { Extent::Frames } else { Extent::Whole };
        let (stream, _) = Stream::open(self.archive, extent, self.limits)?;
        Ok((stream, Beneath::create(self.into)?))
    }

    fn unpack(&self, stream: Stream, directory: Beneath, list: FrameList) -> Result<Unpacked, Failure> {
        let &Attempt { archive, into, limits, .. } = self;
        let without_frames = |error: Error| Failure { refusal: error.into(), has_passed: false };
        let folds_case = directory.folds_case().map_err(without_frames)?;
        let reuse = Reuse::of(self.installed, into);
        let policy = Policy::new(limits, stream.limit(), folds_case);
        let mut unpacking = Unpacking {
            archive,
            into,
            version_before: self.installed,
            limits,
            members: Members::new(stream),
            policy,
            directory,
            head: Head::default(),
            identity: None,
            before_manifest: Vec::new(),
            checklist: None,
            may_link: false,
            folds_case,
            installed: list,
            has_passed: false,
            recorder: self.is_listed.then(Recorder::default),
            files: 0,
            bytes: 0,
        };
        let read = writers::with_writers(|job| write(job, &reuse), |batches| unpacking.read(batches, &reuse));
        let has_passed = unpacking.has_passed;
        let unpacked =
            read.and_then(|()| reuse.make_up(archive, into, limits)).and_then(|()| unpacking.finish(reuse));
        unpacked.map_err(|refusal| Failure { refusal, has_passed })
    }
}

struct Unpacking<'a> {
    archive: &'a Path,
    into: &'a Path,
    version_before: Option<&'a Installed>,
    limits: &'a Limits,
    members: Members<Stream>,
    policy: Policy<'a>,
    directory: Beneath,
    head: Head,
    identity: Option<Identity>,
    /// Members that came before the manifest; of others than the head's only the first.
    before_manifest: Vec<(String, MemberKind)>,
    checklist: Option<Checklist>,
    /// Whether the manifest says that nothing speaks against it.
    may_link: bool,
    folds_case: bool,
    /// What the installed version was made of.
    installed: FrameList,
    has_passed: bool,
    recorder: Option<Recorder>,
    files: usize,
    bytes: u64,
}

/// Where the content of a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Archive,
    /// In a frame that is passed over: the installed version has the same.
    Passed,
}

impl Unpacking<'_> {
    /// Reads to the end of the archive, or until a writer fails.
    fn read(&mut self, batches: &mut Batches<'_>, reuse: &Reuse) -> Result<(), Refusal> {
        while !batches.have_failed() {
            if self.pass_frame(batches, reuse)? {
                continue;
            }
            let Some(member) = self.members.next()? else { break };
            self.member(&member, Place::Archive, batches, reuse)?;
        }
        Ok(())
    }

    /// Passes over the frame that begins here, if one does and may be: its members are those that the installed version
    /// got of such a frame.
    fn pass_frame(&mut self, batches: &mut Batches<'_>, reuse: &Reuse) -> Result<bool, Refusal> {
        self.members.settle()?;
        let Position::Frame { number, is_packed } = self.members.source_mut().position()? else {
            return Ok(false);
        };
        let marks = self.members.source().marks();
        // What comes before the manifest is always read.
        if let Some(recorder) = self.recorder.as_mut().filter(|_| self.checklist.is_some()) {
            recorder.begin(number, marks);
        }
        let run = marks.get(number).filter(|_| is_packed).and_then(|mark| self.installed.get(mark));
        let Some(run) = run.cloned() else { return Ok(false) };
        self.has_passed = true;
        self.members.source_mut().pass(run.further.len())?;
        for member in &run.members {
            self.member(member, Place::Passed, batches, reuse)?;
        }
        Ok(true)
    }

    fn member(
        &mut self,
        member: &Member,
        place: Place,
        batches: &mut Batches<'_>,
        reuse: &Reuse,
    ) -> Result<(), Refusal> {
        if let Some(recorder) = &mut self.recorder {
            recorder.add(member);
        }
        match self.policy.accept(member)? {
            Accepted::Root | Accepted::LeftOut => {}
            Accepted::Directory { path, mode } => {
                self.directory.directory(&path, mode)?;
                self.tick(&path, MemberKind::directory(mode))?;
            }
            Accepted::File { path, mode } => {
                self.files += 1;
                self.bytes += member.size;
                if let Some(job) = self.file(path, mode, member, place, reuse)? {
                    batches.add(job);
                }
            }
            Accepted::Link { path, target } => {
                self.files += 1;
                self.tick(&path, MemberKind::Link { target })?;
            }
            Accepted::HardLink { path } if self.checklist.is_some() => {
                return Err(checklist::differs(&path));
            }
            Accepted::HardLink { path } => {
                self.files += 1;
                self.tick(&path, MemberKind::directory(0o755))?;
            }
        }
        Ok(())
    }

    /// Writes a file here, or makes a job of it.
    fn file(
        &mut self,
        path: String,
        mode: u32,
        member: &Member,
        place: Place,
        reuse: &Reuse,
    ) -> Result<Option<Job>, Refusal> {
        let file = self.directory.file(&path)?;
        if place == Place::Archive && Head::wants(&path, member)? {
            let content = self.members.whole(member.size)?;
            file.write(&content, mode, member.modified)?;
            self.tick(&path, checklist::file(&content, mode))?;
            self.head.set(&path, content)?;
            if self.head.is_complete() && self.identity.is_none() {
                self.identity = Some(std::mem::take(&mut self.head).identity(self.archive)?);
            }
            return Ok(None);
        }
        if place == Place::Archive && path == MANIFEST {
            if member.size > Limits::DESCRIPTION {
                return Err(Refusal::content("has a manifest that is larger than any plugin needs"));
            }
            let content = self.members.whole(member.size)?;
            file.write(&content, mode, member.modified)?;
            let before = std::mem::take(&mut self.before_manifest);
            let (checklist, bytes) = Checklist::read(&content, &before, self.limits.members)?;
            // It would run before the new version is final.
            self.may_link = !checklist.lists("postinstall");
            self.checklist = Some(checklist);
            self.make_sure_of_room(bytes, reuse)?;
            self.leave_packed(reuse);
            return Ok(None);
        }
        let expected = match &mut self.checklist {
            Some(checklist) => Some(checklist.file(&path, member.size, mode)?),
            None => {
                self.note_before_manifest(&path, MemberKind::directory(0o755));
                None
            }
        };
        let may_be_linked = expected.is_some() && self.may_link && reuse.may_link() && is_of_a_package(&path);
        let job = Job {
            wanted: Wanted { path, size: member.size, mode, modified: member.modified },
            file,
            content: Content::Installed,
            expected,
            may_be_linked,
        };
        if place == Place::Passed {
            return Ok(Some(job));
        }
        if member.size <= WHOLE {
            let content = Content::Archive(self.members.whole(member.size)?);
            return Ok(Some(Job { content, ..job }));
        }
        if job.expected.is_some() && reuse.seems_to_have(&job.wanted, may_be_linked) {
            return Ok(Some(job));
        }
        self.large(&job)?;
        Ok(None)
    }

    /// Frames of which every file may get a second name need not be decompressed.
    fn leave_packed(&self, reuse: &Reuse) {
        if !self.may_link || !reuse.may_link() {
            return;
        }
        let may_be_linked = |member: &Member| {
            let path = std::str::from_utf8(&member.path).ok();
            let path = path.and_then(|path| path.strip_prefix(ROOT)?.strip_prefix('/'));
            member.kind != Type::File || path.is_some_and(is_of_a_package)
        };
        self.members.source().leave_packed(self.installed.frames(may_be_linked).collect());
    }

    /// Once it is known how much there will be, that is no question of proportion any more.
    fn make_sure_of_room(&mut self, bytes: u64, reuse: &Reuse) -> Result<(), Refusal> {
        self.policy.announce(bytes)?;
        if let (Some(free), Some(checklist)) = (self.directory.free_space(), &self.checklist) {
            let update = Update {
                archive: self.archive,
                into: self.into,
                installed: self.version_before,
                limits: self.limits,
                may_link: self.may_link && reuse.may_link(),
                folds_case: self.folds_case,
            };
            update.make_sure_of_room(bytes, free, checklist)?;
        }
        self.members.source_mut().extend(self.limits.longest_stream(bytes));
        Ok(())
    }

    fn large(&mut self, job: &Job) -> Result<(), Refusal> {
        let Job { wanted, file, expected, .. } = job;
        let mut open = file.create(wanted.mode)?;
        let mut digest = Sha256::new();
        loop {
            let piece = self.members.content()?;
            if piece.is_empty() {
                break;
            }
            if expected.is_some() {
                digest.update(piece);
            }
            open.write_all(piece).at("write", file.path())?;
            let read = piece.len();
            self.members.take(read);
        }
        if expected.as_ref().is_some_and(|expected| hex(&digest.finalize()) != *expected) {
            return Err(checklist::differs(&wanted.path));
        }
        fs::begin_write_back(&open, wanted.size);
        Ok(file.finish(&open, wanted.modified)?)
    }

    /// Compares a member with the manifest, now or when it comes.
    fn tick(&mut self, path: &str, found: MemberKind) -> Result<(), Refusal> {
        match &mut self.checklist {
            Some(checklist) => checklist.check(path, &found),
            None => {
                self.note_before_manifest(path, found);
                Ok(())
            }
        }
    }

    fn note_before_manifest(&mut self, path: &str, found: MemberKind) {
        // Three of the head, and one that is too early: more need not be kept.
        if self.before_manifest.len() < 4 {
            self.before_manifest.push((path.to_owned(), found));
        }
    }

    /// Makes the links and checks that nothing is missing.
    fn finish(mut self, reuse: Reuse) -> Result<Unpacked, Refusal> {
        if let Some(checklist) = &self.checklist {
            checklist.finish()?;
        }
        let identity = match self.identity {
            Some(identity) => identity,
            None => self.head.identity(self.archive)?,
        };
        let collected = self.policy.links()?;
        // Hard links first: while there are no others, none of them can be led astray.
        for (path, original) in &collected.hard_links {
            self.directory.hard_link(path, original)?;
        }
        for (path, target) in &collected.links {
            self.directory.symlink(path, target)?;
        }
        if let Some(list) = self.recorder.and_then(Recorder::finish)
            && let Ok(file) = self.directory.file(frame_list::FILE)
        {
            // Without it the next update takes longer.
            let _ = file.write_new(&list, 0o644);
        }
        let Identity { label, metadata, .. } = identity;
        let verified = self.checklist.is_some();
        let (shared, cloned) = reuse.into_taken();
        Ok(Unpacked { label, metadata, verified, files: self.files, bytes: self.bytes, shared, cloned })
    }
}

fn write(job: &Job, reuse: &Reuse) -> Result<(), Refusal> {
    let Job { wanted, file, content, expected, may_be_linked } = job;
    let Content::Archive(content) = content else {
        return Ok(reuse.take_digest(
            wanted,
            expected.as_deref().unwrap_or_default(),
            file,
            *may_be_linked,
        )?);
    };
    job.check(content)?;
    if expected.is_some() && reuse.take(wanted, content, file, *may_be_linked)? {
        return Ok(());
    }
    Ok(file.write(content, wanted.mode, wanted.modified)?)
}

#[cfg(test)]
mod tests;
