//! A crontab of the test's own: no test touches that of the user who runs it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Sandbox, path_without_uv};

impl Sandbox {
    /// A `crontab` that keeps its file in the sandbox and leaves the judgement to the machine's own.
    pub(super) fn write_crontab_program(&self) {
        let real = which::which("crontab").unwrap_or_else(|_| PathBuf::from("/nowhere/crontab"));
        self.replace_crontab_program(&format!(
            "file='{}' real='{}'\n\
             case $1 in\n\
             -l) cat \"$file\" 2>/dev/null || {{ echo 'no crontab for me' >&2; exit 1; }} ;;\n\
             -r) rm \"$file\" ;;\n\
             -h | -n) exec \"$real\" \"$@\" ;;\n\
             *) \"$real\" -n \"$1\" || exit 1; cp \"$1\" \"$file.$$\"; mv \"$file.$$\" \"$file\" ;;\n\
             esac\n",
            self.path("crontab").display(),
            real.display()
        ));
    }

    /// Another program in its place.
    pub fn replace_crontab_program(&self, script: &str) {
        let program = self.path("bin/crontab");
        fs::create_dir_all(self.path("bin")).unwrap();
        fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The sandbox's own programs before those of the machine.
    pub fn search_path(&self) -> OsString {
        let rest = path_without_uv();
        let dirs = std::iter::once(self.path("bin")).chain(std::env::split_paths(&rest));
        std::env::join_paths(dirs).unwrap()
    }

    /// What the user's crontab holds; empty where there is none.
    pub fn crontab(&self) -> String {
        String::from_utf8(fs::read(self.path("crontab")).unwrap_or_default()).unwrap()
    }

    pub fn write_crontab(&self, content: impl AsRef<[u8]>) {
        fs::write(self.path("crontab"), content).unwrap();
    }
}
