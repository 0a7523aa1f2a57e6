//! Installed plugins against their manifests.

use super::bytecode;
use super::home::MadeAfter;
use super::virtualenv::VIRTUALENV;
use crate::artifact::{self, Damage};
use crate::env;
use crate::error::Result;
use crate::fs;
use crate::installed::{InstallState, Installed};
use crate::site::Site;

#[derive(Debug)]
pub enum Verification {
    Checked {
        damages: Vec<Damage>,
        /// Why its virtualenv cannot be used.
        fault: Option<String>,
        /// How many paths `postinstall` made or changed, which are not checked.
        by_postinstall: usize,
    },
    /// It is a devlink: its directory is as whoever works there has it.
    Devlink,
    /// There is nothing to check against: other tools than ours make no manifest.
    NoManifest,
    /// What is there is no plugin.
    Corrupt(String),
}

pub fn verify(installed: &Installed, site: &Site) -> Result<Verification> {
    match &installed.state {
        InstallState::Devlink(_) => return Ok(Verification::Devlink),
        InstallState::Broken(target) => {
            return Ok(Verification::Corrupt(format!(
                "it is a link to nothing: {}",
                crate::text::path(target)
            )));
        }
        InstallState::Corrupt(reason) => return Ok(Verification::Corrupt(reason.clone())),
        InstallState::Installed(_) => {}
    }
    if let Some(lost) = artifact::lost_manifest(&installed.home) {
        return Ok(Verification::Checked { damages: vec![lost], fault: None, by_postinstall: 0 });
    }
    if !fs::exists(&installed.home.join(artifact::MANIFEST)) {
        return Ok(Verification::NoManifest);
    }
    let made_after = MadeAfter::of(&installed.home)?;
    let mut damages =
        artifact::verify(&installed.home, made_after.members(), &|path| made_after.contains(path))?;
    damages.extend(bytecode::foreign(&installed.home, &|path| made_after.contains(path), site)?);
    damages.extend(made_after.lost_list(&installed.home)?);
    damages.sort();
    damages.dedup();
    let fault = env::virtualenv_fault(&installed.home.join(VIRTUALENV));
    Ok(Verification::Checked { damages, fault, by_postinstall: made_after.by_postinstall() })
}
