//! A plugin's `python3_virtualenv_sources`: what each step reads there, and what it makes of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{LOCK, SOURCES, WANTED};
use crate::env;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::graph::{Reads, Scope, Upgrade, Value};
use crate::process::Log;
use crate::python::{
    BinaryPolicy, Demands, Fetch, Frozen, Interpreter, Lock, PyLock, Request, Resolver, Sources, Stated,
    Verdict, Wanted, Wheel, canonical_name, local_files, local_paths, provided, stated,
};
use crate::site::Site;
use crate::store::Store;
use crate::tools::Tools;

const HINT_OVERRIDE: &str = "the layers' own packages are constraints; make an empty file `python3_virtualenv_sources/override` to override them";

/// Variables that compilers go by, and those who call them.
const COMPILER: [&str; 19] = [
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "AR",
    "ARFLAGS",
    "LDSHARED",
    "FC",
    "FFLAGS",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "CMAKE_ARGS",
    "CMAKE_PREFIX_PATH",
    "RUSTFLAGS",
];

/// The Python part of one plugin.
pub(super) struct Plugin<'a> {
    /// As the user named it, for messages.
    pub(super) dir: &'a Path,
    pub(super) site: &'a Site,
    pub(super) tools: &'a Tools<'a>,
    pub(super) offline: bool,
}

