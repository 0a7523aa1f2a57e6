//! The process above the supervisor: starts it again where it was killed, and ends whatever it left.
//!
//! It does next to nothing, so that nothing of its own can go wrong. It is the reaper of all that the supervisor
//! starts, however that tries to get away; and should it die itself, the kernel tells the supervisor to end.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{At, Error, Result};
use crate::fs::{self, Lock};
use crate::plugin::Module;
use crate::process::{Birth, tree};
use crate::run::control::DYING;
use crate::site::Site;
use crate::threads;

/// A supervisor that ends as soon as this did not get far.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// Between two starts, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What Rust has for a panic.
const PANICKED: i32 = 101;

/// Runs `program` as the supervisor of the module until it ends by itself, and returns its exit code. `on_death` is
/// told when it was killed and is started again.
pub fn guard(
    program: &Path,
    arguments: &[OsString],
    module: &Module,
    site: &Site,
    on_death: &dyn Fn(&str),
) -> Result<u8> {
    let _lock = lock(module, site)?;
    // Whoever brings a module up wants all of it; a supervisor that was killed comes back as it was.
    super::desired::forget(&site.runtime_home(module).join("var"))?;
    tree::adopt_orphans();
    let child = Arc::new(AtomicI32::new(0));
    let terminated = Arc::new(AtomicBool::new(false));
    forward_signals(Arc::clone(&child), Arc::clone(&terminated))?;
    let mut failures = 0;
    let mut was_up = false;
    loop {
        let begun = Instant::now();
        let mut running = supervisor(program, arguments).spawn().at("run", program)?;
        child.store(i32::try_from(running.id()).unwrap_or(0), Ordering::SeqCst);
        let status = running.wait().at("wait for", program)?;
        child.store(0, Ordering::SeqCst);
        tree::kill_descendants();
        was_up |= begun.elapsed() >= SHORT_LIFE;
        match status.code() {
            // An order, or a mistake that whoever starts the module is to know of.
            Some(code) if code == 0 || (code != PANICKED && !was_up) => {
                return Ok(u8::try_from(code).unwrap_or(u8::MAX));
            }
            _ if terminated.load(Ordering::SeqCst) => return Ok(crate::exit::INTERRUPTED),
            _ => {}
        }
        // It has been up, and is to be up again whatever keeps it from that now: that may be mended.
        was_up = true;
        failures = if begun.elapsed() < SHORT_LIFE { failures + 1 } else { 0 };
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("signal {signal}"),
            (_, Some(code)) if code != PANICKED => format!("exit code {code}"),
            _ => "a fault of its own".to_owned(),
        };
        on_death(&format!("the supervisor of {module} was ended by {how}, and is started again"));
        let wait = Duration::from_millis(50) * 2u32.saturating_pow(failures.min(16));
        std::thread::sleep(wait.min(LONGEST_WAIT));
        if terminated.load(Ordering::SeqCst) {
            return Ok(crate::exit::INTERRUPTED);
        }
    }
}

/// One guardian per module.
fn lock(module: &Module, site: &Site) -> Result<Lock> {
    let var = site.runtime_home(module).join("var");
    fs::create_own_dir_all(&var)?;
    let lock = Lock::acquire_within(&var.join("mwp.lock"), "up", DYING)?;
    lock.ok_or_else(|| {
        Error::input(format!("{module} is up already")).hint("`mwp status` shows it, `mwp down` ends it")
    })
}

fn supervisor(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    // A group of its own: ^C reaches this process alone, which passes it on.
    Birth::in_group().ended_with_parent(Signal::TERM).of(&mut command);
    command
}

fn forward_signals(child: Arc<AtomicI32>, terminated: Arc<AtomicBool>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Error::machine(format!("cannot listen to signals: {error}")))?;
    threads::start("signals", move || {
        for signal in signals.forever() {
            // A terminal that closes ends what it started; without one, this signal is for reloading.
            let is_reload = signal == SIGHUP && !std::io::stdin().is_terminal();
            let signal = if is_reload { Signal::HUP } else { Signal::TERM };
            terminated.fetch_or(!is_reload, Ordering::SeqCst);
            if let Some(pid) = Pid::from_raw(child.load(Ordering::SeqCst)) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    })?;
    Ok(())
}
