//! Installs what a lock says: node_modules.

use std::collections::BTreeSet;
use std::path::Path;

use super::failure::failure;
use super::first_install;
use super::manager::{Manager, is_in_place, packages, program, reads, warn_of_scripts, work_dir};
use super::package::Package;
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Action, Job, Reads, Scope, Snapshot};
use crate::text;

#[derive(Debug)]
pub(in crate::action) struct Modules(pub(in crate::action) &'static dyn Manager);

impl Action for Modules {
    fn name(&self) -> &str {
        self.0.modules_action()
    }

    fn version(&self) -> u32 {
        self.0.install_version()
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec!["node_modules".to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let mut reads = reads(self.0, scope)?;
        reads.inputs.push(self.0.lock_file(scope.dir).to_owned());
        reads.tools.extend(["node", self.0.name()].map(str::to_owned));
        if let Some(package) = Package::read(scope.dir)? {
            match package.scripts_read() {
                Some(files) => reads.files.extend(files.into_iter().map(Into::into)),
                // Nobody can tell what a script reads: anything in the plugin, but for what releases and Python leave.
                None => {
                    reads.files.push("".into());
                    reads.optional_inputs.extend(["!*.plugin", "!**/__pycache__"].map(str::to_owned));
                }
            }
            reads.uncacheable = package.needs_its_directory(scope.dir)?;
        }
        Ok(reads)
    }

    /// Packages that `npm install` added beside the lock.
    fn drift(&self, scope: &Scope<'_>, outputs: &Snapshot) -> Result<Vec<String>> {
        let modules = scope.dir.join("node_modules");
        if !fs::exists(&modules.join(".package-lock.json")) {
            return Ok(Vec::new());
        }
        let mut locked = BTreeSet::new();
        outputs.each_name(|file| {
            let inside = file.as_os_str().as_encoded_bytes().strip_prefix(b"node_modules/");
            locked
                .extend(inside.and_then(|inside| inside.strip_suffix(b"/package.json")).map(<[u8]>::to_vec));
        });
        let mut added = Vec::new();
        for entry in fs::list(&modules)? {
            let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
            let is_known = name.starts_with(['.', '@']) || locked.contains(name.as_bytes());
            if !is_known && !entry.is_symlink() && fs::exists(&entry.join("package.json")) {
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
        let mut dir = work_dir(self.0, job)?;
        if let Some(left) = first_install::take(self.0, job, &dir)? {
            dir = left;
        } else {
            let finished = job.run(&program(self.0, job, &dir)?.arguments(self.0.install_arguments(job)?))?;
            if !finished.succeeded() {
                return Err(failure(self.0.name(), "install the dependencies", &finished));
            }
            warn_of_scripts(self.0, job, &finished.output);
        }
        let made = dir.join("node_modules");
        if !fs::exists(&made) {
            // Nothing to install.
            fs::create_dir_all(&made)?;
        }
        let is_hidden =
            |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_empty = fs::list(&made)?.iter().all(|path| is_hidden(path));
        if is_empty && packages(job.scope.dir)?.iter().any(Package::needs_something) {
            return Err(Error::input(format!(
                "{} succeeded and left node_modules/ empty beside `dependencies`",
                self.0.name()
            ))
            .hint("node loads packages from node_modules: check the settings of the package manager, such as its linker"));
        }
        self.0.forget_place(&made)?;
        if is_in_place(job, &dir)? {
            return Ok(());
        }
        fs::rename(&made, &job.staging.join("node_modules"))
    }
}
