//! What a plugin holds: packages of Python and Node.js by name, and its own files by directory; of a `.plugin` file, of an
//! installed plugin, or of a directory that is to be packed.

mod diff;
mod packages;
mod size;

pub use diff::{Change, Diff, diff};
pub use packages::{Ecosystem, Package};
pub use size::{Branch, PackageSize, Sizes};

use std::path::Path;

use crate::artifact::{Description, Inventory, Limits, ManifestEntry, Metadata};
use crate::error::Result;
use packages::{Owners, tells_of_package};

const CONFIGURATION: &str = "config.ini";

/// A plugin's members, and which package each is of.
#[derive(Debug)]
pub struct Contents {
    inventory: Inventory,
    owners: Owners,
}

impl Contents {
    /// Reads a `.plugin` file to its end.
    pub fn of_file(file: &Path, limits: &Limits) -> Result<Contents> {
        Inventory::of_file(file, limits, &is_wanted).map(Contents::new)
    }

    /// Of what packing the plugin in `dir` would ship; `excluded` is what the release leaves out.
    pub fn of_sources(
        dir: &Path,
        description: &Description,
        limits: &Limits,
        excluded: &(dyn Fn(&Path) -> bool + Sync),
    ) -> Result<Contents> {
        Inventory::of_sources(dir, description, limits, excluded, &is_wanted).map(Contents::new)
    }

    /// Of an installed plugin, with the virtualenv that the installation made.
    pub fn of_installed(home: &Path) -> Result<Contents> {
        Inventory::of_directory(home, &[], &is_wanted).map(Contents::new)
    }

    /// Of an installed plugin, less what was made after it was unpacked.
    pub fn of_shipped(home: &Path, made_after: &dyn Fn(&Path) -> bool) -> Result<Contents> {
        let mut inventory = Inventory::of_directory(home, &[], &is_wanted)?;
        inventory.members.retain(|entry| {
            !made_after(Path::new(&entry.path)) && !entry.path.split('/').any(|part| part == "__pycache__")
        });
        Ok(Contents::new(inventory))
    }

    /// Of a list of members alone: packages of Node.js are without their versions.
    pub fn of_members(members: Vec<ManifestEntry>) -> Contents {
        Contents::new(Inventory::of_members(members))
    }

    /// What a plugin is called in its file; `None` where it does not say.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.inventory.metadata.as_ref()
    }

    fn new(inventory: Inventory) -> Contents {
        Contents { owners: Owners::of(&inventory), inventory }
    }
}

fn is_wanted(path: &str) -> bool {
    path == CONFIGURATION || tells_of_package(path)
}
