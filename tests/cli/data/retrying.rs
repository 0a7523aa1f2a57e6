//! What becomes of files that a step could not process.

use std::fs;

use super::flow::Flow;

const FAILING: &str = "        note(content)\n        return False";

#[test]
fn a_file_that_fails_is_given_back_until_it_is_good() {
    let flow = Flow::new();
    let process = "        note(content)\n        return self.get_tag(xaf, 'attempt', b'0', force_process_name='main_reinject') == b'2'";
    flow.step("retry_total=5\nretry_min_wait=0\n", process);
    let up = flow.up();
    flow.drop_file("f", "f");
    flow.until_noted(&["f", "f", "f"]);
    flow.until("two failures are counted", || up.queue()["failed"] == 2);
    assert!(
        !flow.home("var/in/trash/p.main_reinject").read_dir().is_ok_and(|mut files| files.next().is_some())
    );
}

#[test]
fn a_file_that_never_gets_good_ends_where_the_policy_of_the_step_says() {
    let trash = |flow: &Flow, step: &str| {
        let files = fs::read_dir(flow.home("var/in/trash").join(step)).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".tags")).count()
    };
    let flow = Flow::new();
    flow.step("retry_total=2\nretry_min_wait=0\n", FAILING);
    let up = flow.up();
    flow.drop_file("f", "f");
    flow.until("it is kept", || trash(&flow, "p.main_reinject") == 1);
    assert_eq!(flow.notes(), ["f", "f", "f"]);
    assert_eq!(trash(&flow, "p.main"), 0);
    drop(up);

    let flow = Flow::new();
    flow.step(
        "failure_policy=move\nfailure_policy_move_dest_dir={{MFMODULE_RUNTIME_HOME}}/var/bad\n",
        FAILING,
    );
    let _up = flow.up();
    flow.drop_file("f", "f");
    flow.until("it is moved", || fs::read_dir(flow.home("var/bad")).is_ok_and(|files| files.count() == 2));
    assert_eq!(flow.notes(), ["f"]);
}

#[test]
fn retries_need_a_name_that_no_step_has() {
    let flow = Flow::new();
    flow.noting_step("retry_total=2\n[step_main_reinject]\n_cmd_and_args=sleep 1\n");
    let up = flow.up();
    let problems = up.problems();
    assert!(problems.contains("main_reinject"), "{problems}");
}

#[test]
fn a_file_that_keeps_a_step_beyond_its_timeout_ends_in_the_trash() {
    let flow = Flow::new();
    let process = "        if content == 'hangs':\n            time.sleep(3600)\n        note(content)\n        return True";
    flow.step("timeout=1\nmax_age=1\n", process);
    let _up = flow.up();
    flow.drop_file("a", "hangs");
    flow.drop_file("b", "b");
    let trash = || fs::read_dir(flow.home("var/in/trash/p.main")).map_or(0, Iterator::count);
    flow.until("it is in the trash, with its tags", || trash() == 2);
    flow.until_noted(&["b"]);
    assert_eq!(fs::read_dir(flow.inbox()).unwrap().count(), 0);
    let log = fs::read_to_string(flow.home("log/step_p_main.log")).unwrap();
    assert!(log.contains("3 processes died over it: it is put into the trash"), "{log}");
}

#[test]
fn empty_huge_vanishing_and_odd_files_each_end_in_one_place() {
    let flow = Flow::new();
    flow.step("", "        note(str(xaf.getsize()))\n        return True");
    let process = "content = open(xaf.filepath).read()";
    let main = flow.sandbox.path("p/main.py");
    let text = fs::read_to_string(&main).unwrap().replace(process, "pass");
    fs::write(&main, text).unwrap();
    let _up = flow.up();
    flow.drop_file("empty", "");
    let vanishing = flow.drop_file("vanishing", "x");
    // Whoever is faster has it.
    let was_taken = fs::remove_file(vanishing).is_err();
    fs::create_dir(flow.inbox().join("directory")).unwrap();
    std::os::unix::fs::symlink("nowhere", flow.inbox().join("dangling")).unwrap();
    let huge = fs::File::create(flow.inbox().join("huge")).unwrap();
    huge.set_len(10 << 30).unwrap();
    drop(huge);
    let expected: &[&str] = if was_taken { &["0", "1", "10737418240"] } else { &["0", "10737418240"] };
    flow.until_noted(expected);
    flow.until("files are gone", || fs::read_dir(flow.inbox()).unwrap().count() == 2);
}
