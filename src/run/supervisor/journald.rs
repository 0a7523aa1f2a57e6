//! The machine's journal as a log: the native protocol of systemd-journald, a datagram of `KEY=value` lines for each
//! line that a process wrote.
//!
//! The socket is a setting, so that a journal namespace of its own can be named. A queue that is full is waited for,
//! as a full pipe is; a journal that is away loses lines, and the status says so.

use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use crate::error::{Error, Result};
use crate::text;

/// The longest line that becomes one entry, as with systemd's own `LineMax=`.
const LONGEST_LINE: usize = 48 * 1024;
/// The priorities of lines that say none of their own, of standard error by itself and of all others.
const ERROR: u8 = b'3';
const INFORMATIONAL: u8 = b'6';

/// Whose lines these are.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) socket: PathBuf,
    pub(super) module: String,
    /// What `journalctl -t` selects.
    pub(super) identifier: String,
    priority: u8,
}

impl Origin {
    /// The lines that would go to this file.
    pub(super) fn of_log(socket: &Path, module: &str, log: &Path) -> Origin {
        let identifier = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_error = log.extension().is_some_and(|extension| extension == "stderr");
        let priority = if is_error { ERROR } else { INFORMATIONAL };
        Origin { socket: socket.to_owned(), module: module.to_owned(), identifier, priority }
    }

    /// `<3>text` has the priority 3, as systemd reads what services write; nothing for an empty line.
    fn datagram(&self, line: &[u8]) -> Option<Vec<u8>> {
        let (priority, message) = match line {
            [b'<', digit @ b'0'..=b'7', b'>', message @ ..] => (*digit, message),
            _ => (self.priority, line),
        };
        if message.trim_ascii().is_empty() {
            return None;
        }
        let mut datagram = format!(
            "PRIORITY={}\nSYSLOG_IDENTIFIER={}\nMETWORK_MODULE={}\nMESSAGE=",
            char::from(priority),
            text::visible(&self.identifier),
            self.module
        )
        .into_bytes();
        datagram.extend_from_slice(message);
        datagram.push(b'\n');
        Some(datagram)
    }

    fn cannot(&self, error: &io::Error) -> Error {
        Error::machine(format!(
            "cannot write to the journal at {}: {}",
            text::path(&self.socket),
            text::io_reason(error)
        ))
    }

    /// At once or not at all.
    pub(super) fn send_now(&self, line: &[u8]) -> Result<()> {
        let Some(datagram) = self.datagram(line) else { return Ok(()) };
        let send = || {
            let socket = StdDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.send_to(&datagram, &self.socket)
        };
        send().map(drop).map_err(|error| self.cannot(&error))
    }
}

/// A stream of bytes on its way into the journal.
#[derive(Debug)]
pub(super) struct Stream {
    origin: Origin,
    /// Connected, so that a full queue can be waited for.
    socket: Option<UnixDatagram>,
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
}

impl Stream {
    pub(super) fn new(origin: Origin) -> Stream {
        Stream { origin, socket: None, begun: Vec::new() }
    }

    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut result = Ok(());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece.strip_suffix(b"\n").unwrap_or(piece));
            if piece.ends_with(b"\n") || self.begun.len() >= LONGEST_LINE {
                result = result.and(self.flush().await);
            }
        }
        result
    }

    /// What has been read of the last line becomes an entry.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.begun);
        let Some(datagram) = self.origin.datagram(&line) else { return Ok(()) };
        let known = self.socket.is_some();
        let sent = match self.send(&datagram).await {
            // The journal has been started anew.
            Err(_) if known => self.send(&datagram).await,
            sent => sent,
        };
        sent.map_err(|error| self.origin.cannot(&error))
    }

    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.origin.socket)?;
                socket
            }
        };
        socket.send(datagram).await?;
        self.socket = Some(socket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_entry_with_its_priority_and_whose_it_is() {
        let origin = Origin::of_log(Path::new("/s"), "mfserv", Path::new("/log/app_p_main.log"));
        let entry = |line: &[u8]| origin.datagram(line).map(|entry| String::from_utf8(entry).unwrap());
        let whose = "SYSLOG_IDENTIFIER=app_p_main\nMETWORK_MODULE=mfserv\n";
        assert_eq!(entry(b"hello").unwrap(), format!("PRIORITY=6\n{whose}MESSAGE=hello\n"));
        assert_eq!(entry(b"<3>bad").unwrap(), format!("PRIORITY=3\n{whose}MESSAGE=bad\n"));
        assert_eq!(entry(b"<9>odd").unwrap(), format!("PRIORITY=6\n{whose}MESSAGE=<9>odd\n"));
        assert_eq!(entry(b" \r"), None);
        let origin = Origin::of_log(Path::new("/s"), "mfserv", Path::new("/log/app_p_main.stderr"));
        assert!(
            origin.datagram(b"hello").unwrap().starts_with(b"PRIORITY=3\nSYSLOG_IDENTIFIER=app_p_main\n")
        );
    }

    #[test]
    fn what_comes_in_pieces_is_told_by_lines_and_a_journal_that_was_started_anew_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listen = || {
            let socket = StdDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let messages = |socket: &StdDatagram| {
            let mut found = Vec::new();
            let mut buffer = vec![0; 2 * LONGEST_LINE];
            while let Ok(length) = socket.recv(&mut buffer) {
                let entry = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let (_, message) = entry.split_once("MESSAGE=").unwrap();
                found.push(message.trim_end().to_owned());
            }
            found
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let mut stream = Stream::new(Origin::of_log(&path, "mfserv", Path::new("x.log")));
            let error = stream.append(b"nobody listens\n").await.unwrap_err();
            assert!(error.to_string().contains("cannot write to the journal"), "{error}");
            let journal = listen();
            stream.append(b"one\ntw").await.unwrap();
            stream.append(b"o\n\nthree").await.unwrap();
            assert_eq!(messages(&journal), ["one", "two"]);
            stream.flush().await.unwrap();
            assert_eq!(messages(&journal), ["three"]);
            drop(journal);
            crate::fs::remove_file(&path).unwrap();
            let journal = listen();
            stream.append(b"four\n").await.unwrap();
            stream.append(&vec![b'x'; LONGEST_LINE + 1]).await.unwrap();
            let found = messages(&journal);
            assert_eq!(found[0], "four");
            assert!(found[1].len() >= LONGEST_LINE, "{}", found[1].len());
        });
    }
}
