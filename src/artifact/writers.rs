//! The threads that create the files of an archive: that is where the time of unpacking goes.
//!
//! A directory is locked while a file is made in it, so each batch of files ends where its directory does: two writers
//! are rarely in the same one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::checklist;
use super::members::Refusal;
use super::metadata::hex;
use crate::fs::{NewFile, Wanted};
use crate::threads;

/// Writers get files in batches: to wake one up for each would cost more than the files do.
const BATCH: usize = 64;
/// A directory with more files than this is shared after all.
const LARGEST_BATCH: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;
/// How many batches wait for a writer: bounds the memory.
const WAITING: usize = 8;
const MOST_WRITERS: usize = 8;

/// A file for the writers.
pub(super) struct Job {
    pub(super) wanted: Wanted,
    pub(super) file: NewFile,
    pub(super) content: Content,
    /// The digest that the manifest gives.
    pub(super) expected: Option<String>,
    /// Whether the installed version and the new one may both have a name of it.
    pub(super) may_be_linked: bool,
}

pub(super) enum Content {
    Archive(Vec<u8>),
    /// The installed version seems to have it.
    Installed,
}

impl Job {
    /// The content is as the manifest says, or it is refused.
    pub(super) fn check(&self, content: &[u8]) -> Result<(), Refusal> {
        match &self.expected {
            Some(expected) if hex(&Sha256::digest(content)) != *expected => {
                Err(checklist::differs(&self.wanted.path))
            }
            _ => Ok(()),
        }
    }
}

/// Files on their way to the writers.
pub(super) struct Batches<'a> {
    sender: SyncSender<Vec<Job>>,
    jobs: Vec<Job>,
    bytes: usize,
    failure: &'a Failure,
}

impl Batches<'_> {
    pub(super) fn add(&mut self, job: Job) {
        let is_elsewhere = self.jobs.last().is_some_and(|last| !last.file.is_beside(&job.file));
        if is_elsewhere && self.jobs.len() >= BATCH {
            self.send();
        }
        self.bytes += match &job.content {
            Content::Archive(content) => content.len(),
            Content::Installed => usize::try_from(job.wanted.size).unwrap_or(BATCH_BYTES),
        };
        self.jobs.push(job);
        if self.jobs.len() >= LARGEST_BATCH || self.bytes >= BATCH_BYTES {
            self.send();
        }
    }

    /// Whether a writer failed: nothing more need be read.
    pub(super) fn have_failed(&self) -> bool {
        self.failure.happened.load(Ordering::Relaxed)
    }

    fn send(&mut self) {
        self.bytes = 0;
        // Writers take batches until this end is closed.
        let _ = self.sender.send(std::mem::take(&mut self.jobs));
    }
}

/// Has `read` hand files to writers, each of which goes through `write`; when this returns, no writer is at work any more.
pub(super) fn with_writers(
    write: impl Fn(&Job) -> Result<(), Refusal> + Sync,
    read: impl FnOnce(&mut Batches<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let (sender, waiting) = sync_channel(WAITING);
    let (waiting, failure) = (Mutex::new(waiting), Failure::default());
    let read = std::thread::scope(|scope| {
        let work = || write_files(&waiting, &write, &failure);
        threads::start_in(scope, "writing files", work)?;
        // With fewer than there are processors it takes longer.
        let others = 1..threads::processors().min(MOST_WRITERS);
        others.map_while(|_| threads::start_in(scope, "writing files", work).ok()).for_each(drop);
        let mut batches = Batches { sender, jobs: Vec::new(), bytes: 0, failure: &failure };
        let read = read(&mut batches);
        batches.send();
        read
    });
    failure.into_result().and(read)
}

/// Writes files until there are no more; after a failure they are only taken.
fn write_files(
    waiting: &Mutex<Receiver<Vec<Job>>>,
    write: &impl Fn(&Job) -> Result<(), Refusal>,
    failure: &Failure,
) {
    loop {
        let batch = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        for job in batch {
            if failure.happened.load(Ordering::Relaxed) {
                break;
            }
            if let Err(refusal) = write(&job) {
                failure.set(refusal);
            }
        }
    }
}

/// The first failure of a writer.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    first: Mutex<Option<Refusal>>,
}

impl Failure {
    fn set(&self, refusal: Refusal) {
        self.happened.store(true, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
    }

    fn into_result(self) -> Result<(), Refusal> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
