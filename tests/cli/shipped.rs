//! What a release ships: what is packed is installed, or refused before it is packed.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::tar::Tar;
use crate::support::unpacking::zstd;
use crate::support::{Done, Sandbox};

const NAME: &str = "hello-0.0.1-1.metwork.mfserv.plugin";
/// What takes a link that leads out, in a hint.
const OPTION: &str = "`mwp install --allow-external-links` takes";

#[test]
fn a_link_that_leads_out_is_told_by_check_and_release_and_shipped() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    fs::create_dir_all(plugin.join("a/b")).unwrap();
    for (path, target) in [
        ("absolute", "/etc/passwd"),
        ("outside", "../../etc"),
        ("a/b/top", "../.."),
        ("crooked", "a/b/top/../x"),
        ("inside", "config.ini"),
    ] {
        symlink(target, plugin.join(path)).unwrap();
    }
    for command in ["check", "release"] {
        let done = sandbox.ok([command, "-C", "hello"]);
        for warning in [
            "warning: `absolute`: found a link to `/etc/passwd`, an absolute path",
            "warning: `outside`: found a link to `../../etc`, which is outside the plugin",
            "warning: `crooked`: found a link to `a/b/top/../x`, which is outside the plugin",
        ] {
            assert!(done.stderr.contains(warning), "no {warning:?} in:\n{}", done.stderr);
        }
        assert_eq!(done.stderr.matches("warning:").count(), 3, "{}", done.stderr);
        done.says(
            "hint: it is installed with `--allow-external-links` alone; better make it in `postinstall`",
        );
    }
    let done = sandbox.fails(1, ["install", NAME]);
    done.says("a link to `/etc/passwd`, an absolute path").says("hint: ").says(OPTION);
    sandbox.ok(["install", "--allow-external-links", NAME]);
    let installed = sandbox.runtime_home().join("var/plugins/hello");
    assert_eq!(fs::read_link(installed.join("absolute")).unwrap(), Path::new("/etc/passwd"));
    sandbox.ok(["verify", "hello"]);
    sandbox.ok(["uninstall", "hello"]);
    assert!(Path::new("/etc/passwd").exists());
    // A module that is provisioned says so itself.
    sandbox.configure_module("[install]\nallow_external_links=1\n");
    sandbox.ok(["install", NAME]);
    sandbox.configure_module("[install]\nallow_external_links=perhaps\n");
    sandbox
        .fails(1, ["install", "--force", NAME])
        .says("config.ini:2: [install] allow_external_links: found `perhaps`");
}

#[test]
fn a_link_that_leads_out_is_refused_with_the_option_that_takes_it() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write("elsewhere/file", "precious");
    for (path, target) in [
        ("file", "../elsewhere/file"),
        ("directory", "../elsewhere"),
        ("nothing", "../elsewhere/nothing"),
        ("node_modules/a/file", "/etc/passwd"),
        (".releaserc", "/etc/passwd"),
    ] {
        fs::create_dir_all(plugin.join(path).parent().unwrap()).unwrap();
        symlink(target, plugin.join(path)).unwrap();
        for format in ["zstd", "gzip"] {
            sandbox.ok(["pack", "-q", "--format", format, "-C", "hello"]);
            for command in [&["install"][..], &["install", "--force"]] {
                let done = sandbox.fails(1, command.iter().copied().chain([NAME]));
                done.says(&format!("has `metwork_plugin/{path}`, a link to `{target}`, ")).says(OPTION);
            }
            sandbox.ok(["install", "--force", "--allow-external-links", NAME]);
            // The next version, of which the installed one has such a link already.
            sandbox.fails(1, ["install", "--force", NAME]).says(OPTION);
            sandbox.ok(["uninstall", "hello"]);
        }
        fs::remove_file(plugin.join(path)).unwrap();
    }
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(sandbox.work().join(NAME), provisioning.join(NAME)).unwrap();
    sandbox.fails(1, ["provision"]).says("a link to `/etc/passwd`").says(OPTION);
}

