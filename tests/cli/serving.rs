//! Plugins that answer over HTTP, behind a real nginx, through updates and accidents.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Sandbox;
use crate::support::running::{Load, Up};

fn install(sandbox: &Sandbox, name: &str, version: &str) {
    sandbox.web_plugin(name, version);
    sandbox.ok(["install", sandbox.packed(name).to_str().unwrap()]);
}

fn kill(pid: i64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn plugins_answer_at_their_routes_and_nowhere_once_removed() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    for path in ["/hello/", "/hello/main/deep/er?x=1", "/hello"] {
        let (status, body) = up.get(path).unwrap();
        assert!(status == 200 && body.starts_with("hello one ") && body.ends_with(path), "{path}: {body}");
    }
    assert_eq!(up.get("/hello/main/static/robots.txt").unwrap(), (200, "robots\n".to_owned()));
    assert_eq!(up.get("/__health").unwrap(), (200, "OK".to_owned()));
    assert_eq!(up.get("/status").unwrap().0, 200);
    assert_eq!(up.get("/helloworld").unwrap().0, 404);
    // While the module is up, plugins come and go.
    sandbox.web_plugin("other", "one");
    let answers = format!("other answers at http://127.0.0.1:{}/other/", up.port);
    sandbox.ok(["install", sandbox.packed("other").to_str().unwrap()]).says(&answers);
    assert_eq!(up.get("/other/").unwrap().0, 200);
    sandbox.ok(["uninstall", "hello"]);
    assert_eq!(up.get("/hello/").unwrap().0, 404);
    assert_eq!(up.get("/other/").unwrap().0, 200);
    let log = up.log("nginx_access.log");
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    assert!(log.contains(r#""plugin": "hello""#));
}

/// Swaps versions under load; nothing may be lost and nobody waits long.
fn swap_under_load(keep_alive: bool, path: &str) {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let load = Load::start(up.port, path, keep_alive, 8);
    std::thread::sleep(Duration::from_millis(500));
    for version in ["two", "three"] {
        sandbox.web_plugin("hello", version);
        let file = sandbox.packed("hello");
        sandbox.ok(["hotswap", file.to_str().unwrap()]).says(&format!("swapped in hello {version}-1"));
        let (_, body) = up.get("/hello/").unwrap();
        assert!(body.starts_with(&format!("hello {version} ")), "{body}");
    }
    std::thread::sleep(Duration::from_millis(300));
    let counted = load.stop();
    assert_eq!(counted.lost, 0, "{counted:?}");
    assert!(counted.answered > 8, "{counted:?}");
}

#[test]
fn a_hot_swap_loses_no_request_with_keep_alive() {
    swap_under_load(true, "/hello/");
}

#[test]
fn a_hot_swap_loses_no_request_without_keep_alive() {
    swap_under_load(false, "/hello/");
}

#[test]
fn a_hot_swap_loses_no_slow_request() {
    swap_under_load(true, "/hello/slow");
    swap_under_load(false, "/hello/slow");
}

#[test]
fn updates_by_install_and_by_provisioning_lose_no_request_either() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let load = Load::start(up.port, "/hello/", false, 4);
    sandbox.web_plugin("hello", "two");
    sandbox.ok(["install", "--force", sandbox.packed("hello").to_str().unwrap()]);
    sandbox.web_plugin("hello", "three");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(sandbox.packed("hello"), provisioning.join("hello.plugin")).unwrap();
    sandbox.ok(["provision", "--module", "mfserv"]).says("replaced");
    assert!(up.get("/hello/").unwrap().1.starts_with("hello three "));
    // So do a restart, another number of workers and a reload of nginx.
    sandbox.ok(["restart", "hello"]);
    fs::write(sandbox.runtime_home().join("config/plugins/hello.ini"), "[app_main]\nnumprocesses=1\n")
        .unwrap();
    up.until("there is one worker", || up.worker("hello", "main", 2).is_null());
    fs::write(sandbox.runtime_home().join("config/plugins/hello.ini"), "[app_main]\nnumprocesses=3\n")
        .unwrap();
    up.until("there are three", || up.worker("hello", "main", 3)["state"] == "running");
    let counted = load.stop();
    assert_eq!(counted.lost, 0, "{counted:?}");
}

#[test]
fn a_swap_that_fails_loses_no_request() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let load = Load::start(up.port, "/hello/", true, 4);
    for version in ["broken", "ill"] {
        sandbox.web_plugin("hello", version);
        sandbox.fails(1, ["hotswap", sandbox.packed("hello").to_str().unwrap()]).says("the old one goes on");
    }
    sandbox.web_plugin("hello", "two");
    sandbox.write("hello/bad.conf", "no such directive;\n");
    let config = sandbox
        .read("hello/config.ini")
        .replace("_release=1", "_release=1\n_extra_nginx_server_conf_filename=bad.conf");
    sandbox.write("hello/config.ini", config);
    sandbox.fails(1, ["hotswap", sandbox.packed("hello").to_str().unwrap()]).says("bad.conf");
    let counted = load.stop();
    assert_eq!(counted.lost, 0, "{counted:?}");
    assert!(up.get("/hello/").unwrap().1.starts_with("hello one "));
    assert_eq!(up.status()["ok"], true);
}

