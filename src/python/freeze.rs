//! From requirements to a lock, which changes as little as it must: pins that still fit stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use pep508_rs::MarkerEnvironment;
use serde::Serialize;

use super::lock::{Lock, Pin, address};
use super::other_files::may_have_more;
use super::pylock::{File, Package, PyLock, relative};
use super::requirements::{Line, Requirements, plain};
use super::resolver::Resolver;
use super::sources::Sources;
use super::wanted::{Stated, Wanted, absent_path, stated};
use super::{canonical_name, local, pip, uv};
use crate::digest::Digest;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::process::Log;
use crate::text;

/// What is to be frozen.
pub struct Request<'a> {
    pub wanted: &'a Wanted,
    /// There are no requirements: the lock is all that the plugin asks for, and gets nothing more.
    pub is_alone: bool,
    /// Requirement files of layers: their versions are constraints, and what they bring is not pinned again.
    pub layers: &'a [PathBuf],
    /// The lock as it is: its text, where there is one.
    pub old: Option<&'a str>,
    pub old_files: Option<&'a PyLock>,
    /// Packages whose pins may become newer: `name` or `name==version`.
    pub upgrade: &'a [String],
    pub upgrade_all: bool,
    pub origin: &'a Digest,
    /// For work in progress.
    pub staging: &'a Path,
}

/// The two locks, and what changed.
#[derive(Debug)]
pub struct Frozen {
    pub lock: String,
    pub files: PyLock,
    pub changes: Vec<Change>,
    /// Pins of which the files for other machines are not known, as no index could be asked.
    pub partial: Vec<Pin>,
}

/// One line of the summary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = text::visible(&self.name);
        match (self.old.as_deref().map(text::visible), self.new.as_deref().map(text::visible)) {
            (None, Some(new)) => write!(f, "+ {name} {new}"),
            (Some(old), None) => write!(f, "- {name} {old}"),
            (old, new) => write!(f, "~ {name} {} → {}", old.unwrap_or_default(), new.unwrap_or_default()),
        }
    }
}

/// What a tool is asked to resolve.
pub(super) struct Question<'a> {
    pub(super) lines: Vec<String>,
    pub(super) constraints: Vec<String>,
    /// Versions to keep where that can be.
    pub(super) prefer: Vec<Pin>,
    pub(super) sources: &'a Sources,
    pub(super) options: &'a [Stated],
    pub(super) staging: &'a Path,
    /// For messages.
    pub(super) file: &'a Path,
}

