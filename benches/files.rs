//! Files through steps of mfdata: how many a second, how soon, and what the observer takes for it. Needs python3 and
//! redis-server.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "support/running.rs"]
mod running;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use running::{Module, Processes, listens, of_status, wait_for};
use support::{finish, report, report_limit, scaled};

const FILES: usize = 5_000;
const CONFIG: &str = "[general]\n_version=1\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n";
const STEP: &str = "#!/usr/bin/env python3
import time
from acquisition import AcquisitionStep

class Main(AcquisitionStep):
    def process(self, xaf):
        begun = time.time_ns()
        with open(xaf.filepath) as file, open('/STARTS', 'a') as starts:
            starts.write(f'{file.read()} {begun}\\n')
        return True

Main().run()
";

fn main() {
    finish(&[throughput(), delay(), memory()]);
}

struct Files(Module);

impl Files {
    fn new() -> Files {
        let files = Files(Module::new());
        files.0.configure("[internal_plugins]\ninstall_switch=0\ninstall_guess_file_type=0\n");
        files
    }

    fn input(&self, name: &str) -> PathBuf {
        self.0.path("home/var/in").join(name)
    }

    /// Where the step writes when it began with what.
    fn starts(&self) -> PathBuf {
        self.0.path("starts")
    }

    /// `filter/main` sends every file to `work/main`.
    fn plugins(&self, workers: u32) {
        let rules = self.0.path("rules.ini");
        fs::write(&rules, "[switch_rules_work:alwaystrue]\nall=work/main\n").unwrap();
        let switch = format!("switch_step --rules-file={} {{STANDARD_STEP_ARGUMENTS}}", rules.display());
        self.plugin("filter", &switch, 1);
        self.plugin("work", "{{MFDATA_CURRENT_PLUGIN_DIR}}/main.py {STANDARD_STEP_ARGUMENTS}", workers);
    }

