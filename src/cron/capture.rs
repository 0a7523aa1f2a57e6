//! What a job writes, on its way into a log.

use std::io::{PipeReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::error::Result;
use crate::fs::{RotatingFile, Rotation};
use crate::threads;

const ROTATION: Rotation = Rotation { max_size: 100_000_000, max_age: Duration::ZERO, kept: 5 };

/// The copying, which ends when nobody writes any more.
#[derive(Debug)]
pub(super) struct Capture(Receiver<Result<()>>);

impl Capture {
    pub(super) fn start(mut from: PipeReader, log: &Path) -> Result<Capture> {
        let mut log = RotatingFile::open(log, ROTATION)?;
        let (ended, end) = channel();
        threads::start("capturing", move || {
            let mut result = Ok(());
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) if result.is_ok() => result = log.append(&buffer[..length]),
                    // A log that cannot be written must not hold up the job: the rest is read and lost.
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            let _ = ended.send(result);
        })?;
        Ok(Capture(end))
    }

    /// Waits for the rest. What the job left running in the background may go on writing: not for long.
    pub(super) fn finish(self) -> Result<()> {
        self.0.recv_timeout(Duration::from_secs(1)).unwrap_or(Ok(()))
    }
}
