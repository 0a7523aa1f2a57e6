//! `mwp size`, `mwp diff` and `mwp info`: what a plugin holds, and what changed.

use crate::support::{CONFIG, Sandbox};

/// A plugin with a package of Node.js, some files and this version.
fn shop(sandbox: &Sandbox, name: &str, version: &str) {
    sandbox.plugin(name);
    sandbox.write(&format!("{name}/.layerapi2_label"), "plugin_shop@mfserv\n");
    sandbox.write(&format!("{name}/config.ini"), CONFIG.replace("0.0.1", version));
    sandbox.write(&format!("{name}/static/big.css"), "x".repeat(5_000));
    sandbox
        .write(&format!("{name}/node_modules/left/package.json"), r#"{"name": "left", "version": "1.0.0"}"#);
    sandbox.write(&format!("{name}/node_modules/left/index.js"), "y".repeat(20_000));
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn size_shows_packages_and_directories_the_largest_first() {
    let sandbox = Sandbox::new();
    shop(&sandbox, "shop", "0.0.1");
    let file = sandbox.packed("shop");
    let of_file = sandbox.ok(["size".as_ref(), file.as_os_str()]).prints(", packed into ").stdout;
    let of_directory = sandbox.ok(["size", "shop"]).stdout;
    let below = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(below(&of_file), below(&of_directory), "a directory is what its release would hold");
    let at = |word: &str| of_file.find(word).unwrap_or_else(|| panic!("{word}: {of_file}"));
    assert!(at("packages of Node.js") < at("left 1.0.0") && at("left 1.0.0") < at("files of its own"));
    assert!(at("static/") < at("config.ini"));
    let sizes = json(&sandbox.ok(["size".as_ref(), "--json".as_ref(), file.as_os_str()]).stdout);
    assert_eq!(sizes["packages"][0]["bytes"], 20_000 + 36);
    let sum = |key: &str| sizes["own"][key].as_u64().unwrap() + sizes["packages"][0][key].as_u64().unwrap();
    assert_eq!(
        (sizes["bytes"].as_u64().unwrap(), sizes["files"].as_u64().unwrap()),
        (sum("bytes"), sum("files"))
    );
}

#[test]
fn size_leaves_small_things_to_all() {
    let sandbox = Sandbox::new();
    sandbox.plugin("many");
    for number in 0..30 {
        sandbox.write(&format!("many/{number}.txt"), "x".repeat(number + 1));
    }
    let short = sandbox.ok(["size", "many"]).prints("more (--all)").stdout;
    let long = sandbox.ok(["size", "--all", "many"]).stdout;
    assert!(!short.contains("0.txt  1 B") && long.contains("0.txt  1 B"), "{short}\n{long}");
}

#[test]
fn diff_tells_metadata_configuration_packages_and_files() {
    let sandbox = Sandbox::new();
    shop(&sandbox, "old", "0.0.1");
    shop(&sandbox, "new", "0.0.2");
    sandbox.write("new/config.ini", format!("{}[custom]\ncolour=red\n", CONFIG.replace("0.0.1", "0.0.2")));
    sandbox.write("new/node_modules/left/package.json", r#"{"name": "left", "version": "2.0.0"}"#);
    sandbox.write("new/added.txt", "a");
    std::fs::remove_file(sandbox.work().join("new/static/big.css")).unwrap();
    let file = sandbox.packed("old");
    for old in ["old", &file.to_string_lossy()] {
        let done = sandbox.ok(["diff", old, "new"]);
        for row in [
            "~ version: 0.0.1 → 0.0.2",
            "+ [custom] colour: red",
            "~ left: 1.0.0 → 2.0.0",
            "+ added.txt: 1 byte,",
            "- static/big.css: 5000 bytes",
        ] {
            assert!(done.stdout.contains(row), "{row}: {}", done.stdout);
        }
        assert!(!done.stdout.contains("[general]"), "told once: {}", done.stdout);
    }
    let diff = json(&sandbox.ok(["diff", "--json", "old", "new"]).stdout);
    assert_eq!(diff["same"], false);
    assert_eq!(diff["node"][0], serde_json::json!({"name": "left", "old": "1.0.0", "new": "2.0.0"}));
    sandbox.fails(1, ["diff", "--exit-code", "old", "new"]);
}

#[test]
fn an_installed_plugin_is_as_its_file_until_somebody_edits_it() {
    let sandbox = Sandbox::new();
    shop(&sandbox, "sources", "0.0.1");
    let file = sandbox.packed("sources");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    let file = file.to_string_lossy();
    sandbox.ok(["diff", "--exit-code", "shop", &file]).prints("no difference");
    std::fs::write(sandbox.runtime_home().join("var/plugins/shop/static/big.css"), "short").unwrap();
    sandbox.fails(1, ["diff", "--exit-code", "shop", &file]).prints("~ static/big.css: 5 bytes");
}

#[test]
fn what_is_no_plugin_has_no_size() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.work().join("empty")).unwrap();
    sandbox.fails(1, ["size", "./empty"]).says("hint: ");
    sandbox.fails(2, ["size", "./nosuch"]).says("is neither a file nor a directory").says("hint: ");
    sandbox.write("text.plugin", "hello");
    sandbox.fails(1, ["size", "text.plugin"]).says("is not a plugin file").says("hint: ");
    sandbox.fails(1, ["diff", "nosuch", "text.plugin"]).says("is not installed").says("hint: ");
}

#[test]
fn info_lists_the_files_on_request_and_always_what_is_held() {
    let sandbox = Sandbox::new();
    shop(&sandbox, "shop", "0.0.1");
    let file = sandbox.packed("shop");
    let short = sandbox.ok(["info".as_ref(), file.as_os_str()]).stdout;
    assert!(short.contains("Holds: 1 package of Node.js (20.0 kB), 5 files of its own ("), "{short}");
    assert!(!short.contains("metwork_plugin/"), "{short}");
    let long = sandbox.ok(["info".as_ref(), "--files".as_ref(), file.as_os_str()]).stdout;
    assert!(long.contains("\nList of files:\n\n- metwork_plugin/.layerapi2_dependencies\n"), "{long}");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    sandbox.ok(["info", "shop"]).prints("Home: ").prints("Holds: 1 package of Node.js (20.0 kB)");
}
