//! The module that is up follows changes of its plugins base.

use super::control::{Control, Request};
use crate::error::{Fault, Result};
use crate::install::Runner;
use crate::installed::Base;
use crate::plugin::Label;
use crate::site::Site;

/// The supervisor of whichever module a plugin is of, where that is up.
#[derive(Debug, Clone, Copy)]
pub struct UpModule<'a>(pub &'a Site);

impl UpModule<'_> {
    fn tell(&self, label: &Label, request: &Request) -> Result<()> {
        match Control::connect(&label.module, self.0)? {
            Some(control) => control.order(request),
            None => Ok(()),
        }
    }
}

impl Runner for UpModule<'_> {
    /// A swap that was told to end while the new version served already is done.
    fn replace(&self, base: &Base, label: &Label) -> Result<()> {
        let swap = Request::Swap { plugin: label.name.to_string(), base: base.dir.clone() };
        let result = self.tell(label, &swap);
        if !matches!(&result, Err(error) if error.fault == Fault::Interrupted) {
            return result;
        }
        let call_off = Request::CallOff { plugin: label.name.to_string() };
        match Control::connect(&label.module, self.0)?.map(|control| control.ask_at_the_end(&call_off)) {
            Some(Err(error)) if error.fault == Fault::Input => Ok(()),
            _ => result,
        }
    }

    fn withdraw(&self, base: &Base, label: &Label) {
        // A supervisor that cannot be asked must not keep anybody from uninstalling; it sees what happened.
        let _ =
            self.tell(label, &Request::Withdraw { plugin: label.name.to_string(), base: base.dir.clone() });
    }

    fn undone(&self, _: &Base, label: &Label) {
        let _ = self.tell(label, &Request::Reload);
    }
}
