//! What npm, pnpm and yarn read counts, and locks change as little as they must. Packages come from directories and
//! from the registry, the package managers are real.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Done, Sandbox};

const LOCKED: [&str; 4] = ["build", "--locked", "-C", "p"];

fn package(sandbox: &Sandbox, rest: &str) {
    sandbox.write("p/package.json", format!("{{\"name\": \"p\", \"version\": \"1.0.0\", {rest}}}"));
}

fn node_plugin(rest: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    package(&sandbox, rest);
    sandbox
}

fn version(sandbox: &Sandbox, name: &str) -> String {
    let package = sandbox.read(&format!("p/node_modules/{name}/package.json"));
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    package["version"].as_str().unwrap().to_owned()
}

#[test]
fn a_package_of_a_workspace_counts() {
    let sandbox = node_plugin("\"workspaces\": [\"packages/*\"]");
    sandbox.write("p/packages/lib/package.json", "{\"name\": \"lib\", \"version\": \"1.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(LOCKED).says("p is up to date");
    sandbox.write(
        "p/packages/lib/package.json",
        "{\"name\": \"lib\", \"version\": \"1.0.0\", \"dependencies\": {\"is-number\": \"7.0.0\"}}",
    );
    sandbox.ok(["explain", "node_lock", "-C", "p"]).prints("`packages/lib/package.json` changed");
    sandbox.fails(1, LOCKED).says("the lock `p/package-lock.json` is out of date");
    // A fresh clone says the same.
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.fails(1, LOCKED).says("packages/lib/package.json is not what package-lock.json was made from");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: + is-number 7.0.0");
    assert_eq!(version(&sandbox, "is-number"), "7.0.0");
    sandbox.write("p/packages/new/package.json", "{\"name\": \"new\", \"version\": \"1.0.0\"}");
    sandbox.fails(1, LOCKED).says("is out of date");
}

#[test]
fn overrides_make_the_lock_again_and_other_pins_stay() {
    let dependencies = "\"dependencies\": {\"is-odd\": \"3.0.0\", \"left-pad\": \"1.2.0\"}";
    let sandbox = node_plugin(dependencies);
    sandbox.ok(["build", "-C", "p"]);
    let dependencies = dependencies.replace("1.2.0", "^1.2.0");
    package(&sandbox, &format!("{dependencies}, \"overrides\": {{\"is-number\": \"7.0.0\"}}"));
    sandbox.ok(["explain", "node_lock", "-C", "p"]).prints("the setting `overrides of package.json` changed");
    sandbox.fails(1, LOCKED).says("is out of date");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: ~ is-number 6.0.0 → 7.0.0").never_says("left-pad");
    assert_eq!(version(&sandbox, "is-number"), "7.0.0");
}

#[test]
fn an_error_of_npm_is_its_reason_and_not_its_usage() {
    let sandbox = node_plugin("\"dependencies\": {\"is-odd\": \"3.0.0\"}");
    sandbox.ok(["lock", "-C", "p"]);
    // What no lock repeats: a clone with other overrides.
    package(
        &sandbox,
        "\"dependencies\": {\"is-odd\": \"3.0.0\"}, \"overrides\": {\"is-number\": \"^7.0.0\"}",
    );
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    let failed = sandbox.fails(1, LOCKED).says("in sync").says("hint: ");
    assert!(failed.stderr.lines().count() < 50, "{}", failed.stderr);
}

#[test]
fn what_an_install_script_reads_counts() {
    let sandbox = node_plugin(
        "\"scripts\": {\"postinstall\": \"cp patches/x node_modules/x\"}, \"dependencies\": {\"is-number\": \"7.0.0\"}",
    );
    sandbox.write("p/patches/x", "one");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    sandbox.write("p/patches/x", "two");
    sandbox.ok(["explain", "node_modules", "-C", "p"]).prints("`patches/x` changed: line 1: `one` → `two`");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/node_modules/x"), "two");
}

#[test]
fn a_shrinkwrap_is_the_lock() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"^6.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    let dir = sandbox.work().join("p");
    fs::rename(dir.join("package-lock.json"), dir.join("npm-shrinkwrap.json")).unwrap();
    sandbox.ok(LOCKED);
    sandbox.ok(LOCKED).says("p is up to date");
    package(&sandbox, "\"dependencies\": {\"is-number\": \"^6.0.0\", \"left-pad\": \"1.3.0\"}");
    sandbox.fails(1, LOCKED).says("the lock `p/npm-shrinkwrap.json` is out of date");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: + left-pad 1.3.0");
    assert!(!dir.join("package-lock.json").exists());
    assert_eq!(version(&sandbox, "left-pad"), "1.3.0");
}

