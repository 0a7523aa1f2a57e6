//! A module that is up, with a plugin whose step notes what it gets.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::running::processes_of;
use crate::support::{CONFIG, Done, Sandbox};

/// Longer than anything takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);
const COMMAND: &str = "_cmd_and_args={{MFDATA_CURRENT_PLUGIN_DIR}}/main.py {STANDARD_STEP_ARGUMENTS}\n";

pub struct Flow {
    pub sandbox: Sandbox,
}

impl Flow {
    pub fn new() -> Flow {
        let flow = Flow { sandbox: Sandbox::new() };
        flow.configure("");
        flow
    }

    /// The settings of the module; nothing but the plugins of the test is to run.
    pub fn configure(&self, settings: &str) {
        let only = "[internal_plugins]\ninstall_switch=0\ninstall_guess_file_type=0\n";
        self.write("config/config.ini", format!("{only}{settings}"));
    }

    /// A path below the runtime home.
    pub fn home(&self, relative: &str) -> PathBuf {
        self.sandbox.path("home/.local/share/mwp/mfdata").join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn inbox(&self) -> PathBuf {
        self.home("var/in/step.p.main")
    }

    /// The plugin `p`: its step `main` has this method, and these settings.
    pub fn step(&self, settings: &str, process: &str) {
        let main = format!(
            "#!/usr/bin/env python3\nimport os, time\nfrom acquisition import AcquisitionStep\n\n\
             NOTES = os.path.join(os.environ['MFMODULE_RUNTIME_HOME'], 'notes')\n\n\n\
             def note(word):\n    with open(NOTES, 'a') as notes:\n        notes.write(word + '\\n')\n\n\n\
             class Main(AcquisitionStep):\n    def process(self, xaf):\n        content = open(xaf.filepath).read()\n\
             {process}\n\n\nMain().run()\n"
        );
        let dir = self.sandbox.path("p");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(self.home("var/plugins")).unwrap();
        std::os::unix::fs::symlink(&dir, self.home("var/plugins/p")).unwrap();
        let workers = if settings.contains("numprocesses") { "" } else { "numprocesses=1\n" };
        let config = format!("{CONFIG}[step_main]\n{COMMAND}{workers}{settings}");
        for (file, content) in [
            (".layerapi2_label", "plugin_p@mfdata\n"),
            (".layerapi2_dependencies", "python3@mfext\n"),
            (".plugin_format_version", "1.0.0\n"),
            ("config.ini", config.as_str()),
            ("main.py", main.as_str()),
        ] {
            fs::write(dir.join(file), content).unwrap();
            fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// One that writes down what is in each file.
    pub fn noting_step(&self, settings: &str) {
        self.step(settings, "        note(content)\n        return True");
    }

    pub fn up(&self) -> Up<'_> {
        let done = Done::of(&mut self.sandbox.mwp(["up", "--detach", "--module", "mfdata"]));
        assert!(matches!(done.code, Some(0 | 1)), "{done:?}");
        Up { flow: self }
    }

    /// What steps wrote down, sorted.
    pub fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home("notes")).unwrap_or_default();
        let mut notes: Vec<String> = text.lines().map(str::to_owned).collect();
        notes.sort();
        notes
    }

    pub fn drop_file(&self, name: impl AsRef<OsStr>, content: &str) -> PathBuf {
        let path = self.inbox().join(name.as_ref());
        fs::write(&path, content).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        path
    }

    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}\n{:?}", self.log(), self.notes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn until_noted(&self, expected: &[&str]) {
        self.until(&format!("{expected:?} are noted"), || self.notes().len() >= expected.len());
        assert_eq!(self.notes(), expected);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.home("log/supervisor.log")).unwrap_or_default()
    }

    pub fn redis(&self, words: &[&str]) -> String {
        self.redis_at(&self.home("var/redis.socket"), words)
    }

    pub fn redis_at(&self, socket: &Path, words: &[&str]) -> String {
        let mut command = std::process::Command::new("redis-cli");
        command.arg("-s").arg(socket).args(words);
        Done::of(&mut command).stdout.trim_end().to_owned()
    }
}

/// Goes down with its owner.
pub struct Up<'a> {
    flow: &'a Flow,
}

impl Up<'_> {
    pub fn status(&self) -> Value {
        let output = self.flow.sandbox.mwp(["status", "--json", "--module", "mfdata"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The figures of the step `main`.
    pub fn queue(&self) -> Value {
        self.status()["plugins"][0]["services"][0]["queue"].clone()
    }

    pub fn problems(&self) -> String {
        let status = self.status();
        format!("{} {}", status["problems"], status["plugins"][0]["problems"])
    }

    pub fn kill(&self, pid: &Value) {
        let pid =
            pid.as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        // It may have ended, or not have started again.
        let _ = pid.map(kill);
    }
}

fn kill(pid: rustix::process::Pid) {
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = Done::of(&mut self.flow.sandbox.mwp(["down", "--module", "mfdata"]));
        // Whatever is still there must not outlive the test.
        for pid in processes_of(&self.flow.home("")) {
            let _ = rustix::process::Pid::from_raw(pid).map(kill);
        }
    }
}
