//! Old files of mfdata go, once a minute.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::Supervisor;
use crate::error::{Error, Result};
use crate::plugin::Module;
use crate::run::model::DataHome;
use crate::run::removal::Removal;
use crate::{text, threads};

const EVERY: Duration = Duration::from_secs(60);

/// When files are removed, and what was told.
pub(super) struct OldFiles {
    /// None while they are being removed.
    next: Cell<Option<Instant>>,
    /// Who waits for what: nothing is removed as long as nobody knows.
    plans_are_known: Cell<bool>,
    failure: RefCell<Option<String>>,
}

impl OldFiles {
    pub(super) fn new() -> OldFiles {
        OldFiles {
            next: Cell::new(Some(Instant::now())),
            plans_are_known: Cell::new(false),
            failure: RefCell::default(),
        }
    }

    pub(super) fn plans_are_known(&self) {
        self.plans_are_known.set(true);
    }
}

impl Supervisor {
    /// Begins to remove them where it is time; a look that takes long is not overtaken by the next.
    pub(super) fn remove_old_files_when_due(self: &Rc<Self>) {
        let is_due = self.old_files.next.get().is_some_and(|next| Instant::now() >= next);
        if self.options.module != Module::Mfdata || !is_due || !self.old_files.plans_are_known.get() {
            return;
        }
        self.old_files.next.set(None);
        let removal = self.removal();
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let work = move || Ok(removal?.run(SystemTime::now()));
            let removed = threads::apart("the removal of old files", work).await;
            let failure = match removed {
                Ok(removed) => {
                    if !removed.is_nothing() {
                        this.note(&removed.to_string());
                    }
                    removed.failure
                }
                Err(error) => Some(error.to_string()),
            };
            this.tell_of_failure(failure);
            this.old_files.next.set(Some(Instant::now() + EVERY));
        });
    }

    /// Once, as long as it stays.
    fn tell_of_failure(&self, failure: Option<String>) {
        if let Some(failure) = &failure
            && self.old_files.failure.borrow().as_ref() != Some(failure)
        {
            self.note(failure);
        }
        self.old_files.failure.replace(failure);
    }

    /// What is known of the steps that files may wait for; of the older plan of a plugin, too, as long as it runs.
    fn removal(&self) -> Result<Removal> {
        let (plans, active) = (self.plans.borrow(), self.active.borrow());
        let settings = self.settings.borrow();
        let input = DataHome::of(&settings.applied_to(&self.site, &self.options.module)).input;
        if self.runtime_home().starts_with(&input) {
            let input = text::path(&input);
            return Err(Error::input(format!(
                "old files stay where they are: [data_in] dir is {input}, where the module itself is"
            )));
        }
        let running = active.values().map(|active| &active.plan);
        let installed = plans.values().filter_map(|plan| plan.as_ref().ok());
        let watched = running.chain(installed).flat_map(|plan| &plan.watched);
        let unknown = plans.iter().filter(|(_, plan)| plan.is_err()).map(|(name, _)| name.clone());
        Ok(Removal::new(input, settings.data.kept.clone(), watched, unknown.collect()))
    }
}
