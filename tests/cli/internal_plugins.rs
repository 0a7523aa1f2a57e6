//! Plugins of mfdata that are there without anybody installing them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::steps::world::World;
use crate::support::{CONFIG, Done, Sandbox};

fn home(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("home/.local/share/mwp/mfdata")
}

fn configure(sandbox: &Sandbox, text: &str) {
    let config = home(sandbox).join("config/config.ini");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("[nginx]\nflag=0\n[internal_plugins]\n{text}")).unwrap();
}

fn provision(sandbox: &Sandbox) -> Command {
    sandbox.mwp(["provision", "--module", "mfdata"])
}

/// Live lines of an override file.
fn overrides(sandbox: &Sandbox, name: &str) -> String {
    let content = fs::read_to_string(home(sandbox).join(format!("config/plugins/{name}.ini"))).unwrap();
    let lines = content.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

fn identity(sandbox: &Sandbox, name: &str) -> u64 {
    home(sandbox).join("var/plugins").join(name).metadata().unwrap().ino()
}

/// A `.plugin` file of a plugin of mfdata.
fn packed(sandbox: &Sandbox, name: &str, version: &str) -> PathBuf {
    sandbox.plugin(name);
    sandbox.write(&format!("{name}/.layerapi2_label"), format!("plugin_{name}@mfdata\n"));
    let config = CONFIG.replace("_version=0.0.1", &format!("_version={version}"));
    sandbox.write(&format!("{name}/config.ini"), config + "[step_main]\n_cmd_and_args=sleep 1000\n");
    sandbox.packed(name)
}

fn version(sandbox: &Sandbox, name: &str) -> String {
    let list = sandbox.ok(["list", "--raw"]).stdout;
    let line = list.lines().find_map(|line| line.strip_prefix(&format!("{name}~~~")));
    line.map_or("absent", |rest| rest.split("~~~").next().unwrap()).to_owned()
}

#[test]
fn guess_file_type_and_switch_are_there_from_the_first_start_on_and_need_nothing() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "switch_numprocesses=3\nguess_file_type_numprocesses=2\nswitch_debug=1\n");
    // Neither pip nor uv, and no Python at all.
    let bare = |mut command: Command| Done::of(command.env("PATH", "/nowhere"));
    let done = bare(provision(&sandbox)).succeeded();
    done.says("guess_file_type: installed").says("switch: installed");
    assert_eq!(
        overrides(&sandbox, "guess_file_type"),
        "[step_main] numprocesses=2 debug=0 watched_directories={MFDATA_CURRENT_STEP_DIR},incoming [custom] \
         dest_dir=switch/main"
    );
    assert_eq!(
        overrides(&sandbox, "switch"),
        "[step_main] numprocesses=3 debug=1 watched_directories={MFDATA_CURRENT_STEP_DIR}"
    );
    sandbox.ok(["verify", "guess_file_type", "switch"]);
    assert!(!home(&sandbox).join("config/plugins/switch.ini.new").exists());
    // Again: nothing is done.
    let before = ["guess_file_type", "switch"].map(|name| identity(&sandbox, name));
    bare(provision(&sandbox)).succeeded().says("guess_file_type: unchanged").says("switch: unchanged");
    assert_eq!(["guess_file_type", "switch"].map(|name| identity(&sandbox, name)), before);
    // What the operator edits there is the settings' again; what root says stays stronger.
    fs::write(home(&sandbox).join("config/plugins/switch.ini"), "[step_main]\nnumprocesses=9\n").unwrap();
    configure(&sandbox, "install_guess_file_type=0\nwatched_directories=a,b\nswitch_numprocesses=1\n");
    bare(provision(&sandbox)).succeeded();
    assert_eq!(
        overrides(&sandbox, "switch"),
        "[step_main] numprocesses=1 debug=0 watched_directories={MFDATA_CURRENT_STEP_DIR},a,b"
    );
}

