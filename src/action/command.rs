//! A command of a recipe: the Makefile's rules and a plugin's own tasks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};
use crate::graph::{Action, Job, STATE_DIR, Scope, Value};
use crate::plugin::Label;
use crate::process::Program;
use crate::site::Environment;
use crate::text;

/// Runs in the plugin's directory, without a shell. `bin/` and `node_modules/.bin/` of the plugin come first on PATH.
#[derive(Debug)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Variables to set.
    pub set: BTreeMap<String, String>,
}

impl Action for Command {
    fn name(&self) -> &str {
        "command"
    }

    fn definition(&self) -> BTreeMap<&'static str, Value> {
        [("command", Value::List(self.words.clone())), ("set", Value::Table(self.set.clone()))].into()
    }

    fn programs(&self) -> Vec<String> {
        self.words.first().cloned().into_iter().collect()
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn shares_outputs(&self) -> bool {
        true
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let dir = job.scope.absolute_dir()?;
        let Some((program, arguments)) = self.words.split_first() else { return Ok(()) };
        let environment = self.environment(&job.scope, &dir)?;
        let found = which::which_in(program, environment.get("PATH"), &dir)
            .map_err(|_| crate::tools::missing(program))?;
        let finished = job.run(&Program::new(found, &dir, &environment).arguments(arguments))?;
        if finished.succeeded() {
            return Ok(());
        }
        Err(Error::input(format!(
            "{}: task `{}`: `{}` failed: {}",
            text::path(job.scope.dir),
            text::visible(job.report.task()),
            text::visible(program),
            finished.ending()
        ))
        .hint(format!("its output is above and in {}", text::path(job.log.path()))))
    }
}

impl Command {
    fn environment(&self, scope: &Scope<'_>, dir: &Path) -> Result<Environment> {
        let mut environment = scope.site.environment.clone();
        let mut path = vec![dir.join("bin"), dir.join("node_modules/.bin")];
        path.extend(environment.get("PATH").into_iter().flat_map(std::env::split_paths));
        environment
            .set("PATH", std::env::join_paths(path).unwrap_or_else(|_| OsString::from("/usr/bin:/bin")));
        // A rule of the Makefile may be what makes the label.
        if let Ok(Label { module, .. }) = Label::read(scope.dir) {
            let defaults = [("MFMODULE", module.upper()), ("MFMODULE_LOWERCASE", module.as_str().to_owned())];
            for (name, value) in defaults {
                if environment.get(name).is_none() {
                    environment.set(name, value);
                }
            }
        }
        // The rules of a Makefile are run by us: its `all` would run them, and us, again.
        environment.set("MWP_MAKE_HOOK", dir.as_os_str());
        for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
            environment.remove(variable);
        }
        crate::shims::provide_make_fragment(dir, STATE_DIR, scope.site, &mut environment)?;
        for (name, value) in &self.set {
            environment.set(name.as_str(), value.as_str());
        }
        Ok(environment)
    }
}
