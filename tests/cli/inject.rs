//! Files that are put into the inbox of a step by hand.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::steps::world::World;
use crate::support::{CONFIG, Done};

fn with_step() -> World {
    let world = World::new();
    world.plugin("p", &[("config.ini", &format!("{CONFIG}[step_main]\n_cmd_and_args=sleep 1000\n"))]);
    world
}

fn inject(world: &World, arguments: &[&str]) -> Done {
    Done::of(&mut world.sandbox.mwp([&["inject"], arguments].concat()))
}

fn tagged(world: &World, name: &str, content: &str) {
    let path = world.sandbox.write(name, content);
    let words = ["set_tag", path.to_str().unwrap(), "colour", "blue"];
    Done::of(&mut world.command(&words)).succeeded();
}

fn named(world: &World, relative: &str) -> Vec<String> {
    world.files(relative).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_file_goes_with_its_tags_into_the_inbox_of_a_step() {
    let world = with_step();
    let path = world.sandbox.write("a.txt", "content");
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    tagged(&world, "b.txt", "other");
    let done = inject(&world, &["--plugin", "p", "a.txt", "../work/b.txt"]).succeeded();
    // Nobody has made the inbox yet.
    let inbox = world.input("step.p.main");
    assert_eq!(done.stdout, format!("{0}/a.txt\n{0}/b.txt\n", inbox.display()));
    assert_eq!(named(&world, "step.p.main"), ["a.txt", "b.txt"]);
    assert!(path.exists());
    assert_eq!(inbox.join("a.txt").metadata().unwrap().mtime(), 0);
    let tags = |path: &Path| {
        Done::of(&mut world.command(&["print_tags", path.to_str().unwrap()])).succeeded().stdout
    };
    assert_eq!(
        (tags(&inbox.join("a.txt")), tags(&inbox.join("b.txt"))),
        ("".into(), "colour = blue\n".into())
    );
    // What an earlier file of that name left is not this one's.
    fs::remove_file(inbox.join("b.txt")).unwrap();
    world.sandbox.write("c/b.txt", "untagged");
    inject(&world, &["--plugin=p", "c/b.txt"]).succeeded();
    assert_eq!(tags(&inbox.join("b.txt")), "");
}

#[test]
fn a_file_may_go_away_from_where_it_was_and_get_another_name() {
    let world = with_step();
    tagged(&world, "a.txt", "content");
    inject(&world, &["--plugin=p", "--move", "--random-basename", "a.txt"]).succeeded();
    let names = named(&world, "step.p.main");
    assert!(names.len() == 1 && names[0].len() == 32, "{names:?}");
    assert_eq!(world.tags_of_only("step.p.main"), "colour = blue\n");
    assert!(!world.sandbox.work().join("a.txt").exists());
    assert_eq!(world.redis(["EVAL", "return #redis.call('KEYS', 'xattr_*')", "0"]), "1");
}

#[test]
fn files_that_come_in_go_to_the_first_watched_directory() {
    let world = with_step();
    let config = world.home("config/config.ini");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "[internal_plugins]\nwatched_directories=first,second\n").unwrap();
    world.sandbox.write("a.txt", "content");
    inject(&world, &["--incoming", "a.txt"]).succeeded();
    assert_eq!(named(&world, "first"), ["a.txt"]);
}

#[test]
fn without_redis_and_without_the_module_a_file_waits() {
    let world = with_step();
    world.stop_redis();
    fs::remove_file(world.home("var/redis.socket")).unwrap();
    world.sandbox.write("a.txt", "content");
    let done = inject(&world, &["--plugin=p", "a.txt"]).succeeded();
    done.says("mfdata is not up: the file waits until `mwp up --module mfdata`");
    assert_eq!(named(&world, "step.p.main"), ["a.txt"]);
}

#[test]
fn what_cannot_be_injected_is_told_and_nothing_is() {
    let world = with_step();
    world.sandbox.write("a.txt", "content");
    world.sandbox.write("dir/a.txt", "content");
    world.sandbox.write("b.t", "content");
    let refused = |arguments: &[&str], code: i32| inject(&world, arguments).exited(code);
    refused(&["--plugin=pp", "a.txt"], 1).says("the plugin `pp` is not installed").says("did you mean `p`?");
    refused(&["--plugin=p", "--step=man", "a.txt"], 1)
        .says("the plugin `p` has no step `man`")
        .says("did you mean `--step main`?");
    refused(&["--plugin=p", "a.txt", "dir/a.txt"], 2).says("has the name of another of the files");
    refused(&["--plugin=p"], 2);
    let done = refused(&["--plugin=p", "dir", "none.txt", "a.txt"], 1);
    done.says("none.txt").says("dir` is no regular file");
    refused(&["--plugin=p", "--incoming", "a.txt"], 2);
    assert_eq!(named(&world, "step.p.main"), [""; 0]);
    inject(&world, &["--plugin=p", "b.t"]).succeeded().says("steps pass over files that end with `.t`");
}

#[test]
fn the_existing_command_does_the_same() {
    let world = with_step();
    world.sandbox.write("a.txt", "content");
    let dir = world.sandbox.path("shims");
    world.sandbox.ok(["shims", dir.to_str().unwrap()]);
    let program = dir.join("inject_file");
    let words = ["--plugin=p", "--random", "a.txt"];
    Done::of(world.sandbox.command(program.to_str().unwrap()).args(words)).succeeded();
    assert_eq!(named(&world, "step.p.main").len(), 1);
    let words = ["--plugin=q", "a.txt"];
    Done::of(world.sandbox.command(program.to_str().unwrap()).args(words)).exited(1);
}

#[test]
fn a_shell_of_a_plugin_has_redis_and_makes_random_files() {
    let world = with_step();
    assert_eq!(Done::of(&mut world.command(&["redis", "PING"])).succeeded().stdout, "PONG\n");
    let words = ["generate_random_files.py", "--nb_files=3", "--seconds=2", "--size=7", "--prefix=x"];
    Done::of(&mut world.sandbox.mwp([&["exec", "p", "--"][..], &words].concat())).succeeded();
    let mut made: Vec<_> = fs::read_dir(world.sandbox.work()).unwrap().map(|entry| entry.unwrap()).collect();
    made.retain(|entry| entry.file_name().to_string_lossy().starts_with('x'));
    assert!(made.len() == 6 && made.iter().all(|entry| entry.metadata().unwrap().len() == 7), "{made:?}");
}
