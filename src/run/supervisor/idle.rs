//! `var/conf_monitor_idle`, a file that scripts wait for: it is there exactly while no change waits to be looked at.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::fs;

const FILE: &str = "conf_monitor_idle";

#[derive(Debug)]
pub(super) struct Idle {
    file: PathBuf,
    /// Changes that wait.
    changes: Cell<usize>,
}

/// A change that waits, or is looked at, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Rc<Idle>);

impl Idle {
    pub(super) fn new(var: &Path) -> Rc<Idle> {
        let idle = Idle { file: var.join(FILE), changes: Cell::new(0) };
        // One that was killed leaves it behind.
        idle.remove();
        Rc::new(idle)
    }

    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.changes.set(self.changes.get() + 1);
        self.remove();
        Busy(Rc::clone(self))
    }

    /// From now on a change waits that is never over.
    pub(super) fn end(&self) {
        self.changes.set(self.changes.get() + 1);
        self.remove();
    }

    /// An installation that announces itself removes the file, and its announcement may get lost.
    pub(super) fn look(&self) {
        if self.changes.get() == 0 && !self.file.exists() {
            // On a full disk scripts wait in vain, and everything else goes on.
            let _ = fs::write_atomic(&self.file, b"");
        }
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.file);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.changes.set(self.0.changes.get() - 1);
        self.0.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_exactly_while_no_change_waits() {
        let dir = tempfile::tempdir().unwrap();
        let is_there = || dir.path().join(FILE).exists();
        fs::write_atomic(&dir.path().join(FILE), b"").unwrap();
        let idle = Idle::new(dir.path());
        assert!(!is_there());
        let (one, two) = (idle.busy(), idle.busy());
        drop(one);
        assert!(!is_there());
        drop(two);
        assert!(is_there());
        let last = idle.busy();
        idle.end();
        drop(last);
        assert!(!is_there());
    }
}