#[test]
fn an_installer_that_is_killed_during_a_swap_leaves_one_version_everywhere() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    sandbox.web_plugin("hello", "two");
    let file = sandbox.packed("hello");
    let load = Load::start(up.port, "/hello/", false, 2);
    for delay in [20, 60, 100, 150, 250, 400] {
        let mut swap = sandbox.mwp(["hotswap", file.to_str().unwrap()]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = swap.kill();
        let _ = swap.wait();
        std::thread::sleep(Duration::from_millis(200));
        let version = sandbox.ok(["list", "--raw"]).stdout.split("~~~").nth(1).unwrap().to_owned();
        let answer = format!("hello {version} ");
        up.until("what is listed is what answers", || {
            up.get("/hello/").is_some_and(|(_, body)| body.starts_with(&answer))
        });
    }
    let counted = load.stop();
    assert_eq!(counted.lost, 0, "{counted:?}");
}

#[test]
fn an_nginx_that_is_killed_is_back_at_once() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let (nginx, worker) = (up.status()["nginx"]["pid"].as_i64().unwrap(), up.pid("hello", "main", 1));
    kill(nginx);
    up.until("it answers again", || up.get("/hello/").is_some_and(|(status, _)| status == 200));
    assert_eq!(up.pid("hello", "main", 1), worker);
    let status = up.status();
    assert!(status["nginx"]["last_error"].as_str().unwrap().starts_with("ended by SIGKILL"), "{status:#}");
    assert_eq!(status["nginx"]["restarts"], 1);
}

#[test]
fn a_port_in_use_is_told_and_taken_once_it_is_free() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    sandbox.configure_module(&format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n"));
    let up = sandbox.up_at(port);
    up.until("it is told", || {
        up.status()["nginx"]["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("Address already in use"))
    });
    assert_eq!(up.worker("hello", "main", 1)["state"], "running", "the others go on");
    sandbox.fails(1, ["status"]).says("error: nginx is ");
    drop(holder);
    up.until("it answers", || up.get("/hello/").is_some_and(|(status, _)| status == 200));
    assert_eq!(up.status()["ok"], true);
}

#[test]
fn a_worker_that_dies_at_a_request_costs_that_request_alone() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let restarts = |up: &Up<'_>| {
        (1..=2).filter_map(|number| up.worker("hello", "main", number)["restarts"].as_i64()).sum::<i64>()
    };
    // The request is repeated once, with the other worker, and then given up.
    assert!(matches!(up.get("/hello/exit"), Some((502, _))));
    up.until("both were started again", || restarts(&up) >= 2);
    up.until("it answers", || up.get("/hello/").is_some_and(|(status, _)| status == 200));
}