impl<'a> Plugin<'a> {
    pub(super) fn of(scope: &Scope<'a>, offline: bool) -> Plugin<'a> {
        Plugin { dir: scope.dir, site: scope.site, tools: scope.tools, offline }
    }

    fn sources(&self) -> PathBuf {
        self.dir.join(SOURCES)
    }

    /// For programs that start elsewhere.
    fn absolute(&self) -> Result<PathBuf> {
        use crate::error::At;
        std::fs::canonicalize(self.sources()).at("read", &self.sources())
    }

    /// Nothing where the plugin has a lock alone.
    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted::read(&self.dir.join(WANTED), &self.site.environment)?.unwrap_or_default())
    }

    /// The option lines of the lock.
    fn options(&self, lock: &str) -> Vec<Stated> {
        let lines = stated(lock, &self.dir.join(LOCK), &self.site.environment).into_iter();
        lines.filter(|stated| stated.line.as_option().is_some()).collect()
    }

    fn has_wanted(&self) -> bool {
        fs::exists(&self.dir.join(WANTED))
    }

    /// Whether another tool or a person made the lock.
    pub(super) fn has_foreign_lock(&self) -> Result<bool> {
        Ok(self.lock()?.is_some_and(|text| Lock::parse(&text).is_foreign()))
    }

    /// What was found as files and settings, by names from the plugin's directory.
    fn reads(&self, sources: &Sources, files: &BTreeSet<PathBuf>) -> Result<Reads> {
        use crate::error::At;
        let plugin = std::fs::canonicalize(self.dir).at("read", self.dir)?;
        let inside = |path: &PathBuf| {
            let inside = path.strip_prefix(&plugin).or_else(|_| path.strip_prefix(self.dir));
            inside.map_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.clone()), Path::to_owned)
        };
        let facts = sources.facts(&plugin).into_iter();
        Ok(Reads {
            files: files.iter().map(inside).collect(),
            settings: facts.map(|(name, value)| (format!("pip's {name}"), Value::Text(value))).collect(),
            ..Reads::default()
        })
    }

    fn lock(&self) -> Result<Option<String>> {
        fs::read_text_optional(&self.dir.join(LOCK))
    }

    fn overrides_layers(&self) -> bool {
        fs::exists(&self.sources().join("override"))
    }

    /// Requirement files of layers that count.
    fn layers(&self, interpreter: &Interpreter) -> Result<Vec<PathBuf>> {
        match self.overrides_layers() {
            true => Ok(Vec::new()),
            false => env::requirement_files(self.site, self.dir, &interpreter.short_version),
        }
    }

    fn resolver(&self) -> Result<Resolver<'_>> {
        Resolver::new(self.site, self.tools, &self.absolute()?, self.offline)
    }

    /// What freezing reads: included files, constraints, what local directories offer, local projects.
    pub(super) fn freeze_reads(&self) -> Result<Reads> {
        let wanted = self.wanted()?;
        let directory = self.absolute()?;
        let sources = Sources::new(self.site, &directory, &wanted.options);
        let mut files: BTreeSet<PathBuf> = wanted.files.iter().skip(1).cloned().collect();
        files.extend(sources.files(&self.site.environment)?);
        files.extend(self.layers(&Interpreter::find(self.tools)?)?);
        for stated in &wanted.requirements {
            let path = stated.line.local_path(&self.site.environment);
            // One that is not there is an error when it is needed.
            if let Some(path) = path.map(|path| directory.join(path)).filter(|path| path.exists()) {
                files.extend(local_files(&path)?);
            }
        }
        self.reads(&sources, &files)
    }

    /// What making wheels reads: what local directories offer, constraints, and the projects that the lock names.
    pub(super) fn wheels_reads(&self) -> Result<Reads> {
        let directory = self.absolute()?;
        let Some(text) = self.lock()? else { return Ok(Reads::default()) };
        let sources = Sources::new(self.site, &directory, &self.options(&text));
        let mut files: BTreeSet<PathBuf> = sources.files(&self.site.environment)?.into_iter().collect();
        for path in local_paths(&Lock::parse(&text), &directory, &self.site.environment) {
            if path.exists() {
                files.extend(local_files(&path)?);
            }
        }
        let mut reads = self.reads(&sources, &files)?;
        // Where there are none, nobody has to read the whole lock for what is ready-made and depends on no compiler.
        let compiler = COMPILER.iter().filter(|name| self.site.environment.get(name).is_some());
        let compiler: Vec<String> = compiler.map(|name| (*name).to_owned()).collect();
        if !compiler.is_empty() && self.compiles(&text)? {
            reads.environment = compiler;
        }
        Ok(reads)
    }

    fn policy(&self) -> Result<BinaryPolicy> {
        let content = fs::read_text_optional(&self.sources().join("allow_binary_packages"))?;
        Ok(BinaryPolicy::of(content.as_deref()))
    }

    /// Whether anything in the lock may have to be compiled.
    fn compiles(&self, lock: &str) -> Result<bool> {
        let (policy, files) = (self.policy()?, PyLock::read(&self.sources())?);
        let interpreter = Interpreter::find(self.tools)?;
        Ok(Lock::parse(lock).requirements.lines.iter().filter(|line| line.as_option().is_none()).any(
            |line| {
                let Some(name) = line.name() else { return true };
                let package = files.as_ref().and_then(|files| files.package(&name));
                let is_ready = package
                    .is_none_or(|package| package.wheels().any(|wheel| interpreter.accepts(&wheel).is_ok()));
                !policy.may_be_binary(&name) || !is_ready
            },
        ))
    }

    /// Whether the lock is what the requirements ask for; `None` where there is no lock.
    pub(super) fn verdict(&self) -> Result<Option<Verdict>> {
        let Some(text) = self.lock()? else { return Ok(None) };
        let files = PyLock::read(&self.sources())?;
        if !self.has_wanted() {
            return Ok(Some(Lock::parse(&text).verdict_alone(files.as_ref())));
        }
        let wanted = self.wanted()?;
        wanted.check()?;
        let interpreter = Interpreter::find(self.tools)?;
        let mut wheels = Wheel::in_dir(&self.sources().join("src"))?;
        // A clone has made none yet; what local directories offer tells the same.
        for link in Sources::new(self.site, &self.absolute()?, &wanted.options).local_links() {
            if link.is_dir() {
                wheels.extend(Wheel::in_dir(link)?);
            }
        }
        self.judge(&text, &wanted, &interpreter, files.as_ref(), &wheels, Lock::verdict).map(Some)
    }

    fn judge<T>(
        &self,
        lock: &str,
        wanted: &Wanted,
        interpreter: &Interpreter,
        files: Option<&PyLock>,
        wheels: &[Wheel],
        question: impl Fn(&Lock, &Demands<'_>) -> Result<T>,
    ) -> Result<T> {
        let provided = provided(&self.layers(interpreter)?)?;
        let directory = self.absolute()?;
        let mut constraints = Wanted::default();
        for file in Sources::new(self.site, &directory, &wanted.options).constraint_files() {
            constraints.add_constraints(file, &self.site.environment)?;
        }
        let demands = Demands {
            wanted,
            origin: &Lock::origin(wanted, self.overrides_layers()),
            constraints: &constraints.constraints,
            provided: &provided,
            markers: &interpreter.markers,
            directory: &directory,
            environment: &self.site.environment,
            files,
            wheels,
        };
        question(&Lock::parse(lock), &demands)
    }

    /// Makes both locks; nothing is written.
    pub(super) fn freeze(
        &self,
        upgrade: &Upgrade,
        staging: &Path,
        log: &mut Log,
        on_line: &dyn Fn(&str),
    ) -> Result<Frozen> {
        let mut wanted = self.wanted()?;
        let resolver = self.resolver()?;
        let layers = self.layers(resolver.interpreter())?;
        let (old, old_files) = (self.lock()?, PyLock::read(&self.sources()).unwrap_or_default());
        if let (false, Some(text)) = (self.has_wanted(), &old) {
            wanted.options = self.options(text);
        }
        let mut packages = match upgrade {
            Upgrade::Packages(packages) => packages.clone(),
            Upgrade::Nothing | Upgrade::Everything => Vec::new(),
        };
        if fs::exists(&self.dir.join("package.json")) {
            // A name that is not Python's is one of Node's.
            let known = Lock::parse(old.as_deref().unwrap_or_default());
            packages.retain(|package| {
                let name = canonical_name(package.split("==").next().unwrap_or_default());
                known.pins().any(|pin| pin.name == name)
            });
        }
        let request = Request {
            wanted: &wanted,
            is_alone: !self.has_wanted(),
            layers: &layers,
            old: old.as_deref(),
            old_files: old_files.as_ref(),
            upgrade: &packages,
            upgrade_all: *upgrade == Upgrade::Everything,
            origin: &Lock::origin(&wanted, self.overrides_layers()),
            staging,
        };
        resolver.freeze(&request, log, on_line).map_err(|error| {
            let is_about_requirements = error.fault == Fault::Input;
            if layers.is_empty() || !is_about_requirements { error } else { error.hint(HINT_OVERRIDE) }
        })
    }

    /// Fetches or compiles the wheels of the lock into `into`.
    pub(super) fn wheels(
        &self,
        store: &Store,
        into: &Path,
        log: &mut Log,
        on_line: &dyn Fn(&str),
        on_warning: &dyn Fn(&str),
    ) -> Result<()> {
        let file = self.dir.join(LOCK);
        let text = fs::read_text(&file)?;
        if Lock::parse(&text).requirements.is_empty() {
            return Ok(());
        }
        let files = PyLock::read(&self.sources())?;
        let build_constraint = self.absolute()?.join("build_constraint");
        let compiler = COMPILER.map(|name| {
            let value = self.site.environment.get(name).map(|value| value.to_string_lossy().into_owned());
            (name.to_owned(), value)
        });
        let resolver = self.resolver()?;
        let fetch = Fetch {
            file: &file,
            lock: &text,
            files: files.as_ref(),
            policy: self.policy()?,
            build_constraint: build_constraint.exists().then_some(build_constraint.as_path()),
            compiler: &compiler,
            store,
            into,
            on_line,
            on_warning,
        };
        let made = resolver.fetch(&fetch, log)?;
        if !self.has_wanted() {
            return Ok(());
        }
        // Only now is there something that tells what the extras need.
        let missing = self.judge(
            &text,
            &self.wanted()?,
            resolver.interpreter(),
            files.as_ref(),
            &made,
            Lock::missing_for_extras,
        )?;
        match missing {
            Some(verdict) => {
                Err(Error::input(format!("{}: {verdict}", crate::text::path(&file)))
                    .hint("`mwp lock` adds it"))
            }
            None => Ok(()),
        }
    }
}