#[test]
fn a_link_that_no_option_takes_is_refused_without_one() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    let config = sandbox.read("hello/config.ini");
    let (path, elsewhere) = (plugin.join("config.ini"), sandbox.write("elsewhere/config.ini", config));
    fs::remove_file(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    for command in ["check", "pack", "release"] {
        let done = sandbox.fails(1, [command, "-C", "hello"]).says("`config.ini`: found a link to `");
        done.says("hint: put what it leads to in its place").never_says("--allow-external-links");
    }
    assert!(!sandbox.work().join(NAME).exists());
    // As other tools pack it.
    sandbox.write(
        NAME,
        zstd(&Tar::plugin().link("metwork_plugin/config.ini", elsewhere.to_str().unwrap()).end()),
    );
    for options in [&[][..], &["--allow-external-links"]] {
        let done = sandbox.fails(1, ["install"].iter().chain(options).chain(&[NAME]));
        let done = done.says("has `metwork_plugin/config.ini`, a link to `");
        done.says("hint: put what it leads to in its place").never_says(OPTION);
    }
}

#[test]
fn what_is_private_stays_private_and_the_umask_does_not_show() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    let modes = [
        ("key", 0o600, 0o600),
        ("key.readonly", 0o400, 0o600),
        ("tool", 0o700, 0o700),
        ("plain", 0o664, 0o644),
        ("group", 0o640, 0o644),
        ("run", 0o775, 0o755),
        ("raised", 0o4755, 0o755),
        ("secrets/token", 0o644, 0o644),
    ];
    for (name, mode, _) in modes {
        sandbox.write(&format!("hello/{name}"), name);
        fs::set_permissions(plugin.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    sandbox.write("hello/open/x", "x");
    fs::set_permissions(plugin.join("secrets"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(plugin.join("open"), fs::Permissions::from_mode(0o2775)).unwrap();
    sandbox.ok(["release", "-C", "hello"]);
    sandbox.ok(["install", NAME]);
    let installed = sandbox.runtime_home().join("var/plugins/hello");
    let mode = |name: &str| installed.join(name).metadata().unwrap().permissions().mode() & 0o7777;
    for (name, _, expected) in modes {
        assert_eq!(mode(name), expected, "{name}");
    }
    assert_eq!((mode("secrets"), mode("open")), (0o700, 0o755));
    sandbox.ok(["verify", "hello"]);
    fs::set_permissions(installed.join("secrets"), fs::Permissions::from_mode(0o755)).unwrap();
    let damaged = sandbox.fails(1, ["verify", "hello"]);
    assert!(
        format!("{}{}", damaged.stdout, damaged.stderr).contains("`secrets` has mode 0755 instead of 0700")
    );
    fs::set_permissions(installed.join("secrets"), fs::Permissions::from_mode(0o700)).unwrap();
    // Through another package, too.
    sandbox.ok(["repackage", "hello", "--output", "again"]);
    sandbox.ok(["install", "--force", &format!("again/{NAME}")]);
    assert_eq!((mode("secrets"), mode("key")), (0o700, 0o600));
}

#[test]
fn names_that_differ_in_case_alone_are_shipped() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.write("hello/main/README", "one");
    sandbox.write("hello/main/Readme", "two");
    sandbox.ok(["release", "-C", "hello"]);
    sandbox.ok(["install", NAME]);
    let installed = sandbox.runtime_home().join("var/plugins/hello/main");
    assert_eq!(fs::read_to_string(installed.join("README")).unwrap(), "one");
    assert_eq!(fs::read_to_string(installed.join("Readme")).unwrap(), "two");
}

#[test]
fn what_is_packed_is_installed() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    // Out of proportion, were it not announced: zeros and a table that repeats itself.
    sandbox.write("hello/zeros", vec![0; 140_000_000]);
    sandbox.write("hello/table.csv", b"2026-01-01;12.5;OK;station\n".repeat(100_000));
    let deep = vec!["d"; 99].join("/");
    sandbox.write(&format!("hello/{deep}/file"), "deep");
    sandbox.ok(["release", "-C", "hello"]);
    sandbox.ok(["install", NAME]);
    let installed = sandbox.runtime_home().join("var/plugins/hello");
    assert_eq!(installed.join("zeros").metadata().unwrap().len(), 140_000_000);
    assert_eq!(fs::read_to_string(installed.join(&deep).join("file")).unwrap(), "deep");
}

#[test]
fn what_would_not_be_installed_is_refused_by_check_and_release_by_its_name() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    let both = |limits: &str, reasons: &[&str]| {
        for command in ["check", "release"] {
            let mut command = sandbox.mwp([command, "-C", "hello"]);
            let done = Done::of(command.env("MWP_LIMITS", limits)).exited(1);
            for reason in reasons {
                assert!(done.stderr.contains(reason), "no {reason:?} in:\n{}", done.stderr);
            }
        }
    };
    for n in 0..30 {
        sandbox.write(&format!("hello/many/{n}"), "");
    }
    sandbox.write("hello/large", vec![7; 50_000]);
    both(
        "members=20",
        &["error: `many` has 31 of the plugin's", "at most 20 are installed", "MWP_LIMITS=members="],
    );
    both(
        "bytes=50k",
        &["error: `large` has 50.0 kB, and all files have 50.2 kB; at most 50.0 kB are installed"],
    );
    both("names=60", &["error: `many` has 31 of the plugin's", "at most 60 B are installed"]);
    both("members=many", &["found the limit `members=many`; `NAME=NUMBER` is allowed"]);
    // With the limits that everybody has.
    let (deep, long) = (vec!["d"; 101].join("/"), vec!["l".repeat(200); 12].join("/"));
    fs::create_dir_all(sandbox.work().join("hello").join(&deep)).unwrap();
    fs::create_dir_all(sandbox.work().join("hello").join(&long)).unwrap();
    both(
        "",
        &[
            &format!("error: `{deep}`: found a path that is deeper than 100 directories"),
            "found a path of more than 2048 bytes",
        ],
    );
    fs::remove_dir_all(sandbox.work().join("hello/d")).unwrap();
    fs::remove_dir_all(sandbox.work().join("hello").join("l".repeat(200))).unwrap();

    // Whoever raises a limit where the plugin is packed raises it where it is installed.
    sandbox.write("hello/deep/a/b/c", "x");
    let with = |arguments: &[&str], limits: &str| {
        let mut command = sandbox.mwp(arguments);
        Done::of(command.env("MWP_LIMITS", limits))
    };
    with(&["release", "-C", "hello"], "").succeeded();
    with(&["install", NAME], "depth=3").exited(1).says("deeper than 3 directories");
    with(&["install", "--limit", "depth=4", NAME], "depth=3").succeeded();
    sandbox.configure_module("[install]\nlimits=bytes=10k\n");
    with(&["install", "--force", NAME], "").exited(1).says("unpacks to more than 10.0 kB");
    with(&["install", "--force", NAME], "bytes=1G").succeeded();
}

