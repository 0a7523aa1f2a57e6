//! Plugins in the module's base directory, put there by hand.

use std::path::PathBuf;

use super::Sandbox;

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
}
