//! Asks servers, several at the same time: for files of known content, and for what indexes say. A file is there under its
//! name when its hash has been compared, or not at all.

mod addresses;
mod client;
mod credentials;
mod proxies;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

pub(super) use self::client::{Client, Document};
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
    let work = Work { client, into: into.to_owned(), lost: Mutex::default() };
    let get = move |file: &Remote, is_over: &AtomicBool| work.get(file, is_over);
    side_by_side(files, get, |file, got| {
        let outcome = match got? {
            Got::File(file) => file.commit_without_sync().map(|()| Outcome::Fetched)?,
            Got::Not(outcome) => outcome,
        };
        on_outcome(file, outcome)
    })
}

/// Does the work, which asks servers, for several items at the same time; `on_result` is told of each, once at most. Ends
/// at its first error; then, or when it is interrupted, the work is told that it is over.
pub(super) fn side_by_side<T: Send + Sync + 'static, R: Send + 'static>(
    items: Vec<T>,
    work: impl Fn(&T, &AtomicBool) -> R + Send + Sync + 'static,
    mut on_result: impl FnMut(&T, R) -> Result<()>,
) -> Result<()> {
    struct Shared<T, W> {
        items: Vec<T>,
        work: W,
        next: AtomicUsize,
        is_over: AtomicBool,
    }
    let (sender, results) = channel();
    let shared = Arc::new(Shared { items, work, next: AtomicUsize::new(0), is_over: AtomicBool::new(false) });
    let over = Over(&shared.is_over);
    for _ in 0..CONNECTIONS.min(shared.items.len()) {
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        let run = move || {
            loop {
                let number = shared.next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = shared.items.get(number) else { return };
                if shared.is_over.load(Ordering::Relaxed)
                    || sender.send((number, (shared.work)(item, &shared.is_over))).is_err()
                {
                    return;
                }
            }
        };
        // Nobody waits for these threads: one that hangs in a connection holds up no ^C.
        if threads::start("asking servers", run).is_err() {
            break;
        }
    }
    drop(sender);
    loop {
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        match results.recv_timeout(Duration::from_millis(50)) {
            Ok((number, result)) => on_result(&shared.items[number], result)?,
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
    into: PathBuf,
    /// Servers that cannot be asked.
    lost: Mutex<BTreeSet<String>>,
}

impl Work {
    fn get(&self, file: &Remote, is_over: &AtomicBool) -> Result<Got> {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            if self.lost().contains(&file.address.origin().ascii_serialization()) {
                return Ok(Got::Not(Outcome::Left("its server cannot be asked".to_owned())));
            }
            match self.try_once(file, is_over)? {
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
    fn try_once(&self, file: &Remote, is_over: &AtomicBool) -> Result<Result<Got, Trouble>> {
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
            if is_interrupted() || is_over.load(Ordering::Relaxed) {
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