#[test]
fn times_before_1970_and_an_epoch_of_0_are_fine() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write("hello/old", "old");
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400 * 200);
    File::options().write(true).open(plugin.join("old")).unwrap().set_modified(before).unwrap();
    sandbox.ok(["release", "-C", "hello"]);
    sandbox.ok(["install", NAME]);
    let mut command = sandbox.mwp(["release", "-C", "hello"]);
    Done::of(command.env("SOURCE_DATE_EPOCH", "0")).succeeded();
    sandbox.ok(["install", "--force", NAME]);
    sandbox.ok(["info", NAME]).prints("Build Date: 1970-01-01T00:00:00Z");
    let installed = sandbox.runtime_home().join("var/plugins/hello/old");
    assert_eq!(installed.metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
}

#[test]
fn the_last_line_of_releaseignore_that_names_a_file_decides() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    for name in ["data/keep.json", "data/large.grib", "data/deep/x", "main/app.py", "main/app.log", "other/x"]
    {
        sandbox.write(&format!("hello/{name}"), "x");
    }
    let shipped = |patterns: &str| -> Vec<String> {
        sandbox.write("hello/.releaseignore", patterns);
        sandbox.ok(["release", "-q", "-C", "hello"]);
        let listed = sandbox.ok(["info", "--files", NAME]).stdout;
        let files = listed.lines().filter_map(|line| line.strip_prefix("- metwork_plugin/"));
        files.filter(|file| file.contains('/')).map(str::to_owned).collect()
    };
    assert_eq!(shipped("data/\n!data/keep.json\nother\nmain\n"), ["data/keep.json"]);
    assert_eq!(shipped("*\n!main/**\n*.log\n"), ["main/app.py"]);
    let done = sandbox.ok(["check", "-C", "hello"]);
    let done = done
        .says("warning: hello/.releaseignore:2:1: `main/app.py` is shipped because of this line; git would");
    done.never_says("has no effect");
    sandbox.write("hello/.releaseignore", "data/\n!dta/keep.json\n");
    sandbox
        .ok(["check", "-C", "hello"])
        .says("warning: hello/.releaseignore:2:1: `!dta/keep.json` has no effect");
}

