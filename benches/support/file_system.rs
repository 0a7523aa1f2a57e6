//! File systems for single runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A new ext4 in a file, mounted for as long as this lives: whoever makes files there does not pay for what others
/// deleted. Only root may mount one, with a loop device; without, it is a new directory.
pub struct NewFileSystem {
    image: PathBuf,
    mounted: PathBuf,
}

impl NewFileSystem {
    /// In the file `{at}.image`, mounted at `at`; of 6 GB, as far as they are written.
    pub fn at(at: &Path) -> NewFileSystem {
        let image = at.with_extension("image");
        fs::File::create(&image).unwrap().set_len(6 << 30).unwrap();
        fs::create_dir_all(at).unwrap();
        // Nothing is left for the background, where it would be in the way of who measures.
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let is_made = quietly(Command::new("mkfs.ext4").args(["-q", "-E", options]).arg(&image));
        if !is_made || !quietly(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at)) {
            println!("no file system of its own: only root may mount one, with a loop device");
        }
        NewFileSystem { image, mounted: at.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.mounted
    }
}

impl Drop for NewFileSystem {
    fn drop(&mut self) {
        quietly(Command::new("umount").arg(&self.mounted));
        // Where nothing was mounted, the directory itself is full.
        let _ = fs::remove_dir_all(&self.mounted);
        let _ = fs::remove_file(&self.image);
    }
}

fn quietly(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
