//! Which files are told of, and when.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::flow::Flow;

#[test]
fn a_dropped_file_is_processed_by_the_step_as_its_author_wrote_it() {
    let flow = Flow::new();
    flow.noting_step("");
    let up = flow.up();
    flow.drop_file("written", "a");
    let aside = flow.write("aside", "b");
    fs::rename(aside, flow.inbox().join("moved in")).unwrap();
    flow.drop_file(OsStr::from_bytes(b"no\xfftext\n\"'"), "c");
    flow.drop_file(".hidden", "d");
    let outside = flow.write("outside", "e");
    fs::hard_link(&outside, flow.inbox().join("linked")).unwrap();
    std::os::unix::fs::symlink(&outside, flow.inbox().join("pointing")).unwrap();
    flow.until_noted(&["a", "b", "c", "d", "e", "e"]);
    flow.until("the files are gone", || fs::read_dir(flow.inbox()).unwrap().count() == 0);
    assert_eq!(up.problems(), "[] []");
}

#[test]
fn a_file_is_told_of_once_it_is_whole() {
    let flow = Flow::new();
    flow.noting_step("");
    fs::create_dir_all(flow.inbox()).unwrap();
    let write = |name: &str| {
        let mut file = fs::File::create(flow.inbox().join(name)).unwrap();
        file.write_all(b"begun").unwrap();
        file
    };
    let mut before = write("before");
    let _up = flow.up();
    let mut during = write("during");
    flow.drop_file("other", "other");
    flow.drop_file("unfinished.t", "t");
    flow.drop_file("unfinished.tmp", "tmp");
    flow.until_noted(&["other"]);
    // As long as it takes until a file that nobody has open counts as whole.
    std::thread::sleep(std::time::Duration::from_secs(7));
    assert_eq!(flow.notes(), ["other"]);
    before.write_all(b" before").unwrap();
    during.write_all(b" during").unwrap();
    drop((before, during));
    flow.until_noted(&["begun before", "begun during", "other"]);
    fs::rename(flow.inbox().join("unfinished.t"), flow.inbox().join("finished")).unwrap();
    flow.until("the renamed file is noted", || flow.notes().contains(&"t".to_owned()));
    assert!(flow.inbox().join("unfinished.tmp").exists());
}

#[test]
fn files_from_before_the_start_are_processed_once_each() {
    let flow = Flow::new();
    flow.noting_step("numprocesses=3\n");
    fs::create_dir_all(flow.inbox()).unwrap();
    let expected: Vec<String> = (100..160).map(|number| number.to_string()).collect();
    for number in &expected {
        flow.drop_file(number, number);
    }
    let up = flow.up();
    flow.until("all are noted", || flow.notes().len() >= expected.len());
    assert_eq!(flow.notes(), expected);
    flow.until("all are counted", || up.queue()["processed"] == 60);
    let queue = up.queue();
    assert_eq!([&queue["waiting"], &queue["failed"]], [0, 0], "{queue}");
}

#[test]
fn what_is_in_no_list_and_no_hands_is_found_again() {
    let flow = Flow::new();
    flow.noting_step("numprocesses=0\n");
    let up = flow.up();
    flow.drop_file("lost", "lost");
    flow.until("it is told of", || flow.redis(&["LLEN", "step.p.main"]) == "1");
    let queue = up.queue();
    assert_eq!([&queue["waiting"], &queue["queued"]], [1, 1], "{queue}");
    // As if a step had taken the news and died.
    assert!(flow.redis(&["RPOP", "step.p.main"]).contains("\"lost\""));
    flow.until("it is told of again", || flow.redis(&["LLEN", "step.p.main"]) == "1");
}

#[test]
fn a_list_tells_of_no_more_than_ten_thousand_files() {
    let flow = Flow::new();
    flow.noting_step("numprocesses=0\n");
    fs::create_dir_all(flow.inbox()).unwrap();
    for number in 0..10_500 {
        flow.drop_file(number.to_string(), "");
    }
    let up = flow.up();
    flow.until("the list is full", || flow.redis(&["LLEN", "step.p.main"]) == "10000");
    flow.drop_file("late", "");
    let queue = up.queue();
    assert_eq!([&queue["waiting"], &queue["queued"]], [10_501, 10_000], "{queue}");
    flow.redis(&["LTRIM", "step.p.main", "0", "99"]);
    flow.until("it is filled again", || flow.redis(&["LLEN", "step.p.main"]) == "10000");
}

#[test]
fn every_directory_of_a_step_is_watched_and_one_below_the_input_is_made_again() {
    let flow = Flow::new();
    let outside = flow.sandbox.path("outside/in");
    flow.noting_step(&format!(
        "watched_directories={{MFDATA_CURRENT_STEP_DIR}},incoming,{}\n",
        outside.display()
    ));
    let up = flow.up();
    let incoming = flow.home("var/in/incoming");
    fs::write(incoming.join("a"), "a").unwrap();
    fs::write(outside.join("b"), "b").unwrap();
    flow.until_noted(&["a", "b"]);
    fs::remove_dir_all(&incoming).unwrap();
    fs::remove_dir_all(&outside).unwrap();
    flow.until("it is there again", || incoming.is_dir());
    flow.until("the other is told to be missing", || up.problems().contains("outside/in"));
    fs::write(incoming.join("c"), "c").unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("d"), "d").unwrap();
    flow.until_noted(&["a", "b", "c", "d"]);
    flow.until("all is well", || up.problems() == "[] []");
}

#[test]
fn a_directory_on_another_file_system_is_watched_like_any_other() {
    let flow = Flow::new();
    let other = flow.sandbox.path("other");
    fs::create_dir_all(&other).unwrap();
    let Some(_mount) = flow.sandbox.mount("tmpfs", "size=8m", other.clone()) else { return };
    flow.noting_step(&format!("watched_directories={}\n", other.display()));
    fs::write(other.join("before"), "before").unwrap();
    let up = flow.up();
    fs::write(other.join("after"), "after").unwrap();
    flow.until_noted(&["after", "before"]);
    flow.until("the files are gone", || fs::read_dir(&other).unwrap().count() == 0);
    assert_eq!(up.problems(), "[] []");
}
