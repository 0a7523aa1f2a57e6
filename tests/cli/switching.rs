//! The rules of mfdata's switches, as a module that is up collects them and goes by them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::steps::world::World;
use crate::support::{CONFIG, Done};

const STEP: &str = "[step_main]\n_cmd_and_args=sleep 1000\nnumprocesses=0\n";

/// A module with these plugins, each with a step `main`, and its rules.
fn with_plugins(plugins: &[(&str, &str)]) -> World {
    let world = World::new();
    // The module may have one of its own.
    world.stop_redis();
    for (name, rules) in plugins {
        install(&world, name, rules);
    }
    let config = world.home("config/config.ini");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "[nginx]\nflag=0\n[internal_plugins]\ninstall_switch=0\ninstall_guess_file_type=0\n")
        .unwrap();
    world
}

fn install(world: &World, name: &str, rules: &str) {
    let sandbox = &world.sandbox;
    sandbox.plugin(name);
    sandbox.write(&format!("{name}/.layerapi2_label"), format!("plugin_{name}@mfdata\n"));
    sandbox.write(&format!("{name}/config.ini"), format!("{CONFIG}{STEP}{rules}"));
    sandbox.ok(["install", "--force", sandbox.packed(name).to_str().unwrap()]);
}

/// The module is up until this is dropped.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = Done::of(&mut self.0.sandbox.mwp(["down", "--module", "mfdata"]));
    }
}

fn up(world: &World) -> Up<'_> {
    let done = Done::of(&mut world.sandbox.mwp(["up", "--detach", "--module", "mfdata"]));
    assert!(matches!(done.code, Some(0 | 1)), "{done:?}");
    Up(world)
}

fn file(world: &World, switch: &str) -> PathBuf {
    world.home("tmp/config_auto").join(format!("plugin_{switch}_rules.ini"))
}

