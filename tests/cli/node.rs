//! Node.js: locks and node_modules, with the real npm.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox};

fn node_plugin(sandbox: &Sandbox, dependencies: &str) {
    sandbox.plugin("p");
    sandbox.write(
        "p/package.json",
        format!("{{\"name\": \"p\", \"version\": \"1.0.0\", \"dependencies\": {dependencies}}}"),
    );
}

#[test]
fn a_node_plugin_with_express_is_built_and_released() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"express\": \"^4\"}");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: done").says("node_modules: done");
    let script = "console.log(typeof require('express'))";
    let mut node = Command::new("node");
    Done::of(node.args(["-e", script]).current_dir(sandbox.work().join("p"))).succeeded().prints("function");
    sandbox.ok(["build", "-C", "p"]).says("up to date");
    sandbox.ok(["release", "-C", "p"]).prints("p-0.0.1-1.metwork.mfserv.plugin");
    let mut tar = Command::new("tar");
    tar.args(["--zstd", "-tf", "p-0.0.1-1.metwork.mfserv.plugin"]).current_dir(sandbox.work());
    Done::of(&mut tar).succeeded().prints("metwork_plugin/node_modules/express/package.json");
}

#[test]
fn clean_then_build_restores_and_another_checkout_too() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\": \"7.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["clean", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).says("node_modules: restored").never_says("node_lock: ");
    Command::new("cp").args(["-r", "p", "q"]).current_dir(sandbox.work()).status().unwrap();
    sandbox.ok(["clean", "-C", "q"]);
    sandbox.ok(["build", "-C", "q"]).says("node_modules: restored");
    assert!(sandbox.work().join("q/node_modules/is-number/index.js").exists());
}

#[test]
fn a_lock_that_fits_is_kept_and_one_that_does_not_is_made_again() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\": \"^6.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    let lock = sandbox.read("p/package-lock.json");
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.ok(["build", "--locked", "-C", "p"]).never_says("node_lock: ");
    assert_eq!(sandbox.read("p/package-lock.json"), lock);
    node_plugin(&sandbox, "{\"is-number\": \"7.0.0\"}");
    sandbox.ok(["explain", "node_lock", "-C", "p"]).prints(
        "package.json is not what package-lock.json was made from: `dependencies` has `is-number` 7.0.0",
    );
    sandbox.fails(1, ["build", "--locked", "-C", "p"]).says("the lock `p/package-lock.json` is out of date");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: done");
    assert!(sandbox.read("p/package-lock.json").contains("\"version\": \"7.0.0\""));
}

#[test]
fn an_unknown_package_gives_npms_reason() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\": \"9999.0.0\"}");
    sandbox
        .fails(1, ["build", "-C", "p"])
        .says("error: npm cannot lock the dependencies: ")
        .says("is-number@9999.0.0");
    assert!(!sandbox.work().join("p/package-lock.json").exists());
}

#[test]
fn broken_json_is_named_with_its_line() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\":\n nonsense}");
    sandbox.fails(1, ["build", "-C", "p"]).says("p/package.json:2:3: found no valid JSON");
}

#[test]
fn what_npm_install_added_is_reported_as_drift() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\": \"7.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/node_modules/left/package.json", "{}");
    sandbox.ok(["build", "-C", "p"]).says("node_modules/ has drifted from its lock: left installed");
    sandbox.ok(["build", "--force", "-C", "p"]);
    assert!(!sandbox.work().join("p/node_modules/left").exists());
}

#[test]
fn without_a_network_a_cached_build_works_and_another_says_so() {
    let sandbox = Sandbox::new();
    node_plugin(&sandbox, "{\"is-number\": \"7.0.0\"}");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["clean", "-C", "p"]);
    let offline = |arguments: &[&str]| {
        let mwp = sandbox.mwp(arguments);
        let mut unshare = Command::new("unshare");
        unshare.args(["-r", "-n"]).arg(mwp.get_program()).args(mwp.get_args()).current_dir(sandbox.work());
        unshare.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Done::of(&mut unshare)
    };
    offline(&["build", "-C", "p"]).succeeded();
    sandbox.ok(["superclean", "-C", "p"]);
    node_plugin(&sandbox, "{\"is-odd\": \"3.0.1\", \"left-pad\": \"0.0.3\"}");
    let mut mwp = sandbox.mwp(["build", "--offline", "-C", "p"]);
    Done::of(mwp.env("npm_config_cache", sandbox.path("empty")))
        .exited(3)
        .says("hint: run it once without --offline");
}

#[test]
fn a_plugin_with_workspaces_is_installed_in_place() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/package.json",
        "{\"name\": \"p\", \"version\": \"1.0.0\", \"dependencies\": {\"lib\": \"file:./lib\"}}",
    );
    sandbox.write("p/lib/package.json", "{\"name\": \"lib\", \"version\": \"1.0.0\"}");
    sandbox.write("p/lib/index.js", "module.exports = 42;");
    sandbox.ok(["build", "-C", "p"]);
    let mut node = Command::new("node");
    let script = "console.log(require('lib'))";
    Done::of(node.args(["-e", script]).current_dir(sandbox.work().join("p"))).succeeded().prints("42");
}