#[test]
fn a_lock_of_version_1_is_made_again_and_its_pins_stay() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"^6.0.0\", \"left-pad\": \"1.3.0\"}");
    sandbox.write(
        "p/package-lock.json",
        "{\"name\": \"p\", \"version\": \"1.0.0\", \"lockfileVersion\": 1, \"requires\": true, \"dependencies\": {\"is-number\": {\"version\": \"6.0.0\"}}}",
    );
    sandbox.fails(1, LOCKED).says("is out of date").says("`left-pad`");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: + left-pad 1.3.0");
    assert_eq!(version(&sandbox, "left-pad"), "1.3.0");
}

#[test]
fn a_package_in_a_directory_counts_with_its_sources() {
    let sandbox = node_plugin("\"dependencies\": {\"lib\": \"file:lib\"}");
    sandbox.write("p/lib/package.json", "{\"name\": \"lib\", \"version\": \"1.0.0\"}");
    sandbox.write("p/lib/index.js", "1");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    sandbox.write("p/lib/index.js", "2");
    sandbox.ok(["explain", "node_modules", "-C", "p"]).prints("`lib/index.js` changed");
}

#[test]
fn the_users_settings_count_and_credentials_do_not() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"7.0.0\"}");
    let npmrc = sandbox.path("home/.npmrc");
    sandbox.ok(["build", "-C", "p"]);
    fs::write(&npmrc, "//example.invalid/:_authToken=secret\n").unwrap();
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    fs::write(&npmrc, "omit=dev\n").unwrap();
    sandbox.ok(["explain", "node_modules", "-C", "p"]).prints("the setting `the user's npmrc` changed");
    fs::remove_file(&npmrc).unwrap();
    for variable in ["NPM_CONFIG_INCLUDE", "NPM_CONFIG_PRODUCTION"] {
        let mut explain = sandbox.mwp(["explain", "node_modules", "-C", "p"]);
        Done::of(explain.env(variable, "dev"))
            .succeeded()
            .prints(&format!("the environment variable `{variable}` changed: unset → set"));
    }
}

#[test]
fn package_json_may_be_a_link() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"^6.0.0\"}");
    let dir = sandbox.work().join("p");
    fs::rename(dir.join("package.json"), sandbox.work().join("shared.json")).unwrap();
    symlink("../shared.json", dir.join("package.json")).unwrap();
    sandbox.ok(["build", "-C", "p"]);
    let shared = sandbox.read("shared.json").replace("^6.0.0", "7.0.0");
    sandbox.write("shared.json", shared);
    sandbox.fails(1, LOCKED).says("is out of date");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: ~ is-number 6.0.0 → 7.0.0");
}

#[test]
fn locks_are_upgraded_when_that_is_asked_for() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"6.0.0\", \"is-odd\": \"3.0.0\"}");
    sandbox.ok(["lock", "-C", "p"]);
    assert!(!sandbox.work().join("p/node_modules").exists());
    package(&sandbox, "\"dependencies\": {\"is-number\": \">=6\", \"is-odd\": \"^3.0.0\"}");
    sandbox.fails(1, ["lock", "--check", "-C", "p"]).says("does not fit");
    sandbox.ok(["lock", "-C", "p"]).never_says("~ ");
    sandbox.ok(["lock", "--check", "-C", "p"]);
    sandbox
        .ok(["lock", "--upgrade-package", "is-odd", "-C", "p"])
        .says("~ is-odd 3.0.0 → 3.0.1")
        .never_says("~ is-number 6");
    sandbox.ok(["lock", "--upgrade", "-C", "p"]).says("~ is-number 6.0.0 → 7.0.0");
    sandbox.ok(["lock", "--upgrade-package", "is-odd==3.0.0", "-C", "p"]).says("~ is-odd 3.0.1 → 3.0.0");
    assert!(sandbox.read("p/package.json").contains("^3.0.0"));
    sandbox.ok(["lock", "--check", "-C", "p"]);
    sandbox.ok(LOCKED);
    assert_eq!(version(&sandbox, "is-odd"), "3.0.0");
}

#[test]
fn of_two_locks_each_takes_the_packages_that_it_has() {
    let sandbox = node_plugin("\"dependencies\": {\"is-odd\": \"^3.0.0\"}");
    sandbox.write("p/python3_virtualenv_sources/requirements-to-freeze.txt", "");
    sandbox.ok(["lock", "-C", "p"]);
    sandbox
        .ok(["lock", "-P", "is-odd==3.0.0", "-C", "p"])
        .says("~ is-odd 3.0.1 → 3.0.0")
        .never_says("freeze: ");
    sandbox.fails(2, ["lock", "-P", "is-odder", "-C", "p"]).says("no lock has a package `is-odder`");
    fs::remove_dir_all(sandbox.work().join("p/python3_virtualenv_sources")).unwrap();
    sandbox.fails(2, ["lock", "-P", "is-odder", "-C", "p"]).says("the lock has no package `is-odder`");
}

