//! The module that is up follows changes of its plugins base.

use super::control::{Control, Request};
use crate::error::{Fault, Result};
use crate::install::Runner;
use crate::installed::Base;
use crate::plugin::Label;
use crate::site::Site;

/// The supervisor of whichever module a plugin is of, where that is up.
#[derive(Debug, Clone, Copy)]
pub struct UpModule<'a> {
    site: &'a Site,
    /// Whether a new version has to serve before it is final.
    waits: bool,
}

impl<'a> UpModule<'a> {
    pub fn new(site: &'a Site) -> UpModule<'a> {
        UpModule { site, waits: true }
    }

    /// A new version is final as soon as it is in place, whatever becomes of its processes.
    #[must_use]
    pub fn without_waiting(self) -> UpModule<'a> {
        UpModule { waits: false, ..self }
    }

    fn tell(&self, label: &Label, request: &Request) -> Result<()> {
        match Control::connect(&label.module, self.site)? {
            Some(control) => control.order(request),
            None => Ok(()),
        }
    }
}

impl Runner for UpModule<'_> {
    fn tries(&self, label: &Label) -> bool {
        self.waits && !matches!(Control::connect(&label.module, self.site), Ok(None))
    }

    /// A swap that was told to end while the new version served already is done.
    fn replace(&self, base: &Base, label: &Label) -> Result<()> {
        if !self.waits {
            return Ok(());
        }
        let swap = Request::Swap { plugin: label.name.to_string(), base: base.dir.clone() };
        let result = self.tell(label, &swap);
        if !matches!(&result, Err(error) if error.fault == Fault::Interrupted) {
            return result;
        }
        let call_off = Request::CallOff { plugin: label.name.to_string() };
        match Control::connect(&label.module, self.site)?.map(|control| control.ask_at_the_end(&call_off)) {
            Some(Err(error)) if error.fault == Fault::Input => Ok(()),
            _ => result,
        }
    }

    fn withdraw(&self, base: &Base, label: &Label) {
        // A supervisor that cannot be asked must not keep anybody from uninstalling; it sees what happened.
        let _ =
            self.tell(label, &Request::Withdraw { plugin: label.name.to_string(), base: base.dir.clone() });
    }

    fn removed(&self, base: &Base, label: &Label) {
        self.undone(base, label);
    }

    fn undone(&self, base: &Base, label: &Label) {
        let settled = Request::Settled { plugin: label.name.to_string(), base: base.dir.clone() };
        let _ = self.tell(label, &settled);
    }
}