/// Every run of npm, whose command is written down; the npm that runs is the real one.
fn note_runs_of_npm(sandbox: &Sandbox) {
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("npm"))
        .find(|npm| npm.exists())
        .unwrap();
    let npm = format!(
        "#!/bin/sh\ncase $1 in -*) ;; *) echo \"$1\" >> {} ;; esac\nexec {} \"$@\"\n",
        sandbox.work().join("runs").display(),
        real.display()
    );
    sandbox.write_executable("../bin/npm", &npm);
}

/// Name, mode, target and content of everything in node_modules.
fn tree(sandbox: &Sandbox, plugin: &str) -> String {
    let list = "find . -printf '%p %m %l\\n' | sort; find . -type f -exec sha256sum {} + | sort";
    let mut find = Command::new("sh");
    find.args(["-ec", list]).current_dir(sandbox.work().join(plugin).join("node_modules"));
    Done::of(&mut find).succeeded().stdout
}

#[test]
fn without_a_lock_one_run_of_npm_makes_it_and_what_it_says() {
    let sandbox = Sandbox::new();
    note_runs_of_npm(&sandbox);
    // With an install script, a link in .bin and a package inside another one.
    node_plugin(&sandbox, "{\"utf-8-validate\": \"6.0.5\", \"is-odd\": \"3.0.1\", \"is-number\": \"7.0.0\"}");
    sandbox.ok(["build", "-C", "p"]).says("node_lock: + is-number 7.0.0").says("node_modules: done");
    assert_eq!(sandbox.read("runs"), "install\n");
    assert!(!sandbox.work().join("p/.mwp/tmp/by-products").exists());
    sandbox.ok(["build", "--locked", "-C", "p"]).says("up to date");
    // A clone, which has the lock and no cache, has the same.
    let clone = ["build", "--locked", "-C", "q"];
    fs::create_dir(sandbox.work().join("q")).unwrap();
    for file in
        [".layerapi2_label", ".plugin_format_version", "config.ini", "package.json", "package-lock.json"]
    {
        fs::copy(sandbox.work().join("p").join(file), sandbox.work().join("q").join(file)).unwrap();
    }
    Done::of(sandbox.mwp(clone).env("MWP_CACHE_DIR", sandbox.path("empty"))).succeeded();
    assert_eq!(sandbox.read("runs"), "install\nci\n");
    assert_eq!(tree(&sandbox, "p"), tree(&sandbox, "q"));
}

#[test]
fn a_lock_or_setting_that_changed_since_it_was_made_is_installed_anew() {
    for (edit, is_installed_anew) in [
        ("true", false),
        ("sed -i s/7.0.0/6.0.0/ package-lock.json", true),
        ("echo install-strategy=nested > .npmrc", true),
        ("echo omit=dev > \"$HOME/.npmrc\"", true),
    ] {
        let sandbox = Sandbox::new();
        note_runs_of_npm(&sandbox);
        node_plugin(&sandbox, "{\"is-number\": \"7.0.0\"}");
        let edit = edit.replace('"', "\\\"");
        sandbox.write(
            "p/mwp.toml",
            format!(
                "[tasks.edit]\nalways = true\ncommand = [\"sh\", \"-c\", \"{edit}\"]\nafter = [\"node_lock\"]\nbefore = [\"node_modules\"]\n"
            ),
        );
        Done::of(&mut sandbox.mwp(["build", "-C", "p"]));
        let runs = if is_installed_anew { "install\nci\n" } else { "install\n" };
        assert_eq!(sandbox.read("runs"), runs, "{edit}");
    }
}

#[test]
fn a_lock_that_is_made_alone_installs_nothing_and_runs_no_script() {
    let sandbox = Sandbox::new();
    note_runs_of_npm(&sandbox);
    node_plugin(&sandbox, "{\"utf-8-validate\": \"6.0.5\"}");
    // No script succeeds.
    let failing =
        |arguments: &[&str]| Done::of(sandbox.mwp(arguments).env("npm_config_script_shell", "false"));
    failing(&["lock", "-C", "p"]).succeeded();
    assert_eq!(sandbox.read("runs"), "install\n");
    fs::remove_file(sandbox.work().join("p/package-lock.json")).unwrap();
    // The lock stays where an install script fails.
    failing(&["build", "-C", "p"]).exited(1).says("error: npm cannot install the dependencies: ");
    assert!(sandbox.work().join("p/package-lock.json").exists());
    assert!(!sandbox.work().join("p/node_modules").exists());
    sandbox.ok(["build", "--locked", "-C", "p"]).never_says("node_lock: ");
}