#[test]
fn the_package_manager_that_is_asked_for_is_taken_and_a_second_lock_is_told() {
    let sandbox =
        node_plugin("\"packageManager\": \"pnpm@9.15.9\", \"dependencies\": {\"is-number\": \"^6.0.0\"}");
    Done::of(&mut sandbox.mwp_with_node_tool("pnpm@9", &["build", "-C", "p"])).succeeded();
    assert!(sandbox.work().join("p/pnpm-lock.yaml").exists());
    assert!(!sandbox.work().join("p/package-lock.json").exists());
    sandbox.write("p/package-lock.json", "{}");
    Done::of(&mut sandbox.mwp_with_node_tool("pnpm@9", &["build", "-C", "p"]))
        .succeeded()
        .says("`pnpm-lock.yaml` is taken, and `package-lock.json` is ignored");
    // A later pnpm would write itself into that lock.
    fs::remove_dir_all(sandbox.work().join("p/node_modules")).unwrap();
    let lock = sandbox.read("p/pnpm-lock.yaml");
    Done::of(&mut sandbox.mwp_with_node_tool("pnpm@12", &["build", "--locked", "-C", "p"])).succeeded();
    assert_eq!(version(&sandbox, "is-number"), "6.0.0");
    assert_eq!(sandbox.read("p/pnpm-lock.yaml"), lock);
}

#[test]
fn a_later_yarn_makes_the_first_lock_and_one_without_the_old() {
    let sandbox =
        node_plugin("\"packageManager\": \"yarn@4.9.1\", \"dependencies\": {\"is-number\": \"^6.0.0\"}");
    let run = |arguments: &[&str]| Done::of(&mut sandbox.mwp_with_node_tool("@yarnpkg/cli-dist", arguments));
    run(&["build", "-C", "p"]).succeeded();
    assert_eq!(version(&sandbox, "is-number"), "6.0.0");
    run(&["lock", "--upgrade", "-C", "p"]).succeeded();
    run(&["lock", "--check", "-C", "p"]).succeeded();
    package(&sandbox, "\"dependencies\": {\"is-number\": \"9999.0.0\"}, \"packageManager\": \"yarn@4.9.1\"");
    let lock = sandbox.read("p/yarn.lock");
    run(&["build", "-C", "p"]).exited(1);
    assert_eq!(sandbox.read("p/yarn.lock"), lock);
}

#[test]
fn pnpm_and_yarn_notice_what_npm_does() {
    for (tool, lock) in [
        ("pnpm@9", "pnpm-lock.yaml"),
        ("pnpm@12", "pnpm-lock.yaml"),
        ("yarn@1", "yarn.lock"),
        ("@yarnpkg/cli-dist", "yarn.lock"),
    ] {
        let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"^6.0.0\"}");
        sandbox.write(&format!("p/{lock}"), "");
        let run = |arguments: &[&str]| Done::of(&mut sandbox.mwp_with_node_tool(tool, arguments));
        run(&["build", "-C", "p"]).succeeded();
        run(&["build", "-C", "p"]).succeeded().says("p is up to date");
        assert_eq!(version(&sandbox, "is-number"), "6.0.0", "{tool}");
        package(&sandbox, "\"dependencies\": {\"is-number\": \"^6.0.0\", \"left-pad\": \"1.3.0\"}");
        run(&LOCKED).exited(1).says("is out of date");
        fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
        run(&LOCKED).exited(1).says(&format!("not what {lock} was made from"));
        run(&["build", "-C", "p"]).succeeded().says("node_lock: + left-pad 1.3.0").never_says("is-number");
        assert_eq!(version(&sandbox, "left-pad"), "1.3.0", "{tool}");
        package(&sandbox, "\"dependencies\": {\"is-number\": \">=6.0.0\", \"left-pad\": \"1.3.0\"}");
        run(&["lock", "--upgrade-package", "is-number", "-C", "p"])
            .succeeded()
            .says("~ is-number 6.0.0 → 7.0.0");
        run(&["lock", "--check", "-C", "p"]).succeeded();
        assert!(Path::new(&sandbox.work().join("p/node_modules/left-pad")).exists());
    }
}

