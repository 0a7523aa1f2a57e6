//! ^C, SIGTERM and SIGHUP end what runs, and then this process.

use std::sync::Once;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::{exit, process, threads};

/// The first signal ends every running program and lets the command clean up; the second one ends it at once.
#[allow(clippy::exit)]
pub(super) fn end_programs_on_signal() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(mut signals) => {
            let listening = threads::start("signals", move || {
                let mut arrived = signals.forever();
                arrived.next();
                if threads::start("interrupting", process::interrupt).is_err() {
                    process::interrupt();
                }
                arrived.next();
                std::process::exit(i32::from(exit::INTERRUPTED));
            });
            result = listening.map(drop);
        }
        Err(error) => result = Err(Error::machine(format!("cannot listen to signals: {error}"))),
    });
    result
}
