//! However small the input is, the work for it ends, and the memory does not fill.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{CONFIG, Done, Sandbox};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";
const TOO_MUCH: &str = "it takes more steps, or makes more text, than a template may";

fn with_config(sections: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/config.ini", format!("{CONFIG}{sections}"));
    sandbox
}

#[test]
fn a_template_that_never_ends_is_refused_wherever_templates_are() {
    let endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
    let sandbox = with_config(&format!("[custom]\na = {endless}\nb = {{{{ 'x' * 99999 * 999 }}}}\n"));
    sandbox.fails(1, ["check", "-C", "p"]).says("[custom] a").says(TOO_MUCH).says("[custom] b");
    let sandbox = with_config("");
    sandbox.write("p/crontab", format!("{endless}\n"));
    sandbox.fails(1, ["check", "-C", "p"]).says("crontab").says(TOO_MUCH);
    let sandbox = with_config("[app_main]\n_cmd_and_args = x\n");
    sandbox.write("p/nginx_location_extra_main.conf", endless);
    sandbox.write("p/nginx_server_extra.conf", endless);
    sandbox.write("p/nginx_http_extra.conf", endless);
    sandbox.write("p/nginx.conf", endless);
    let said = Done::of(&mut sandbox.mwp(["check", "-C", "p"]));
    assert_ne!(said.code, None);
}

