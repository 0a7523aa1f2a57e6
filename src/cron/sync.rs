//! The user's crontab and what is installed: what should be in it, what is, and making it so.
//!
//! The blocks are a function of what is installed and of the environment, so that nothing has to be undone: to put
//! things right after a failure is to do this again. A plugin whose crontab is broken has no block. Where the machine is
//! at fault, its block stays as it is.
//!
//! The crontab is read, changed and written under a lock that all processes of the user share. Others (`crontab -e`)
//! know no lock: it is read once more just before it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::blocks::{Blocks, Owner, Wanted, alone, apply};
use super::crontab::{self, Crontab};
use super::home::Home;
use super::plugin::{FILE, Template};
use super::variables;
use crate::env;
use crate::error::{Error, Fault, Result};
use crate::plugin::Module;
use crate::site::Site;
use crate::{text, tools};

/// The plugins whose blocks are looked at.
#[derive(Debug)]
pub struct Scope<'a> {
    pub module: &'a Module,
    pub base: &'a Path,
    /// The homes of the plugins by name; `None` where one is not installed (any more).
    pub plugins: BTreeMap<String, Option<PathBuf>>,
    /// Whether these are all that there are: other blocks of this module and base are stale.
    pub all: bool,
}

/// How a plugin's block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The plugin has no jobs and no block.
    None,
    /// The block is what it should be.
    Present,
    Missing,
    Different,
    /// There should be no block.
    Stale,
    /// The machine is at fault: whatever is there stays.
    Unknown,
}

/// One plugin.
#[derive(Debug, Clone)]
pub struct PluginJobs {
    pub name: String,
    /// As it was found.
    pub state: State,
    /// The lines that should be there.
    pub lines: Vec<String>,
    /// Why there are none, or why it is not known.
    pub problem: Option<Error>,
}

impl PluginJobs {
    /// How many of the lines are jobs, and no variables.
    pub fn jobs(&self) -> usize {
        self.lines.iter().filter(|line| variables::is_job(line)).count()
    }
}

/// Every plugin that was looked at, by name.
#[derive(Debug, Default)]
pub struct JobsReport {
    pub entries: Vec<PluginJobs>,
    pub warnings: Vec<Error>,
}

/// What should be there, as far as it is known.
struct Expected {
    owner: Owner,
    wanted: Wanted,
    problems: BTreeMap<String, Error>,
    warnings: Vec<Error>,
}

/// Whether the plugin at `home` has a crontab that holds more than comments, be it good or bad.
pub fn has_jobs(home: &Path) -> bool {
    !matches!(Template::read(home), Ok(None))
}

/// Looks and changes nothing.
pub fn inspect(scope: &Scope<'_>, site: &Site) -> Result<JobsReport> {
    let mut expected = Expected::of(scope, site);
    let Some(crontab) = Crontab::find(site) else {
        expected.refuse_jobs_without_cron()?;
        return Ok(expected.report(scope, b""));
    };
    let content = crontab.read()?;
    expected.judge(scope, &crontab, &content)?;
    Ok(expected.report(scope, &content))
}

/// Makes the crontab what it should be; the report is on how it was before.
pub fn sync(scope: &Scope<'_>, site: &Site, on_wait: &mut dyn FnMut(&str)) -> Result<JobsReport> {
    let mut expected = Expected::of(scope, site);
    let Some(crontab) = Crontab::find(site) else {
        expected.refuse_jobs_without_cron()?;
        return Ok(expected.report(scope, b""));
    };
    let _lock = crontab.lock(on_wait)?;
    let mut content = match crontab.read() {
        // Who may not use cron and need not has no trouble with it.
        Err(error) if error.fault == Fault::Machine && !scope.all && !expected.has_jobs() => {
            return Ok(expected.report(scope, b""));
        }
        content => content?,
    };
    expected.judge(scope, &crontab, &content)?;
    if expected.has_jobs() {
        Home::new(scope.module, scope.base, site).write()?;
    }
    let report = expected.report(scope, &content);
    for _ in 0..5 {
        let new = apply(&content, &expected.owner, &expected.wanted, scope.all);
        if new == content {
            break;
        }
        let now = crontab.read()?;
        if now == content {
            return match crontab.write(&new) {
                Ok(()) => Ok(report),
                Err(error) => expected.one_by_one(scope, &crontab, &content, error),
            };
        }
        content = now;
    }
    Ok(report)
}

impl Expected {
    fn of(scope: &Scope<'_>, site: &Site) -> Expected {
        let base = std::fs::canonicalize(scope.base).unwrap_or_else(|_| scope.base.to_owned());
        let owner = Owner {
            module: scope.module.upper(),
            base: text::visible_bytes(base.as_os_str().as_encoded_bytes()),
            user: String::new(),
        };
        let mut expected =
            Expected { owner, wanted: Wanted::new(), problems: BTreeMap::new(), warnings: Vec::new() };
        for (name, home) in &scope.plugins {
            match home.as_deref().map_or(Ok(Vec::new()), |home| expected.render(home, scope, site)) {
                Ok(lines) => {
                    expected.wanted.insert(name.clone(), lines);
                }
                Err(error) => expected.problem(name, error),
            }
        }
        if expected.wanted.values().any(|lines| variables::needs_user(lines)) {
            expected.owner.user = crontab::user(site);
        }
        expected
    }

