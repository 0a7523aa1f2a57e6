//! What is installed by a package manager of Node.js runs wherever it is put.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox};

const PACKAGE: &str =
    r#"{"name": "p", "version": "1.0.0", "dependencies": {"cross-spawn": "7.0.6", "which": "2.0.2"}}"#;

#[test]
fn nothing_in_node_modules_names_the_directory_it_was_made_in() {
    for (tool, lock) in [
        ("npm@10", "package-lock.json"),
        ("pnpm@9", "pnpm-lock.yaml"),
        ("pnpm@10", "pnpm-lock.yaml"),
        ("pnpm@12", "pnpm-lock.yaml"),
        ("yarn@1", "yarn.lock"),
        ("@yarnpkg/cli-dist", "yarn.lock"),
    ] {
        let sandbox = Sandbox::new();
        let plugin = sandbox.plugin("p");
        sandbox.write("p/package.json", PACKAGE);
        if lock != "package-lock.json" {
            sandbox.write(&format!("p/{lock}"), "");
        }
        Done::of(&mut sandbox.mwp_with_node_tool(tool, &["build", "-C", "p"])).succeeded();
        let mut grep = Command::new("grep");
        grep.args(["-r", "-F", "-l", "-e", plugin.to_str().unwrap(), "p/node_modules"]);
        Done::of(grep.current_dir(sandbox.work())).exited(1);
        let mut find = Command::new("find");
        find.args(["p/node_modules", "-lname", "/*"]).current_dir(sandbox.work());
        assert_eq!(Done::of(&mut find).succeeded().stdout, "", "{tool}");

        Done::of(&mut sandbox.mwp_with_node_tool(tool, &["release", "-C", "p"])).succeeded();
        fs::remove_dir_all(&plugin).unwrap();
        sandbox.ok(["install", "p-0.0.1-1.metwork.mfserv.plugin"]);
        let program = sandbox.base().join("p/node_modules/.bin/node-which");
        Done::of(sandbox.command(program.to_str().unwrap()).arg("sh")).succeeded().prints("/sh");
    }
}
