//! A sandbox for one test: its own home, cache, runtime home and `/etc`, and a builder for plugin directories.

mod crontab;
pub mod failing;
pub mod index;
mod installed;
pub mod running;
pub mod tar;
pub mod telling;
mod terminal;
pub mod unpacking;
pub mod users;
pub mod wheel;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long what is sure to come is waited for: only a failure takes that long.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for what a process of its own does, however busy the machine is.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

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
        let sandbox = Sandbox { root };
        sandbox.write_crontab_program();
        sandbox
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

    /// A plugin with these requirements, of which any may come as a ready-made wheel.
    pub fn python_plugin(&self, name: &str, requirements: &str) -> PathBuf {
        let dir = self.plugin(name);
        self.write(&format!("{name}/python3_virtualenv_sources/requirements-to-freeze.txt"), requirements);
        self.write(&format!("{name}/python3_virtualenv_sources/allow_binary_packages"), "");
        dir
    }

    /// A plugin whose one task copies its inputs, `in/*`, into `out/`.
    pub fn task_plugin(&self, name: &str) -> PathBuf {
        let dir = self.plugin(name);
        self.write(&format!("{name}/in/a.txt"), "a\n");
        self.write(&format!("{name}/in/b.txt"), "b\n");
        self.write(
            &format!("{name}/mwp.toml"),
            "[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"out\"]\n\
             command = [\"sh\", \"-c\", \"mkdir -p out && cp in/* out/ && echo ran >> ../ran.log\"]\n",
        );
        dir
    }

    /// How often the task of [`task_plugin`](Sandbox::task_plugin) ran.
    pub fn runs(&self) -> usize {
        fs::read_to_string(self.work().join("ran.log")).map_or(0, |log| log.lines().count())
    }

    /// `mwp` with these arguments, in `work`, with nothing of the caller's set-up but PATH and the registries.
    pub fn mwp<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_mwp"));
        command.args(arguments);
        command
    }

    /// The same with a package manager from npm in front of PATH.
    pub fn mwp_with_node_tool(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = self.mwp(arguments);
        let path = self.search_path();
        let dirs = std::iter::once(node_tool(tool)).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs).unwrap());
        command.env("YARN_CACHE_FOLDER", shared_dir("yarn"));
        command.env("YARN_GLOBAL_FOLDER", shared_dir("yarn-later"));
        command
    }

    /// Another program, in the environment that ours has.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).env("HOME", self.path("home"));
        command.env("MWP_ETC_DIR", self.path("etc"));
        // The package managers' own caches are shared by all tests: what they download is not what is tested.
        for (variable, name) in
            [("PIP_CACHE_DIR", "pip"), ("UV_CACHE_DIR", "uv"), ("npm_config_cache", "npm")]
        {
            command.env(variable, shared_dir(name));
        }
        command.env("PATH", self.search_path());
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

/// Takes a file system off its directory at the end of a test.
pub struct Unmount(pub PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // What still has a file open there, as a process that is about to end, must not keep the mount.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A directory that outlives the test run, below the build directory.
pub fn shared_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared").join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The PATH of this process less the directories that hold uv: a test says itself whether it has uv.
pub fn path_without_uv() -> OsString {
    let path = std::env::var_os("PATH").unwrap();
    let dirs = std::env::split_paths(&path).filter(|dir| !dir.join("uv").exists());
    std::env::join_paths(dirs).unwrap()
}

/// The same with a real uv in front, from PyPI, installed once.
pub fn path_with_uv() -> OsString {
    static UV: OnceLock<PathBuf> = OnceLock::new();
    let bin = UV.get_or_init(|| {
        let uv = python_tool("uv", "uv").join("uv");
        // Nothing but uv: the virtualenv has a python3 of its own.
        let bin = shared_dir("uv-tool/bin");
        let _ = std::os::unix::fs::symlink(uv, bin.join("uv"));
        bin
    });
    let rest = path_without_uv();
    let dirs = std::iter::once(bin.clone()).chain(std::env::split_paths(&rest).collect::<Vec<_>>());
    std::env::join_paths(dirs).unwrap()
}

/// The `bin` of a virtualenv with a program from PyPI, installed once.
pub fn python_tool(program: &str, requirement: &str) -> PathBuf {
    let home = shared_dir(&format!("{program}-tool"));
    let lock = fs::File::create(home.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if !home.join("venv/bin").join(program).exists() {
        let run = |program: &Path, arguments: &[&str]| {
            Done::of(Command::new(program).args(arguments).current_dir(&home)).succeeded();
        };
        run(Path::new("python3"), &["-m", "venv", "venv"]);
        run(&home.join("venv/bin/pip"), &["install", "--quiet", requirement]);
    }
    home.join("venv/bin")
}

/// The directory of a program from npm, installed once: `node_tool("pnpm@9")`.
pub fn node_tool(package: &str) -> PathBuf {
    let home = shared_dir(&format!("npm-{}", package.replace(['@', '/'], "-")));
    let lock = fs::File::create(home.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bin = home.join("node_modules/.bin");
    if !bin.exists() {
        let arguments = ["install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", package];
        Done::of(Command::new("npm").args(arguments).current_dir(&home)).succeeded();
    }
    bin
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

    /// Asserts that standard error does not hold `text`.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Done {
        assert!(!self.stderr.contains(text), "{text:?} in:\n{}", self.stderr);
        self
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
