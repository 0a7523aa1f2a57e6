//! Files that nginx serves by itself.

use crate::support::World;

const STATIC: &str = "[app_main]\n_static_url_prefix=\n_static_directory=\n";

fn hello() -> World {
    let world = World::new();
    world.app("hello", "prefix_based_routing_extra_routes=/x\n");
    world.write("hello/main/static/a.txt", "file a\n");
    world.write("hello/main/static/sub/index.html", "index\n");
    world.write("hello/main/static/two words.css", "css\n");
    world.write("hello/main/secret.py", "secret\n");
    world.main("hello");
    world
}

#[test]
fn files_are_found_at_every_route_with_their_types() {
    let world = hello();
    let _nginx = world.start();
    for (path, content) in [
        ("/hello/main/static/a.txt", "file a"),
        ("/hello/static/a.txt", "file a"),
        ("/x/static/a.txt", "file a"),
        ("/hello/static/sub/", "index"),
        ("/hello/static/two%20words.css", "css"),
        ("/hello/static/none.txt", "404"),
        ("/hello/static/", "403"),
        ("/hello/staticx", "hello/main/1"),
        ("/hello/secret.py", "hello/main/1"),
    ] {
        assert_eq!(world.who(path), content, "{path}");
    }
    assert_eq!(world.get("/hello/static/two%20words.css").header("content-type"), Some("text/css"));
    assert_eq!(world.get("/hello/static/sub/").header("content-type"), Some("text/html"));
    for (path, target) in
        [("/hello/static?a=b", "/hello/static/?a=b"), ("/hello/static/sub", "/hello/static/sub/")]
    {
        let answer = world.get(path);
        let expected = format!("http://127.0.0.1:{}{target}", world.port);
        assert_eq!((answer.status, answer.header("location")), (301, Some(expected.as_str())));
    }
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let world = hello();
    let _nginx = world.start();
    for path in [
        "/hello/static../secret.py",
        "/hello/static/../secret.py",
        "/hello/static/%2e%2e/secret.py",
        "/hello/static/..%2fsecret.py",
        "/hello/static/%2e%2e%2fsecret.py",
        "/hello/static//../secret.py",
        "/hello/static/sub/../../secret.py",
        "/hello/static/..%5csecret.py",
        "/hello/static/%252e%252e/secret.py",
        "/hello/static/%00../secret.py",
        "/hello/static/../../../../../../../../etc/passwd",
        "/../../etc/passwd",
        "/hello/static%2e%2e/secret.py",
        "/hello/main/static../secret.py",
    ] {
        let answer = world.get(path);
        let who = answer.who();
        assert!(["hello/main/1", "404", "403", "400"].contains(&who.as_str()), "{path}: {answer:?}");
        assert!(!answer.text().contains("secret\n"), "{path}: {answer:?}");
    }
}

#[test]
fn an_app_without_processes_is_its_files() {
    let world = World::new();
    world.plugin("site", "", STATIC);
    world.write("site/main/index.html", "start\n");
    world.write("site/main/sub/page.html", "page\n");
    world.write("site/config.txt", "secret\n");
    let configured = world.configure();
    assert_eq!(configured.problems, []);
    assert_eq!(configured.routes[0].files, ["/site", "/site/main"]);
    let _nginx = world.serve(&configured);
    for (path, content) in [
        ("/site/", "start"),
        ("/site/main/", "start"),
        ("/site/sub/page.html", "page"),
        ("/site", "301"),
        ("/site../config.txt", "404"),
        ("/site/main../config.txt", "404"),
        ("/site/../site/sub/page.html", "page"),
        ("/site/none", "404"),
    ] {
        assert_eq!(world.who(path), content, "{path}");
    }
}

#[test]
fn files_can_lie_in_another_directory_of_the_plugin_but_not_outside() {
    let world = World::new();
    let sections = "[app_one]\n_static_directory=/../shared\n[app_two]\n_static_directory=/../../other\n\
                    [app_three]\n_static_url_prefix=/../a\n[app_four]\n_static_url_prefix=assets/v1/\n_static_directory=a b\n";
    world.plugin("site", "", sections);
    world.write("site/shared/a.txt", "shared\n");
    world.write("site/four/a b/x.txt", "four\n");
    world.write("other/x", "");
    std::fs::remove_dir_all(world.home().join("var/plugins/other")).unwrap();
    let configured = world.configure();
    let messages: Vec<_> = configured.problems.iter().map(|(_, problem)| &problem.message).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("[app_two] _static_directory: found `/../../other`"), "{messages:?}");
    let _nginx = world.serve(&configured);
    assert_eq!(world.who("/site/one/static/a.txt"), "shared");
    assert_eq!(world.who("/site/four/assets/v1/x.txt"), "four");
}