#[test]
fn two_apps_at_one_route_are_told_and_the_first_keeps_it() {
    let sandbox = Sandbox::new();
    for name in ["first", "second"] {
        sandbox.web_plugin(name, "one");
        let config = sandbox.read(&format!("{name}/config.ini"));
        sandbox.write(
            &format!("{name}/config.ini"),
            format!("{config}prefix_based_routing_extra_routes=/shared\n"),
        );
        sandbox.ok(["install", sandbox.packed(name).to_str().unwrap()]);
    }
    let up = sandbox.up();
    assert!(up.get("/shared/x").unwrap().1.starts_with("first one "));
    assert!(up.get("/second/").unwrap().1.starts_with("second one "));
    sandbox.fails(1, ["status"]).says("error: second: ").says("/shared").never_says("error: first");
}

#[test]
fn a_broken_fragment_of_one_plugin_does_nothing_to_the_others() {
    let sandbox = Sandbox::new();
    install(&sandbox, "good", "one");
    sandbox.web_plugin("bad", "one");
    sandbox.write("bad/bad.conf", "no such directive;\n");
    let config = sandbox
        .read("bad/config.ini")
        .replace("_release=1", "_release=1\n_extra_nginx_http_conf_filename=bad.conf");
    sandbox.write("bad/config.ini", config);
    sandbox.ok(["develop", "--no-build", "-C", "bad"]);
    let up = sandbox.up();
    assert_eq!(up.get("/good/").unwrap().0, 200);
    assert_eq!(up.get("/bad/").unwrap().0, 404);
    sandbox.fails(1, ["status"]).says("error: bad: ").says("bad.conf").never_says("good:");
    // Mended where it is edited, it is served.
    sandbox.write("bad/bad.conf", "map $uri $bad_thing { default 1; }\n");
    up.until("the mended plugin is served", || up.get("/bad/").is_some_and(|(status, _)| status == 200));
    sandbox.ok(["status"]);
}

#[test]
fn a_fragment_that_answers_for_others_is_named_and_does_nothing_to_them() {
    let sandbox = Sandbox::new();
    install(&sandbox, "good", "one");
    sandbox.web_plugin("bad", "one");
    sandbox.write("bad/bad.conf", "return 503;\n");
    let config = sandbox
        .read("bad/config.ini")
        .replace("_release=1", "_release=1\n_extra_nginx_server_conf_filename=bad.conf");
    sandbox.write("bad/config.ini", config);
    sandbox.ok(["develop", "--no-build", "-C", "bad"]);
    let up = sandbox.up();
    assert_eq!(up.get("/good/").unwrap().0, 200);
    assert_eq!(up.get("/bad/").unwrap().0, 404);
    sandbox.fails(1, ["status"]).says("error: bad: ").says("bad.conf").says("`return`").never_says("good:");
}

#[test]
fn a_developers_nginx_is_for_this_machine_alone_and_follows_where_it_listens() {
    let sandbox = Sandbox::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.configure_module(&format!("[nginx]\nport={port}\nworkers=1\n"));
    let up = sandbox.up_at(port);
    // What listens at all addresses has this one, too.
    let is_open = || TcpStream::connect(("127.0.0.2", port)).is_ok();
    assert!(is_open());
    sandbox.web_plugin("shop", "one");
    sandbox.ok(["develop", "--no-build", "-C", "shop"]);
    up.until("the plugin is served", || up.get("/shop/").is_some_and(|(status, _)| status == 200));
    assert!(!is_open(), "others do not see what is being written");
    sandbox.configure_module(&format!("[nginx]\nport={port}\nlisten=0.0.0.0\nworkers=1\n"));
    up.until("it is asked to listen for others", is_open);
    up.until("and serves", || up.get("/shop/").is_some_and(|(status, _)| status == 200));
    sandbox.ok(["status"]);
}

