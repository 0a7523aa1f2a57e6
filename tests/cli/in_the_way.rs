//! What stands in the place of something else: told by its name, with what it is and what is allowed there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Done, Sandbox};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

#[derive(Clone, Copy)]
enum Kind {
    File,
    Directory,
    Pipe,
}

fn put(kind: Kind, place: &Path) {
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    match kind {
        Kind::File => fs::write(place, "precious").unwrap(),
        Kind::Directory => fs::create_dir(place).unwrap(),
        Kind::Pipe => mknodat(CWD, place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
    }
}

/// One `error:`, and one `hint:`.
#[track_caller]
fn tells_one_thing(done: Done, said: &str, hint: &str) {
    let done = done.says(said).says(hint);
    for label in ["error: ", "hint: "] {
        assert_eq!(done.stderr.matches(label).count(), 1, "{}", done.stderr);
    }
    assert_eq!(done.stdout, "");
}

#[test]
fn what_stands_in_the_place_of_mwps_own_is_named_with_the_next_step() {
    for (name, kind, said) in [
        (".mwp", Kind::File, "is a file, and mwp keeps a directory of its own there"),
        (".mwp", Kind::Pipe, "is a pipe, and mwp keeps a directory of its own there"),
        (".mwp/state", Kind::Directory, "is a directory, and mwp keeps a file of its own there"),
        (".mwp/state", Kind::Pipe, "is a pipe, and mwp keeps a file of its own there"),
        (".mwp/log", Kind::File, "is a file, and mwp keeps a directory of its own there"),
        (".mwp/log/copy.log", Kind::Directory, "is a directory, and mwp keeps a file of its own there"),
        (".mwp/lock", Kind::Directory, "is a directory, and mwp keeps a file of its own there"),
    ] {
        let sandbox = Sandbox::new();
        let place = sandbox.task_plugin("p").join(name);
        put(kind, &place);
        // What is in the directory goes with it, whatever it is.
        let can_be_cleaned = !matches!(name, ".mwp" | ".mwp/lock");
        let hint = if can_be_cleaned { "hint: remove it, or run `mwp clean`" } else { "hint: remove it" };
        let mut commands = vec![
            &["build"][..],
            &["build", "-n"],
            &["release"],
            &["explain"],
            &["lock", "--check"],
            &["develop"],
        ];
        if !can_be_cleaned {
            commands.extend([&["clean"][..], &["clean", "-n"], &["superclean"]]);
        }
        for command in commands {
            let done = sandbox.fails(1, command.iter().copied().chain(["-C", "p"]));
            tells_one_thing(done, &format!("error: `p/{name}` {said}: nothing was done"), hint);
            assert!(place.symlink_metadata().is_ok() && sandbox.runs() == 0, "{command:?}");
        }
        if can_be_cleaned {
            sandbox.ok(["clean", "-C", "p"]).says("removed p/.mwp");
            sandbox.ok(["build", "-C", "p"]);
        }
    }
}

#[test]
fn an_output_directory_that_is_none_is_told_as_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("file", "precious");
    symlink("nowhere", sandbox.work().join("link")).unwrap();
    put(Kind::Pipe, &sandbox.work().join("pipe"));
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let before = sandbox.runs();
    sandbox.write("p/in/a.txt", "other");
    for (place, what) in [
        ("file", "a file"),
        ("file/below", "a file"),
        ("pipe", "a pipe"),
        ("link", "a link that leads nowhere"),
    ] {
        for command in [&["pack", "-C", "p"][..], &["release", "-C", "p"], &["repackage", "p"]] {
            let done = sandbox.fails(2, command.iter().copied().chain(["--output", place]));
            let name = place.split('/').next().unwrap();
            let said = format!("error: `--output {place}`: `{name}` is {what}; a directory is allowed");
            tells_one_thing(done, &said, "hint: ");
        }
    }
    assert_eq!((sandbox.runs(), sandbox.read("file").as_str()), (before, "precious"));
}

#[test]
fn a_plugins_base_that_is_no_directory_is_told_as_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["pack", "-q", "-C", "p"]);
    let file = sandbox.write("file", "precious");
    for base in [file.clone(), file.join("below")] {
        let option = format!("--plugins-base-dir={}", base.display());
        let done = sandbox.fails(3, ["install", &option, FILE]);
        let said = format!("error: `{}` is a file, and plugins are installed in a directory", file.display());
        tells_one_thing(done, &said, "hint: move it away, or name another place with `--plugins-base-dir`");
    }
    assert_eq!(sandbox.read("file"), "precious");
}

#[test]
fn a_directory_in_the_place_of_a_release_is_told_before_anything_is_built() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let before = sandbox.runs();
    sandbox.write("p/in/a.txt", "other");
    for output in [".", "dist"] {
        let place = sandbox.work().join(output).join(FILE);
        let _ = fs::remove_file(&place);
        put(Kind::Directory, &place);
        for command in [&["pack", "-C", "p"][..], &["release", "-C", "p"], &["repackage", "--force", "p"]] {
            let done = sandbox.fails(1, command.iter().copied().chain(["--output", output]));
            let shown = place.strip_prefix(sandbox.work()).unwrap().display().to_string();
            let shown = shown.trim_start_matches("./");
            let said = format!("error: `{shown}` is a directory; the release is a file of that name");
            tells_one_thing(done, &said, "hint: move it away, or write to another directory with `--output`");
            assert!(place.is_dir());
        }
    }
    assert_eq!(sandbox.runs(), before);
}

#[test]
fn a_file_and_a_directory_in_each_others_place_are_told_with_the_next_step() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    put(Kind::Directory, &sandbox.work().join("page"));
    sandbox.write("file", "precious");
    let done = sandbox.fails(3, ["build", "-C", "p", "--timings=page"]);
    done.says("error: cannot write `page`: is a directory").says("hint: ");
    let done = sandbox.fails(3, ["build", "-C", "p", "--timings=file/page"]);
    done.says("error: cannot create directory `file`: it is a file").says("hint: move it away");
    let done = sandbox.fails(3, ["build", "-C", "p", "--timings=file/below/page"]);
    done.says("error: cannot create directory `file/below`: `file` is a file").says("hint: move it away");
}

#[test]
fn a_file_in_the_place_of_a_plugin_is_never_replaced() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    let place = sandbox.base().join("p");
    for (kind, said) in [(Kind::File, "is a file"), (Kind::Pipe, "is a pipe")] {
        put(kind, &place);
        for arguments in [&["install", FILE][..], &["install", "--force", FILE]] {
            let done = sandbox.fails(1, arguments);
            tells_one_thing(
                done,
                &format!("plugins/p` {said}, and the plugin `p` goes there"),
                "hint: move it away",
            );
            assert!(fs::symlink_metadata(&place).is_ok_and(|it| !it.is_dir()));
        }
        fs::remove_file(&place).unwrap();
    }
}
