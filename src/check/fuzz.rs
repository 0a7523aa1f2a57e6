//! Whatever the files of a plugin hold, `mwp check` comes to its end and says all in words.

use std::path::Path;

use super::*;
use crate::error::Fault;
use crate::fs;
use crate::fuzz::{Target, has_words};

const CONFIG: &str = "[general]\n_version=0.0.1\n_release=1\n_summary=s\n_license=BSD\n_url=u\n_maintainer=m\n_vendor=v\n\
                      [app_main]\n_cmd_and_args=sleep 1\n_extra_nginx_conf_filename=x.conf\n[custom]\nk=v\n";

fn target(seeds: &'static str) -> Target {
    Target::new(seeds).cases(120)
}

/// Checks a plugin one of whose files is what somebody damaged.
fn check_with(file: &str, target: &Target) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("hello");
    fs::create_dir_all(&dir.join("python3_virtualenv_sources")).unwrap();
    for (name, content) in [
        (".layerapi2_label", "plugin_hello@mfserv\n"),
        (".layerapi2_dependencies", "python3@mfext\n"),
        (".plugin_format_version", "1.0.0\n"),
        ("config.ini", CONFIG),
        ("x.conf", "root /x;\n"),
        ("Makefile", "include x\n"),
    ] {
        fs::write_atomic(&dir.join(name), content.as_bytes()).unwrap();
    }
    let mut environment = Environment::default();
    for (name, value) in [("HOME", "home"), ("MWP_ETC_DIR", "etc"), ("PATH", "bin")] {
        environment.set(name, root.path().join(value));
    }
    // An nginx that runs Lua, without asking one thousands of times.
    let nginx = root.path().join("bin/openresty");
    fs::create_dir_all(nginx.parent().unwrap()).unwrap();
    fs::write_atomic(&nginx, b"#!/bin/sh\necho 'nginx version: openresty/1.21.4' >&2\n").unwrap();
    fs::set_mode(&nginx, 0o755).unwrap();
    let site = Site::new(environment);
    let before = names(&dir);
    target.run(|bytes| {
        fs::write_atomic(&dir.join(file), bytes).unwrap();
        let checked = check(&dir, &site);
        let problems: Vec<Problem> =
            checked.problems.into_iter().chain(checked.warnings).map(Into::into).collect();
        if !problems.is_empty() {
            has_words(&Error::many(Fault::Input, problems));
        }
    });
    let mut after = names(&dir);
    after.retain(|name| name != Path::new(file).file_name().unwrap() || before.contains(name));
    assert_eq!(after, before);
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    fs::list(dir).unwrap().iter().filter_map(|path| Some(path.file_name()?.to_owned())).collect()
}

#[test]
fn fragments_of_nginx_are_read_or_refused() {
    let words = [
        "location / {",
        "}",
        "{",
        ";",
        "\"",
        "'",
        "\\",
        "$",
        "${",
        "content_by_lua_block {",
        "[==[",
        "]==]",
        "--[[",
        "--",
        "]]",
        "# c\n",
        "map $a $b {",
        "{{ X }}",
        "{% raw %}",
        "{% endraw %}",
        "{% include 'x.conf' %}",
        "a;",
        "if ($x ~ \"y\") {",
    ];
    check_with("x.conf", &target("fragment").words(&words).cases(250));
}

#[test]
fn a_recipe_is_read_or_refused() {
    let words = [
        "[tasks.x]",
        "inputs = [\"**\"]",
        "outputs = [\"../x\"]",
        "outputs = [\"/\"]",
        "command = [\"x\"]",
        "dependencies = [\"x\"]",
        "always = true",
        "[clean]",
        "remove = [\"..\"]",
        "disable = [\"virtualenv\"]",
        "before = [\"build\"]",
        "\"\"\"",
        "{a,b}",
        "[!",
        "omit_dev",
    ];
    check_with("mwp.toml", &target("recipe").words(&words));
}

#[test]
fn requirements_are_read_or_refused() {
    let file = "python3_virtualenv_sources/requirements-to-freeze.txt";
    check_with(
        file,
        &target("requirements").words(&[
            "-r ",
            "-r requirements-to-freeze.txt\n",
            "-r /dev/zero",
            "-e .",
            "==",
            "\\\n",
        ]),
    );
}

#[test]
fn extra_variables_are_read_or_refused() {
    check_with(
        ".layerapi2_extra_env",
        &target("extra-env").words(&["A=", "{A}", "A={A}{A}\n", "PATH=", "LD_PRELOAD=", "{", "}", "="]),
    );
}

#[test]
fn dependencies_on_layers_are_read_or_refused() {
    let words = ["-", "python3@mfext", "plugin_hello@mfserv", "plugin_", "@", "{X}", "../"];
    check_with(".layerapi2_dependencies", &target("dependencies").words(&words));
}

#[test]
fn patterns_of_what_stays_behind_are_read_or_refused() {
    check_with(
        ".releaseignore",
        &target("releaseignore").words(&["**", "*", "!", "/", "[", "]", "{", "\\", "?", "config.ini", "#"]),
    );
}

#[test]
fn a_format_version_and_a_label_are_read_or_refused() {
    check_with(
        ".plugin_format_version",
        &target("format-version").words(&["1", ".", "0", "99999999999999999999"]),
    );
    check_with(
        ".layerapi2_label",
        &target("label").seed("plugin_hello@mfserv\n").words(&["plugin_", "@", "mfserv"]),
    );
}
