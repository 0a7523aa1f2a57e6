//! Commands of recipes: the Makefile's rules and a plugin's own tasks.

use std::ffi::OsString;

use crate::action::Job;
use crate::error::{Error, Result};
use crate::graph::{Project, STATE_DIR};
use crate::process::{Log, Program};
use crate::recipe::Task;
use crate::text;

/// Runs a command in the plugin's directory, without a shell. `bin/` and `node_modules/.bin/` of the plugin come
/// first on PATH.
pub fn run_command(project: &Project<'_>, task: &Task, command: &[String], log: &mut Log) -> Result<()> {
    let dir = project.absolute_dir()?;
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut environment = project.site.environment.clone();
    let mut path = vec![dir.join("bin"), dir.join("node_modules/.bin")];
    path.extend(
        environment
            .get("PATH")
            .map(|path| std::env::split_paths(path).collect::<Vec<_>>())
            .unwrap_or_default(),
    );
    environment.set("PATH", std::env::join_paths(path).unwrap_or_else(|_| OsString::from("/usr/bin:/bin")));
    let module = &project.label.module;
    let defaults = [("MFMODULE", module.upper()), ("MFMODULE_LOWERCASE", module.as_str().to_owned())];
    for (name, value) in defaults {
        if environment.get(name).is_none() {
            environment.set(name, value);
        }
    }
    // The rules of a Makefile are run by us: its `all` would run them, and us, again.
    environment.set("MWP_MAKE_HOOK", dir.as_os_str());
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        environment.remove(variable);
    }
    crate::shims::provide_make_fragment(&dir, STATE_DIR, project.site, &mut environment)?;
    for (name, value) in &task.set {
        environment.set(name.as_str(), value.as_str());
    }
    let found = which::which_in(program, environment.get("PATH"), &dir)
        .map_err(|_| crate::tools::missing(program))?;
    let job = Job { project, task, staging: &dir };
    let finished = Program::new(found, &dir, &environment).arguments(arguments).run(log, &job.on_line())?;
    if finished.succeeded() {
        return Ok(());
    }
    Err(Error::input(format!(
        "{}: task `{}`: `{}` failed: {}",
        text::path(&project.dir),
        text::visible(&task.name),
        text::visible(program),
        finished.ending()
    ))
    .hint(format!("its output is above and in {}", text::path(log.path()))))
}
