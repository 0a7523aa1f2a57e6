//! What workers write, on its way into log files that are rotated by size and age.
//!
//! One thread of its own copies everything, so that a slow or full disk, or a worker that floods its log, never holds
//! up the supervision. A worker that writes faster than the disk waits on its own pipe.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use file_rotate::compression::Compression;
use file_rotate::suffix::{AppendTimestamp, FileLimit};
use file_rotate::{ContentLimit, FileRotate};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{At, Error, Result};
use crate::fs;
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
            let open = || Rc::new(RefCell::new(Writer::new(stream.to.clone(), settings)));
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
    settings: LogSettings,
    current: Option<Current>,
}

struct Current {
    file: FileRotate<AppendTimestamp>,
    begun: SystemTime,
}

impl Writer {
    pub(super) fn new(path: PathBuf, settings: LogSettings) -> Writer {
        Writer { path, settings, current: None }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        // Somebody may have removed the file: what is written then goes into a new one.
        if self.current.is_some() && !self.path.exists() {
            self.current = None;
        }
        // The crate panics where somebody moves its files about while it rotates them: that must not end the copying,
        // and with it the worker.
        let written = std::panic::catch_unwind(AssertUnwindSafe(|| self.append_to_current(bytes)));
        let written = written
            .unwrap_or_else(|_| Err(Error::machine(format!("cannot rotate {}", text::path(&self.path)))));
        if written.is_err() {
            self.current = None;
        }
        written
    }

    fn append_to_current(&mut self, bytes: &[u8]) -> Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            None => self.current.insert(Current::open(&self.path, &self.settings)?),
        };
        current
            .rotate_when_old(self.settings.max_age_before_rotation)
            .and_then(|()| current.file.write_all(bytes))
            .at("write", &self.path)
    }
}

impl Current {
    fn open(path: &Path, settings: &LogSettings) -> Result<Current> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let present = fs::append_to(path)?;
        let begun = present.metadata().and_then(|metadata| metadata.created());
        // One a day, as a rule: the days to keep are the files to keep, so that a flood has an end.
        let kept = usize::try_from(settings.retention.max(1)).unwrap_or(usize::MAX);
        let limit = match settings.max_size_before_rotation {
            0 => ContentLimit::None,
            bytes => ContentLimit::BytesSurpassed(usize::try_from(bytes).unwrap_or(usize::MAX)),
        };
        let kept = AppendTimestamp::default(FileLimit::MaxFiles(kept));
        let file = FileRotate::new(path, kept, limit, Compression::None, None);
        Ok(Current { file, begun: begun.unwrap_or_else(|_| SystemTime::now()) })
    }

    fn rotate_when_old(&mut self, limit: Duration) -> std::io::Result<()> {
        let now = SystemTime::now();
        let Ok(age) = now.duration_since(self.begun) else {
            // The clock was set back.
            self.begun = now;
            return Ok(());
        };
        if !limit.is_zero() && age >= limit {
            self.file.rotate()?;
            self.begun = now;
        }
        Ok(())
    }
}