#[test]
fn an_interrupt_ends_templates_and_lets_go_of_the_base() {
    let sandbox = with_config("[custom]\na = 1\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    // Read as the override of a plugin that is being installed.
    let overrides = sandbox.path("home/.local/share/mwp/mfserv/config/plugins");
    fs::create_dir_all(&overrides).unwrap();
    let begun = sandbox.path("begun");
    let slow = format!("{{{{ 'touch {}; sleep 25'|shell }}}}", begun.display());
    let keys: String = (0..500).map(|number| format!("k{number} = {slow}\n")).collect();
    fs::write(overrides.join("p.ini"), format!("[custom]\n{keys}")).unwrap();
    let mut child = sandbox
        .mwp(["install", FILE])
        .env("MWP_ALLOW_SHELL", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !begun.exists() {
        assert!(Instant::now() < deadline, "no template was rendered");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    // Left to itself, it would take hours.
    assert_eq!(child.wait().unwrap().code(), Some(130));
    fs::remove_file(overrides.join("p.ini")).unwrap();
    sandbox.ok(["install", FILE]);
}

#[test]
fn a_configuration_of_many_sections_keys_and_headings_is_read_in_linear_work() {
    // With work that grows with the square, each of these would take hours.
    let many = |line: &dyn Fn(usize) -> String| (0..200_000).map(line).collect::<String>();
    for sections in [
        many(&|number| format!("[custom_{number}]\na=1\n")),
        format!("[custom]\n{}", many(&|number| format!("k{number}=1\n"))),
    ] {
        let sandbox = with_config(&sections);
        sandbox.ok(["check", "-C", "p"]);
    }
    let sandbox = with_config(&many(&|_| "[custom]\n".to_owned()));
    sandbox.fails(1, ["check", "-C", "p"]).says("duplicate section");
}

#[test]
fn a_postinstall_that_leaves_a_daemon_does_not_hold_the_base() {
    let sandbox = with_config("");
    let pid = sandbox.path("pid");
    sandbox.write_executable(
        "p/postinstall",
        &format!("#!/bin/sh\nsleep 9000 &\necho $! > {}\necho started\n", pid.display()),
    );
    sandbox.ok(["release", "-q", "-C", "p"]);
    // It would last for hours, and so would the lock.
    sandbox.ok(["install", FILE]);
    let mut second = sandbox.mwp(["install", "--force", FILE]);
    Done::of(second.env("MWP_LOCK_TIMEOUT", "0")).succeeded().never_says("waiting");
    let _ = std::process::Command::new("sh")
        .args(["-c", "kill $(cat \"$0\") 2>/dev/null"])
        .arg(pid)
        .stderr(Stdio::null())
        .status();
}

#[test]
fn what_postinstall_says_goes_to_its_log_and_not_into_memory() {
    let sandbox = with_config("");
    sandbox.write_executable(
        "p/postinstall",
        "#!/bin/sh\nhead -c 300000000 /dev/zero | tr '\\0' 'x'\necho; echo last; exit 1\n",
    );
    sandbox.ok(["release", "-q", "-C", "p"]);
    let limited = format!("ulimit -v 400000; exec {} install {FILE}", env!("CARGO_BIN_EXE_mwp"));
    let mwp = sandbox.mwp(["install"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &limited]).current_dir(sandbox.work());
    for (name, value) in mwp.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Done::of(&mut shell).exited(1).says("failed: exit code 1: last");
    let log = sandbox.path("home/.local/share/mwp/mfserv/log/postinstall_p.log");
    assert!(log.metadata().unwrap().len() > 300_000_000);
}

#[test]
fn a_file_that_is_too_large_is_refused_with_its_size_and_not_read() {
    let requirements = "python3_virtualenv_sources/requirements-to-freeze.txt";
    for name in ["config.ini", "mwp.toml", "crontab", ".layerapi2_dependencies", requirements] {
        let sandbox = with_config("");
        let path = sandbox.write(&format!("p/{name}"), "");
        fs::File::create(&path).unwrap().set_len(300_000_000).unwrap();
        let limited = format!("ulimit -v 300000; exec {} check -C p", env!("CARGO_BIN_EXE_mwp"));
        let mwp = sandbox.mwp(["check"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &limited]).current_dir(sandbox.work());
        for (name, value) in mwp.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let done = Done::of(&mut shell);
        assert!(done.stderr.contains("300.0 MB; at most 33.6 MB are allowed"), "{name}: {done:?}");
        assert!(done.stderr.contains(name) && matches!(done.code, Some(0 | 1)), "{name}: {done:?}");
    }
}

#[test]
fn recipes_and_exclusions_have_a_bound() {
    let sandbox = with_config("");
    let tasks = |count: usize| -> String {
        (0..count)
            .map(|at| format!("[tasks.t{at}]\noutputs = [\"o{at}\"]\nalways = true\ncommand = [\"true\"]\n"))
            .collect()
    };
    for arguments in [["check", "-C", "p"], ["graph", "-C", "p"], ["release", "-C", "p"]] {
        sandbox.write("p/mwp.toml", tasks(501));
        sandbox.fails(1, arguments).says("mwp.toml:").says("more than 500 tasks").says("hint: ");
    }
    sandbox.write("p/mwp.toml", tasks(500));
    sandbox.ok(["graph", "-q", "-C", "p"]);
    fs::remove_file(sandbox.work().join("p/mwp.toml")).unwrap();
    sandbox.write("p/.releaseignore", "*a*b*c*\n".repeat(5001));
    for arguments in [["check", "-C", "p"], ["release", "-C", "p"]] {
        sandbox.fails(1, arguments).says(".releaseignore").says("more than 5000 lines").says("hint: ");
    }
}

#[test]
fn of_many_problems_the_first_are_told_and_how_many_more_there_are() {
    let sandbox = with_config(&format!("[custom]\n{}", "no delimiter\n".repeat(100)));
    let done = sandbox.fails(1, ["check", "-C", "p"]).says("… and 80 more");
    assert_eq!(done.stderr.matches("error: ").count(), 20);
    let all = sandbox.fails(1, ["check", "-v", "-C", "p"]).never_says(" more");
    assert_eq!(all.stderr.matches("error: ").count(), 100);
    let sandbox = with_config(&format!("[custom]\n{}\n", "x".repeat(1_000_000)));
    let done = sandbox.fails(1, ["check", "-C", "p"]).says("more characters)");
    assert!(done.stderr.len() < 20_000, "{}", done.stderr.len());
}
