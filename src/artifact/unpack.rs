//! Unpacking a `.plugin` file from anywhere into a new directory: the whole plugin as its maker packed it, or a
//! reason and nothing.
//!
//! What may be in an archive is decided by [`policy`](super::policy), how it is written by [`Beneath`]. Nothing of
//! the archive is ever run. One thread reads the stream, others create the files: that is where the time goes.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::MANIFEST;
use super::checklist::{self, Checklist};
use super::head::{Head, Identity, refuse};
use super::limits::Limits;
use super::manifest::MemberKind;
use super::members::{Member, Members, Refusal};
use super::metadata::{Metadata, hex};
use super::policy::{Accepted, Policy};
use super::stream::{Extent, Stream};
use crate::error::{At, Error, Result};
use crate::fs::{self, Beneath, NewFile};
use crate::plugin::Label;
use crate::text;
use crate::threads;

/// Larger files are written by the reader itself, piece by piece.
const WHOLE: u64 = 256 * 1024;
/// Writers get files in batches: to wake one up for each would cost more than the files do.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1024 * 1024;
/// How many batches wait for a writer: bounds the memory.
const WAITING: usize = 8;
const MOST_WRITERS: usize = 8;

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    pub label: Label,
    pub metadata: Metadata,
    /// Whether there was a manifest, against which every file was checked.
    pub verified: bool,
    pub files: usize,
    pub bytes: u64,
}

/// Unpacks `archive` as the directory `into`, which must not exist yet. After an error it does not exist either.
pub fn unpack(archive: &Path, into: &Path, limits: &Limits) -> Result<Unpacked> {
    let (stream, _) = Stream::open(archive, Extent::Whole, limits)?;
    let directory = Beneath::create(into)?;
    let policy = Policy::new(limits, stream.limit(), directory.folds_case()?);
    let mut unpacking = Unpacking {
        archive,
        limits,
        members: Members::new(stream),
        policy,
        directory,
        head: Head::default(),
        identity: None,
        before_manifest: Vec::new(),
        checklist: None,
        files: 0,
        bytes: 0,
    };
    let read = unpacking.run();
    let unpacked = read.and_then(|()| unpacking.finish());
    unpacked.map_err(|refusal| {
        // The caller's own clean-up removes what this cannot.
        let _ = fs::remove_tree(into);
        refuse(archive, refusal)
    })
}

struct Unpacking<'a> {
    archive: &'a Path,
    limits: &'a Limits,
    members: Members<Stream>,
    policy: Policy<'a>,
    directory: Beneath,
    head: Head,
    identity: Option<Identity>,
    /// Members that came before the manifest; of others than the head's only the first.
    before_manifest: Vec<(String, MemberKind)>,
    checklist: Option<Checklist>,
    files: usize,
    bytes: u64,
}

/// Files on their way to the writers.
struct Batches<'a> {
    sender: &'a SyncSender<Vec<Job>>,
    jobs: Vec<Job>,
    bytes: usize,
}

impl Batches<'_> {
    fn add(&mut self, job: Job) {
        self.bytes += job.content.len();
        self.jobs.push(job);
        if self.jobs.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        // Writers take batches until this end is closed.
        let _ = self.sender.send(std::mem::take(&mut self.jobs));
    }
}

/// A file for the writers.
struct Job {
    path: String,
    file: NewFile,
    content: Vec<u8>,
    mode: u32,
    modified: i64,
    /// The digest that the manifest gives.
    expected: Option<String>,
}

