//! `requirements3.txt`: exact pins, and what they were frozen from.
//!
//! A lock of ours starts with a comment that holds the digest of the requirements; where upstream's tools or a person
//! wrote it, the `pylock.toml` beside it may say the same. A lock whose origin nothing tells is accepted when its pins
//! satisfy every requirement, whatever the file times say.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use pep440_rs::{Operator, Version};
use pep508_rs::{ExtraName, MarkerEnvironment, VersionOrUrl};

use super::pylock::{Package, PyLock};
use super::requirements::{Line, Requirements, plain};
use super::sources::carried;
use super::wanted::{Place, Stated, Wanted};
use super::wheel::{Wheel, canonical_name};
use crate::digest::Digest;
use crate::error::Result;
use crate::site::Environment;
use crate::text;

const FROZEN_FROM: &str = "# frozen by mwp from requirements-to-freeze.txt sha256:";

/// `name==version`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// Canonical.
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone)]
pub struct Lock {
    frozen_from: Option<String>,
    pub requirements: Requirements,
}

/// What a lock is held against.
pub struct Demands<'a> {
    pub wanted: &'a Wanted,
    /// What a lock made now would say that it was made from.
    pub origin: &'a Digest,
    /// Constraints of the machine.
    pub constraints: &'a [Stated],
    /// What the layers bring.
    pub provided: &'a BTreeSet<Pin>,
    pub markers: &'a MarkerEnvironment,
    /// Where the requirements are; paths are relative to it.
    pub directory: &'a Path,
    pub environment: &'a Environment,
    pub files: Option<&'a PyLock>,
    /// Wheels that an earlier build made: they tell what an extra needs.
    pub wheels: &'a [Wheel],
}

/// Whether a lock is what the requirements ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// It fits, and no `pylock.toml` says which files it allows.
    NoFiles,
    /// It was frozen from other requirements.
    Outdated,
    /// It does not pin, or not as asked, this requirement or constraint.
    Unsatisfied {
        requirement: String,
        place: Option<Place>,
        found: Option<String>,
    },
    /// An extra asks for a package that it does not pin.
    ExtraMissing {
        requirement: String,
        package: String,
    },
    /// The two locks say different things of this package.
    Unlike {
        name: String,
        lock: String,
        files: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Fits => write!(f, "the lock fits"),
            Verdict::NoFiles => write!(f, "no `pylock.toml` says which files the lock allows"),
            Verdict::Outdated => write!(f, "the lock was made from other requirements"),
            Verdict::Unsatisfied { requirement, place, found } => {
                match found {
                    Some(found) => write!(f, "the lock pins `{}`, and ", text::visible(found))?,
                    None => write!(f, "the lock has no pin for ")?,
                }
                let asks = if found.is_some() { "asks for " } else { "" };
                match place {
                    Some(place) if found.is_some() => {
                        write!(f, "{place} {asks}`{}`", text::visible(requirement))
                    }
                    Some(place) => write!(f, "`{}` ({place})", text::visible(requirement)),
                    None => write!(f, "{asks}`{}`", text::visible(requirement)),
                }
            }
            Verdict::ExtraMissing { requirement, package } => write!(
                f,
                "the lock has no pin for `{}`, which `{}` asks for",
                text::visible(package),
                text::visible(requirement)
            ),
            Verdict::Unlike { name, lock, files } => write!(
                f,
                "`requirements3.txt` has {} of `{}`, and `pylock.toml` has {}",
                text::visible(lock),
                text::visible(name),
                text::visible(files)
            ),
        }
    }
}

impl Lock {
    pub fn parse(content: &str) -> Lock {
        let frozen_from = content.lines().find_map(|line| line.strip_prefix(FROZEN_FROM));
        Lock {
            frozen_from: frozen_from.map(|digest| digest.trim().to_owned()),
            requirements: Requirements::parse(content),
        }
    }

    /// Whether upstream's tools or a person wrote it.
    pub fn is_foreign(&self) -> bool {
        self.frozen_from.is_none()
    }

    pub fn pins(&self) -> impl Iterator<Item = Pin> {
        self.requirements.lines.iter().filter_map(Pin::of)
    }

    /// The text of a lock: the options of the requirements first, then the pins by name.
    pub fn render(wanted: &Wanted, directory: &Path, frozen_from: &Digest, pins: &[String]) -> String {
        let mut text = format!("{FROZEN_FROM}{frozen_from}\n");
        for line in carried(&wanted.options, directory) {
            // What an address includes is in the pins.
            if !line.starts_with("-r") && !line.starts_with("--requirement") && !line.starts_with("-c") {
                text.push_str(&line);
                text.push('\n');
            }
        }
        let mut pins: Vec<&String> = pins.iter().collect();
        pins.sort_by_key(|pin| pin.to_lowercase());
        pins.dedup();
        for pin in pins {
            text.push_str(pin);
            text.push('\n');
        }
        text
    }

