//! The output of a program, line by line, for as long as the program runs.
//!
//! A process that it left in the background may hold the output open for ever; whoever waits for the end of the output
//! waits for that one too. So the program's own end counts, and what is in the pipe by then.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::threads;

/// A longer line is handed on in pieces.
const LONGEST: usize = 1 << 20;

/// A pipe holds no more: what comes after that was not written by the program.
const MOST_LEFT: usize = 1 << 20;

/// Hands on each line of `output` until `ended`, which waits for the program, returns; then what it had written by
/// that time. Returns what `ended` did.
pub(super) fn until_end<T: Send>(
    output: PipeReader,
    ended: impl FnOnce() -> T + Send,
    mut on_line: impl FnMut(&[u8]) -> Result<()>,
) -> Result<T> {
    let cannot = |error: io::Error| Error::machine(format!("cannot read the output of a program: {error}"));
    let (end, signal) = io::pipe().map_err(cannot)?;
    std::thread::scope(|scope| {
        let waiter = threads::start_in(scope, "waiting for a program", move || {
            let result = ended();
            // Closed, the other end is ready to read.
            drop(signal);
            result
        })?;
        let mut lines = Lines::default();
        let read = read_until(output, &end, &mut |bytes| lines.push(bytes, &mut on_line));
        let read = read.and_then(|()| lines.finish(&mut on_line));
        let result = waiter.join().map_err(|_| Error::machine("cannot wait for a program"));
        read.and(result)
    })
}

fn read_until(
    mut output: PipeReader,
    end: &PipeReader,
    on_bytes: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let cannot = |error: io::Error| Error::machine(format!("cannot read the output of a program: {error}"));
    let mut buffer = [0; 16 * 1024];
    let mut has_ended = false;
    let mut left = MOST_LEFT;
    loop {
        if !has_ended {
            let mut both = [PollFd::new(&output, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
            match poll(&mut both, None) {
                Err(Errno::INTR) => continue,
                result => result.map(drop).map_err(|errno| cannot(errno.into()))?,
            }
            has_ended = !both[1].revents().is_empty();
        }
        if has_ended {
            let flags = fcntl_getfl(output.as_fd()).map_err(|errno| cannot(errno.into()))?;
            fcntl_setfl(output.as_fd(), flags | OFlags::NONBLOCK).map_err(|errno| cannot(errno.into()))?;
        }
        match output.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                on_bytes(&buffer[..length])?;
                left -= if has_ended { length.min(left) } else { 0 };
                if left == 0 {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && has_ended => return Ok(()),
            Err(error) => return Err(cannot(error)),
        }
    }
}

/// Cuts bytes into lines, their ends included.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        // What waits has no end of a line in it: only what is new is looked through.
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.0.len() > LONGEST {
                self.finish(on_line)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, on_line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let result = if self.0.is_empty() { Ok(()) } else { on_line(&self.0) };
        self.0.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn all_that_was_written_before_the_end_comes_in_lines_and_a_second_writer_is_not_waited_for() {
        let (output, mut theirs) = io::pipe().unwrap();
        let mut held_open = theirs.try_clone().unwrap();
        let mut lines = Vec::new();
        let long = "x".repeat(100_000);
        let text = format!("a\n\n{long}\nlast");
        let result = until_end(
            output,
            move || theirs.write_all(text.as_bytes()).map(|()| 7),
            |line| {
                lines.push(line.len());
                Ok(())
            },
        );
        assert_eq!(result.unwrap().unwrap(), 7);
        assert_eq!(lines, [2, 1, 100_001, 4]);
        assert!(held_open.write_all(b"to nobody").is_err());
    }
}