#[test]
fn install_scripts_that_do_not_run_are_told() {
    for (tool, fails) in [("pnpm@10", false), ("pnpm@12", true)] {
        let sandbox = node_plugin("\"dependencies\": {\"dep\": \"file:./dep\"}");
        sandbox.write(
            "p/dep/package.json",
            r#"{"name": "dep", "version": "1.0.0", "scripts": {"install": "echo made > made"}}"#,
        );
        sandbox.write("p/pnpm-lock.yaml", "");
        let done = Done::of(&mut sandbox.mwp_with_node_tool(tool, &["build", "-C", "p"]));
        match fails {
            true => done.exited(1).says("Ignored build scripts: dep@").says("pnpm approve-builds"),
            false => done.succeeded().says("warning: ").says("did not run the install scripts of dep@"),
        };
    }
}

#[test]
fn a_new_requirement_beside_overrides_is_noticed() {
    for (tool, lock, table) in [
        ("pnpm@9", "pnpm-lock.yaml", "\"pnpm\": {\"overrides\": {\"is-number\": \"7.0.0\"}}"),
        ("yarn@1", "yarn.lock", "\"resolutions\": {\"is-number\": \"7.0.0\"}"),
    ] {
        let sandbox = node_plugin(&format!("\"dependencies\": {{\"is-odd\": \"3.0.0\"}}, {table}"));
        sandbox.write(&format!("p/{lock}"), "");
        let run = |arguments: &[&str]| Done::of(&mut sandbox.mwp_with_node_tool(tool, arguments));
        run(&["build", "-C", "p"]).succeeded();
        run(&LOCKED).succeeded();
        let requirements = "\"dependencies\": {\"is-odd\": \"3.0.0\", \"left-pad\": \"1.3.0\"}";
        package(&sandbox, &format!("{requirements}, {table}"));
        run(&LOCKED).exited(1).says("is out of date");
        run(&["build", "-C", "p"]).succeeded().says("+ left-pad 1.3.0");
        assert_eq!(version(&sandbox, "left-pad"), "1.3.0");
        assert!(!sandbox.read(&format!("p/{lock}")).contains("is-number@6"), "the override holds");
    }
}

#[test]
fn plug_and_play_is_installed_as_node_modules() {
    let sandbox = node_plugin("\"dependencies\": {\"is-number\": \"^6.0.0\"}");
    sandbox.write("p/yarn.lock", "");
    sandbox.write("p/.yarnrc.yml", "nodeLinker: pnp\n");
    Done::of(&mut sandbox.mwp_with_node_tool("@yarnpkg/cli-dist", &["build", "-C", "p"])).succeeded();
    assert_eq!(version(&sandbox, "is-number"), "6.0.0");
}

/// A package in a directory of the plugin, which needs these.
fn local(sandbox: &Sandbox, name: &str, version: &str, needs: &str) {
    let dir = format!("p/vendor/{name}");
    let about =
        format!("{{\"name\": \"{name}\", \"version\": \"{version}\", \"dependencies\": {{{needs}}}}}");
    sandbox.write(&format!("{dir}/package.json"), about);
    sandbox.write(&format!("{dir}/index.js"), format!("{name} {version}"));
}

/// The same as an archive.
fn archive(sandbox: &Sandbox, name: &str, version: &str, needs: &str, text: &str) {
    local(sandbox, name, version, needs);
    sandbox.write(&format!("p/vendor/{name}/index.js"), text);
    let mut pack = sandbox.command("npm");
    pack.args(["pack", "--silent", "--pack-destination", "."]).arg(format!("./vendor/{name}"));
    Done::of(pack.current_dir(sandbox.work().join("p"))).succeeded();
    fs::remove_dir_all(sandbox.work().join("p/vendor")).unwrap();
}

#[test]
fn a_package_in_a_directory_that_needs_more_makes_the_lock_again() {
    let sandbox = node_plugin("\"dependencies\": {\"a\": \"file:vendor/a\"}");
    local(&sandbox, "a", "1.0.0", "");
    local(&sandbox, "b", "1.0.0", "");
    sandbox.ok(["build", "-C", "p"]);
    local(&sandbox, "a", "1.0.0", "\"b\": \"file:../b\"");
    sandbox.fails(1, LOCKED).says("the lock `p/package-lock.json` is out of date");
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.fails(1, LOCKED).says("vendor/a/package.json is not what package-lock.json was made from");
    sandbox.fails(1, ["lock", "--check", "-C", "p"]).says("vendor/a/package.json");
    sandbox.ok(["build", "-C", "p"]);
    assert!(sandbox.work().join("p/node_modules/b").exists());
    sandbox.ok(LOCKED).says("p is up to date");
}

