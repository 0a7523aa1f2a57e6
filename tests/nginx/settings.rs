//! The module's own settings, and what nginx says by itself.

use std::process::{Command, Stdio};

use crate::support::{World, free_port, wait_until};

#[test]
fn the_module_answers_for_itself() {
    let mut world = World::new();
    world.set("health_location=/ok");
    let _nginx = world.start();
    let health = world.get("/ok");
    assert_eq!((health.status, health.text().as_str()), (200, "OK"));
    assert_eq!(health.header("content-type"), Some("text/plain"));
    assert!(world.get("/status").text().starts_with("Active connections:"));
    let unknown = world.get("/any");
    assert_eq!((unknown.status, unknown.header("content-type")), (404, Some("text/plain")));
    assert_eq!(unknown.text(), "404 Not Found: no plugin has this path\n");
}

#[test]
fn there_need_not_be_a_health_location() {
    let mut world = World::new();
    world.set("health_location=null");
    let _nginx = world.start();
    assert_eq!(world.who("/__health"), "404");
}

#[test]
fn a_bad_setting_is_the_modules_fault() {
    for (lines, expected) in [
        ("real_ip=1\nreal_ip_set_from=nonsense/99", "nginx does not take its configuration: "),
        ("real_ip=1\nreal_ip_header=a b", "[nginx] real_ip_header: found `a b`"),
        ("https_port=1", "[nginx] ssl_certificate: found nothing"),
        (
            "https_port=1\nssl_certificate=/no/such.pem\nssl_certificate_key=/no/such.key",
            "cannot load certificate \"/no/such.pem\"",
        ),
        ("health_location=/status", "[nginx] health_location: found `/status`"),
    ] {
        let mut world = World::new();
        world.set(lines);
        world.app("hello", "");
        let error = world.try_configure().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.problems[0].hint.is_some());
    }
}

#[test]
fn https_works_with_a_certificate() {
    let mut world = World::new();
    let (certificate, key) = (world.home().join("a b.pem"), world.home().join("a b.key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = free_port();
    world.set(&format!(
        "https_port={port}\nssl_certificate={}\nssl_certificate_key={}",
        certificate.display(),
        key.display()
    ));
    world.app("hello", "_virtualdomain_based_routing=1\n");
    world.main("hello");
    let _nginx = world.start();
    let script = "import ssl,sys,urllib.request as u\n\
        c=ssl.create_default_context(cafile=sys.argv[1]); c.check_hostname=False\n\
        r=u.Request(sys.argv[2], headers={'Host': 'hello.localhost'})\n\
        print(u.urlopen(r, context=c, timeout=20).read().decode())";
    let answer = Command::new("python3")
        .args(["-c", script])
        .arg(&certificate)
        .arg(format!("https://127.0.0.1:{port}/x"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(text.contains("X-Forwarded-Proto: https"), "{answer:?}");
    let offered = Command::new("openssl")
        .args(["s_client", "-alpn", "h2,http/1.1", "-connect"])
        .arg(format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&offered.stdout);
    assert!(text.contains("ALPN protocol: h2"), "{offered:?}");
    assert_eq!(world.who("/hello"), "hello/main/1");
}

#[test]
fn a_runtime_home_that_is_too_long_for_sockets_is_named() {
    let root = tempfile::Builder::new().prefix(&"x".repeat(80)).tempdir().unwrap();
    let world = World::below(root);
    world.app("hello", "");
    let configured = world.configure();
    let problem = &configured.problems[0].1;
    assert!(problem.message.contains("app_hello_main_1.socket` has "), "{problem:?}");
    assert!(problem.hint.as_ref().unwrap().contains("shorter runtime home"));
}

#[test]
fn testing_leaves_a_running_nginx_and_its_files_alone() {
    let world = World::new();
    world.app("hello", "");
    world.main("hello");
    let _nginx = world.start();
    let read_pid = || std::fs::read_to_string(world.home().join("var/nginx/nginx.pid")).unwrap_or_default();
    // nginx listens before it writes that.
    wait_until("nginx has its pid file", || !read_pid().is_empty());
    let pid = read_pid();
    assert_eq!(world.configure().problems, []);
    assert_eq!(read_pid(), pid);
    assert_eq!(world.who("/hello"), "hello/main/1");
    let left: Vec<_> = std::fs::read_dir(world.home().join("var/nginx"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn each_version_of_nginx_is_told_of_http_2_in_its_own_way() {
    for (version, has_module, expected) in [
        ("1.25.3", true, ["\n    http2 on;", "ssl default_server"]),
        ("1.22.1", true, ["", "ssl http2 default_server"]),
        ("1.22.1", false, ["", "ssl default_server"]),
    ] {
        let mut world = World::new();
        let module = if has_module { "--with-http_v2_module" } else { "" };
        let script = format!(
            "#!/bin/sh\ncase $1 in -V) printf 'nginx version: openresty/{version}\\n{module}\\n' >&2 ;; esac\n"
        );
        world.shadow("openresty", &script);
        world.set("https_port=1\nssl_certificate=/a\nssl_certificate_key=/b");
        let text = world.configure().text;
        for part in expected {
            assert!(text.contains(part), "{version}: {text}");
        }
        assert_eq!(text.contains("http2 on;"), !expected[0].is_empty());
    }
}

#[test]
fn texts_are_compressed_for_those_who_want_it() {
    for (setting, fragment, expected) in [
        ("", "", true),
        ("gzip=0", "", false),
        ("", "gzip off;", false),
        ("", "gzip_min_length 100000000;", false),
    ] {
        let mut world = World::new();
        world.set(setting);
        world.app("hello", "");
        world.plugin("other", "_extra_nginx_http_conf_filename=x.conf", "");
        world.write("other/x.conf", fragment);
        let long = "x".repeat(5000);
        for (name, content) in [("a.txt", &*long), ("a.json", &long), ("a.png", &long), ("b.txt", "short")] {
            world.write(&format!("hello/main/static/{name}"), content);
        }
        world.main("hello");
        let _nginx = world.start();
        for (path, is_text) in [
            ("static/a.txt", true),
            ("static/a.json", true),
            ("static/a.png", false),
            ("static/b.txt", false),
            ("own-long", true),
        ] {
            let answer =
                world.get_with(&format!("/hello/{path}"), &[("Accept-Encoding", "gzip"), ("X-Long", &long)]);
            let is_compressed = answer.header("content-encoding") == Some("gzip");
            assert_eq!(is_compressed, expected && is_text, "{setting}{fragment} {path}");
            assert_eq!(answer.header("vary").is_some(), is_compressed, "{setting}{fragment} {path}");
            assert_eq!(world.get(&format!("/hello/{path}")).header("content-encoding"), None);
        }
    }
}
