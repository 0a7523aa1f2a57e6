//! The build stage and the install stage meet only in the `.plugin` format, and the run stage is above the latter: none
//! names modules that are not below it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Lines of the modules' sources that name one of the others.
fn crossings(modules: &[&str], others: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for module in modules {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
        let mut waiting = vec![dir];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let names = |line: &&str| {
                others.iter().any(|other| {
                    line.contains(&format!("crate::{other}::")) || line.contains(&format!("crate::{other};"))
                })
            };
            found.extend(
                source.lines().filter(names).map(|line| format!("{}: {}", path.display(), line.trim())),
            );
        }
    }
    found
}

#[test]
fn the_stages_meet_in_the_plugin_format_alone() {
    let nothing: [String; 0] = [];
    assert_eq!(crossings(&["install", "env", "artifact"], &["graph", "recipe", "store", "action"]), nothing);
    assert_eq!(
        crossings(&["graph", "recipe", "store", "artifact", "plugin", "python"], &["install", "cli"]),
        nothing
    );
    // The graph knows neither recipes nor actions; an action does not know by what it is named.
    assert_eq!(crossings(&["graph"], &["recipe", "action", "cli", "python"]), nothing);
    assert_eq!(crossings(&["action"], &["recipe", "cli"]), nothing);
    assert_eq!(crossings(&["cron"], &["install", "cli", "graph", "recipe", "store", "action"]), nothing);
    assert_eq!(
        crossings(&["run"], &["graph", "recipe", "store", "action", "template", "internal", "cli"]),
        nothing
    );
    assert_eq!(
        crossings(&["install", "env", "cron", "artifact", "plugin", "template"], &["run", "internal", "cli"]),
        nothing
    );
    assert_eq!(
        crossings(&["migrate"], &["graph", "recipe", "store", "action", "install", "run", "cli"]),
        nothing
    );
    // What is installed is looked at by all of these, and looks at none.
    assert_eq!(crossings(&["installed"], &["env", "cron", "install", "run", "cli"]), nothing);
    // Of the run stage, all rooms know the model, and it knows none of them.
    assert_eq!(
        crossings(&["run/model"], &["run::supervisor", "run::nginx", "run::export", "run::control"]),
        nothing
    );
    assert_eq!(crossings(&["run/nginx"], &["run::supervisor", "run::export", "run::control"]), nothing);
    assert_eq!(crossings(&["run/export"], &["run::supervisor"]), nothing);
    assert!(!crossings(&["install"], &["artifact"]).is_empty(), "the test itself finds nothing");
}