#[test]
fn an_archive_that_is_another_file_now_is_locked_and_installed_anew() {
    let sandbox = node_plugin("\"dependencies\": {\"a\": \"file:a-1.0.0.tgz\"}");
    archive(&sandbox, "a", "1.0.0", "", "first");
    sandbox.ok(["build", "-C", "p"]);
    archive(&sandbox, "a", "1.0.0", "", "second");
    sandbox.fails(1, LOCKED).says("the lock `p/package-lock.json` is out of date");
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.fails(1, LOCKED).says("a-1.0.0.tgz is not what package-lock.json was made from");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/node_modules/a/index.js"), "second");
    sandbox.ok(LOCKED).says("p is up to date");
}

#[test]
fn an_override_by_another_file_makes_the_lock_again() {
    let rest = |file: &str| {
        format!(
            "\"dependencies\": {{\"a\": \"file:a-1.0.0.tgz\"}}, \"overrides\": {{\"b\": \"file:{file}\"}}"
        )
    };
    let sandbox = node_plugin(&rest("b-1.0.0.tgz"));
    for (name, version, needs) in [("a", "1.0.0", "\"b\": \"1.0.0\""), ("b", "1.0.0", ""), ("b", "2.0.0", "")]
    {
        archive(&sandbox, name, version, needs, "");
    }
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(version(&sandbox, "b"), "1.0.0");
    package(&sandbox, &rest("b-2.0.0.tgz"));
    sandbox.fails(1, LOCKED).says("is out of date");
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.fails(1, LOCKED).says("the override of `b`");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: ~ b 1.0.0 → 2.0.0");
    assert_eq!(version(&sandbox, "b"), "2.0.0");
}

#[test]
fn a_clone_notices_an_override_that_its_lock_lacks() {
    let sandbox = node_plugin("\"dependencies\": {\"is-odd\": \"3.0.0\"}");
    sandbox.ok(["lock", "-C", "p"]);
    package(&sandbox, "\"dependencies\": {\"is-odd\": \"3.0.0\"}, \"overrides\": {\"is-number\": \"7.0.0\"}");
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox
        .fails(1, LOCKED)
        .says("the override of `is-number`, 7.0.0, is not what package-lock.json was made from");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: ~ is-number 6.0.0 → 7.0.0");
}

#[test]
fn pnpm_and_yarn_notice_packages_in_directories_and_what_these_need() {
    for (tool, lock) in
        [("pnpm@9", "pnpm-lock.yaml"), ("yarn@1", "yarn.lock"), ("@yarnpkg/cli-dist", "yarn.lock")]
    {
        let sandbox = Sandbox::new();
        sandbox.plugin("p");
        // As yarn writes it.
        let wants = |dependencies: &str| {
            let text = format!("{{\n  \"name\": \"p\",\n  \"dependencies\": {{\n{dependencies}\n  }}\n}}\n");
            sandbox.write("p/package.json", text);
        };
        wants("    \"a\": \"file:./vendor/a\"");
        sandbox.write(&format!("p/{lock}"), "");
        for name in ["a", "b", "c"] {
            local(&sandbox, name, "1.0.0", "");
        }
        let run = |arguments: &[&str]| Done::of(&mut sandbox.mwp_with_node_tool(tool, arguments));
        let there = |name: &str| sandbox.work().join("p/node_modules").join(name).exists();
        run(&["build", "-C", "p"]).succeeded();
        run(&["build", "-C", "p"]).succeeded();
        wants("    \"a\": \"file:./vendor/a\",\n    \"b\": \"file:./vendor/b\"");
        run(&LOCKED).exited(1).says("is out of date");
        fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
        run(&["lock", "--check", "-C", "p"]).exited(1).says("`dependencies` has `b`");
        run(&["build", "-C", "p"]).succeeded();
        assert!(there("b"), "{tool}");
        // What a package in a directory needs is in the lock as well.
        local(&sandbox, "a", "1.0.0", "\"c\": \"file:../c\"");
        run(&LOCKED).exited(1).says("is out of date");
        fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
        run(&["lock", "--check", "-C", "p"]).exited(1).says("vendor/a/package.json is not what");
        run(&["build", "-C", "p"]).succeeded();
        assert!(sandbox.read(&format!("p/{lock}")).contains("vendor/c") || there("c"), "{tool}");
        // And its sources are what is installed.
        sandbox.write("p/vendor/a/index.js", "edited");
        run(&["build", "-C", "p"]).succeeded();
        assert_eq!(sandbox.read("p/node_modules/a/index.js"), "edited", "{tool}");
    }
}