    fn plugin(&self, name: &str, command: &str, workers: u32) {
        let dir = self.0.path(name);
        fs::create_dir_all(&dir).unwrap();
        let config = format!("{CONFIG}[step_main]\n_cmd_and_args={command}\nnumprocesses={workers}\n");
        let step = STEP.replace("/STARTS", self.starts().to_str().unwrap());
        for (file, content) in [
            (".layerapi2_label", format!("plugin_{name}@mfdata\n").as_str()),
            (".layerapi2_dependencies", "python3@mfext\n"),
            (".plugin_format_version", "1.0.0\n"),
            ("config.ini", &config),
            ("main.py", &step),
        ] {
            fs::write(dir.join(file), content).unwrap();
            fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir_all(self.0.path("home/var/plugins")).unwrap();
        std::os::unix::fs::symlink(&dir, self.0.path("home/var/plugins").join(name)).unwrap();
    }

    fn up(&self) {
        self.0.ok(&["up", "--quiet", "--detach", "--module", "mfdata"]);
        // Python is there.
        std::thread::sleep(Duration::from_secs(2));
    }

    fn supervisor(&self) -> u32 {
        let output = self.0.mwp(&["status", "--json", "--module", "mfdata"]).stdout(Stdio::piped()).output();
        let status: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        status["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// Files that wait elsewhere, to be moved in.
    fn prepared(&self) -> PathBuf {
        let aside = self.0.path("home/var/aside");
        fs::create_dir_all(&aside).unwrap();
        for number in 0..scaled(FILES) {
            fs::write(aside.join(number.to_string()), number.to_string()).unwrap();
        }
        aside
    }

    fn done(&self) -> usize {
        fs::read(self.starts()).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
    }

    fn until_done(&self, files: usize) {
        while self.done() < files {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = self.0.mwp(&["down", "--module", "mfdata"]).stderr(Stdio::null()).status();
    }
}

fn move_all(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::rename(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// From a directory through a switch and a step with two workers, against the same processes whose lists are filled by
/// hand, one after the other.
fn throughput() -> bool {
    let ours = {
        let files = Files::new();
        files.plugins(2);
        files.up();
        let aside = files.prepared();
        let begun = Instant::now();
        move_all(&aside, &files.input("step.filter.main"));
        files.until_done(scaled(FILES));
        begun.elapsed()
    };
    let by_hand = by_hand();
    report(
        &format!("{} files through switch and step", scaled(FILES)),
        ours,
        "lists filled by hand",
        by_hand,
        1.0,
    )
}

fn by_hand() -> Duration {
    let files = Files::new();
    files.plugins(2);
    let socket = files.0.path("home/var/redis.socket");
    for queue in ["step.filter.main", "step.work.main"] {
        fs::create_dir_all(files.input(queue)).unwrap();
    }
    let mut redis = Command::new("redis-server");
    redis.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let mut processes = vec![redis.stdout(Stdio::null()).spawn().unwrap()];
    wait_for(std::slice::from_ref(&socket));
    assert!(listens(&socket));
    let option = format!("--redis-unix-socket-path={}", socket.display());
    let rules = format!("--rules-file={}", files.0.path("rules.ini").display());
    for (plugin, words) in
        [("filter", vec!["switch_step", &rules]), ("work", vec!["./main.py"]), ("work", vec!["./main.py"])]
    {
        let queue = format!("step.{plugin}.main");
        let mut command = files.0.mwp(&["exec", "--cwd", plugin]);
        command.args(words).args(["--step-name=main", &option, &queue]);
        processes.push(command.stderr(Stdio::null()).spawn().unwrap());
    }
    let _processes = Processes(processes);
    std::thread::sleep(Duration::from_secs(2));
    let aside = files.prepared();
    let begun = Instant::now();
    move_all(&aside, &files.input("step.filter.main"));
    fill(&files, "step.filter.main", &socket);
    while fs::read_dir(files.input("step.work.main")).unwrap().count() < scaled(FILES) {
        std::thread::sleep(Duration::from_millis(20));
    }
    fill(&files, "step.work.main", &socket);
    files.until_done(scaled(FILES));
    begun.elapsed()
}

/// Puts every file of a directory into the list of its name.
fn fill(files: &Files, queue: &str, socket: &Path) {
    use std::io::Write;
    let directory = files.input(queue);
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(socket).arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut client = command.spawn().unwrap();
    let mut input = std::io::BufWriter::new(client.stdin.take().unwrap());
    for file in fs::read_dir(&directory).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let event = format!("{{\"directory\": \"{}\", \"filename\": \"{name}\"}}", directory.display());
        write!(input, "*3\r\n$5\r\nLPUSH\r\n${}\r\n{queue}\r\n${}\r\n{event}\r\n", queue.len(), event.len())
            .unwrap();
    }
    drop(input);
    client.wait().unwrap();
}

/// From the end of writing a file to the start of its step, where nothing else is to be done.
fn delay() -> bool {
    let files = Files::new();
    files.plugins(1);
    files.up();
    let mut delays = Vec::new();
    for number in 0..200 {
        fs::write(files.input("step.work.main").join(number.to_string()), number.to_string()).unwrap();
        let closed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        files.until_done(number + 1);
        let starts = fs::read_to_string(files.starts()).unwrap();
        let begun: u64 = starts.lines().last().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        delays.push(Duration::from_nanos(begun).saturating_sub(closed));
    }
    delays.sort();
    let limit = Duration::from_millis(20);
    let middle = report_limit("from close to the start of the step, in the middle", delays[100], limit);
    report_limit("from close to the start of the step, 99 of 100", delays[198], limit) && middle
}

/// The supervisor after each thousands of files, and with several times as many that wait.
fn memory() -> bool {
    let files = Files::new();
    files.plugins(2);
    files.up();
    let supervisor = files.supervisor();
    let megabytes = || f64::from(of_status(supervisor, "VmRSS:")) / 1e3;
    let mut after = Vec::new();
    for round in 1..=3 {
        let aside = files.prepared();
        move_all(&aside, &files.input("step.work.main"));
        files.until_done(round * scaled(FILES));
        after.push(megabytes());
    }
    let files_of = |rounds| scaled(FILES) * rounds;
    let [once, twice, thrice] = [1, 2, 3].map(files_of);
    println!("memory of the supervisor after {once}, {twice}, {thrice} files: {after:.1?} MB");
    files.plugin("idle", "sleep 1", 0);
    files.0.ok(&["reload", "--module", "mfdata"]);
    for round in 0..5 {
        let aside = files.prepared();
        let inbox = files.input("step.idle.main");
        for number in 0..scaled(FILES) {
            fs::rename(aside.join(number.to_string()), inbox.join(format!("{round}.{number}"))).unwrap();
        }
    }
    std::thread::sleep(Duration::from_secs(5));
    println!("memory of the supervisor while {} files wait: {:.1} MB", files_of(5), megabytes());
    after[2] < after[0] * 1.2 + 2.0
}
