//! Who answers: by path and by host.

use crate::support::{APP, World};

#[test]
fn an_app_answers_at_every_route_of_its_own_with_the_whole_path() {
    let world = World::new();
    let sections = format!("[app_main]\n{APP}prefix_based_routing_extra_routes=/x;/y/z\n[app_api]\n{APP}");
    world.plugin("hello", "", &sections);
    world.plugin("single", "", &format!("[app_one]\n{APP}"));
    world.app("off", "_prefix_based_routing=false\nprefix_based_routing_extra_routes=/off2\n");
    for (plugin, app) in [("hello", "main"), ("hello", "api"), ("single", "one"), ("off", "main")] {
        world.worker(plugin, app, 1);
    }
    let _nginx = world.start();
    for (path, who) in [
        ("/hello/main", "hello/main/1"),
        ("/hello/main/", "hello/main/1"),
        ("/hello/main/a/b?c=d", "hello/main/1"),
        ("/hello", "hello/main/1"),
        ("/hello/", "hello/main/1"),
        ("/hello/other", "hello/main/1"),
        // The boundary is a segment of the path.
        ("/hello/mainx", "hello/main/1"),
        ("/hello/apis", "hello/main/1"),
        ("/hello/api", "hello/api/1"),
        ("/hello/api/x", "hello/api/1"),
        ("/hello/%61pi/x", "hello/api/1"),
        ("//hello//api/x", "hello/api/1"),
        ("/hello/main/../api/x", "hello/api/1"),
        ("/x", "hello/main/1"),
        ("/x/1", "hello/main/1"),
        ("/y/z/", "hello/main/1"),
        ("/y", "404"),
        ("/xx", "404"),
        ("/single", "single/one/1"),
        ("/single/one/a", "single/one/1"),
        ("/single/two", "single/one/1"),
        ("/off", "404"),
        ("/off2", "404"),
        ("/hellox", "404"),
        ("/", "404"),
    ] {
        assert_eq!(world.who(path), who, "{path}");
    }
    let raw = "/hello/main/%2Fa%20b//c/../d?e=%26&f=+";
    assert_eq!(world.get(raw).request_line(), format!("GET {raw} HTTP/1.1"));
}

#[test]
fn the_route_of_everything_takes_what_nobody_else_has() {
    let world = World::new();
    world.app("all", "prefix_based_routing_extra_routes=/\n");
    world.app("hello", "");
    world.main("all");
    world.main("hello");
    let _nginx = world.start();
    for (path, who) in
        [("/", "all/main/1"), ("/any/thing", "all/main/1"), ("/hello/x", "hello/main/1"), ("/__health", "OK")]
    {
        assert_eq!(world.who(path), who, "{path}");
    }
}

#[test]
fn hosts_lead_to_their_apps_and_other_hosts_to_the_paths() {
    let world = World::new();
    let routing = "_virtualdomain_based_routing=true\n";
    let extra = "virtualdomain_based_routing_extra_vhosts=www.example.com,*.wild.example.com\n";
    let sections =
        format!("[app_main]\n{APP}{routing}{extra}[app_api]\n{APP}{routing}_prefix_based_routing=0\n");
    world.plugin("hello", "", &sections);
    world.write("hello/main/static/a.txt", "file");
    world.worker("hello", "main", 1);
    world.worker("hello", "api", 1);
    let _nginx = world.start();
    for (host, path, who) in [
        ("main.hello.box", "/", "hello/main/1"),
        ("hello.box:1234", "/x", "hello/main/1"),
        ("HELLO.box.example.org", "/x", "hello/main/1"),
        ("hello.localhost", "/hello/api", "hello/main/1"),
        ("api.hello.localhost", "/", "hello/api/1"),
        ("www.example.com", "/status", "hello/main/1"),
        ("any.wild.example.com", "/", "hello/main/1"),
        ("hello.localhost", "/static/a.txt", "file"),
        ("hello.localhost", "/static/b.txt", "404"),
        ("unknown.example.com", "/", "404"),
        ("unknown.example.com", "/hello", "hello/main/1"),
        ("unknown.example.com", "/hello/api", "hello/main/1"),
    ] {
        assert_eq!(world.host(host, path).who(), who, "{host}{path}");
    }
    assert_eq!(world.host("hello.localhost", "/a?b").request_line(), "GET /a?b HTTP/1.1");
}

