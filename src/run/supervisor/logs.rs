//! What workers write, on its way into log files that are rotated by size and age.
//!
//! One thread of its own copies everything, so that a slow or full disk, or a worker that floods its log, never holds
//! up the supervision. A worker that writes faster than the disk waits on its own pipe.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{Error, Result};
use crate::fs::{RotatingFile, Rotation};
use crate::run::LogSettings;
use crate::text;
use crate::threads;

/// The last line that a process wrote, and why its log cannot be written.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) line: String,
    pub(super) log_error: Option<String>,
}

pub(super) type SharedSaid = Arc<Mutex<Said>>;

/// Copies the streams of workers into files.
#[derive(Debug, Clone)]
pub(super) struct Logs(UnboundedSender<Stream>);

#[derive(Debug)]
struct Stream {
    from: OwnedFd,
    to: PathBuf,
    said: SharedSaid,
}

/// What is read at once.
const CHUNK: usize = 8 * 1024;
/// What is kept of a last line.
const LINE: usize = 400;

impl Logs {
    pub(super) fn start(settings: LogSettings) -> Result<Logs> {
        let (sender, streams) = unbounded_channel();
        let cannot = |error: std::io::Error| Error::machine(format!("cannot start the log thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(cannot)?;
        let copying = move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, copy_all(streams, settings));
        };
        threads::start("logs", copying)?;
        Ok(Logs(sender))
    }

    /// Copies what comes out of `from` to the log at `to`, until nobody can write to it any more.
    pub(super) fn copy(&self, from: impl Into<OwnedFd>, to: &Path, said: &SharedSaid) {
        // Without its thread there is nobody to copy, and nobody to tell either.
        let _ = self.0.send(Stream { from: from.into(), to: to.to_owned(), said: Arc::clone(said) });
    }
}

type Writers = Rc<RefCell<HashMap<PathBuf, Rc<RefCell<Writer>>>>>;

async fn copy_all(mut streams: UnboundedReceiver<Stream>, settings: LogSettings) {
    let writers = Writers::default();
    while let Some(stream) = streams.recv().await {
        let writers = Rc::clone(&writers);
        let settings = settings.clone();
        tokio::task::spawn_local(async move {
            let open = || Rc::new(RefCell::new(Writer::new(stream.to.clone(), &settings)));
            let writer = Rc::clone(writers.borrow_mut().entry(stream.to.clone()).or_insert_with(open));
            copy(stream.from, &writer, &stream.said).await;
            drop(writer);
            writers.borrow_mut().retain(|_, writer| Rc::strong_count(writer) > 1);
        });
    }
}

async fn copy(from: OwnedFd, writer: &RefCell<Writer>, said: &SharedSaid) {
    let Ok(mut from) = Receiver::from_owned_fd(from) else { return };
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let bytes = &buffer[..length];
                let result = writer.borrow_mut().append(bytes);
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = last_line(bytes) {
                    said.line = line;
                }
                // The worker goes on, whatever becomes of its log.
                said.log_error = result.err().map(|error| error.to_string());
            }
        }
        // A flood must not keep the others waiting.
        tokio::task::yield_now().await;
    }
}

fn last_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?.trim_ascii();
    // nginx gives the reason in the lines before.
    (!line.is_empty() && !line.ends_with(b"still could not bind()"))
        .then(|| text::visible_bytes(&line[..line.len().min(LINE)]))
}

/// A log file.
pub(super) struct Writer {
    path: PathBuf,
    rotation: Rotation,
    current: Option<RotatingFile>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, settings: &LogSettings) -> Writer {
        Writer { path, rotation: settings.rotation(), current: None }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            None => self.current.insert(RotatingFile::open(&self.path, self.rotation)?),
        };
        let written = current.append(bytes);
        if written.is_err() {
            // The next line may find a disk with room, or a directory that is there again.
            self.current = None;
        }
        written
    }
}