    /// What a lock made now would say that it was frozen from. `override` changes what is resolved.
    pub fn origin(wanted: &Wanted, overrides_layers: bool) -> Digest {
        let digest = wanted.digest();
        if overrides_layers { Digest::of(format!("{digest} override").as_bytes()) } else { digest }
    }

    pub fn verdict(&self, demands: &Demands<'_>) -> Result<Verdict> {
        let known = self.frozen_from.as_deref().or_else(|| demands.files.and_then(PyLock::frozen_from));
        let new = demands.origin.to_string();
        if known.is_some_and(|old| *old != new) {
            return Ok(Verdict::Outdated);
        }
        if known.is_none()
            && let Some(verdict) = self.not_exact()
        {
            return Ok(verdict);
        }
        for stated in &demands.wanted.requirements {
            if let Some(verdict) = self.unsatisfied(stated, known.is_some(), demands) {
                return Ok(verdict);
            }
        }
        for stated in demands.wanted.constraints.iter().chain(demands.constraints) {
            if let Some(verdict) = self.unconstrained(stated, demands.markers) {
                return Ok(verdict);
            }
        }
        if let Some(verdict) = self.missing_for_extras(demands)? {
            return Ok(verdict);
        }
        Ok(self.verdict_alone(demands.files))
    }

    /// The same where there are no requirements: the lock is all that the plugin asks for.
    pub fn verdict_alone(&self, files: Option<&PyLock>) -> Verdict {
        match files {
            Some(files) => self.unlike(files).unwrap_or(Verdict::Fits),
            None if self.requirements.is_empty() => Verdict::Fits,
            None => Verdict::NoFiles,
        }
    }

