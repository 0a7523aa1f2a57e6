//! `postinstall`: the plugin's own last step, in its environment and from its final home.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::env;
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::plugin::PluginName;
use crate::process::{Log, Program};
use crate::site::Site;
use crate::text;

/// Runs it where it is there and executable; its output goes to the log `postinstall_{name}.log` of the module and,
/// after a failure, into the error.
pub(super) fn run(home: &Path, name: &PluginName, base: &Base, log_dir: &Path, site: &Site) -> Result<()> {
    let script = home.join("postinstall");
    let is_executable = script
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Ok(());
    }
    let environment = env::of_plugin(home, &base.dir, site)?;
    fs::create_own_dir_all(log_dir)?;
    let mut log = Log::create(&log_dir.join(format!("postinstall_{name}.log")))?;
    let finished = Program::new(&script, home, &environment).run(&mut log, &|_| {})?;
    if finished.succeeded() {
        return Ok(());
    }
    let last = finished.output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(Error::input(format!(
        "`postinstall` of the plugin `{name}` failed: {}: {}",
        finished.ending(),
        text::visible(last.trim())
    ))
    .hint(format!("its output is in {}; nothing was installed", text::path(log.path()))))
}
