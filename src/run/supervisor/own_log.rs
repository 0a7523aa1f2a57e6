//! What the supervisor has to say of itself: into its log, and to whoever watches.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use super::journald::Origin;
use super::logs::{LogFile, Logs};
use crate::plugin::Module;
use crate::run::{LogSettings, LogTarget};

/// Where lines for a person who watches go.
pub type Watcher = Box<dyn Fn(&str)>;

/// The supervisor's own log.
pub(super) struct OwnLog {
    log: RefCell<Log>,
    watcher: Watcher,
}

enum Log {
    File(LogFile),
    Journal(Origin, Logs),
}

impl OwnLog {
    pub(super) fn new(
        dir: &Path,
        module: &Module,
        settings: &LogSettings,
        logs: &Logs,
        watcher: Watcher,
    ) -> OwnLog {
        let path = dir.join("supervisor.log");
        let log = match &settings.target {
            LogTarget::File => Log::File(LogFile::new(path, settings.rotation())),
            LogTarget::Journald { socket } => {
                Log::Journal(Origin::of_log(socket, module.as_str(), &path), logs.clone())
            }
        };
        OwnLog { log: RefCell::new(log), watcher }
    }

    pub(super) fn note(&self, line: &str) {
        (self.watcher)(line);
        // A log that cannot be written must not keep anything from running.
        match &mut *self.log.borrow_mut() {
            Log::File(file) => {
                let _ = file.append(format!("{:.3} {line}\n", jiff::Timestamp::now()).as_bytes());
            }
            // Which knows the time itself. What it cannot take now must not be waited for here.
            Log::Journal(origin, logs) if origin.send_now(line.as_bytes()).is_err() => {
                logs.enter(origin, line.as_bytes());
            }
            Log::Journal(..) => {}
        }
    }
}

impl fmt::Debug for OwnLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnLog")
    }
}