impl Resolver<'_> {
    /// Pins every requirement.
    pub fn freeze(&self, request: &Request<'_>, log: &mut Log, on_line: &dyn Fn(&str)) -> Result<Frozen> {
        let wanted = request.wanted;
        wanted.check()?;
        let old = Lock::parse(request.old.unwrap_or_default());
        let old_pins: Vec<Pin> = old.pins().collect();
        let keeps_all = request.is_alone || request.old.is_some() && old.is_foreign() && !request.upgrade_all;
        let sources = Sources::new(self.site, &self.directory, &wanted.options);
        let mut copies = Copies::default();
        let mut lines = Vec::new();
        let upgraded = upgraded(request.upgrade, &old_pins, request)?;
        let mut commits = Commits::default();
        for stated in &wanted.requirements {
            let line = self.for_tools(stated, request.staging, &mut copies)?;
            let is_upgraded = stated.line.name().is_some_and(|name| upgraded.contains_key(&name));
            let keeps = !request.upgrade_all && !is_upgraded;
            lines.push(commits.kept(&stated.line, line, &old, request.old_files.filter(|_| keeps), keeps));
        }
        let provided = provided(request.layers)?;
        let keeps = |pin: &&Pin| !request.upgrade_all && !upgraded.contains_key(&pin.name);
        let mut question = Question {
            lines,
            constraints: self.constraints(request, &sources)?,
            prefer: old_pins.iter().filter(keeps).cloned().collect(),
            sources: &sources,
            options: &wanted.options,
            staging: request.staging,
            file: wanted.files.first().map_or(Path::new("requirements-to-freeze.txt"), PathBuf::as_path),
        };
        question.constraints.extend(upgraded.values().flatten().cloned());
        let mut packages = Vec::new();
        if !question.lines.is_empty() || keeps_all && !old_pins.is_empty() || !wanted.is_empty() {
            // A lock that upstream or a person made may pin more than the requirements tell: that stays.
            let needed = question.lines.len();
            if keeps_all {
                question.lines.extend(old_pins.iter().map(|pin| pin.name.clone()));
                question.lines.extend(self.other_lines(request, &mut copies)?);
            }
            packages = match self.resolve(&question, log, on_line) {
                Err(error) if keeps_all && error.fault == Fault::Input => {
                    question.lines.truncate(needed);
                    self.resolve(&question, log, on_line)?
                }
                answer => answer?,
            };
        }
        for package in &mut packages {
            package.name = canonical_name(&package.name);
            copies.name_originals(package, request.staging, &self.directory);
            commits.name_revision(package);
            for file in package.wheels.iter_mut().chain(&mut package.sdist).chain(&mut package.archive) {
                file.relative_to(&self.directory);
            }
            if let Some(known) = request.old_files.and_then(|files| files.package(&package.name)) {
                package.keep_known(known);
            }
        }
        check_hashes(wanted, &mut packages, sources.require_hashes())?;
        if request.is_alone {
            let named: BTreeSet<String> = old.requirements.lines.iter().filter_map(Line::name).collect();
            // Of what has no name in the lock, nobody knows the name before.
            packages.retain(|package| {
                named.contains(&package.name) || package.directory.is_some() || package.archive.is_some()
            });
        }
        packages.retain(|package| {
            let pin = package
                .version
                .as_ref()
                .map(|version| Pin { name: package.name.clone(), version: version.clone() });
            let was_there = keeps_all && old_pins.iter().any(|pin| pin.name == package.name);
            was_there || !pin.is_some_and(|pin| provided.contains(&pin))
        });
        let is_partial = |package: &&Package| {
            let known = request.old_files.and_then(|files| files.package(&package.name));
            let is_known = known.is_some_and(|known| known.version == package.version);
            self.offline && !is_known && may_have_more(package) && package.files().any(File::is_on_a_server)
        };
        let partial = packages.iter().filter(is_partial);
        let partial = partial
            .filter_map(|package| Some(Pin { name: package.name.clone(), version: package.version.clone()? }))
            .collect();
        let pins = pin_lines(&packages, wanted);
        let mut lock = Lock::render(wanted, &self.directory, request.origin, &pins);
        let changes = changes(&old, &Lock::parse(&lock), &self.interpreter.markers);
        if let Some(text) =
            request.old.filter(|_| old.is_foreign() && changes.is_empty() && same_options(&old, &lock))
        {
            text.clone_into(&mut lock);
        }
        let python = format!(">={}", self.interpreter.short_version);
        let files = PyLock::new(Some(python), packages, request.origin.to_string());
        Ok(Frozen { lock, files, changes, partial })
    }

    /// What a lock names that is no plain pin, and that no requirement names: addresses, paths, pins with a marker.
    fn other_lines(&self, request: &Request<'_>, copies: &mut Copies) -> Result<Vec<String>> {
        let file = self.directory.join("requirements3.txt");
        let environment = &self.site.environment;
        let path = |stated: &Stated| {
            stated.line.local_path(environment).map(|path| plain(&self.directory.join(path)))
        };
        let wanted = &request.wanted.requirements;
        let mut lines = Vec::new();
        for stated in stated(request.old.unwrap_or_default(), &file, environment) {
            let is_plain = stated.line.as_option().is_some() || Pin::of(&stated.line).is_some();
            let is_wanted = wanted.iter().any(|other| {
                let same_name = other.line.name().is_some_and(|name| stated.line.name() == Some(name));
                same_name || path(other).is_some_and(|other| path(&stated) == Some(other))
            });
            if !is_plain && !is_wanted {
                lines.push(self.for_tools(&stated, request.staging, copies)?);
            }
        }
        Ok(lines)
    }

    fn resolve(
        &self,
        question: &Question<'_>,
        log: &mut Log,
        on_line: &dyn Fn(&str),
    ) -> Result<Vec<Package>> {
        if self.uv.is_some() {
            uv::resolve(self, question, log, on_line)
        } else {
            pip::resolve(self, question, log, on_line)
        }
    }

    /// The constraints of included files, of the machine and of the layers, as lines.
    fn constraints(&self, request: &Request<'_>, sources: &Sources) -> Result<Vec<String>> {
        let mut all = Wanted::default();
        all.constraints.clone_from(&request.wanted.constraints);
        for file in sources.constraint_files() {
            all.add_constraints(file, &self.site.environment)?;
        }
        for file in request.layers {
            all.add_constraints(file, &self.site.environment)?;
        }
        // A constraint has a name, and neither extras nor options.
        let lines = all.constraints.iter().filter(|stated| matches!(stated.line, Line::Named { .. }));
        let mut lines: Vec<String> = lines.map(|stated| without_extras(stated.line.bare())).collect();
        lines.dedup();
        Ok(lines)
    }

    /// A requirement for a file elsewhere: paths are absolute, projects are copies, options of ours are left out.
    fn for_tools(&self, stated: &Stated, staging: &Path, copies: &mut Copies) -> Result<String> {
        let line = &stated.line;
        let Some(path) = line.local_path(&self.site.environment) else { return Ok(line.bare().to_owned()) };
        let path = self.existing(&path, stated)?;
        let place = if path.is_dir() {
            let copy = staging.join("local").join(copies.0.len().to_string());
            let copy = copy.join(path.file_name().unwrap_or("project".as_ref()));
            local::copy(&path, &copy)?;
            copies.0.push((copy.clone(), path.clone()));
            copy
        } else {
            path
        };
        Ok(at_place(line.bare(), &place))
    }

    /// A path is relative to where the tools run, as pip has it; else to the file that states it.
    pub(super) fn existing(&self, path: &Path, stated: &Stated) -> Result<PathBuf> {
        let beside = stated.place.file.parent().unwrap_or(Path::new("")).join(path);
        let candidates = [self.directory.join(path), std::path::absolute(&beside).unwrap_or(beside)];
        let found = candidates.iter().map(|path| plain(path)).find(|path| path.exists());
        found.ok_or_else(|| Error::many(Fault::Input, vec![absent_path(stated)]))
    }
}

