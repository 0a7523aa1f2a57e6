//! What the supervisor has to say of itself: into its log, and to whoever watches.

use std::cell::RefCell;
use std::fmt;

use super::logs::Writer;

/// Where lines for a person who watches go.
pub type Watcher = Box<dyn Fn(&str)>;

/// The supervisor's own log.
pub(super) struct Journal {
    log: RefCell<Writer>,
    watcher: Watcher,
}

impl Journal {
    pub(super) fn new(log: Writer, watcher: Watcher) -> Journal {
        Journal { log: RefCell::new(log), watcher }
    }

    pub(super) fn note(&self, line: &str) {
        (self.watcher)(line);
        let now = jiff::Timestamp::now();
        // A log that cannot be written must not keep anything from running.
        let _ = self.log.borrow_mut().append(format!("{now:.3} {line}\n").as_bytes());
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}
