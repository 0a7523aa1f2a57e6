//! Old files below mfdata's directory of incoming files.

use std::fs;

use crate::support::{CONFIG, Done, Sandbox};

#[test]
fn files_that_nobody_waits_for_go_after_a_while_and_those_of_a_step_stay() {
    let sandbox = Sandbox::new();
    let home = sandbox.path("home/.local/share/mwp/mfdata");
    sandbox.plugin("p");
    sandbox.write("p/.layerapi2_label", "plugin_p@mfdata\n");
    let step = "[step_main]\n_cmd_and_args=sleep 1000\nnumprocesses=0\nwatched_directories={MFDATA_CURRENT_STEP_DIR},mine\n";
    sandbox.write("p/config.ini", format!("{CONFIG}{step}"));
    sandbox.ok(["install", sandbox.packed("p").to_str().unwrap()]);
    let settings = "[nginx]\nflag=0\n[internal_plugins]\ninstall_guess_file_type=0\ninstall_switch=0\n\
                    [data_in]\ntrash_max_lifetime=-1\ntmp_max_lifetime=0.001\nother_max_lifetime=0.001\n";
    fs::write(home.join("config/config.ini"), settings).unwrap();
    let file = |name: &str| home.join("var/in").join(name);
    let (awaited, old) =
        (["step.p.main/a", "mine/a", "trash/p.main/a"], ["step.gone.main/a", "mine/a.t", "tmp/p.main/a"]);
    for name in awaited.iter().chain(&old) {
        fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        fs::write(file(name), "").unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    Done::of(&mut sandbox.mwp(["up", "--detach", "--module", "mfdata"]));
    let log = || fs::read_to_string(home.join("log/supervisor.log")).unwrap_or_default();
    let begun = std::time::Instant::now();
    while old.iter().any(|name| file(name).exists()) && begun.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    sandbox.ok(["down", "--module", "mfdata"]);
    let left = |names: &[&'static str]| names.iter().filter(|name| file(name).exists()).count();
    assert_eq!((left(&old), left(&awaited)), (0, 3), "{}", log());
    let said =
        "removed 3 old files that nobody waits for: 1 in `mine`, 1 in `step.gone.main`, 1 in `tmp/p.main`";
    assert!(log().contains(said), "{}", log());
}
