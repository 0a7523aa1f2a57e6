//! What a plugin holds: packages of Python and Node.js by name, and its own files by directory; of a `.plugin` file.

mod packages;
mod size;

pub use packages::{Ecosystem, Package};
pub use size::{Branch, Sizes};

use std::path::Path;

use crate::artifact::{Inventory, Limits};
use crate::error::Result;
use packages::{Owners, tells_of_package};

/// A plugin's members, and which package each is of.
#[derive(Debug)]
pub struct Contents {
    inventory: Inventory,
    owners: Owners,
}

impl Contents {
    /// Reads a `.plugin` file to its end.
    pub fn of_file(file: &Path, limits: &Limits) -> Result<Contents> {
        Inventory::of_file(file, limits, &tells_of_package).map(Contents::new)
    }

    fn new(inventory: Inventory) -> Contents {
        Contents { owners: Owners::of(&inventory), inventory }
    }
}