/// What is in the file, comments aside.
fn rules(world: &World, switch: &str) -> String {
    let content = fs::read_to_string(file(world, switch)).unwrap_or_else(|error| error.to_string());
    let lines = content.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

fn log(world: &World) -> String {
    fs::read_to_string(world.home("log/supervisor.log")).unwrap_or_default()
}

#[test]
fn the_rules_of_all_plugins_are_collected_for_each_switch() {
    let world = with_plugins(&[
        (
            "a",
            "[switch_rules:FnMatch:latest.x]\nW_FR[0-9] = main, b/main*\n\
             [switch_rules@switch:fnmatch:latest.x]\nW_FR[0-9] = b/main\nin{{ 1 + 1 }} = {{ 'main' }}\n\
             [switch_rules:equal:latest.{{MFDATA_CURRENT_PLUGIN_NAME}}.main.x]\na@@@@@@b = main\n",
        ),
        ("b", "[switch_rules:python]\nrules.big = main\n[switch_rules@other:alwaystrue]\nx = main\n"),
    ]);
    let _up = up(&world);
    let a = "[switch_rules_a:fnmatch:latest.x]\nW_FR[0-9] = a/main,b/main\nin{{ 1 + 1 }} = a/main\n\
             [switch_rules_a:equal:latest.a.main.x]\na@@@@@@b = a/main\n";
    let b =
        format!("[switch_rules_b:python]\n{}:rules.big = b/main\n", world.home("var/plugins/b").display());
    assert_eq!(rules(&world, "switch"), format!("{a}{b}"));
    assert_eq!(rules(&world, "other"), "[switch_rules_b:alwaystrue]\nx = b/main\n");
    // An override may have rules of its own; a file is written only when there is something new.
    let untouched = file(&world, "other").metadata().unwrap().ino();
    fs::write(world.home("config/plugins/b.ini"), "[switch_rules:equal:x]\n_all = main\n").unwrap();
    let more = format!("{a}{b}[switch_rules_b:equal:x]\n_all = b/main\n");
    world.until("the override counts", |world| rules(world, "switch") == more);
    assert_eq!(file(&world, "other").metadata().unwrap().ino(), untouched);
    // With the last that has rules for a switch these are gone.
    world.sandbox.ok(["uninstall", "--clean", "b"]);
    world.until("the file is empty", |world| fs::read(file(world, "other")).unwrap().is_empty());
    assert!(!rules(&world, "switch").contains("switch_rules_b"));
}

#[test]
fn a_bad_rule_keeps_its_plugin_at_the_rules_that_it_had_and_is_told() {
    let world = with_plugins(&[
        ("bad", "[switch_rules:alwaystrue]\nx = main\n[switch_rules:regx:latest.x]\ny = main\n"),
        ("good", "[switch_rules:alwaystrue]\nx = main\n"),
    ]);
    let _up = up(&world);
    let good = "[switch_rules_good:alwaystrue]\nx = good/main\n";
    assert_eq!(rules(&world, "switch"), good);
    let said = "config.ini:14:1: [switch_rules:regx:latest.x] found the type `regx`; equal, notequal, fnmatch, notfnmatch, \
                regex, notregex, alwaystrue, python are allowed";
    let sandbox = &world.sandbox;
    sandbox.fails(1, ["status", "bad"]).says(said).says("its switch rules are those from before");
    sandbox.fails(1, ["check", "-C", "bad"]).says(said).says("hint: did you mean `regex`?");
    sandbox.ok(["reload", "--module", "mfdata"]);
    assert_eq!(log(&world).matches(said).count(), 1, "{}", log(&world));
    install(&world, "bad", "");
    world.until("it is mended", |world| Done::of(&mut world.sandbox.mwp(["status", "bad"])).code == Some(0));
    // A slip in rules that count does not take them away: what only they want would be deleted.
    install(&world, "good", "[switch_rules:alwaystrue]\nx = main\n[switch_rules:regx:latest.x]\ny = main\n");
    world.until("it is told", |world| Done::of(&mut world.sandbox.mwp(["status", "good"])).code == Some(1));
    assert_eq!(rules(&world, "switch"), good);
    install(&world, "good", "[switch_rules:alwaystrue]\nz = main\n");
    world.until("it is mended", |world| rules(world, "switch").contains("z = good/main"));
}

#[test]
fn what_is_no_rule_is_refused_with_its_place() {
    for (rules, said) in [
        (
            "[switch_rules:equal]\nx = main\n",
            "[switch_rules:equal] found no tag; one tag is required with `equal`",
        ),
        (
            "[switch_rules:equal:a,b]\nx = main\n",
            "[switch_rules:equal:a,b] found the tag `a,b`; one tag is required",
        ),
        ("[switch_rules:python:x]\nm.f = main\n", "found the tag `x`; none is allowed with `python`"),
        (
            "[switch_rules:python]\nf = main\n",
            "[switch_rules:python] f: found `f`; module.function is allowed",
        ),
        (
            "[switch_rules:alwaystrue]\nx = a/b/c\n",
            "config.ini:13:5: [switch_rules:alwaystrue] x: found the target `a/b/c`; STEP and PLUGIN/STEP are allowed",
        ),
        ("[switch_rules:alwaystrue]\nx =\n", "found no target; at least one is required"),
        ("[switch_rules@a b:alwaystrue]\nx = main\n", "the plugin name `a b` holds ` `"),
    ] {
        let world = with_plugins(&[]);
        let sandbox = &world.sandbox;
        sandbox.plugin("p");
        sandbox.write("p/.layerapi2_label", "plugin_p@mfdata\n");
        sandbox.write("p/config.ini", format!("{CONFIG}{STEP}{rules}"));
        sandbox.fails(1, ["check", "-C", "p"]).says(said);
    }
}

#[test]
fn what_is_to_go_to_an_absent_step_among_others_is_left_out_until_it_is_there() {
    let world = with_plugins(&[("a", "[switch_rules:alwaystrue]\nx = main, b/main, man\ny = b/main\n")]);
    let sandbox = &world.sandbox;
    sandbox.ok(["check", "-C", "a"]).says("the plugin `a` has no step `man`").says("did you mean `main`?");
    let _up = up(&world);
    // A file that only an absent step wants is not one that nobody wants.
    assert_eq!(rules(&world, "switch"), "[switch_rules_a:alwaystrue]\nx = a/main\ny = b/main\n");
    let said = "config.ini:14:5: [switch_rules:alwaystrue] y: the plugin `b` is not installed: nothing goes to its step `main`";
    assert!(log(&world).contains(said), "{}", log(&world));
    sandbox.ok(["status"]).says(said);
    install(&world, "b", "");
    let whole = "[switch_rules_a:alwaystrue]\nx = a/main,b/main\ny = b/main\n";
    world.until("the step is there", |world| rules(world, "switch") == whole);
}

#[test]
fn a_switch_routes_by_the_rules_that_were_collected() {
    let world = with_plugins(&[
        ("p", ""),
        ("a", "[switch_rules@p:fnmatch:first.core.original_basename]\nW_FR[0-9]*.grib = main\n"),
        ("b", "[switch_rules@p:python]\nrules.is_small = main\n"),
        ("c", "[switch_rules@p:regex:first.core.original_basename]\n(A|V) = main\n.*=x$ = main\n"),
    ]);
    let rules_of_b = "def is_small(xaf):\n    return xaf.getsize() < 3\n";
    fs::write(world.home("var/plugins/b/rules.py"), rules_of_b).unwrap();
    drop(up(&world));
    world.start_redis();
    for name in ["a", "b", "c"] {
        world.inbox(name, "main");
    }
    let option = format!("--rules-file={}", file(&world, "p").display());
    world.deliver("W_FR7_a.grib", "large");
    world.deliver("w", "s");
    let log = world.process(&["switch_step", &option], 2);
    assert_eq!(world.contents("step.a.main"), ["large"], "{log}");
    assert_eq!(world.contents("step.b.main"), ["s"], "{log}");
    assert_eq!(world.files("step.c.main"), [], "{log}");
}

#[test]
fn what_comes_in_is_told_apart_and_goes_where_the_rules_say() {
    let world = with_plugins(&[]);
    let target = world.sandbox.path("target");
    let sandbox = &world.sandbox;
    sandbox.plugin("keeper");
    sandbox.write("keeper/.layerapi2_label", "plugin_keeper@mfdata\n");
    let step = format!(
        "[step_main]\n_cmd_and_args=move_step --dest-dir={} --dest-basename={{ORIGINAL_BASENAME}} \
         {{STANDARD_STEP_ARGUMENTS}}\nnumprocesses=1\n",
        target.display()
    );
    let rules = "[switch_rules:fnmatch:latest.guess_file_type.main.system_magic]\nPNG image* = main\n";
    sandbox.write("keeper/config.ini", format!("{CONFIG}{step}{rules}"));
    sandbox.ok(["install", sandbox.packed("keeper").to_str().unwrap()]);
    fs::write(world.home("config/config.ini"), "[nginx]\nflag=0\n").unwrap();
    let image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x02\x08\x02\0\0\0";
    sandbox.write("picture", image);
    sandbox.write("text", "neither fish nor fowl\n");
    let _up = up(&world);
    sandbox.ok(["inject", "--incoming", "picture", "text"]);
    world.until("the picture is there", |_| target.join("picture").exists());
    assert_eq!(fs::read(target.join("picture")).unwrap(), image);
    let is_empty = |dir: &str| world.files(dir).is_empty();
    world.until("nothing is under way", |_| {
        ["incoming", "step.switch.main", "tmp/guess_file_type.main", "tmp/switch.main"]
            .into_iter()
            .all(is_empty)
    });
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "no rule wants the text");
}

#[test]
fn a_file_tells_whether_the_module_has_nothing_to_look_at() {
    let world = with_plugins(&[("a", "")]);
    let idle = world.home("var/conf_monitor_idle");
    {
        let _up = up(&world);
        world.until("it is idle", |_| idle.exists());
        install(&world, "a", "[switch_rules:alwaystrue]\nx = main\n");
        world.until("it is idle again", |_| idle.exists());
        assert_eq!(rules(&world, "switch"), "[switch_rules_a:alwaystrue]\nx = a/main\n");
    }
    assert!(!idle.exists());
    // What another one left behind says nothing.
    fs::write(&idle, "").unwrap();
    world.sandbox.ok(["install", "--force", world.sandbox.packed("a").to_str().unwrap()]);
    assert!(!idle.exists());
}