    fn not_exact(&self) -> Option<Verdict> {
        self.requirements.lines.iter().find_map(|line| match line {
            Line::Named { requirement, text }
                if !matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_)))
                    && !text.contains(';')
                    && Pin::of(line).is_none() =>
            {
                let requirement = format!("an exact version of {}", requirement.name);
                Some(Verdict::Unsatisfied { requirement, place: None, found: Some(text.clone()) })
            }
            _ => None,
        })
    }

    fn line(&self, name: &str) -> Option<&Line> {
        self.requirements.lines.iter().find(|line| line.name().as_deref() == Some(name))
    }

    /// A requirement that the lock does not meet. Where the lock's origin is known, what it was resolved to needs no
    /// second look: only layers, which may have changed since, and hashes.
    fn unsatisfied(&self, stated: &Stated, is_known: bool, demands: &Demands<'_>) -> Option<Verdict> {
        let wanted = &stated.line;
        if let Line::Named { requirement, .. } = wanted
            && !requirement.evaluate_markers(demands.markers, &[])
        {
            return None;
        }
        let verdict = |found: Option<&Line>| Verdict::Unsatisfied {
            requirement: wanted.text().to_owned(),
            place: Some(stated.place.clone()),
            found: found.map(|line| line.text().to_owned()),
        };
        let Some(name) = wanted.name() else {
            let is_there =
                is_known || self.requirements.lines.iter().any(|line| same_place(wanted, line, demands));
            return (!is_there).then(|| verdict(None));
        };
        let Some(locked) = self.line(&name) else {
            // A path in the lock has no name.
            let mut nameless = self.requirements.lines.iter().filter(|line| line.name().is_none());
            if nameless.any(|line| same_place(wanted, line, demands)) {
                return None;
            }
            let is_provided = demands.provided.iter().any(|pin| pin.name == name && pin.satisfies(wanted));
            return (!is_provided).then(|| verdict(None));
        };
        let hashes = locked.hashes();
        let files =
            demands.files.and_then(|files| files.package(&name)).map(Package::hashes).unwrap_or_default();
        let allowed = wanted.hashes();
        if !allowed.is_empty() && !hashes.iter().chain(&files).any(|hash| allowed.contains(hash)) {
            return Some(verdict(Some(locked)));
        }
        if is_known {
            return None;
        }
        let is_met = match (address(wanted), Pin::of(locked)) {
            (Some(_), _) => same_place(wanted, locked, demands),
            (None, Some(pin)) => pin.satisfies(wanted),
            (None, None) => true,
        };
        (!is_met).then(|| verdict(Some(locked)))
    }

    fn unconstrained(&self, stated: &Stated, markers: &MarkerEnvironment) -> Option<Verdict> {
        let Line::Named { requirement, text } = &stated.line else { return None };
        let locked = self.line(&stated.line.name()?)?;
        let applies = requirement.evaluate_markers(markers, &[]);
        let pin = Pin::of(locked).filter(|pin| applies && !pin.satisfies(&stated.line))?;
        Some(Verdict::Unsatisfied {
            requirement: text.clone(),
            place: Some(stated.place.clone()),
            found: Some(format!("{}=={}", pin.name, pin.version)),
        })
    }

    /// What an extra needs is written in the wheel; a lock of unknown origin may have been made without the extra.
    pub fn missing_for_extras(&self, demands: &Demands<'_>) -> Result<Option<Verdict>> {
        let is_known = !self.is_foreign() || demands.files.is_some_and(|files| files.frozen_from().is_some());
        for stated in demands.wanted.requirements.iter().filter(|_| !is_known) {
            let Line::Named { requirement, text } = &stated.line else { continue };
            let extras: &[ExtraName] = &requirement.extras;
            if extras.is_empty() || !requirement.evaluate_markers(demands.markers, &[]) {
                continue;
            }
            let name = canonical_name(requirement.name.as_ref());
            let Some(pin) = self.line(&name).and_then(Pin::of) else { continue };
            let is_it = |wheel: &&Wheel| wheel.name == name && wheel.is_version(&pin.version);
            let Some(wheel) = demands.wheels.iter().find(is_it) else { continue };
            for needed in wheel.requirements()? {
                let is_for_extra = needed.evaluate_markers(demands.markers, extras)
                    && !needed.evaluate_markers(demands.markers, &[]);
                let package = canonical_name(needed.name.as_ref());
                let is_there =
                    self.line(&package).is_some() || demands.provided.iter().any(|pin| pin.name == package);
                if is_for_extra && !is_there {
                    return Ok(Some(Verdict::ExtraMissing { requirement: text.clone(), package }));
                }
            }
        }
        Ok(None)
    }

    /// A package of which the two locks say different things.
    fn unlike(&self, files: &PyLock) -> Option<Verdict> {
        let version =
            |version: Option<&String>| version.map_or("another form".to_owned(), |v| format!("version {v}"));
        for line in &self.requirements.lines {
            let Some(name) = line.name() else { continue };
            let pin = Pin::of(line);
            let lock = version(pin.as_ref().map(|pin| &pin.version));
            match files.package(&name) {
                Some(package) => {
                    let differs = match (&pin, &package.version) {
                        (Some(pin), Some(version)) => !same_version(&pin.version, version),
                        _ => false,
                    };
                    if differs {
                        return Some(Verdict::Unlike {
                            name,
                            lock,
                            files: version(package.version.as_ref()),
                        });
                    }
                }
                // A marker may be false here.
                None if !line.text().contains(';') => {
                    return Some(Verdict::Unlike { name, lock, files: "nothing".to_owned() });
                }
                None => {}
            }
        }
        let is_opaque = |line: &Line| matches!(line, Line::Opaque { name: None, .. });
        if self.requirements.lines.iter().any(is_opaque) {
            return None;
        }
        let package = files.packages.iter().find(|package| self.line(&package.name).is_none())?;
        let name = package.name.clone();
        Some(Verdict::Unlike { name, lock: "nothing".to_owned(), files: version(package.version.as_ref()) })
    }
}