/// The requirement `bare` with another path: extras and marker stay.
pub(super) fn at_place(bare: &str, place: &Path) -> String {
    let (requirement, marker) = match bare.split_once(" ;").or(bare.split_once("; ")) {
        Some((requirement, marker)) => (requirement.trim(), format!(" ; {}", marker.trim())),
        None => (bare.trim(), String::new()),
    };
    let url =
        url::Url::from_file_path(place).map_or_else(|()| place.display().to_string(), |url| url.to_string());
    if let Some((name, _)) = requirement.split_once('@').filter(|(name, _)| !name.contains(['/', ':'])) {
        return format!("{} @ {url}{marker}", name.trim());
    }
    let extras =
        requirement.strip_suffix(']').and_then(|text| text.rsplit_once('[')).map(|(_, extras)| extras);
    match extras {
        Some(extras) => format!("{}[{extras}]{marker}", place.display()),
        None => format!("{url}{marker}"),
    }
}

/// Repositories of which the commit stays that the lock has: by address, what the requirement asks for.
#[derive(Default)]
struct Commits(Vec<(String, Option<String>)>);

impl Commits {
    /// The requirement at the commit that its branch or tag had when it was locked.
    fn kept(
        &mut self,
        wanted: &Line,
        line: String,
        old: &Lock,
        files: Option<&PyLock>,
        keeps: bool,
    ) -> String {
        let Some((url, revision)) = address(wanted).filter(|(url, _)| url.contains('+')) else { return line };
        let plain = url.split_once('+').map_or(url.as_str(), |(_, url)| url).to_owned();
        let known =
            files.into_iter().flat_map(|files| &files.packages).filter_map(|package| package.vcs.as_ref());
        let known = known
            .filter(|vcs| vcs.url.as_deref() == Some(&plain) && vcs.requested_revision == revision)
            .map(|vcs| vcs.commit_id.clone());
        let locked = old.requirements.lines.iter().filter(|_| keeps && revision.is_none());
        let locked =
            locked.filter_map(address).filter(|(other, _)| *other == url).filter_map(|(_, commit)| commit);
        let commit = known.chain(locked).next();
        self.0.push((plain, revision.clone()));
        match (commit, revision) {
            (None, _) => line,
            (Some(commit), Some(revision)) => {
                line.replacen(&format!("{url}@{revision}"), &format!("{url}@{commit}"), 1)
            }
            (Some(commit), None) => line.replacen(&url, &format!("{url}@{commit}"), 1),
        }
    }