#[test]
fn an_app_is_said_to_answer_once_it_has_passed_its_test() {
    let sandbox = Sandbox::new();
    let up = sandbox.up();
    sandbox.web_plugin("ill", "ill");
    let done = sandbox.ok(["develop", "--no-build", "-C", "ill"]);
    done.never_says("answers at").says("warning: ill/main").says("hint: ");
    drop(up);
}

#[test]
fn a_full_disk_for_logs_stops_nobody() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    sandbox.daemon_plugin("talks", "while :; do seq -s, 300; sleep 0.02; done\n");
    sandbox.ok(["install", sandbox.packed("talks").to_str().unwrap()]);
    let log = sandbox.runtime_home().join("log");
    fs::create_dir_all(&log).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", log.to_str().unwrap()])
        .status()
        .unwrap();
    if !mounted.success() {
        return;
    }
    let _unmount = crate::support::Unmount(log.clone());
    fs::write(log.join("filler"), vec![b'x'; 40_000]).unwrap();
    let up = sandbox.up();
    let _ = fs::write(log.join("more"), vec![b'x'; 64_000]);
    up.until("it is told", || {
        up.worker("talks", "foo", 1)["log_error"].as_str().is_some_and(|error| error.contains("space"))
    });
    assert_eq!(up.get("/hello/").unwrap().0, 200);
    assert_eq!(up.worker("talks", "foo", 1)["restarts"], 0);
    fs::remove_file(log.join("more")).unwrap();
    fs::remove_file(log.join("filler")).unwrap();
    up.until("all is well again", || up.worker("talks", "foo", 1)["log_error"].is_null());
}

#[test]
fn a_hundred_plugins_of_two_workers_come_up_and_go_down() {
    let sandbox = Sandbox::new();
    for number in 0..100 {
        let name = format!("p{number}");
        sandbox.plugin(&name);
        let config = sandbox.read(&format!("{name}/config.ini"));
        sandbox.write(
            &format!("{name}/config.ini"),
            format!("{config}[extra_daemon_foo]\n_cmd_and_args=sleep 1000\nnumprocesses=2\n[app_main]\n"),
        );
        sandbox.write(&format!("{name}/main/static/x"), "x");
        sandbox.ok(["develop", "--no-build", "-C", &name]);
    }
    let up = sandbox.up();
    let status = up.status();
    assert_eq!(status["ok"], true, "{status:#}");
    assert_eq!(status["plugins"].as_array().unwrap().len(), 100);
    assert_eq!(up.get("/p99/main/static/x").unwrap().0, 200);
    sandbox.ok(["down"]);
}

#[test]
fn requests_under_way_are_answered_before_a_module_goes_down() {
    let sandbox = Sandbox::new();
    install(&sandbox, "hello", "one");
    let up = sandbox.up();
    let (answered, begun) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                begun.store(true, Ordering::SeqCst);
                if up.get("/hello/slow").is_some_and(|(status, _)| status == 200) {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(400));
        assert!(begun.load(Ordering::SeqCst));
        sandbox.ok(["down"]);
    });
    assert_eq!(answered.load(Ordering::SeqCst), 4);
}

#[test]
fn a_command_of_metwork_works_without_it() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    let config = sandbox.read("hello/config.ini");
    sandbox.write(
        "hello/config.ini",
        format!(
            "{config}[app_main]\n_cmd_and_args=bjoern_wrapper.py --timeout={{timeout}} {{debug_extra_options}} \
             {{app_name}}.wsgi:app {{unix_socket_path}}\n_debug_extra_options=--debug\ndebug=1\nnumprocesses=4\n"
        ),
    );
    sandbox.write(
        "hello/main/wsgi.py",
        "def app(environ, start_response):\n    start_response('200 OK', [('Content-Length', '2')])\n    return [b'hi']\n",
    );
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up();
    assert_eq!(up.get("/hello/").unwrap(), (200, "hi".to_owned()));
    assert!(up.worker("hello", "main", 2).is_null(), "debug means one worker");
}