#[test]
fn a_module_that_starts_brings_them() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "switch_numprocesses=0\nguess_file_type_numprocesses=0\n");
    let done = Done::of(&mut sandbox.mwp(["up", "--detach", "--module", "mfdata"]));
    let status = sandbox.mwp(["status", "--json"]).output().unwrap();
    sandbox.ok(["down", "--module", "mfdata"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let names: Vec<_> = status["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["guess_file_type", "switch"], "{done:?}");
}

#[test]
fn the_built_in_guess_file_type_knows_what_files_are() {
    let world = World::new();
    configure(&world.sandbox, "");
    Done::of(&mut provision(&world.sandbox)).succeeded();
    world.inbox("switch", "main");
    let file =
        world.sandbox.write("image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x02\x08\x02\0\0\0");
    let words = ["./main.py", "--dest-dir=switch/main", file.to_str().unwrap()];
    let done = Done::of(&mut world.command_of("guess_file_type", &words)).succeeded();
    let files = world.files("step.switch.main");
    assert_eq!(files.len(), 1, "{done:?}");
    let path = world.input("step.switch.main").join(&files[0].0);
    let tags = Done::of(&mut world.command_of("switch", &["print_tags", path.to_str().unwrap()]));
    for tag in ["system_magic = PNG image data, 2 x 2", "ascii_header = PNGIHDR", "size = 29"] {
        assert!(tags.stdout.contains(&format!("latest.guess_file_type.main.{tag}")), "{tags:?}");
    }
}

#[test]
fn the_stand_in_for_python_magic_gives_way_to_the_real_one_and_misses_its_library_late() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "");
    Done::of(&mut provision(&sandbox)).succeeded();
    sandbox.write("real/magic.py", "here = True\n");
    let real = sandbox.work().join("real");
    let python = |code: &str, path: &Path| {
        let script = format!("import sys; sys.path.append('{}')\n{code}", path.display());
        Done::of(&mut sandbox.mwp(["exec", "guess_file_type", "--", "python3", "-c", &script]))
    };
    assert_eq!(python("import magic; print(magic.here)", &real).succeeded().stdout, "True\n");
    let code = "import ctypes\ndef gone(name): raise OSError(name + ' is gone')\nctypes.CDLL = gone\nimport magic\n\
                detector = magic.Magic()\ntry: detector.from_file('/etc/passwd')\n\
                except magic.MagicException as error: print(error)\n";
    assert_eq!(python(code, Path::new("/nowhere")).succeeded().stdout, "libmagic.so.1 is gone\n");
}

#[test]
fn what_somebody_has_installed_under_such_a_name_is_left_alone_and_an_older_one_of_ours_is_not() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "");
    sandbox.ok(["install", packed(&sandbox, "switch", "7").to_str().unwrap()]);
    let done = Done::of(&mut provision(&sandbox)).succeeded();
    done.says("guess_file_type: installed").says("switch: unchanged");
    assert_eq!(version(&sandbox, "switch"), "7");
    let mark = home(&sandbox).join("var/plugins/guess_file_type/.internal_plugin");
    let made_of = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, "something else\n").unwrap();
    Done::of(&mut provision(&sandbox)).succeeded().says("guess_file_type: replaced");
    assert_eq!(fs::read_to_string(&mark).unwrap(), made_of);
}

#[test]
fn what_mfdata_ships_is_taken_from_there_the_newest_by_time() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "install_guess_file_type=0\ninstall_archive=1\n");
    let shelf = sandbox.path("mfdata/share/plugins");
    fs::create_dir_all(&shelf).unwrap();
    let ship = |name: &str, version: &str, age: u64| {
        let file = packed(&sandbox, name, version);
        let shipped = shelf.join(file.file_name().unwrap());
        fs::rename(file, &shipped).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(&shipped).unwrap().set_modified(time).unwrap();
    };
    ship("switch", "9", 100);
    ship("switch", "2", 50);
    // Another plugin, whose name begins alike.
    ship("switch-more", "1", 1);
    let provision = || {
        let mut command = provision(&sandbox);
        Done::of(command.env("MFDATA_HOME", sandbox.path("mfdata")))
    };
    let missing = "[internal_plugins] install_archive: the plugin `archive` is not installed, and ";
    provision().exited(1).says("switch: installed").says(missing).says("share/plugins` has no file of it");
    assert_eq!(
        (version(&sandbox, "switch"), version(&sandbox, "switch-more")),
        ("2".into(), "absent".into())
    );
    ship("archive", "1", 10);
    provision().succeeded().says("switch: unchanged").says("archive: installed");
    ship("switch", "3", 0);
    provision().succeeded().says("switch: replaced").says("archive: unchanged");
    assert_eq!(version(&sandbox, "switch"), "3");
}

#[test]
fn one_that_cannot_be_had_keeps_nothing_else_from_running_and_is_told() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "install_guess_file_type=0\ninstall_switch=0\ninstall_archive=1\n");
    let done = Done::of(&mut sandbox.mwp(["up", "--detach", "--module", "mfdata"])).exited(1);
    done.says(
        "install_archive: the plugin `archive` is not installed, and MFDATA_HOME, where it would be shipped",
    );
    sandbox
        .fails(1, ["status"])
        .says("the plugin `archive` is not installed, and [internal_plugins] install_archive");
    sandbox.ok(["down", "--module", "mfdata"]);
}
