//! Redis, steps and the supervisor die, are full or away: files wait, and none is lost.

use std::fs;

use super::flow::Flow;

#[test]
fn files_that_come_in_while_redis_is_away_are_told_of_later() {
    let flow = Flow::new();
    flow.noting_step("");
    let up = flow.up();
    up.kill(&up.status()["redis"]["pid"]);
    for name in ["a", "b", "c"] {
        flow.drop_file(name, name);
    }
    flow.until_noted(&["a", "b", "c"]);
    flow.until("redis runs", || up.status()["redis"]["state"] == "running");
}

#[test]
fn a_full_redis_is_told_of_and_files_wait_until_it_has_room() {
    let flow = Flow::new();
    flow.noting_step("");
    flow.configure("[redis]\nmax_memory=1\n");
    let up = flow.up();
    flow.drop_file("f", "f");
    flow.until("it is told", || up.problems().contains("is full"));
    assert!(flow.inbox().join("f").exists());
    flow.configure("[redis]\nmax_memory=100\n");
    flow.until_noted(&["f"]);
    flow.until("all is well", || up.problems() == "[] []");
}

#[test]
fn without_a_redis_server_the_module_says_what_is_missing() {
    let flow = Flow::new();
    flow.noting_step("");
    let tools = flow.sandbox.path("tools");
    fs::create_dir_all(&tools).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for program in ["python3", "env", "sh"] {
        let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), tools.join(program)).unwrap();
    }
    let mut command = flow.sandbox.mwp(["up", "--detach", "--module", "mfdata"]);
    let done = crate::support::Done::of(command.env("PATH", &tools));
    assert!(done.stderr.contains("redis-server"), "{done:?}");
    crate::support::Done::of(&mut flow.sandbox.mwp(["down", "--module", "mfdata"])).succeeded();
}

/// `MWP_TEST_KILLS` for more of them.
#[test]
fn nothing_is_lost_however_often_something_is_killed() {
    let kills = std::env::var("MWP_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let flow = Flow::new();
    flow.noting_step("numprocesses=2\n");
    let up = flow.up();
    let files_per_kill = 20;
    for kill in 0..kills {
        for number in 0..files_per_kill {
            let number = kill * files_per_kill + number;
            flow.until("the inbox is there", || flow.inbox().is_dir());
            flow.drop_file(format!("{number}"), &format!("{number:06}"));
        }
        let status = up.status();
        let victim = match kill % 3 {
            0 => &status["plugins"][0]["services"][0]["workers"][0]["pid"],
            1 => &status["redis"]["pid"],
            _ => &status["pid"],
        };
        up.kill(victim);
    }
    let all = kills * files_per_kill;
    let distinct = || {
        let mut notes = flow.notes();
        notes.dedup();
        notes.len()
    };
    flow.until("all are processed", || distinct() == all);
    flow.until("nothing is left in hands", || {
        let files = fs::read_dir(flow.home("var/in/tmp/p.main")).unwrap();
        let left = files.filter(|file| file.as_ref().is_ok_and(|file| file.file_name() != ".claims")).count();
        left == 0 && fs::read_dir(flow.inbox()).unwrap().count() == 0
    });
    let trash = flow.home("var/in/trash/p.main");
    assert!(fs::read_dir(trash).map_or(0, Iterator::count) == 0);
}
