//! What an installation leaves in the plugin's home beside what was shipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::virtualenv::VIRTUALENV;
use crate::artifact;
use crate::error::{Error, Result};
use crate::fs;
use crate::python::virtualenv;

/// Lists what `postinstall` made or changed, so that `verify` knows it.
const MADE_BY_POSTINSTALL: &str = ".mwp_postinstall.json";

/// Writes down what is not as it was shipped, right after `postinstall`.
pub(super) fn remember_postinstall(home: &Path) -> Result<()> {
    if !fs::exists(&home.join(artifact::MANIFEST)) || !fs::exists(&home.join("postinstall")) {
        return Ok(());
    }
    let kept = virtualenv::foreign_files(&home.join(VIRTUALENV), Path::new(VIRTUALENV))?;
    let damages = artifact::verify(home, &|path| is_virtualenv(path, &kept))?;
    let mut paths: Vec<String> = damages.into_iter().map(|damage| damage.path).collect();
    if paths.is_empty() {
        return Ok(());
    }
    paths.push(MADE_BY_POSTINSTALL.to_owned());
    let content = serde_json::to_vec_pretty(&paths).map_err(|error| Error::machine(error.to_string()))?;
    fs::write_atomic(&home.join(MADE_BY_POSTINSTALL), &content)
}

fn is_virtualenv(path: &Path, kept: &BTreeSet<PathBuf>) -> bool {
    path.starts_with(VIRTUALENV) && !kept.iter().any(|foreign| foreign.starts_with(path))
}

/// What was made after the files were unpacked: the virtualenv, and what `postinstall` did.
pub(super) struct MadeAfter {
    kept: BTreeSet<PathBuf>,
    by_postinstall: Vec<PathBuf>,
}

impl MadeAfter {
    pub(super) fn of(home: &Path) -> Result<MadeAfter> {
        let content = fs::read_optional(&home.join(MADE_BY_POSTINSTALL))?.unwrap_or_else(|| b"[]".to_vec());
        let by_postinstall: Vec<String> = serde_json::from_slice(&content).unwrap_or_default();
        Ok(MadeAfter {
            kept: virtualenv::foreign_files(&home.join(VIRTUALENV), Path::new(VIRTUALENV))?,
            by_postinstall: by_postinstall.into_iter().map(PathBuf::from).collect(),
        })
    }

    /// How many paths `postinstall` made or changed.
    pub(super) fn by_postinstall(&self) -> usize {
        self.by_postinstall.iter().filter(|path| *path != Path::new(MADE_BY_POSTINSTALL)).count()
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        is_virtualenv(path, &self.kept) || self.by_postinstall.iter().any(|made| path.starts_with(made))
    }
}