/// `1.0` and `1.0.0` are one version.
fn same_version(one: &str, other: &str) -> bool {
    match (Version::from_str(one), Version::from_str(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// The address of a requirement that has one, without revision and fragment, and the revision.
pub(super) fn address(line: &Line) -> Option<(String, Option<String>)> {
    let bare = line.bare();
    let place = match line {
        Line::Named { .. } => {
            bare.split_once('@')
                .filter(|(_, url)| url.contains("://") || url.trim_start().starts_with("file:"))?
                .1
        }
        Line::Opaque { .. } if bare.contains("://") => bare,
        _ => return None,
    };
    let place = place.trim().split([' ', ';', '#']).next().unwrap_or_default();
    if !place.contains('+') {
        return Some((place.to_owned(), None));
    }
    let path = place.rfind('/').unwrap_or(0);
    Some(match place[path..].split_once('@') {
        Some((_, revision)) => {
            let end = place.len() - revision.len() - 1;
            (place[..end].to_owned(), Some(revision.to_owned()))
        }
        None => (place.to_owned(), None),
    })
}

/// Whether two lines name the same address or path. A commit is what a branch or tag was at some time: which tag, the
/// lock does not tell, so another name than the lock's is another place.
fn same_place(wanted: &Line, locked: &Line, demands: &Demands<'_>) -> bool {
    if let Some(path) = wanted.local_path(demands.environment) {
        let path = plain(&demands.directory.join(path));
        let other = locked.local_path(demands.environment).map(|other| plain(&demands.directory.join(other)));
        // Upstream writes the absolute path that it had on the machine that made the lock.
        let tail = path.strip_prefix(demands.directory).unwrap_or(&path);
        return other.is_some_and(|other| other == path || other.ends_with(tail));
    }
    let (Some((wanted, revision)), Some((locked, commit))) = (address(wanted), address(locked)) else {
        return false;
    };
    let plain = |url: &str| url.trim_end_matches('/').trim_end_matches(".git").to_owned();
    let same_revision = match (revision, commit) {
        (Some(revision), Some(commit)) => commit.starts_with(&revision),
        (Some(_), None) => false,
        (None, _) => true,
    };
    plain(&wanted) == plain(&locked) && same_revision
}

impl Pin {
    /// Whether it is a version that this requirement or constraint allows.
    fn satisfies(&self, wanted: &Line) -> bool {
        let Line::Named { requirement, .. } = wanted else { return true };
        let Some(VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url else {
            return true;
        };
        Version::from_str(&self.version).map_or(true, |version| specifiers.contains(&version))
    }

    /// An exact pin without a marker; what else a lock may hold is for pip to understand.
    pub fn of(line: &Line) -> Option<Pin> {
        Pin::exact(line).filter(|_| !line.text().contains(';'))
    }

    /// An exact pin, with or without a marker.
    pub(super) fn exact(line: &Line) -> Option<Pin> {
        let Line::Named { requirement, .. } = line else { return None };
        let Some(VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url else {
            return None;
        };
        let mut specifiers = specifiers.iter();
        let (first, None) = (specifiers.next()?, specifiers.next()) else { return None };
        let exact = matches!(first.operator(), Operator::Equal | Operator::ExactEqual);
        exact.then(|| Pin {
            name: canonical_name(requirement.name.as_ref()),
            version: first.version().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;
    use crate::python::interpreter::markers;

    /// What a lock says to requirements, under constraints and with what layers provide.
    fn judge(lock: &str, wanted: &str, constraints: &str, provided: &str, files: Option<&PyLock>) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, content: &str| {
            fs::write_atomic(&dir.path().join(name), content.as_bytes()).unwrap();
            Wanted::read(&dir.path().join(name), &Environment::default()).unwrap().unwrap()
        };
        let (wanted, constraints) = (read("r", wanted), read("c", constraints));
        Lock::parse(lock)
            .verdict(&Demands {
                wanted: &wanted,
                origin: &Lock::origin(&wanted, false),
                constraints: &constraints.requirements,
                provided: &Lock::parse(provided).pins().collect(),
                markers: &markers(),
                directory: dir.path(),
                environment: &Environment::default(),
                files,
                wheels: &[],
            })
            .unwrap()
    }

    fn verdict(lock: &str, wanted: &str) -> Verdict {
        judge(lock, wanted, "", "", None)
    }

    fn rendered(wanted: &str, pins: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write_atomic(&dir.path().join("r"), wanted.as_bytes()).unwrap();
        let wanted = Wanted::read(&dir.path().join("r"), &Environment::default()).unwrap().unwrap();
        let pins: Vec<String> = pins.iter().map(|pin| (*pin).to_owned()).collect();
        Lock::render(&wanted, dir.path(), &Lock::origin(&wanted, false), &pins)
    }

    #[test]
    fn a_lock_of_ours_fits_what_it_was_frozen_from_and_nothing_else() {
        let text = rendered("--pre\nflask\n", &["jinja2==3.1.6", "flask==3.1.3"]);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["--pre", "flask==3.1.3", "jinja2==3.1.6"]);
        assert_eq!(verdict(&text, "--pre\nflask # web"), Verdict::NoFiles);
        assert!(matches!(verdict(&text, "--pre\nflask<3.1.3"), Verdict::Outdated));
        assert_ne!(Lock::origin(&Wanted::default(), true), Lock::origin(&Wanted::default(), false));
    }

    #[test]
    fn an_upstream_lock_fits_when_its_pins_satisfy_every_requirement() {
        let lock = "Django==3.0.7\nsqlparse==0.3.1\n-e git+https://h/foo.git@0a1b2c#egg=foo\nbar @ https://h/bar-1.whl\n./lib/x\n";
        for wanted in [
            "",
            "Django >= 3.0,<3.1",
            "django\nSQLParse",
            "git+https://h/foo.git#egg=foo",
            "git+https://h/foo@0a1b2c#egg=foo",
            "git+https://h/foo.git",
            "bar @ https://h/bar-1.whl#sha256=ab",
            "six; python_version<'3'",
            "lib/x",
            "-e ./lib/x#egg=x",
        ] {
            assert_eq!(verdict(lock, wanted), Verdict::NoFiles, "{wanted}");
        }
        for (wanted, found) in [
            ("Django>=3.1", Some("Django==3.0.7")),
            ("django\nflask", None),
            ("six; python_version>='3'", None),
            ("git+https://h/foo.git@v2#egg=foo", Some("-e git+https://h/foo.git@0a1b2c#egg=foo")),
            ("git+https://other/foo.git#egg=foo", Some("-e git+https://h/foo.git@0a1b2c#egg=foo")),
            ("bar @ https://h/bar-2.whl", Some("bar @ https://h/bar-1.whl")),
            ("django @ https://h/d.whl", Some("Django==3.0.7")),
            ("./lib/y", None),
            ("git+https://h/more.git", None),
            ("Django==3.0.7 --hash=sha256:ab", Some("Django==3.0.7")),
        ] {
            let requirement = wanted.lines().last().unwrap_or_default();
            match verdict(lock, wanted) {
                Verdict::Unsatisfied { requirement: named, found: pin, .. } => {
                    assert_eq!((named.as_str(), pin.as_deref()), (requirement, found));
                }
                other => panic!("{wanted}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_a_layer_provides_needs_no_pin_and_constraints_hold_for_pins() {
        let lock = "alpha==2.0\n";
        assert_eq!(judge(lock, "alpha\nsix", "", "six==1.16", None), Verdict::NoFiles);
        assert!(matches!(
            judge(lock, "alpha\nsix>=2", "", "six==1.16", None),
            Verdict::Unsatisfied { found: None, .. }
        ));
        let verdict = judge(lock, "alpha", "alpha<2", "", None);
        assert!(verdict.to_string().ends_with("c:1 asks for `alpha<2`"), "{verdict}");
        assert_eq!(
            judge(lock, "alpha", "alpha<2 ; python_version < '3'\nbeta<2", "", None),
            Verdict::NoFiles
        );
        // Of our own lock, too.
        let own = rendered("alpha", &["alpha==2.0"]);
        assert!(matches!(judge(&own, "alpha", "alpha<2", "", None), Verdict::Unsatisfied { .. }));
    }

    #[test]
    fn two_locks_that_say_different_things_are_noticed() {
        let files = |packages: &str| PyLock::parse(&format!("lock-version = \"1.0\"\n{packages}")).unwrap();
        let alpha = files("[[packages]]\nname = \"alpha\"\nversion = \"1.0\"\n");
        assert_eq!(judge("alpha==1.0.0\n", "alpha", "", "", Some(&alpha)), Verdict::Fits);
        for (lock, name) in [("alpha==2.0\n", "alpha"), ("alpha==1.0\nbeta==1\n", "beta")] {
            assert!(
                matches!(judge(lock, "alpha", "", "", Some(&alpha)), Verdict::Unlike { name: found, .. } if found == name)
            );
        }
        let two = files("[[packages]]\nname = \"alpha\"\nversion = \"1.0\"\n[[packages]]\nname = \"more\"\n");
        assert!(
            matches!(judge("alpha==1.0\n", "alpha", "", "", Some(&two)), Verdict::Unlike { name, .. } if name == "more")
        );
    }

    #[test]
    fn a_foreign_lock_is_known_from_the_pylock_beside_it() {
        let files = |from: &str| {
            PyLock::parse(&format!(
                "lock-version = \"1.0\"\n[[packages]]\nname = \"alpha\"\nversion = \"1.0\"\n[tool.mwp]\nfrozen-from = \"{from}\"\n"
            ))
            .unwrap()
        };
        let origin = Digest::of(b"alpha[x]\n").to_string();
        assert_eq!(judge("alpha==1.0\n", "alpha[x]", "", "", Some(&files(&origin))), Verdict::Fits);
        assert!(matches!(
            judge("alpha==1.0\n", "alpha[y]", "", "", Some(&files(&origin))),
            Verdict::Outdated
        ));
    }
}