impl Unpacking<'_> {
    /// Reads to the end of the archive; when this returns, no writer is at work any more.
    fn run(&mut self) -> Result<(), Refusal> {
        let (jobs, waiting) = sync_channel(WAITING);
        let (waiting, failure) = (Mutex::new(waiting), Failure::default());
        let read = std::thread::scope(|scope| {
            let write = || write_files(&waiting, &failure);
            threads::start_in(scope, "writing files", write)?;
            // With fewer than there are processors it takes longer.
            let others = 1..threads::processors().min(MOST_WRITERS);
            others.map_while(|_| threads::start_in(scope, "writing files", write).ok()).for_each(drop);
            let mut batches = Batches { sender: &jobs, jobs: Vec::new(), bytes: 0 };
            let read = self.read(&mut batches, &failure);
            batches.send();
            drop(jobs);
            read
        });
        failure.into_result().and(read)
    }

    fn read(&mut self, batches: &mut Batches<'_>, failure: &Failure) -> Result<(), Refusal> {
        while let Some(member) = self.members.next()? {
            match self.policy.accept(&member)? {
                Accepted::Root | Accepted::LeftOut => {}
                Accepted::Directory { path, mode } => {
                    self.directory.directory(&path, mode)?;
                    self.tick(&path, MemberKind::directory(mode))?;
                }
                Accepted::File { path, mode } => {
                    self.files += 1;
                    self.bytes += member.size;
                    if let Some(job) = self.file(path, mode, &member)? {
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
            if failure.happened() {
                break;
            }
        }
        Ok(())
    }

    /// Writes a file here, or makes a job of it.
    fn file(&mut self, path: String, mode: u32, member: &Member) -> Result<Option<Job>, Refusal> {
        let file = self.directory.file(&path)?;
        if Head::wants(&path, member)? {
            let content = self.members.whole(member.size)?;
            file.write(&content, mode, member.modified)?;
            self.tick(&path, checklist::file(&content, mode))?;
            self.head.set(&path, content)?;
            if self.head.is_complete() && self.identity.is_none() {
                self.identity = Some(std::mem::take(&mut self.head).identity(self.archive)?);
            }
            return Ok(None);
        }
        if path == MANIFEST {
            if member.size > Limits::DESCRIPTION {
                return Err(Refusal::content("has a manifest that is larger than any plugin needs"));
            }
            let content = self.members.whole(member.size)?;
            file.write(&content, mode, member.modified)?;
            let before = std::mem::take(&mut self.before_manifest);
            let (checklist, bytes) = Checklist::read(&content, &before, self.limits.members)?;
            self.checklist = Some(checklist);
            self.make_sure_of_room(bytes)?;
            return Ok(None);
        }
        let expected = match &mut self.checklist {
            Some(checklist) => Some(checklist.file(&path, member.size, mode)?),
            None => {
                self.note_before_manifest(&path, MemberKind::directory(0o755));
                None
            }
        };
        if member.size > WHOLE {
            self.large(&path, &file, mode, member, expected.as_deref())?;
            return Ok(None);
        }
        let content = self.members.whole(member.size)?;
        Ok(Some(Job { path, file, content, mode, modified: member.modified, expected }))
    }

    /// Once it is known how much there will be, that is no question of proportion any more.
    fn make_sure_of_room(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.policy.announce(bytes)?;
        if let Some(free) = self.directory.free_space()
            && bytes > free
        {
            return Err(Refusal::Other(
                Error::machine(format!(
                    "{} unpacks to {}, and only {} are free there",
                    text::path(self.archive),
                    text::size(bytes),
                    text::size(free)
                ))
                .hint("free some space, and run the same command again"),
            ));
        }
        self.members.source_mut().extend(self.limits.longest_stream(bytes));
        Ok(())
    }

    fn large(
        &mut self,
        path: &str,
        file: &NewFile,
        mode: u32,
        member: &Member,
        expected: Option<&str>,
    ) -> Result<(), Refusal> {
        let mut open = file.create(mode)?;
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
            let written = piece.len();
            self.members.take(written);
        }
        if expected.is_some_and(|expected| hex(&digest.finalize()) != expected) {
            return Err(checklist::differs(path));
        }
        Ok(file.finish(&open, member.modified)?)
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
    fn finish(mut self) -> Result<Unpacked, Refusal> {
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
        let Identity { label, metadata, .. } = identity;
        let verified = self.checklist.is_some();
        Ok(Unpacked { label, metadata, verified, files: self.files, bytes: self.bytes })
    }
}

/// The first failure of a writer.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    first: Mutex<Option<Refusal>>,
}

impl Failure {
    fn happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed)
    }

    fn set(&self, refusal: Refusal) {
        self.happened.store(true, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
    }

    fn into_result(self) -> Result<(), Refusal> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// Writes files until there are no more; after a failure they are only taken.
fn write_files(waiting: &Mutex<Receiver<Vec<Job>>>, failure: &Failure) {
    loop {
        let batch = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        for job in batch {
            if failure.happened() {
                break;
            }
            if let Err(refusal) = write_file(job) {
                failure.set(refusal);
            }
        }
    }
}

fn write_file(job: Job) -> Result<(), Refusal> {
    let Job { path, file, content, mode, modified, expected } = job;
    if expected.is_some_and(|expected| hex(&Sha256::digest(&content)) != expected) {
        return Err(checklist::differs(&path));
    }
    Ok(file.write(&content, mode, modified)?)
}
