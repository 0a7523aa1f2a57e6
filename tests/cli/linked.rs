//! Links in a plugin's directory, as they may come with a clone: what they lead to stays as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Sandbox, tree};

/// A sandbox with a directory that is not the plugin's, and the plugin `w/p`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for file in ["a.txt", "tmp/b.txt", "log/copy.log", "src/c.txt", "dist/d.txt", "lock"] {
        sandbox.write(&format!("precious/{file}"), "precious");
    }
    sandbox.task_plugin("w/p");
    sandbox.write("w/p/.layerapi2_label", "plugin_p@mfserv\n");
    sandbox
}

#[track_caller]
fn precious_is_whole(sandbox: &Sandbox) {
    let precious = sandbox.work().join("precious");
    let files = [
        "a.txt",
        "dist",
        "dist/d.txt",
        "lock",
        "log",
        "log/copy.log",
        "src",
        "src/c.txt",
        "tmp",
        "tmp/b.txt",
    ];
    assert_eq!(tree(&precious), files);
    for file in files.iter().map(|file| precious.join(file)).filter(|file| file.is_file()) {
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious", "{file:?}");
    }
}

#[test]
fn mwp_never_works_in_a_state_directory_that_is_a_link() {
    for (link, target) in [
        (".mwp", "../../precious"),
        (".mwp", "../../nowhere"),
        (".mwp/tmp", "../../../precious"),
        (".mwp/log", "../../../precious/log"),
        (".mwp/lock", "../../../precious/lock"),
        (".mwp/clock", "../../../precious/a.txt"),
        (".mwp/log/copy.log", "../../../../precious/log/copy.log"),
    ] {
        let sandbox = sandbox();
        let at = sandbox.work().join("w/p").join(link);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, &at).unwrap();
        for command in
            [&["clean"][..], &["clean", "-n"], &["superclean"], &["build"], &["release"], &["develop"]]
        {
            let arguments: Vec<&str> = command.iter().copied().chain(["-C", "w/p"]).collect();
            let done = sandbox.fails(1, &arguments).says(&format!("w/p/{link}` is a link"));
            done.says("hint: remove the link");
            precious_is_whole(&sandbox);
            assert!(at.is_symlink() && !sandbox.work().join("nowhere").exists());
        }
    }
}

#[test]
fn outputs_are_never_made_or_removed_through_a_link_that_leads_out() {
    for (link, output) in [("out", "out"), ("sub", "sub/dist"), ("sub", "sub/deep/out")] {
        let sandbox = sandbox();
        let script = format!("mkdir -p {output} && cp in/* {output}/");
        sandbox.write(
            "w/p/mwp.toml",
            format!("[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"{output}\"]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"),
        );
        symlink("../../precious", sandbox.work().join("w/p").join(link)).unwrap();
        let said = format!("w/p/{link}` is a link that leads out of the plugin, and the task `copy` makes ");
        sandbox.fails(1, ["build", "-C", "w/p"]).says(&said).says("hint: remove the link");
        precious_is_whole(&sandbox);
        match link == output {
            // A link is removed as one.
            true => drop(sandbox.ok(["clean", "-C", "w/p"])),
            false => drop(sandbox.fails(1, ["clean", "-C", "w/p"]).says(&said)),
        }
        precious_is_whole(&sandbox);
    }
}

#[test]
fn a_link_that_the_task_makes_is_an_output() {
    let sandbox = sandbox();
    sandbox.write(
        "w/p/mwp.toml",
        "[tasks.link]\ninputs = [\"in/**\"]\noutputs = [\"current\"]\n\
         command = [\"ln\", \"-sfn\", \"/usr/share\", \"current\"]\n",
    );
    sandbox.ok(["build", "-C", "w/p"]);
    sandbox.write("w/p/in/a.txt", "other\n");
    sandbox.ok(["build", "-C", "w/p"]);
    let link = sandbox.work().join("w/p/current");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("/usr/share"));
    fs::remove_file(&link).unwrap();
    symlink("in", &link).unwrap();
    let said = "w/p/current` is a link, and the task `link` makes ";
    sandbox.fails(1, ["build", "-C", "w/p"]).says(said).says("hint: remove the link");
    fs::remove_file(&link).unwrap();
    sandbox.ok(["build", "-C", "w/p"]);
    sandbox.ok(["clean", "-C", "w/p"]);
    assert!(!link.is_symlink() && Path::new("/usr/share").exists());
}