#[test]
fn two_that_want_the_same_both_work_as_far_as_they_can() {
    let world = World::new();
    let host =
        "_virtualdomain_based_routing=1\nvirtualdomain_based_routing_extra_vhosts=shared.example.com\n";
    world.app("one", &format!("prefix_based_routing_extra_routes=/shared;/status\n{host}"));
    world.app("two", &format!("prefix_based_routing_extra_routes=/shared;/own\n{host}"));
    world.main("one");
    world.main("two");
    let configured = world.configure();
    let problems: Vec<_> =
        configured.problems.iter().map(|(name, it)| (name.as_str(), it.message.as_str())).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].0 == "one" && problems[0].1.contains("the route `/status` is one of the module's own")
    );
    assert!(
        problems[1].0 == "two"
            && problems[1].1.contains("the route `/shared` is that of the app `main` of the plugin `one`")
    );
    assert!(problems[2].0 == "two" && problems[2].1.contains("the host `shared.example.com` is that of"));
    let _nginx = world.serve(&configured);
    for (path, who) in [("/shared", "one/main/1"), ("/own", "two/main/1"), ("/two", "two/main/1")] {
        assert_eq!(world.who(path), who, "{path}");
    }
    assert_eq!(world.host("shared.example.com", "/").who(), "one/main/1");
    let paths: Vec<_> = configured.routes.iter().map(|it| (it.plugin.as_str(), it.paths.join(" "))).collect();
    assert_eq!(
        paths,
        [("one", "/one /one/main /shared".to_owned()), ("two", "/own /two /two/main".to_owned())]
    );
}

#[test]
fn workers_share_the_requests_and_a_missing_one_is_passed_over() {
    let world = World::new();
    world.plugin("hello", "", "[app_main]\n_cmd_and_args=x {unix_socket_path}\nnumprocesses=3\n");
    world.worker("hello", "main", 2);
    world.worker("hello", "main", 3);
    let _nginx = world.start();
    let mut seen: Vec<String> = (0..20).map(|_| world.who("/hello")).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["hello/main/2", "hello/main/3"]);
    let post = "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    for _ in 0..6 {
        let answer = world.send(post.as_bytes());
        assert!(answer.who().starts_with("hello/main/"), "{answer:?}");
        assert!(answer.text().contains("body of 3"));
    }
}

#[test]
fn what_has_reached_a_worker_is_not_repeated_unless_the_method_allows_it() {
    let world = World::new();
    world.plugin("hello", "", "[app_main]\n_cmd_and_args=x {unix_socket_path}\nnumprocesses=2\n");
    world.worker("hello", "main", 1);
    world.worker("hello", "main", 2);
    let _nginx = world.start();
    let upstreams = |method: &str| {
        let before =
            world.log("nginx_error.log").lines().filter(|it| it.contains("prematurely closed")).count();
        let request = format!(
            "{method} /hello/die HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(world.send(request.as_bytes()).status, 502);
        world.log("nginx_error.log").lines().filter(|it| it.contains("prematurely closed")).count() - before
    };
    assert_eq!(upstreams("POST"), 1);
    assert_eq!(upstreams("GET"), 2);
}

#[test]
fn a_name_in_capitals_and_the_same_in_small_letters_are_two() {
    let world = World::new();
    world.app("Hello", "");
    world.app("hello", "");
    world.main("Hello");
    world.main("hello");
    let _nginx = world.start();
    assert_eq!(world.who("/Hello/x"), "Hello/main/1");
    assert_eq!(world.who("/hello/x"), "hello/main/1");
}

#[test]
fn two_apps_with_the_same_sockets_are_not_mixed_up() {
    let world = World::new();
    world.plugin("a", "", &format!("[app_b_c]\n{APP}"));
    world.plugin("a_b", "", &format!("[app_c]\n{APP}"));
    world.worker("a", "b_c", 1);
    let configured = world.configure();
    let [(name, problem)] = &configured.problems[..] else { panic!("{:?}", configured.problems) };
    assert!(name == "a_b" && problem.message.contains("is that of the plugin `a`"), "{problem:?}");
    let _nginx = world.serve(&configured);
    assert_eq!((world.who("/a"), world.who("/a_b")), ("a/b_c/1".into(), "404".into()));
}

#[test]
fn a_plugin_without_nginx_has_none() {
    let world = World::new();
    world.plugin("hello", "", &format!("[app_main]\n{APP}[internal]\ndisable_nginx_conf=true\n"));
    world.plugin("none", "", "[app_main]\n_cmd_and_args=x {unix_socket_path}\nnumprocesses=0\n");
    world.write("none/main/static/a.txt", "file");
    let configured = world.configure();
    assert_eq!((configured.problems.len(), configured.routes.len()), (0, 1));
    let _nginx = world.serve(&configured);
    assert_eq!((world.who("/hello"), world.who("/none")), ("404".into(), "404".into()));
    assert_eq!(world.who("/none/static/a.txt"), "file");
}
