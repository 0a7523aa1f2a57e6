//! File systems for single runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A new ext4 in a file, mounted for as long as this lives: whoever makes files there does not pay for what others
/// deleted.
pub struct NewFileSystem {
    image: PathBuf,
    mounted: PathBuf,
}

impl NewFileSystem {
    /// In the file `{at}.image`, mounted at `at`; of 6 GB, as far as they are written. `None` where that cannot be.
    pub fn mounted(at: &Path) -> Option<NewFileSystem> {
        let image = at.with_extension("image");
        fs::File::create(&image).unwrap().set_len(6 << 30).unwrap();
        fs::create_dir_all(at).unwrap();
        // Nothing is left for the background, where it would be in the way of who measures.
        let ready = quietly(
            Command::new("mkfs.ext4")
                .args(["-q", "-E"])
                .args(["lazy_itable_init=0,lazy_journal_init=0,nodiscard".as_ref(), image.as_os_str()]),
        );
        let file_system = NewFileSystem { image, mounted: at.to_owned() };
        let mount = || Command::new("mount").args(["-o", "loop"]).arg(&file_system.image).arg(at).output();
        (ready && mount().is_ok_and(|mount| mount.status.success())).then_some(file_system)
    }

    pub fn path(&self) -> &Path {
        &self.mounted
    }
}

impl Drop for NewFileSystem {
    fn drop(&mut self) {
        // One that was never mounted is none to it.
        quietly(Command::new("umount").arg(&self.mounted));
        let _ = fs::remove_file(&self.image);
    }
}

fn quietly(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