    fn render(&mut self, home: &Path, scope: &Scope<'_>, site: &Site) -> Result<Vec<String>> {
        let Some(template) = Template::read(home)? else { return Ok(Vec::new()) };
        for path in [home, &site.runtime_home(scope.module)] {
            if path.to_str().is_none() {
                let shown = text::path(path);
                return Err(Error::input(format!("{shown} is not UTF-8: jobs cannot be written with it"))
                    .hint("install the plugin where the path is UTF-8"));
            }
        }
        let mut environment = env::of_plugin(home, scope.base, site)?;
        Home::new(scope.module, scope.base, site).provide(&mut environment);
        let jobs = template.render(&environment, &|| crontab::is_cronie(site))?;
        self.warnings.extend((!jobs.warnings.is_empty()).then(|| Error::many(Fault::Input, jobs.warnings)));
        Ok(jobs.lines)
    }

    /// A plugin at fault has no block; where the machine is, nothing is known.
    fn problem(&mut self, name: &str, error: Error) {
        if error.fault == Fault::Input {
            self.wanted.insert(name.to_owned(), Vec::new());
        } else {
            self.wanted.remove(name);
        }
        self.problems.insert(name.to_owned(), error);
    }

    fn has_jobs(&self) -> bool {
        self.wanted.values().any(|lines| !lines.is_empty())
    }

    fn refuse_jobs_without_cron(&self) -> Result<()> {
        let with_jobs = self.wanted.iter().filter(|(_, lines)| !lines.is_empty());
        let names: Vec<String> = with_jobs.map(|(name, _)| format!("`{name}`")).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut missing = tools::missing("crontab");
        for problem in &mut missing.problems {
            problem.message = format!("{}: the jobs of {} do not run", problem.message, names.join(", "));
        }
        Err(missing)
    }

    fn names_that_differ(&self, content: &[u8]) -> Vec<String> {
        let blocks = Blocks::parse(content);
        let differs = |name: &str, lines: &[String]| {
            let is_named = |found: &str| found == name;
            !blocks
                .of(&self.owner, &is_named)
                .any(|block| block.name == name && block.is(content, &self.owner, lines))
        };
        let jobs = self.wanted.iter().filter(|(_, lines)| !lines.is_empty());
        jobs.filter(|(name, lines)| differs(name, lines)).map(|(name, _)| name.clone()).collect()
    }

    /// Has cron itself look at the blocks that are new.
    fn judge(&mut self, scope: &Scope<'_>, crontab: &Crontab<'_>, content: &[u8]) -> Result<()> {
        let names = self.names_that_differ(content);
        if names.is_empty() {
            return Ok(());
        }
        let Some(dry_run) = crontab.dry_run()? else { return Ok(()) };
        for name in names {
            let block = alone(&self.owner, &name, &self.wanted[&name]);
            if let Some(reason) = dry_run.objection(&block)? {
                self.problem(&name, refused(scope, &name, &reason));
            }
        }
        Ok(())
    }

    /// After cron refused all together: each new block on top of those that it took.
    fn one_by_one(
        mut self,
        scope: &Scope<'_>,
        crontab: &Crontab<'_>,
        content: &[u8],
        error: Error,
    ) -> Result<JobsReport> {
        let names = self.names_that_differ(content);
        let mut wanted = self.wanted.clone();
        for name in &names {
            wanted.insert(name.clone(), Vec::new());
        }
        let without = apply(content, &self.owner, &wanted, scope.all);
        if names.is_empty() || (without != content && crontab.write(&without).is_err()) {
            return Err(error);
        }
        for name in &names {
            wanted.insert(name.clone(), self.wanted[name].clone());
            let with = apply(&crontab.read()?, &self.owner, &wanted, scope.all);
            if let Err(error) = crontab.write(&with) {
                wanted.insert(name.clone(), Vec::new());
                self.problem(name, refused(scope, name, &error.to_string()));
            }
        }
        Ok(self.report(scope, content))
    }

    fn report(&self, scope: &Scope<'_>, content: &[u8]) -> JobsReport {
        let blocks = Blocks::parse(content);
        let is_named = |name: &str| scope.plugins.contains_key(name);
        let found: Vec<_> = blocks.of(&self.owner, &is_named).collect();
        let mut names: BTreeSet<&str> = scope.plugins.keys().map(String::as_str).collect();
        names.extend(found.iter().filter(|_| scope.all).map(|block| block.name.as_str()));
        let entry = |name: &str| {
            let lines = self.wanted.get(name).cloned().unwrap_or_default();
            let blocks: Vec<_> = found.iter().filter(|block| block.name == name).collect();
            let is_unknown = scope.plugins.contains_key(name) && !self.wanted.contains_key(name);
            let state = match blocks.as_slice() {
                _ if is_unknown => State::Unknown,
                [] if lines.is_empty() => State::None,
                [] => State::Missing,
                _ if lines.is_empty() => State::Stale,
                [block] if block.is(content, &self.owner, &lines) => State::Present,
                _ => State::Different,
            };
            PluginJobs { name: name.to_owned(), state, lines, problem: self.problems.get(name).cloned() }
        };
        let mut warnings = self.warnings.clone();
        let unfinished = blocks.unfinished.iter().filter(|found| found.module == self.owner.module);
        warnings.extend(unfinished.map(|found| {
            Error::input(format!(
                "line {} of the user's crontab begins a block of `{}` that has no end; it was left as it is",
                found.line,
                text::visible(&found.name)
            ))
            .hint("remove that line, and the jobs behind it that are the plugin's, with `crontab -e`")
        }));
        JobsReport { entries: names.into_iter().map(entry).collect(), warnings }
    }
}

fn refused(scope: &Scope<'_>, name: &str, reason: &str) -> Error {
    let file = scope.base.join(name).join(FILE);
    Error::input(format!("{}: cron refuses the jobs: {reason}", text::path(&file)))
        .hint("`man 5 crontab` says what it takes")
}
