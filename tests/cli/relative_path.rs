//! Relative entries of PATH, empty ones included: a directory from anywhere brings no program.

use std::path::Path;
use std::process::Command;

use crate::support::{Done, Sandbox};

const RAN: &str = "#!/bin/sh\necho ran > \"$(dirname \"$0\")/../ran-from-here\"\nexec /usr/bin/env -i PATH=/usr/bin:/bin \"$(basename \"$0\")\" \"$@\"\n";

#[test]
fn relative_entries_of_path_do_not_count() {
    // One that is empty comes first, and one in the middle.
    let relative = ":.:./tools::tools:../p";
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    crate::support::wheel::wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    sandbox.write(
        "p/mwp.toml",
        "[tasks.say]\ninputs = [\"config.ini\"]\noutputs = [\"said\"]\ntools = [\"python3\"]\ncommand = [\"python3\", \"-c\", \"open('said', 'w')\"]\n",
    );
    for place in ["p", "p/tools"] {
        for program in ["python3", "pip", "uv", "sh"] {
            sandbox.write_executable(&format!("{place}/{program}"), RAN);
        }
    }
    let run = |arguments: &[&str], from: &Path| {
        let mut command: Command = sandbox.mwp(arguments);
        let path = std::env::var("PATH").unwrap();
        Done::of(command.current_dir(from).env("PATH", format!("{relative}:{path}"))).succeeded();
        let ran = ["ran-from-here", "p/ran-from-here"].map(|file| sandbox.work().join(file).exists());
        assert_eq!(ran, [false, false], "{arguments:?}");
    };
    run(&["explain", "-C", "p"], &sandbox.work());
    run(&["build", "--dry-run"], &dir);
    run(&["build"], &dir);
    run(&["exec", ".", "--", "python3", "-c", ""], &dir);
}

#[test]
fn without_a_path_programs_are_where_shells_look() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let mut unset = sandbox.mwp(["build", "-C", "p"]);
    Done::of(unset.env_remove("PATH")).succeeded();
    let mut empty = sandbox.mwp(["build", "--force", "-C", "p"]);
    Done::of(empty.env("PATH", "")).succeeded();
    assert_eq!(sandbox.runs(), 2);
}
