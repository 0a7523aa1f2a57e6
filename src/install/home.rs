//! What an installation leaves in the plugin's home beside what was shipped.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::machine;
use super::virtualenv::VIRTUALENV;
use crate::artifact::{self, Damage, DamageKind, ManifestEntry, MemberKind};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::python::{Interpreter, Wheel, virtualenv};

/// Lists what `postinstall` made or changed, so that `verify` knows it.
const MADE_BY_POSTINSTALL: &str = ".mwp_postinstall.json";

/// Lists every file of the virtualenv, and what it is for.
const MADE_BY_US: &str = crate::env::VIRTUALENV_LIST;

/// What the installation itself made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) python: Python,
    members: Vec<ManifestEntry>,
}

/// The interpreter that a virtualenv belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Python {
    executable: PathBuf,
    /// `3.11.2`
    version: String,
}

impl Made {
    /// `None` where nothing was made, or an older mwp did not write it down.
    fn read(home: &Path) -> Option<Made> {
        serde_json::from_slice(&fs::read_optional(&home.join(MADE_BY_US)).ok()??).ok()
    }
}

/// Writes down the virtualenv, right after it was made; `digests` are of files in it that need not be read.
pub(super) fn remember_virtualenv(
    home: &Path,
    interpreter: &Interpreter,
    digests: &HashMap<String, Digest>,
) -> Result<()> {
    let known = |path: &str| digests.get(path.strip_prefix(VIRTUALENV)?.strip_prefix('/')?).copied();
    let made = Made {
        python: Python { executable: interpreter.executable.clone(), version: interpreter.version.clone() },
        members: artifact::describe_knowing(home, VIRTUALENV, &known)?,
    };
    write(&home.join(MADE_BY_US), &made)
}

/// Writes down what is not as it was shipped or made by us, right after `postinstall`.
pub(super) fn remember_postinstall(home: &Path) -> Result<()> {
    if !fs::try_exists(&home.join(artifact::MANIFEST))? || !fs::try_exists(&home.join("postinstall"))? {
        return Ok(());
    }
    let before = MadeAfter { by_postinstall: Vec::new(), ..MadeAfter::of(home)? };
    let damages = artifact::verify(home, before.members(), &|path| before.contains(path))?;
    let paths: Vec<String> = damages.into_iter().map(|damage| damage.path).collect();
    if paths.is_empty() { Ok(()) } else { write(&home.join(MADE_BY_POSTINSTALL), &paths) }
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let content = serde_json::to_vec_pretty(value).map_err(|error| Error::machine(error.to_string()))?;
    fs::write_atomic(path, &content)
}

/// Tells what in an installed plugin's home is not part of what was shipped, by its path in there.
pub fn made_by_installation(home: &Path) -> Result<impl Fn(&Path) -> bool + use<>> {
    let made = MadeAfter::of(home)?;
    Ok(move |path: &Path| made.is_ours(path))
}

/// What was made after the files were unpacked: the virtualenv, and what `postinstall` did.
pub(super) struct MadeAfter {
    made: Option<Made>,
    /// What is in `local/` and is none of the virtualenv's.
    kept: BTreeSet<PathBuf>,
    by_postinstall: Vec<PathBuf>,
}

impl MadeAfter {
    pub(super) fn of(home: &Path) -> Result<MadeAfter> {
        // A list without a script that could have made it vouches for nothing.
        let has_script = fs::try_exists(&home.join("postinstall"))?;
        let file = has_script.then(|| home.join(MADE_BY_POSTINSTALL));
        let content = file.map(|file| fs::read_optional(&file)).transpose()?.flatten();
        let paths: Vec<String> =
            content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default();
        // Nor does one that stands for everything.
        let is_inside = |path: &PathBuf| {
            path.components().next().is_some()
                && path.components().all(|part| matches!(part, Component::Normal(_)))
        };
        Ok(MadeAfter {
            made: Made::read(home),
            kept: virtualenv::foreign_files(&home.join(VIRTUALENV), Path::new(VIRTUALENV))?,
            by_postinstall: paths.into_iter().map(PathBuf::from).filter(is_inside).collect(),
        })
    }

    /// How many paths `postinstall` made or changed.
    pub(super) fn by_postinstall(&self) -> usize {
        self.by_postinstall.iter().filter(|path| *path != Path::new(MADE_BY_POSTINSTALL)).count()
    }

    /// What we made, as it has to be.
    pub(super) fn members(&self) -> &[ManifestEntry] {
        self.made.as_ref().map_or(&[], |made| &made.members)
    }

    /// What has to stay in `local/` when the virtualenv is made anew: what was shipped there, and what `postinstall` put
    /// there. What anybody else did does not.
    pub(super) fn kept_in_virtualenv(&self, home: &Path) -> Result<Vec<PathBuf>> {
        let content = fs::read_optional(&home.join(artifact::MANIFEST))?.unwrap_or_default();
        let shipped = artifact::Manifest::parse(&content)?.members.into_iter();
        let shipped = shipped.filter(|entry| !matches!(entry.kind, MemberKind::Directory { .. }));
        let shipped = shipped.map(|entry| PathBuf::from(entry.path));
        Ok(shipped
            .chain(self.by_postinstall.iter().cloned())
            .filter(|path| path.starts_with(VIRTUALENV) && path != Path::new(VIRTUALENV))
            .collect())
    }

    /// The list of what we made, where it is gone: there is nothing to hold `local/` against.
    pub(super) fn lost_list(&self, home: &Path) -> Result<Option<Damage>> {
        if self.made.is_some() || !artifact::was_unpacked_with_manifest(home) {
            return Ok(None);
        }
        let is_lost = fs::try_exists(&home.join(machine::LOCK))?
            && !Wheel::in_dir(&home.join(machine::SOURCES).join("src"))?.is_empty();
        Ok(is_lost.then(|| Damage { path: MADE_BY_US.to_owned(), kind: DamageKind::Missing }))
    }

    /// Whether the path is not part of what was shipped.
    pub(super) fn is_ours(&self, path: &Path) -> bool {
        self.contains(path)
            || (path.starts_with(VIRTUALENV) && !self.kept.iter().any(|foreign| foreign.starts_with(path)))
    }

    /// Whether nobody wrote down what the path has to be.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let is_unknown = self.made.is_none()
            && path.starts_with(VIRTUALENV)
            && !self.kept.iter().any(|foreign| foreign.starts_with(path));
        is_unknown
            || (self.made.is_some() && path == Path::new(MADE_BY_US))
            || (!self.by_postinstall.is_empty() && path == Path::new(MADE_BY_POSTINSTALL))
            || self.by_postinstall.iter().any(|made| path.starts_with(made))
    }
}
