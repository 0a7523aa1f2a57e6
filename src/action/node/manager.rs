//! What package managers have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::package::Package;
use crate::digest::Digest;
use crate::error::{At, Result};
use crate::fs;
use crate::graph::{Job, LockCheck, Reads, Scope, Value};
use crate::process::Program;
use crate::{text, tools};

/// A package manager of Node.js.
pub(in crate::action) trait Manager: fmt::Debug + Send + Sync {
    /// The program.
    fn name(&self) -> &'static str;

    /// The names of its two actions.
    fn lock_action(&self) -> &'static str;
    fn modules_action(&self) -> &'static str;

    /// The lock in that directory, or the one that it would make there.
    fn lock_file(&self, dir: &Path) -> &'static str;

    /// Files beside package.json that tell it what to install and from where.
    fn settings(&self) -> &'static [&'static str];

    /// Whether what the lock was made from is what package.json, and those of the workspaces, ask for.
    fn check_lock(&self, dir: &Path, packages: &[Package]) -> Result<LockCheck>;

    /// The packages of a lock: name and version, `name@version` where a name is there more than once.
    fn locked(&self, lock: &str) -> BTreeMap<String, String>;

    /// Takes out of a lock what would keep it from being made again: files that are others now.
    fn forget_changed(&self, lock: &Path, dir: &Path) -> Result<()> {
        let _ = (lock, dir);
        Ok(())
    }

    /// Takes more out of a lock that could not be mended; whether there was anything.
    fn loosen(&self, lock: &Path, package: &Package) -> Result<bool> {
        let _ = (lock, package);
        Ok(false)
    }

    /// Leaves nothing locked, where the lock is to be made anew.
    fn start_lock(&self, lock: &Path) -> Result<()> {
        fs::remove_file(lock)
    }

    /// How it makes a lock and nothing else.
    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<String>>;

    /// How it moves these packages of a lock to their newest versions, or those given as `NAME==VERSION`.
    fn upgrade_arguments(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<String>>;

    /// How it makes a lock and installs what that says in one run, where it does so in less time than in two.
    fn first_install_arguments(&self, job: &Job<'_>) -> Option<Vec<String>> {
        let _ = job;
        None
    }

    /// How it installs what a lock says.
    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<String>>;

    /// Raised when it installs something else from the same facts.
    fn install_version(&self) -> u32 {
        1
    }

    /// The packages whose install scripts it says it has not run, for want of leave; with the setting that gives it.
    fn scripts_not_run(&self, output: &str) -> (Vec<String>, &'static str);

    /// Takes out of node_modules what is true in the directory alone in which it was made.
    fn forget_place(&self, modules: &Path) -> Result<()> {
        let _ = modules;
        Ok(())
    }
}

/// The plugin's own package and those of its workspaces; empty where it has none.
pub(super) fn packages(dir: &Path) -> Result<Vec<Package>> {
    let Some(root) = Package::read(dir)? else { return Ok(Vec::new()) };
    let mut packages = root.members(dir)?;
    packages.insert(0, root);
    Ok(packages)
}

/// What both actions depend on.
pub(super) fn reads(manager: &dyn Manager, scope: &Scope<'_>) -> Result<Reads> {
    let packages = packages(scope.dir)?;
    let mut files: Vec<PathBuf> = manager.settings().iter().map(PathBuf::from).collect();
    let mut lock_facts = BTreeMap::new();
    for package in &packages {
        if package.dir != Path::new("") {
            files.push(package.dir.join("package.json"));
        }
        files.extend(package.local_paths());
        for (field, value) in package.steering() {
            let name = format!("{field} of {}", package.dir.join("package.json").display());
            lock_facts.insert(name, Value::Text(value));
        }
    }
    files.extend(
        ["patches", ".pnpmfile.cjs", ".yarn/patches", ".yarn/releases", ".yarn/plugins"].map(PathBuf::from),
    );
    files.sort();
    files.dedup();
    Ok(Reads {
        inputs: vec!["package.json".to_owned()],
        // A package in a directory has its own of these.
        optional_inputs: vec!["!**/node_modules".to_owned()],
        files,
        environment: environment(scope),
        settings: user_settings(scope)?,
        lock_facts,
        ..Reads::default()
    })
}

/// The variables that package managers read, less those that change no result.
fn environment(scope: &Scope<'_>) -> Vec<String> {
    const HARMLESS: [&str; 17] = [
        "audit",
        "cache",
        "color",
        "fund",
        "global_prefix",
        "globalconfig",
        "init_module",
        "local_prefix",
        "loglevel",
        "node_gyp",
        "noproxy",
        "npm_version",
        "prefix",
        "progress",
        "update_notifier",
        "user_agent",
        "userconfig",
    ];
    let mut names: Vec<String> = vec!["NODE_ENV".to_owned()];
    for (name, _) in scope.site.environment.iter() {
        let Some(name) = name.to_str() else { continue };
        let lower = name.to_ascii_lowercase();
        let counts = match lower.strip_prefix("npm_config_") {
            Some(option) => !HARMLESS.contains(&option) && !option.ends_with("authtoken"),
            None => lower.starts_with("yarn_") || lower.starts_with("pnpm_config_"),
        };
        if counts {
            names.push(name.to_owned());
        }
    }
    names
}

/// What the user's and the machine's npmrc say, less credentials, which change no result.
pub(super) fn user_settings(scope: &Scope<'_>) -> Result<BTreeMap<String, Value>> {
    let environment = &scope.site.environment;
    let named = |variable: &str| {
        environment
            .path(&format!("npm_config_{variable}"))
            .or_else(|| environment.path(&format!("NPM_CONFIG_{}", variable.to_ascii_uppercase())))
    };
    let user = named("userconfig").unwrap_or_else(|| scope.site.home.join(".npmrc"));
    let machine = named("globalconfig").or_else(|| {
        // npm's prefix is where node is.
        let node = std::fs::canonicalize(scope.tools.find("node")?).ok()?;
        Some(node.parent()?.parent()?.join("etc/npmrc"))
    });
    let mut settings = BTreeMap::new();
    let yarn = scope.site.home.join(".yarnrc.yml");
    let files = [
        ("the user's npmrc", Some(user)),
        ("the machine's npmrc", machine),
        ("the user's yarnrc", Some(yarn)),
    ];
    for (name, file) in files {
        let Some(content) = file.map(|file| fs::read_optional(&file)).transpose()?.flatten() else {
            continue;
        };
        let content = String::from_utf8_lossy(&content);
        let counts = |line: &&str| {
            let key = line.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            let is_comment = key.is_empty() || key.starts_with(['#', ';']);
            let is_credential =
                ["auth", "password", "username", "email"].iter().any(|word| key.contains(word));
            !is_comment && !is_credential && !matches!(key.as_str(), "cache" | "loglevel" | "fund" | "audit")
        };
        let lines: Vec<&str> = content.lines().map(str::trim).filter(counts).collect();
        if !lines.is_empty() {
            settings.insert(name.to_owned(), Value::Hidden(Some(Digest::of(lines.join("\n").as_bytes()))));
        }
    }
    Ok(settings)
}

/// Without its install script a package may lack what it compiles or fetches, and the package manager ends well.
pub(super) fn warn_of_scripts(manager: &dyn Manager, job: &Job<'_>, output: &str) {
    let (packages, setting) = manager.scripts_not_run(output);
    if !packages.is_empty() {
        let packages = text::visible(&packages.join(", "));
        let name = manager.name();
        job.report.warn(&format!(
            "{name} did not run the install scripts of {packages}: where they are needed, {setting} allows them"
        ));
    }
}

/// A package manager as a program, in `dir`.
pub(super) fn program(manager: &dyn Manager, job: &Job<'_>, dir: &Path) -> Result<Program> {
    let path = job.scope.tools.find(manager.name()).ok_or_else(|| tools::missing(manager.name()))?;
    Ok(Program::new(path, dir, &job.scope.site.environment)
        .set("npm_config_audit", "false")
        .set("npm_config_fund", "false")
        .set("npm_config_update_notifier", "false")
        .set("npm_config_yes", "false")
        .set("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0")
        // Plugins are run by plain node, which knows node_modules alone.
        .set("YARN_NODE_LINKER", "node-modules")
        .set("YARN_ENABLE_TELEMETRY", "0"))
}

/// Where it runs: a copy of the settings in the staging directory, so that nothing but the result changes; the
/// plugin's own directory where it has to see more than those.
pub(super) fn work_dir(manager: &dyn Manager, job: &Job<'_>) -> Result<PathBuf> {
    if let Some(package) = Package::read(job.scope.dir)?
        && package.needs_its_directory(job.scope.dir)?
    {
        return job.scope.absolute_dir();
    }
    let dir = std::fs::canonicalize(job.staging).at("read", job.staging)?.join("node");
    fs::create_dir_all(&dir)?;
    for name in ["package.json", manager.lock_file(job.scope.dir)].iter().chain(manager.settings()) {
        let file = job.scope.dir.join(name);
        if file.is_file() {
            fs::copy_file(&file, &dir.join(name))?;
        }
    }
    Ok(dir)
}

pub(super) fn is_in_place(job: &Job<'_>, dir: &Path) -> Result<bool> {
    Ok(job.scope.absolute_dir()? == dir)
}