    /// What was asked for, and not the commit that stood for it.
    fn name_revision(&self, package: &mut Package) {
        let Some(vcs) = &mut package.vcs else { return };
        if let Some((_, revision)) = self.0.iter().find(|(url, _)| vcs.url.as_deref() == Some(url)) {
            vcs.requested_revision.clone_from(revision);
        }
    }
}

/// Copies of local projects, with what they are copies of.
#[derive(Default)]
struct Copies(Vec<(PathBuf, PathBuf)>);

impl Copies {
    /// Puts the project's own path in place of its copy's, relative to the lock where it is in the plugin.
    fn name_originals(&self, package: &mut Package, staging: &Path, directory: &Path) {
        let Some(found) = &mut package.directory else { return };
        let path = plain(&staging.join(&found.path));
        let original = self.0.iter().find(|(copy, _)| same_file(copy, &path));
        let original = original.map_or(path.as_path(), |(_, original)| original.as_path());
        found.path = relative(original, directory).unwrap_or_else(|| original.display().to_string());
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || std::fs::canonicalize(one).ok().is_some_and(|one| std::fs::canonicalize(other).ok() == Some(one))
}

/// `name[extra]>=1` as a constraint.
fn without_extras(line: &str) -> String {
    match line.split_once('[').and_then(|(name, rest)| Some((name, rest.split_once(']')?.1))) {
        Some((name, rest)) if !name.contains([';', '@']) => format!("{name}{rest}"),
        _ => line.to_owned(),
    }
}

/// Packages that layers bring, at their versions.
pub fn provided(layers: &[PathBuf]) -> Result<BTreeSet<Pin>> {
    let mut provided = BTreeSet::new();
    for file in layers {
        provided.extend(Requirements::parse(&fs::read_text(file)?).lines.iter().filter_map(Pin::of));
    }
    Ok(provided)
}

/// The packages whose pins are given up, with the exact version that each is to have.
fn upgraded(
    packages: &[String],
    old: &[Pin],
    request: &Request<'_>,
) -> Result<BTreeMap<String, Option<String>>> {
    let mut names = BTreeMap::new();
    for package in packages {
        let (name, exact) = match package.split_once("==") {
            Some((name, _)) => (canonical_name(name.trim()), Some(package.clone())),
            None => (canonical_name(package.trim()), None),
        };
        let mut wanted = request.wanted.requirements.iter().filter_map(|stated| stated.line.name());
        let is_wanted = wanted.any(|wanted| wanted == name)
            || request.old_files.is_some_and(|files| files.package(&name).is_some());
        if !is_wanted && !old.iter().any(|pin| pin.name == name) {
            let known = old.iter().map(|pin| pin.name.as_str());
            let near = text::nearest(&name, known).map(|near| format!("did you mean `{near}`?"));
            return Err(Error::usage(format!("the lock has no package `{}`", text::visible(&name)))
                .hint(near.unwrap_or_else(|| "name a package of `requirements3.txt`".to_owned())));
        }
        names.insert(name, exact);
    }
    Ok(names)
}

/// Hashes that requirements give are the only ones that count for their packages.
fn check_hashes(wanted: &Wanted, packages: &mut [Package], all: bool) -> Result<()> {
    let mut given = BTreeSet::new();
    for stated in &wanted.requirements {
        let hashes = stated.line.hashes();
        let (Some(name), false) = (stated.line.name(), hashes.is_empty()) else { continue };
        let Some(package) = packages.iter_mut().find(|package| package.name == name) else { continue };
        let found: Vec<String> = package.hashes().into_iter().collect();
        let algorithms: BTreeSet<&str> = found.iter().filter_map(|hash| hash.split(':').next()).collect();
        let can_tell =
            hashes.iter().any(|hash| hash.split(':').next().is_some_and(|name| algorithms.contains(name)));
        if can_tell && !package.allow(&hashes) {
            let version = package.version.as_deref().unwrap_or_default();
            return Err(Error::input(format!(
                "{}: no file of `{name}` {version} has {}; found {}",
                stated.place,
                text::visible(&hashes.join(" or ")),
                text::visible(&found.join(", "))
            ))
            .hint("correct the hash; if it was right before, find out who changed the file"));
        }
        given.insert(name);
    }
    match packages.iter().find(|package| all && !given.contains(&package.name)) {
        Some(package) => {
            let version = package.version.as_deref().unwrap_or_default();
            Err(Error::input(format!(
                "`--require-hashes`, and no requirement gives a hash for `{}=={version}`",
                package.name
            ))
            .hint("add it to the requirements with its `--hash`, or take out `--require-hashes`"))
        }
        None => Ok(()),
    }
}

/// The lines of the lock. With one hash in the requirements every pin gets its own, because pip then asks for all.
fn pin_lines(packages: &[Package], wanted: &Wanted) -> Vec<String> {
    let hashed: BTreeMap<String, Vec<String>> = wanted
        .requirements
        .iter()
        .filter_map(|stated| Some((stated.line.name()?, stated.line.hashes())))
        .filter(|(_, hashes)| !hashes.is_empty())
        .collect();
    let for_all = !hashed.is_empty() && packages.iter().all(Package::is_checked);
    packages
        .iter()
        .map(|package| {
            let mut hashes: BTreeSet<String> = match hashed.get(&package.name) {
                Some(given) => given.iter().cloned().collect(),
                None => BTreeSet::new(),
            };
            if for_all && hashes.is_empty() {
                hashes = package.hashes();
            }
            let hashes: String = hashes.iter().map(|hash| format!(" --hash={hash}")).collect();
            pin_line(package) + &hashes
        })
        .collect()
}

/// An exact version, or an exact commit or address of what was given as such.
fn pin_line(package: &Package) -> String {
    let name = &package.name;
    let fragment =
        |path: &Option<String>| path.as_ref().map(|path| format!("#subdirectory={path}")).unwrap_or_default();
    if let Some(vcs) = &package.vcs {
        let url =
            vcs.url.clone().or(vcs.path.as_ref().map(|path| format!("file://{path}"))).unwrap_or_default();
        return format!("{name} @ {}+{url}@{}{}", vcs.kind, vcs.commit_id, fragment(&vcs.subdirectory));
    }
    // A path inside the plugin stays relative: a lock is for every clone.
    let path = package.directory.as_ref().map(|directory| &directory.path);
    let path = path.or(package.archive.as_ref().and_then(|archive| archive.path.as_ref()));
    match (path, &package.archive, &package.version) {
        (Some(path), _, _) if path.starts_with('/') => {
            let url = url::Url::from_file_path(path).map_or_else(|()| path.clone(), |url| url.to_string());
            format!("{name} @ {url}")
        }
        (Some(path), _, _) if path.starts_with("../") => path.clone(),
        (Some(path), _, _) => format!("./{path}"),
        (None, Some(archive), _) => {
            format!(
                "{name} @ {}{}",
                archive.url.as_deref().unwrap_or_default(),
                fragment(&archive.subdirectory)
            )
        }
        (None, None, version) => format!("{name}=={}", version.as_deref().unwrap_or_default()),
    }
}

/// What is other in `new` than in `old`, by name; lines whose marker is false here do not count.
fn changes(old: &Lock, new: &Lock, markers: &MarkerEnvironment) -> Vec<Change> {
    let entries = |lock: &Lock| -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        for line in lock.requirements.lines.iter().filter(|line| line.as_option().is_none()) {
            if let Line::Named { requirement, .. } = line
                && !requirement.evaluate_markers(markers, &[])
            {
                continue;
            }
            let bare = line.bare();
            let (name, value) = match Pin::exact(line) {
                Some(pin) => (pin.name, pin.version),
                None => {
                    let place = bare.split_once(" @ ").map_or(bare, |(_, url)| url);
                    (line.name().unwrap_or_else(|| bare.to_owned()), place.to_owned())
                }
            };
            entries.insert(name, value);
        }
        entries
    };
    let (old, new) = (entries(old), entries(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .map(|name| Change { name: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() })
        .filter(|change| change.old != change.new)
        .collect()
}

/// Whether a lock made anew carries the options and hashes of the old one.
fn same_options(old: &Lock, new: &str) -> bool {
    let new = Requirements::parse(new);
    let hashes = |lines: &[Line]| -> BTreeSet<String> { lines.iter().flat_map(Line::hashes).collect() };
    new.options().all(|option| old.requirements.options().any(|old| old == option))
        && hashes(&new.lines).is_subset(&hashes(&old.requirements.lines))
}

#[cfg(test)]
mod tests;
