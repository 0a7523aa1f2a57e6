//! A base is one command's at a time, and whole when it gets it.

use std::path::Path;
use std::time::Duration;

use super::{Event, jobs, journal, ownership, recovery};
use crate::error::Result;
use crate::fs::{self, Lock};
use crate::installed::Base;
use crate::site::Site;

/// How long an operation waits for another one, unless `MWP_LOCK_TIMEOUT` gives other seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a command that only looks waits for another one to undo what was left half done: a running module does
/// so as soon as it sees it.
const RECOVERY: Duration = Duration::from_secs(60);

impl Base {
    /// Takes the base for a change, after undoing what a killed command left half done.
    pub(super) fn lock(&self, doing: &str, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Lock> {
        ownership::refuse_change(self)?;
        fs::create_own_dir_all(&self.own_dir())?;
        self.warn(site, on_event);
        let patience = site.environment.text("MWP_LOCK_TIMEOUT").and_then(|seconds| seconds.parse().ok());
        let patience = patience.map_or(PATIENCE, Duration::from_secs);
        let lock = Lock::acquire(&self.own_dir().join("lock"), doing, patience, |holder| {
            on_event(Event::Waiting(holder));
        })?;
        self.recover(site, on_event);
        Ok(lock)
    }

    /// Undoes what a killed command left half done, or waits for who does; nothing where a change is under way. For
    /// commands that only look: they must not see half a change. A base that cannot be written is looked at as it is;
    /// that of another user is an error where there is something to undo.
    pub fn settle(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.warn(site, on_event);
        if !ownership::is_own(self) {
            return ownership::refuse_half_done(self);
        }
        if recovery::is_needed(self)
            && let Ok(Some(_lock)) =
                Lock::acquire_after_same(&self.own_dir().join("lock"), "recover", RECOVERY)
        {
            self.recover(site, on_event);
        }
        Ok(())
    }

    /// The caller holds the lock.
    fn recover(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) {
        if ownership::is_own(self) {
            recovery::recover(self, site).iter().for_each(|warning| on_event(Event::Warning(warning)));
            jobs::catch_up(self, site);
        }
    }

    fn warn(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) {
        let runtime_home = self.dir.parent().filter(|var| var.ends_with("var")).and_then(Path::parent);
        for dir in [Some(self.dir.as_path()), Some(site.cache.as_path()), runtime_home].into_iter().flatten()
        {
            if let Some(warning) = ownership::open_to_others(dir) {
                on_event(Event::Warning(&warning));
            }
        }
    }

    /// The plugin that a change is under way of: what is in its home is not final.
    pub fn unfinished(&self) -> Option<String> {
        journal::plugin(self)
    }
}
