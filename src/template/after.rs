//! What may follow the making of a plugin: its release, its installation, and keeping nothing but the release.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::exit;
use crate::fs;
use crate::site::Site;
use crate::text;

/// Releases the plugin in `dir` with `program`, which is `mwp`, and installs the release where wanted. It runs
/// as a process of its own, since the two stages know nothing of templates.
pub fn release(program: &Path, dir: &Path, install: bool, is_silent: bool, site: &Site) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("release").env_clear().envs(site.environment.iter()).current_dir(dir);
    if install {
        command.arg("--install");
    }
    if is_silent {
        command.stdout(Stdio::null());
    }
    let status = command.status().map_err(|error| Error::io("run", program, &error))?;
    if status.success() {
        return Ok(());
    }
    let message = format!("{} was created, but its release failed ({status})", text::path(dir));
    let error = if status.code() == Some(i32::from(exit::MACHINE)) {
        Error::machine(message)
    } else {
        Error::input(message)
    };
    Err(error.hint(format!(
        "see above, then run `mwp release -C {}` again",
        text::visible(&dir.to_string_lossy())
    )))
}

/// Moves the releases in `dir` to the directory above and removes `dir`.
pub fn keep_release_only(dir: &Path) -> Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    let mut found = false;
    for path in fs::list(dir)? {
        let name =
            path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "plugin"));
        if let Some(name) = name {
            fs::rename(&path, &parent.join(name))?;
            found = true;
        }
    }
    if !found {
        return Err(Error::input(format!("{} holds no release; it is kept", text::path(dir)))
            .hint("`mwp release` in it makes one"));
    }
    fs::remove_tree(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Environment;

    /// A stand-in for `mwp` that writes down its arguments, makes a release, and ends with `code`.
    fn stand_in(dir: &Path, code: u8) -> std::path::PathBuf {
        let path = dir.join("mwp");
        let script =
            format!("#!/bin/sh\necho \"$@\" >>arguments\n: >foo-1-1.metwork.mfserv.plugin\nexit {code}\n");
        fs::write_atomic(&path, script.as_bytes()).unwrap();
        fs::set_mode(&path, 0o755).unwrap();
        path
    }

    #[test]
    fn the_release_runs_in_the_new_directory_and_can_be_all_that_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let program = stand_in(root.path(), 0);
        let site = Site::new(Environment::default());
        let dir = root.path().join("foo");
        fs::create_dir_all(&dir).unwrap();
        assert!(keep_release_only(&dir).unwrap_err().to_string().contains("is kept"));
        release(&program, &dir, false, false, &site).unwrap();
        release(&program, &dir, true, false, &site).unwrap();
        assert_eq!(fs::read_text(&dir.join("arguments")).unwrap(), "release\nrelease --install\n");
        keep_release_only(&dir).unwrap();
        assert!(!fs::exists(&dir) && fs::exists(&root.path().join("foo-1-1.metwork.mfserv.plugin")));
    }

    #[test]
    fn a_failed_release_keeps_the_plugin_and_the_fault() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("foo");
        fs::create_dir_all(&dir).unwrap();
        let site = Site::new(Environment::default());
        for (code, fault) in [(1, crate::error::Fault::Input), (3, crate::error::Fault::Machine)] {
            let error = release(&stand_in(root.path(), code), &dir, false, false, &site).unwrap_err();
            assert_eq!(error.fault, fault);
            assert!(error.to_string().contains("was created, but its release failed"));
        }
        assert!(fs::exists(&dir));
    }
}
