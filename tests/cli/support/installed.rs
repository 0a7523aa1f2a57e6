//! Plugins in the module's base directory, put there by hand.

use std::path::PathBuf;

use super::tar::METADATA;
use super::{CONFIG, Sandbox};

impl Sandbox {
    /// Where the plugins of mfserv are when nothing says otherwise.
    pub fn base(&self) -> PathBuf {
        self.path("home/.local/share/mwp/mfserv/var/plugins")
    }

    /// A minimal plugin in the base directory.
    pub fn installed(&self, name: &str) -> PathBuf {
        let dir = self.plugin(name);
        std::fs::create_dir_all(self.base()).unwrap();
        let home = self.base().join(name);
        std::fs::rename(dir, &home).unwrap();
        home
    }

    /// As [`installed`](Sandbox::installed), with what an installation leaves behind and with these sections.
    pub fn installed_with(&self, name: &str, sections: &str) -> PathBuf {
        let home = self.installed(name);
        std::fs::write(home.join(".metadata.json"), METADATA).unwrap();
        std::fs::write(home.join("config.ini"), format!("{CONFIG}{sections}")).unwrap();
        home
    }
}
