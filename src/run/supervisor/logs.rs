//! What workers write, on its way into log files that are rotated by size and age, or into the machine's journal.
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

use super::journald::{self, Origin};
use crate::error::{Error, Result};
use crate::fs::{RotatingFile, Rotation};
use crate::plugin::Module;
use crate::run::{LogSettings, LogTarget};
use crate::text;
use crate::threads;

/// The last line that a process wrote, and why its log cannot be written.
#[derive(Debug, Default)]
pub(super) struct LastOutput {
    pub(super) line: String,
    pub(super) log_error: Option<String>,
}

pub(super) type SharedOutput = Arc<Mutex<LastOutput>>;

/// Copies the streams of workers into files.
#[derive(Debug, Clone)]
pub(super) struct Logs(UnboundedSender<Task>);

#[derive(Debug)]
enum Task {
    Copy(Stream),
    Enter(Origin, Vec<u8>),
}

#[derive(Debug)]
struct Stream {
    from: OwnedFd,
    to: PathBuf,
    last_output: SharedOutput,
}

/// What is read at once.
const CHUNK: usize = 8 * 1024;
/// What is kept of a last line.
const LINE: usize = 400;

impl Logs {
    pub(super) fn start(settings: LogSettings, module: &Module) -> Result<Logs> {
        let (sender, tasks) = unbounded_channel();
        let cannot = |error: std::io::Error| Error::machine(format!("cannot start the log thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(cannot)?;
        let module = module.to_string();
        let copying = move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, copy_all(tasks, settings, module));
        };
        threads::start("logs", copying)?;
        Ok(Logs(sender))
    }

    /// Copies what comes out of `from` to the log at `to`, until nobody can write to it any more.
    pub(super) fn copy(&self, from: impl Into<OwnedFd>, to: &Path, last_output: &SharedOutput) {
        // Without its thread there is nobody to copy, and nobody to tell either.
        let stream = Stream { from: from.into(), to: to.to_owned(), last_output: Arc::clone(last_output) };
        let _ = self.0.send(Task::Copy(stream));
    }

    /// Makes this line an entry of the journal, as soon as that takes one.
    pub(super) fn enter(&self, origin: &Origin, line: &[u8]) {
        let _ = self.0.send(Task::Enter(origin.clone(), line.to_owned()));
    }
}

/// Where the bytes of one stream go.
enum Sink {
    /// Streams of one file share it.
    File(Rc<RefCell<LogFile>>),
    Journal(journald::Stream),
}

impl Sink {
    async fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Sink::File(file) => file.borrow_mut().append(bytes),
            Sink::Journal(stream) => stream.append(bytes).await,
        }
    }

    /// Nothing more will come.
    async fn finish(self) {
        if let Sink::Journal(mut stream) = self {
            let _ = stream.flush().await;
        }
    }
}

type Files = Rc<RefCell<HashMap<PathBuf, Rc<RefCell<LogFile>>>>>;

async fn copy_all(mut tasks: UnboundedReceiver<Task>, settings: LogSettings, module: String) {
    let files = Files::default();
    while let Some(task) = tasks.recv().await {
        let stream = match task {
            Task::Copy(stream) => stream,
            Task::Enter(origin, line) => {
                tokio::task::spawn_local(async move {
                    let mut stream = journald::Stream::new(origin);
                    // There is no log for what cannot be logged.
                    let _ = stream.append(&line).await.and(stream.flush().await);
                });
                continue;
            }
        };
        let files = Rc::clone(&files);
        let sink = match &settings.target {
            LogTarget::File => {
                let open = || Rc::new(RefCell::new(LogFile::new(stream.to.clone(), settings.rotation())));
                Sink::File(Rc::clone(files.borrow_mut().entry(stream.to.clone()).or_insert_with(open)))
            }
            LogTarget::Journald { socket } => {
                Sink::Journal(journald::Stream::new(Origin::of_log(socket, &module, &stream.to)))
            }
        };
        tokio::task::spawn_local(async move {
            copy(stream.from, sink, &stream.last_output).await;
            files.borrow_mut().retain(|_, file| Rc::strong_count(file) > 1);
        });
    }
}

async fn copy(from: OwnedFd, mut sink: Sink, last_output: &SharedOutput) {
    let Ok(mut from) = Receiver::from_owned_fd(from) else { return };
    let mut buffer = vec![0; CHUNK];
    let mut lines = LastLine::default();
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return sink.finish().await,
            Ok(length) => {
                let bytes = &buffer[..length];
                let result = sink.append(bytes).await;
                let mut last_output = last_output.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = lines.after(bytes) {
                    last_output.line = line;
                }
                // The worker goes on, whatever becomes of its log.
                last_output.log_error = result.err().map(|error| error.to_string());
            }
        }
        // A flood must not keep the others waiting.
        tokio::task::yield_now().await;
    }
}

/// The last line of a stream, which comes in pieces that may begin and end within one.
#[derive(Debug, Default)]
struct LastLine {
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
}

impl LastLine {
    /// What it is after this piece, if that says anything.
    fn after(&mut self, bytes: &[u8]) -> Option<String> {
        self.begun.extend(bytes);
        let line = last_line(&self.begun);
        if let Some(end) = memchr::memrchr(b'\n', &self.begun) {
            self.begun.drain(..=end);
        }
        self.begun.truncate(LINE);
        line
    }
}

fn last_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?.trim_ascii();
    // nginx gives the reason in the lines before.
    (!line.is_empty() && !line.ends_with(b"still could not bind()"))
        .then(|| text::visible_bytes(&line[..line.len().min(LINE)]))
}

/// A log file.
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    current: Option<RotatingFile>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> LogFile {
        LogFile { path, rotation, current: None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_that_comes_in_pieces_is_whole() {
        let mut lines = LastLine::default();
        assert_eq!(lines.after(b"Traceback\nImportError").as_deref(), Some("ImportError"));
        assert_eq!(lines.after(b": ").as_deref(), Some("ImportError:"));
        assert_eq!(
            lines.after(b"No module named 'x'\n").as_deref(),
            Some("ImportError: No module named 'x'")
        );
        assert_eq!(lines.after(b"\n"), None);
        assert_eq!(lines.after(b"next\n").as_deref(), Some("next"));
        assert_eq!(lines.after(&[b'x'; 3 * LINE]).map(|line| line.len()), Some(LINE));
        assert_eq!(lines.after(b"y").map(|line| line.len()), Some(LINE));
    }
}
