//! The user's crontab, which only the program `crontab` may read and write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fs::{self, Lock, Staging};
use crate::process::Program;
use crate::site::Site;
use crate::text;

/// How long one process waits for another one that changes the crontab: it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The crontab of the user who runs this.
#[derive(Debug)]
pub(super) struct Crontab<'a> {
    program: PathBuf,
    site: &'a Site,
}

impl<'a> Crontab<'a> {
    /// `None` where there is no cron on this machine.
    pub(super) fn find(site: &'a Site) -> Option<Crontab<'a>> {
        let program = which::which_in("crontab", site.environment.get("PATH"), "/").ok()?;
        Some(Crontab { program, site })
    }

    /// No other `mwp` of this user changes the crontab while this is held.
    pub(super) fn lock(&self, on_wait: &mut dyn FnMut(&str)) -> Result<Lock> {
        fs::create_dir_all(&self.site.cache)?;
        Lock::acquire(&self.site.cache.join("crontab.lock"), "crontab", PATIENCE, on_wait)
    }

    fn program(&self, directory: &Path) -> Program {
        // Its messages are read here.
        Program::new(&self.program, directory, &self.site.environment).set("LC_ALL", "C")
    }

    /// Its text; empty where the user has none. Never empty for another reason: it would be written back.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let output = self.program(Path::new("/")).argument("-l").output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let reason = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if output.stdout.is_empty() && (reason.contains("no crontab") || reason.contains("no such file")) {
            return Ok(Vec::new());
        }
        Err(failed("read", &output.stderr).hint("see what `crontab -l` says"))
    }

    /// Replaces it, in one step, or leaves it as it was.
    pub(super) fn write(&self, content: &[u8]) -> Result<()> {
        if content.is_empty() {
            let output = self.program(Path::new("/")).argument("-r").output()?;
            return if output.status.success() { Ok(()) } else { Err(failed("remove", &output.stderr)) };
        }
        let staging = staging(self.site)?;
        let file = staging.join("crontab");
        fs::write_atomic(&file, content)?;
        let output = self.program(staging.path()).argument(&file).output()?;
        if output.status.success() { Ok(()) } else { Err(failed("change", &output.stderr)) }
    }

    /// How this cron is asked for its opinion of a file without installing it, where it can be. Beware: `-n` means
    /// something else to others.
    pub(super) fn dry_run(&self) -> Result<Option<DryRun<'_>>> {
        let output = self.program(Path::new("/")).argument("-h").output()?;
        let help = [output.stdout, output.stderr].concat();
        let help = String::from_utf8_lossy(&help);
        let option = match () {
            () if help.contains("(dry run") => "-n",
            () if help.lines().any(|line| line.trim_start().starts_with("-T ")) => "-T",
            () => return Ok(None),
        };
        Ok(Some(DryRun { crontab: self, option }))
    }
}

/// Whether the machine's cron is cronie, or there is none to say otherwise.
pub(super) fn is_cronie(site: &Site) -> bool {
    let Some(crontab) = Crontab::find(site) else { return true };
    let output = crontab.program(Path::new("/")).argument("-V").output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_lowercase().contains("cronie")
    })
}

/// The name of the user whose crontab it is.
pub(super) fn user(site: &Site) -> String {
    let output = Program::new(Path::new("id"), Path::new("/"), &site.environment).argument("-un").output();
    let told = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let told = told.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    told.or_else(|| site.environment.text("LOGNAME").map(str::to_owned)).unwrap_or_default()
}

/// Cron's own reader.
#[derive(Debug)]
pub(super) struct DryRun<'a> {
    crontab: &'a Crontab<'a>,
    option: &'static str,
}

impl DryRun<'_> {
    /// Why it would not take this text.
    pub(super) fn objection(&self, content: &[u8]) -> Result<Option<String>> {
        let staging = staging(self.crontab.site)?;
        let file = staging.join("crontab");
        fs::write_atomic(&file, content)?;
        let program = self.crontab.program(staging.path()).argument(self.option).argument(&file);
        let output = program.output()?;
        Ok((!output.status.success()).then(|| reason(&output.stderr)))
    }
}

/// For a file that `crontab` is to read.
fn staging(site: &Site) -> Result<Staging> {
    fs::sweep(&site.cache);
    Staging::claimed_in(&site.cache)
}

fn failed(what: &str, stderr: &[u8]) -> Error {
    Error::machine(format!("cannot {what} the user's crontab: {}", reason(stderr)))
}

/// What it said first, without the name of a file that nobody knows: `"/tmp/x":3: bad minute`.
fn reason(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("`crontab` gave no reason");
    let is_about_file = line.starts_with(['"', '/']);
    let line = line.rsplit_once(": ").filter(|_| is_about_file).map_or(line, |(_, reason)| reason);
    text::visible(line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_cron_said_first() {
        for (said, told) in [
            (
                &b"\"/tmp/a b/crontab\":3: bad minute\nerrors in crontab file, can't install.\n"[..],
                "bad minute",
            ),
            (
                b"new crontab file is missing newline before EOF, can't install.\n",
                "new crontab file is missing newline before EOF, can't install.",
            ),
            (
                b"You (me) are not allowed to use this program (crontab)\nSee crontab(1)\n",
                "You (me) are not allowed to use this program (crontab)",
            ),
            (b"", "`crontab` gave no reason"),
        ] {
            assert_eq!(reason(said), told);
        }
    }
}
