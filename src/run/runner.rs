//! The module that is up follows changes of its plugins base.

use super::control::{Control, Request};
use crate::error::Result;
use crate::install::{Base, Runner};
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
    fn replace(&self, base: &Base, label: &Label) -> Result<()> {
        self.tell(label, &Request::Swap { plugin: label.name.to_string(), base: base.dir.clone() })
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