#[test]
fn packages_for_development_are_told_or_left_out() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    for (name, version) in [("tool", "1.0.0"), ("helper", "1.0.0"), ("app", "1.0.0")] {
        let needs = if name == "tool" { ", \"dependencies\": {\"helper\": \"file:../helper\"}" } else { "" };
        let json = format!("{{\"name\": \"{name}\", \"version\": \"{version}\"{needs}}}");
        sandbox.write(&format!("packages/{name}/package.json"), json);
        sandbox.write(&format!("packages/{name}/index.js"), vec![b' '; 100_000]);
        let mut pack = std::process::Command::new("npm");
        pack.args(["pack", "--silent", "--pack-destination", ".."])
            .current_dir(sandbox.path("work/packages").join(name));
        Done::of(&mut pack).succeeded();
    }
    let json = |tool: &str| {
        format!(
            "{{\"name\": \"hello\", \"version\": \"1.0.0\", \"dependencies\": {{\"app\": \"file:../packages/app-1.0.0.tgz\"}}, \
             \"devDependencies\": {{{tool}}}}}"
        )
    };
    sandbox.write("hello/package.json", json("\"helper\": \"file:../packages/helper-1.0.0.tgz\""));
    let shipped = |name: &str| {
        let listed = sandbox.ok(["info", "--files", NAME]).stdout;
        listed.contains(&format!("metwork_plugin/node_modules/{name}/index.js"))
    };
    let done = sandbox.ok(["release", "-C", "hello"]);
    done.says("100.0 kB of packages that only development needs are shipped (helper); `omit_dev = true` below `[release]`");
    assert!(shipped("app") && shipped("helper"));

    sandbox.write("hello/mwp.toml", "[release]\nomit_dev = true\n");
    sandbox.ok(["release", "-C", "hello"]).never_says("only development needs");
    assert!(shipped("app") && !shipped("helper"));
    assert!(sandbox.path("work/hello/node_modules/helper/index.js").exists(), "the build keeps them");
    sandbox.ok(["build", "-C", "hello"]).says("up to date");
    sandbox.ok(["install", NAME]);
    sandbox.ok(["verify", "hello"]);

    sandbox.write("hello/mwp.toml", "[release]\nomit_devs = true\n");
    sandbox.fails(1, ["check", "-C", "hello"]).says("hello/mwp.toml:2: unknown field `omit_devs`");
}

#[test]
fn the_virtualenv_is_never_made_through_a_link() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write("outside/mine", "mine");
    symlink(sandbox.work().join("outside"), plugin.join("elsewhere")).unwrap();
    sandbox.ok(["release", "-C", "hello"]);
    sandbox.ok(["install", "--allow-external-links", NAME]);
    sandbox.ok(["install", "--allow-external-links", "--force", NAME]);
    sandbox.ok(["uninstall", "hello"]);
    assert_eq!(sandbox.read("outside/mine"), "mine");
    assert_eq!(crate::support::tree(&sandbox.work().join("outside")), ["mine"]);
}
