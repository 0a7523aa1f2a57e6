//! Installs what a lock says: node_modules.

use std::path::Path;

use super::failure::failure;
use super::manager::{Manager, is_in_place, program, work_dir};
use super::package::Package;
use crate::error::Result;
use crate::fs;
use crate::graph::{Action, Job, Reads, Scope, Snapshot};
use crate::text;

#[derive(Debug)]
pub(in crate::action) struct Modules(pub(in crate::action) &'static dyn Manager);

impl Action for Modules {
    fn name(&self) -> &str {
        self.0.modules_action()
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec!["node_modules".to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let sees_more =
            Package::read(scope.dir)?.is_some_and(|package| package.sees_more_than_settings(scope.dir));
        let mut tools = vec!["node"];
        tools.extend(Some(self.0.name()).filter(|name| *name != "npm"));
        Ok(Reads {
            inputs: named(&["package.json", self.0.lock_file()]),
            optional_inputs: named(self.0.settings()),
            environment: named(&["NODE_ENV", "NPM_CONFIG_OMIT", "npm_config_omit"]),
            tools: named(&tools),
            uncacheable: sees_more,
            ..Reads::default()
        })
    }

    /// Packages that `npm install` added beside the lock.
    fn drift(&self, scope: &Scope<'_>, outputs: &Snapshot) -> Result<Vec<String>> {
        let modules = scope.dir.join("node_modules");
        if !fs::exists(&modules.join(".package-lock.json")) {
            return Ok(Vec::new());
        }
        let mut added = Vec::new();
        for entry in fs::list(&modules)? {
            let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with(['.', '@']) || entry.is_symlink() || !fs::exists(&entry.join("package.json"))
            {
                continue;
            }
            if outputs.get(&Path::new("node_modules").join(name).join("package.json")).is_none() {
                added.push(name.to_owned());
            }
        }
        Ok(if added.is_empty() {
            Vec::new()
        } else {
            vec![format!(
                "node_modules/ has drifted from its lock: {} installed and not in the lock; add to package.json, or `mwp build --force` removes it",
                text::visible(&added.join(", "))
            )]
        })
    }

    /// Installs in a directory of its own that is then put in place as a whole.
    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let dir = work_dir(self.0, job)?;
        let finished = job.run(&program(self.0, job, &dir)?.arguments(self.0.install_arguments(job)?))?;
        if !finished.succeeded() {
            return Err(failure(self.0.name(), "install the dependencies", &finished));
        }
        let made = dir.join("node_modules");
        if !fs::exists(&made) {
            // Nothing to install.
            fs::create_dir_all(&made)?;
        }
        if is_in_place(job, &dir)? {
            return Ok(());
        }
        fs::rename(&made, &job.staging.join("node_modules"))
    }
}
