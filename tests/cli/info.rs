//! `mwp info FILE` and `mwp hash FILE`: what a `.plugin` file says about itself.

use std::fs::{self, File};
use std::process::Command;

use crate::support::{Done, Sandbox};

const NAME: &str = "hello-0.0.1-1.metwork.mfserv.plugin";
const METADATA: &str = r#"{"version": "1.2", "release": "3", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
    "size": "12", "summary": "s\u001b[31m", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;

/// A `.plugin` file such as upstream's `tar` and `gzip` make it, members in the order given.
fn upstream(sandbox: &Sandbox, members: &[(&str, &str)]) -> String {
    for (path, content) in members {
        sandbox.write(&format!("metwork_plugin/{path}"), content);
    }
    let mut command = Command::new("tar");
    command.current_dir(sandbox.work()).args(["-czf", "up.plugin"]);
    Done::of(command.args(members.iter().map(|(path, _)| format!("metwork_plugin/{path}")))).succeeded();
    "up.plugin".to_owned()
}

#[test]
fn it_shows_upstreams_fields_and_the_files() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    let mut command = sandbox.mwp(["pack", "-q", "-C", "hello"]);
    Done::of(command.env("SOURCE_DATE_EPOCH", "1700000000")).succeeded();
    let done = sandbox.ok(["info", "--files", NAME]);
    let size = 14 + 20 + 6 + crate::support::CONFIG.len();
    let host = done.stdout.lines().find(|line| line.starts_with("Build Host: ")).unwrap().to_owned();
    assert_eq!(
        done.stdout,
        format!(
            "\
Metadata:

Name: hello
Version: 0.0.1
Release: 1
Summary: a test plugin
Size: {size}
{host}
Build Date: 2023-11-14T22:13:20Z
License: BSD
Maintainer: me@localhost
Vendor: me
URL: http://localhost
Holds: 4 files of its own ({size} B)

List of files:

- metwork_plugin/.layerapi2_dependencies
- metwork_plugin/.layerapi2_label
- metwork_plugin/.plugin_format_version
- metwork_plugin/config.ini
"
        )
    );
    let json: serde_json::Value = serde_json::from_str(&sandbox.ok(["info", "--json", NAME]).stdout).unwrap();
    assert_eq!(json["name"], "hello");
    assert_eq!(json["module"], "mfserv");
    assert_eq!(json["files"].as_array().unwrap().len(), 4);
    assert_eq!(json["hash"].as_str().unwrap(), sandbox.ok(["hash", NAME]).stdout.trim());
}

#[test]
fn upstreams_files_are_read_in_any_order_of_members() {
    let sandbox = Sandbox::new();
    let file = upstream(
        &sandbox,
        &[
            ("config.ini", "x"),
            (".files.json", "[\"metwork_plugin/a\\u001b[2J\"]"),
            ("a", "x"),
            (".metadata.json", METADATA),
            (".layerapi2_label", "plugin_hello@mfserv\n"),
        ],
    );
    let done = sandbox.ok(["info", "--files", &file]);
    let done =
        done.prints("Name: hello\nVersion: 1.2\nRelease: 3\n").prints("- metwork_plugin/a\\u{1b}[2J\n");
    assert!(!done.stdout.contains('\u{1b}'), "nothing steers the terminal");
    assert_eq!(sandbox.ok(["hash", &file]).stdout, "cee320554daa833b7c2f310b3651602d\n");
}

#[test]
fn what_is_no_plugin_file_is_refused_with_a_reason() {
    let sandbox = Sandbox::new();
    let label = (".layerapi2_label", "plugin_hello@mfserv\n");
    let metadata = (".metadata.json", METADATA);
    sandbox
        .fails(2, ["info", "nowhere.plugin"])
        .says("error: `nowhere.plugin` does not exist")
        .says("hint: ");
    sandbox.write("text.plugin", "hello");
    sandbox.fails(1, ["info", "text.plugin"]).says("is not a plugin file").says("hint: ");
    for (members, reason) in [
        (vec![label, metadata], "the archive has no `metwork_plugin/.files.json`"),
        (vec![metadata, (".files.json", "[]")], "the archive has no `metwork_plugin/.layerapi2_label`"),
        (vec![label, (".metadata.json", "{"), (".files.json", "[]")], "bad metadata"),
        (vec![label, metadata, (".files.json", "{}")], "`metwork_plugin/.files.json`"),
        (vec![(".layerapi2_label", "plugin_../../X@mfserv"), metadata, (".files.json", "[]")], "holds `.`"),
    ] {
        let file = upstream(&sandbox, &members);
        sandbox.fails(1, ["info", &file]).says(reason).says("hint: ");
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let sandbox = Sandbox::new();
    let file = upstream(&sandbox, &[("a", &"x".repeat(100_000)), (".metadata.json", METADATA)]);
    let length = fs::metadata(sandbox.work().join(&file)).unwrap().len();
    for kept in [3, length / 2, length - 20] {
        let cut = sandbox.work().join("cut.plugin");
        fs::copy(sandbox.work().join(&file), &cut).unwrap();
        File::options().write(true).open(&cut).unwrap().set_len(kept).unwrap();
        sandbox.fails(1, ["info", "cut.plugin"]).says("truncated");
    }
}
