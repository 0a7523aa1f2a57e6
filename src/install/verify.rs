//! Installed plugins against their manifests.

use super::base::{Installed, Standing};
use super::home::MadeAfter;
use crate::artifact::{self, Damage};
use crate::error::Result;
use crate::fs;

#[derive(Debug)]
pub enum Report {
    /// With the number of paths that `postinstall` made or changed, which are not checked.
    Checked(Vec<Damage>, usize),
    /// There is nothing to check against, and why.
    Unchecked(&'static str),
    /// What is there is no plugin.
    Corrupt(String),
}

pub fn verify(installed: &Installed) -> Result<Report> {
    match &installed.standing {
        Standing::Devlink(_) => return Ok(Report::Unchecked("it is a devlink")),
        Standing::Broken(target) => {
            return Ok(Report::Corrupt(format!("it is a link to nothing: {}", crate::text::path(target))));
        }
        Standing::Corrupt(reason) => return Ok(Report::Corrupt(reason.clone())),
        Standing::Installed(_) => {}
    }
    if !fs::exists(&installed.home.join(artifact::MANIFEST)) {
        return Ok(Report::Unchecked("it was packed by upstream's tools, without a manifest"));
    }
    let made_after = MadeAfter::of(&installed.home)?;
    let damages = artifact::verify(&installed.home, &|path| made_after.contains(path))?;
    Ok(Report::Checked(damages, made_after.by_postinstall()))
}
