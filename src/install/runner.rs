//! Whoever runs the plugins of a base, while it changes.

use crate::error::Result;
use crate::installed::Base;
use crate::plugin::Label;

/// Told of changes of the base, so that what runs follows – and asked, before a new version is final.
pub trait Runner {
    /// Whether processes of a new version may start before it is final.
    fn tries(&self, label: &Label) -> bool;

    /// A new version is in the plugin's home, in place of one that may be running. When this returns it serves and the
    /// old one has ended; an error has the change undone.
    fn replace(&self, base: &Base, label: &Label) -> Result<()>;

    /// The plugin is about to be removed. When this returns nobody is sent there any more. Followed by
    /// [`removed`](Runner::removed) or [`undone`](Runner::undone), before anybody else changes the base.
    fn withdraw(&self, base: &Base, label: &Label);

    /// The plugin is gone.
    fn removed(&self, base: &Base, label: &Label);

    /// Whatever was announced did not happen.
    fn undone(&self, base: &Base, label: &Label);
}

/// Nobody runs anything.
#[derive(Debug, Clone, Copy)]
pub struct NoRunner;

impl Runner for NoRunner {
    fn tries(&self, _: &Label) -> bool {
        false
    }

    fn replace(&self, _: &Base, _: &Label) -> Result<()> {
        Ok(())
    }

    fn withdraw(&self, _: &Base, _: &Label) {}

    fn removed(&self, _: &Base, _: &Label) {}

    fn undone(&self, _: &Base, _: &Label) {}
}
