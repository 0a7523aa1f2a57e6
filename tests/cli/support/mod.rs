//! A sandbox for one test: its own home, cache, runtime home and `/etc`, and a builder for plugin directories.

mod installed;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Everything a test touches lives below one temporary directory.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let root = tempfile::Builder::new().prefix("mwp-test-").tempdir().unwrap();
        for dir in ["home", "etc", "work"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        Sandbox { root }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The directory that commands start in.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Writes a file below `work`, with its directories.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn write_executable(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.write(relative, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.work().join(relative)).unwrap()
    }

    /// A minimal valid plugin of mfserv at `work/{name}`.
    pub fn plugin(&self, name: &str) -> PathBuf {
        self.write(&format!("{name}/.layerapi2_label"), format!("plugin_{name}@mfserv\n"));
        self.write(&format!("{name}/.layerapi2_dependencies"), "python3@mfext\n");
        self.write(&format!("{name}/.plugin_format_version"), "1.0.0\n");
        self.write(&format!("{name}/config.ini"), CONFIG);
        self.work().join(name)
    }

    /// `mwp` with these arguments, in `work`, with nothing of the caller's set-up but PATH and the registries.
    pub fn mwp<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
        command.args(arguments).current_dir(self.work()).env("HOME", self.path("home"));
        command.env("MWP_ETC_DIR", self.path("etc"));
        for variable in
            ["MWP_CACHE_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "MFMODULE", "MFCONFIG", "SOURCE_DATE_EPOCH"]
        {
            command.env_remove(variable);
        }
        command
    }

    /// Runs to the end and asserts success.
    #[track_caller]
    pub fn ok<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Done {
        Done::of(&mut self.mwp(arguments)).succeeded()
    }

    /// Runs to the end and asserts this exit code.
    #[track_caller]
    pub fn fails<I: AsRef<OsStr>>(&self, code: i32, arguments: impl IntoIterator<Item = I>) -> Done {
        Done::of(&mut self.mwp(arguments)).exited(code)
    }
}

pub const CONFIG: &str = "\
[general]
_version=0.0.1
_release=1
_summary=a test plugin
_license=BSD
_url=http://localhost
_maintainer=me@localhost
_vendor=me
";

/// A finished command.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(command: &mut Command) -> Done {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Done {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exited(self, code: i32) -> Done {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn succeeded(self) -> Done {
        self.exited(0)
    }

    /// Asserts that standard error holds `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Done {
        assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        self
    }

    /// Asserts that standard output holds `text`.
    #[track_caller]
    pub fn prints(self, text: &str) -> Done {
        assert!(self.stdout.contains(text), "no {text:?} in:\n{}", self.stdout);
        self
    }
}

/// Every path below `dir`, relative, sorted: for asserting that nothing was left behind.
pub fn tree(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            if path.is_dir() && !path.is_symlink() {
                walk(&path, root, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found
}