#[test]
fn a_link_in_the_place_of_an_output_is_told_as_what_it_leads_to() {
    for (target, said, hint) in [
        ("../../precious/a.txt", "a link that leads out of the plugin", "or put a file in its place"),
        ("../../precious", "a link that leads out of the plugin", "or put a directory in its place"),
        ("in/a.txt", "a link", "or put a file in its place"),
        ("in", "a link", "or put a directory in its place"),
        ("../../nowhere", "a link that leads nowhere", "remove the link; the task makes what it needs"),
        ("in/nowhere", "a link that leads nowhere", "remove the link; the task makes what it needs"),
    ] {
        let sandbox = sandbox();
        sandbox.write(
            "w/p/mwp.toml",
            "[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"out\"]\ncommand = [\"sh\", \"-c\", \"cat in/* >out\"]\n",
        );
        symlink(target, sandbox.work().join("w/p/out")).unwrap();
        let done = sandbox.fails(1, ["build", "-C", "w/p"]);
        done.says(&format!("w/p/out` is {said}, and the task `copy` makes ")).says(hint);
        precious_is_whole(&sandbox);
        assert_eq!(sandbox.read("w/p/in/a.txt"), "a\n");
        assert!(!sandbox.work().join("nowhere").exists() && !sandbox.work().join("w/p/in/nowhere").exists());
    }
}

/// The plugin `w/p` built, with `out/sub/c.txt`.
fn built_with_directories() -> Sandbox {
    let sandbox = sandbox();
    let script = "mkdir -p out/sub/deep && cp in/a.txt out/ && cp in/* out/sub/ && cp in/* out/sub/deep/";
    sandbox.write(
        "w/p/mwp.toml",
        format!("[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"out\"]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"),
    );
    sandbox.ok(["build", "-C", "w/p"]);
    sandbox.ok(["build", "-C", "w/p"]).says("up to date");
    sandbox
}

#[test]
fn a_directory_of_an_output_that_becomes_a_link_makes_its_task_stale() {
    for directory in ["out", "out/sub", "out/sub/deep"] {
        for is_moved in [true, false] {
            let sandbox = built_with_directories();
            let [place, aside] = [directory, "aside"].map(|name| sandbox.work().join("w/p").join(name));
            if is_moved {
                fs::rename(&place, &aside).unwrap();
            } else {
                Done::of(Command::new("cp").arg("-a").args([&place, &aside])).succeeded();
                fs::remove_dir_all(&place).unwrap();
            }
            symlink(&aside, &place).unwrap();
            let before = tree(&aside);
            let said = format!("because the output `{directory}` changed: directory → link");
            let done = sandbox.ok(["explain", "-C", "w/p"]).prints("copy: has to run").prints(&said);
            assert_eq!(done.stdout.matches("because").count(), 1, "{}", done.stdout);
            let said = format!("w/p/{directory}` is a link, and the task `copy` makes ");
            sandbox.fails(1, ["build", "-C", "w/p"]).says(&said).says("put a directory in its place");
            assert_eq!(tree(&aside), before);
            fs::remove_file(&place).unwrap();
            sandbox.ok(["build", "-C", "w/p"]);
            assert_eq!(tree(&aside), before);
            sandbox.ok(["build", "-C", "w/p"]).says("up to date");
        }
    }
}

#[test]
fn a_link_above_the_outputs_is_none_of_a_directory_of_theirs() {
    let sandbox = sandbox();
    sandbox.write(
        "w/p/mwp.toml",
        "[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"build/out\"]\ncommand = [\"sh\", \"-c\", \"mkdir -p build/out/sub; cp in/* build/out/sub\"]\n",
    );
    fs::create_dir(sandbox.work().join("w/p/elsewhere")).unwrap();
    symlink("elsewhere", sandbox.work().join("w/p/build")).unwrap();
    sandbox.ok(["build", "-C", "w/p"]);
    sandbox.ok(["build", "-C", "w/p"]).says("up to date");
}

