//! Fetches files of known content, several at the same time. A file is there under its name when its hash has been
//! compared, or not at all.

mod client;
mod credentials;
mod proxies;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

pub(super) use self::client::Client;
use self::client::{Trouble, without_password};
use crate::digest::{Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::fs::AtomicFile;
use crate::process::is_interrupted;
use crate::threads;

/// So many files are fetched at the same time: more do not make a line faster, and servers do not like them.
pub(super) const CONNECTIONS: usize = 12;

/// Before the first retry; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(250);

/// Where neither the lock nor the server says how long it is, a file may not be longer.
const MOST: u64 = 8 << 30;

/// A file, by its content.
pub(super) struct Remote {
    /// The name that it gets; plain.
    pub(super) name: String,
    pub(super) address: Url,
    /// In hexadecimal digits.
    pub(super) sha256: String,
    pub(super) size: Option<u64>,
}

impl Remote {
    /// Where it comes from, as it can be shown.
    pub(super) fn shown(&self) -> String {
        without_password(&self.address).to_string()
    }
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Fetched,
    /// It could not be had, for this reason.
    Left(String),
    /// It has another sha256.
    Changed(Digest),
}

/// Fetches files into a directory; `on_outcome` is told of each, once at most: those of which it is not told could not
/// be had. Ends at the first error.
pub(super) fn fetch(
    client: Client,
    mut files: Vec<Remote>,
    into: &Path,
    mut on_outcome: impl FnMut(&Remote, Outcome) -> Result<()>,
) -> Result<()> {
    // The longest take longest: they are not to come last.
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let (sender, outcomes) = channel();
    let work = Arc::new(Work {
        client,
        files,
        into: into.to_owned(),
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        lost: Mutex::default(),
    });
    let over = Over(&work.is_over);
    for _ in 0..CONNECTIONS.min(work.files.len()) {
        let (work, sender) = (Arc::clone(&work), sender.clone());
        // Nobody waits for these threads: one that hangs in a connection holds up no ^C.
        if threads::start("fetching files", move || work.run(&sender)).is_err() {
            break;
        }
    }
    drop(sender);
    loop {
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        match outcomes.recv_timeout(Duration::from_millis(50)) {
            Ok((number, outcome)) => {
                let outcome = match outcome? {
                    Got::File(file) => file.commit_without_sync().map(|()| Outcome::Fetched)?,
                    Got::Not(outcome) => outcome,
                };
                on_outcome(&work.files[number], outcome)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(over);
    Ok(())
}

/// Tells the threads, however it ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A whole file that has no name yet, or why there is none.
enum Got {
    File(AtomicFile),
    Not(Outcome),
}

/// Shared by the threads.
struct Work {
    client: Client,
    files: Vec<Remote>,
    into: PathBuf,
    next: AtomicUsize,
    is_over: AtomicBool,
    /// Servers that cannot be asked.
    lost: Mutex<BTreeSet<String>>,
}

impl Work {
    fn run(&self, outcomes: &Sender<(usize, Result<Got>)>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.files.get(number) else { return };
            if self.is_over.load(Ordering::Relaxed) || outcomes.send((number, self.get(file))).is_err() {
                return;
            }
        }
    }

    fn get(&self, file: &Remote) -> Result<Got> {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            if self.lost().contains(&file.address.origin().ascii_serialization()) {
                return Ok(Got::Not(Outcome::Left("its server cannot be asked".to_owned())));
            }
            match self.try_once(file)? {
                Ok(got) => return Ok(got),
                Err(trouble) if trouble.is_passing && tries < self.client.retries => {
                    std::thread::sleep(pause);
                    pause *= 2;
                    tries += 1;
                }
                Err(trouble) => {
                    if trouble.is_of_server {
                        self.lost().insert(file.address.origin().ascii_serialization());
                    }
                    return Ok(Got::Not(Outcome::Left(trouble.reason)));
                }
            }
        }
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outer error is the disk's.
    fn try_once(&self, file: &Remote) -> Result<Result<Got, Trouble>> {
        let target = self.into.join(&file.name);
        let most = file.size.unwrap_or(MOST);
        let mut content = match self.client.get(&file.address) {
            Ok(content) => content.take(most.saturating_add(1)),
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut written = AtomicFile::create_nameless(&target, 0o644)?;
        let (mut hasher, mut length) = (Hasher::new(), 0);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            if is_interrupted() || self.is_over.load(Ordering::Relaxed) {
                return Err(Error::interrupted());
            }
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Ok(Err(Trouble::broken(&error))),
            };
            hasher.bytes(&buffer[..read]);
            written.as_file_mut().write_all(&buffer[..read]).at("write", &target)?;
            length += read as u64;
        }
        if file.size.is_some_and(|size| length < size) {
            return Ok(Err(Trouble::broken(&std::io::ErrorKind::UnexpectedEof.into())));
        }
        if length > most {
            return Ok(Ok(Got::Not(Outcome::Left(format!("it is longer than {most} bytes")))));
        }
        let digest = hasher.finish();
        Ok(Ok(if digest.to_string() == file.sha256.to_ascii_lowercase() {
            Got::File(written)
        } else {
            Got::Not(Outcome::Changed(digest))
        }))
    }
}
