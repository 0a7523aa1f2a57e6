//! An ordinary user: half of what can go wrong does not happen to root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::{Done, Sandbox};

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Sandbox {
    /// `mwp` as an ordinary user, to whom everything in the sandbox is given before the first call; as this user where
    /// that is an ordinary one.
    pub fn as_ordinary_user(&self, arguments: &[&str]) -> Command {
        self.as_ordinary_user_with_umask("022", arguments)
    }

    /// The same with a umask.
    pub fn as_ordinary_user_with_umask(&self, umask: &str, arguments: &[&str]) -> Command {
        let mwp = self.mwp(arguments);
        let mut binary = PathBuf::from(mwp.get_program());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        if is_root() {
            binary = self.path("mwp");
            if !binary.exists() {
                fs::copy(env!("CARGO_BIN_EXE_mwp"), &binary).unwrap();
                fs::set_permissions(self.path("."), fs::Permissions::from_mode(0o755)).unwrap();
                let everything = ["-R", "65534:65534"];
                Done::of(Command::new("chown").args(everything).arg(self.path("."))).succeeded();
            }
            command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command.arg(&binary).args(arguments).current_dir(mwp.get_current_dir().unwrap());
        for (name, value) in mwp.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Mounts an empty file system at `place`, where this user can.
    pub fn mount(&self, kind: &str, options: &str, place: PathBuf) -> Option<super::Unmount> {
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, kind]).arg(&place);
        if !options.is_empty() {
            mount.args(["-o", options]);
        }
        let is_mounted = is_root() && mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| super::Unmount(place))
    }
}
