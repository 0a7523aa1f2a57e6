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