#[test]
fn files_without_a_prefix_go_before_the_workers() {
    let world = World::new();
    world.app("hello", "_static_url_prefix=\n");
    world.write("hello/main/static/a.txt", "file\n");
    world.main("hello");
    let configured = world.configure();
    assert!(configured.problems[0].1.message.contains("its workers get no requests there"));
    let _nginx = world.serve(&configured);
    assert_eq!(world.who("/hello/main/a.txt"), "file");
}

#[test]
fn paths_with_any_characters_are_found() {
    let root = tempfile::Builder::new().prefix("a \"b\" $c 'd' {e};#\\f\n").tempdir().unwrap();
    let world = World::below(root);
    world.app("hello", "");
    world.write("hello/main/static/a.txt", "file\n");
    world.main("hello");
    let _nginx = world.start();
    assert_eq!(world.who("/hello/static/a.txt"), "file");
    assert_eq!(world.who("/hello/x"), "hello/main/1");
}

#[test]
fn hidden_files_are_not_there() {
    let world = hello();
    for name in [".env", ".git/config", "sub/.htpasswd", "sub/.x/a.txt", ".well-knownx/a.txt", "..a"] {
        world.write(&format!("hello/main/static/{name}"), "secret\n");
    }
    world.write("hello/main/static/.well-known/security.txt", "known\n");
    world.write("hello/main/static/a.b.txt", "shown\n");
    world.plugin("site", "_extra_nginx_http_conf_filename=null", STATIC);
    world.write("site/main/.env", "secret\n");
    world.write("site/main/a.txt", "site\n");
    let _nginx = world.start();
    for (path, who) in [
        ("/hello/static/.env", "404"),
        ("/hello/main/static/.env", "404"),
        ("/x/static/%2eenv", "404"),
        ("/hello/static/.git/config", "404"),
        ("/hello/static/.git", "404"),
        ("/hello/static/sub/.htpasswd", "404"),
        ("/hello/static/sub/.x/a.txt", "404"),
        ("/hello/static//.env", "404"),
        ("/hello/static/.well-knownx/a.txt", "404"),
        ("/hello/static/..a", "404"),
        ("/hello/static/a%0a/../.env", "404"),
        ("/hello/static/.well-known/security.txt", "known"),
        ("/hello/static/a.b.txt", "shown"),
        ("/site/.env", "404"),
        ("/site/a.txt", "site"),
        // What workers answer is their affair.
        ("/hello/.env", "hello/main/1"),
    ] {
        assert_eq!(world.who(path), who, "{path}");
    }
}

#[test]
fn a_link_leads_to_files_of_its_owner_alone() {
    let world = hello();
    let is_root = rustix::process::geteuid().is_root();
    let outside = world.home().join("outside");
    std::fs::create_dir_all(outside.join("dir")).unwrap();
    std::fs::write(outside.join("own.txt"), "own\n").unwrap();
    std::fs::write(outside.join("dir/a.txt"), "below\n").unwrap();
    std::fs::write(outside.join("foreign.txt"), "foreign\n").unwrap();
    let foreign = if is_root {
        std::os::unix::fs::chown(outside.join("foreign.txt"), Some(12345), None).unwrap();
        outside.join("foreign.txt")
    } else {
        "/etc/passwd".into()
    };
    let files = world.home().join("var/plugins/hello/main/static");
    for (name, target) in [
        ("own.txt", outside.join("own.txt")),
        ("dir", outside.join("dir")),
        ("relative.txt", "sub/index.html".into()),
        ("foreign.txt", foreign),
    ] {
        std::os::unix::fs::symlink(target, files.join(name)).unwrap();
    }
    let _nginx = world.start();
    for (path, who) in
        [("own.txt", "own"), ("dir/a.txt", "below"), ("relative.txt", "index"), ("foreign.txt", "404")]
    {
        assert_eq!(world.who(&format!("/hello/static/{path}")), who, "{path}");
    }
}

#[test]
fn files_of_a_plugin_whose_home_is_a_link_are_served() {
    let world = hello();
    let (home, source) = (world.home().join("var/plugins/hello"), world.home().join("source"));
    std::fs::rename(&home, &source).unwrap();
    std::os::unix::fs::symlink(&source, &home).unwrap();
    if rustix::process::geteuid().is_root() {
        // Whose the link is does not count.
        std::os::unix::fs::lchown(&home, Some(12345), None).unwrap();
    }
    let _nginx = world.start();
    assert_eq!(
        (world.who("/hello/static/a.txt"), world.who("/hello/static/sub/")),
        ("file a".into(), "index".into())
    );
}