#[test]
fn nothing_is_written_or_removed_behind_a_directory_of_an_output_that_became_a_link_out() {
    for directory in ["out", "out/sub"] {
        let sandbox = built_with_directories();
        let [place, aside] =
            [format!("w/p/{directory}"), "outside".to_owned()].map(|it| sandbox.work().join(it));
        fs::rename(&place, &aside).unwrap();
        symlink(&aside, &place).unwrap();
        let before = tree(&aside);
        sandbox.write("w/p/in/a.txt", "other\n");
        let said =
            format!("w/p/{directory}` is a link that leads out of the plugin, and the task `copy` makes ");
        sandbox.fails(1, ["build", "-C", "w/p"]).says(&said).says("put a directory in its place");
        assert_eq!(tree(&aside), before);
        sandbox.ok(["clean", "-C", "w/p"]);
        assert_eq!(tree(&aside), before);
        let file = aside.join(if directory == "out" { "sub/a.txt" } else { "a.txt" });
        assert_eq!(fs::read_to_string(file).unwrap(), "a\n");
    }
}

#[test]
fn a_virtualenv_or_its_wheels_take_the_place_of_a_link_and_never_enter_it() {
    let sandbox = sandbox();
    let p = sandbox.work().join("w/p");
    fs::remove_file(p.join("mwp.toml")).unwrap();
    let sources = p.join("python3_virtualenv_sources");
    crate::support::wheel::wheel(&sources.join("vendor"), "alpha", "1.0", "a", &[]);
    sandbox.write("w/p/python3_virtualenv_sources/allow_binary_packages", "");
    sandbox.write(
        "w/p/python3_virtualenv_sources/requirements-to-freeze.txt",
        "--no-index\n--find-links vendor\nalpha\n",
    );
    symlink("../../precious", p.join("local")).unwrap();
    symlink("../../../precious/src", sources.join("src")).unwrap();
    sandbox.ok(["build", "-C", "w/p"]);
    precious_is_whole(&sandbox);
    assert!(!p.join("local").is_symlink() && !sources.join("src").is_symlink());
    sandbox.ok(["clean", "-C", "w/p"]);
    fs::rename(&sources, sandbox.work().join("elsewhere")).unwrap();
    symlink("../../elsewhere", &sources).unwrap();
    let before = tree(&sandbox.work().join("elsewhere"));
    sandbox
        .fails(1, ["build", "-C", "w/p"])
        .says("python3_virtualenv_sources` is a link that leads out of the plugin");
    assert_eq!(tree(&sandbox.work().join("elsewhere")), before);
}

#[test]
fn what_is_mounted_in_an_output_is_neither_moved_nor_emptied() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    for place in ["out/mounted", "out"] {
        let place = dir.join(place);
        sandbox.write("p/in/a.txt", "a\n");
        fs::create_dir_all(&place).unwrap();
        let Some(_mount) = sandbox.mount("tmpfs", "", place.clone()) else { return };
        fs::write(place.join("precious"), "").unwrap();
        // What is kept of it cannot take the place of what is mounted: the command runs.
        for arguments in [&["build"][..], &["build", "--force"], &["clean"], &["build"]] {
            let done = Done::of(sandbox.mwp(arguments).current_dir(&dir));
            if arguments == ["clean"] && done.code == Some(3) {
                done.says("a file system is mounted at").says("umount");
            } else {
                done.succeeded();
            }
            assert!(place.join("precious").exists(), "{arguments:?}");
        }
        assert_eq!(fs::read_to_string(dir.join("out/a.txt")).unwrap(), "a\n");
        // What it made before comes back where the command fails.
        sandbox.write("p/in/a.txt", "other\n");
        sandbox
            .write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("&& echo ran", "&& false && echo ran"));
        Done::of(sandbox.mwp(["build"]).current_dir(&dir)).exited(1);
        assert_eq!(fs::read_to_string(dir.join("out/a.txt")).unwrap(), "a\n");
        assert!(place.join("precious").exists());
        sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("&& false ", ""));
    }
}
