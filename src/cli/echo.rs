//! While lines of a terminal are rewritten, ^C is not echoed: the two characters would move the cursor, and a line that
//! nobody rewrites any more would stay.

use std::io;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The terminal as it was, which it is again afterwards.
pub(super) struct QuietControls {
    before: Termios,
}

impl QuietControls {
    /// `None` where that is nothing to do, or not this process's to do.
    pub(super) fn begin() -> Option<QuietControls> {
        let before = tcgetattr(io::stderr()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHOCTL);
        (before.local_modes.contains(LocalModes::ECHOCTL) && set(&quiet)).then_some(QuietControls { before })
    }
}

impl Drop for QuietControls {
    fn drop(&mut self) {
        set(&self.before);
    }
}

/// A job in the background that changed its terminal would be stopped.
fn set(modes: &Termios) -> bool {
    let is_in_foreground = tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp());
    is_in_foreground && tcsetattr(io::stderr(), OptionalActions::Now, modes).is_ok()
}
