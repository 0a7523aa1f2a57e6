//! What the workers are told about a request, and what the client gets back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::World;

fn hello(settings: &str) -> World {
    let mut world = World::new();
    world.set(settings);
    world.app("hello", "");
    world.main("hello");
    world
}

#[test]
fn workers_learn_where_a_request_came_from() {
    let world = hello("");
    let _nginx = world.start();
    let seen = world.host("Example.org:8080", "/hello/a?b=c").seen();
    for (name, value) in [
        ("host", "Example.org:8080"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "example.org"),
        ("x-forwarded-port", "8080"),
        ("x-forwarded-path", "/hello/a?b=c"),
        ("connection", "close"),
    ] {
        assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!seen.contains_key("upgrade"));
    assert!(!world.host("example.org", "/hello").seen().contains_key("x-forwarded-port"));
    let seen = world.host("[::1]:80", "/hello").seen();
    assert_eq!((seen["x-forwarded-host"].as_str(), seen["x-forwarded-port"].as_str()), ("[::1]", "80"));
}

#[test]
fn what_a_trusted_proxy_in_front_says_is_passed_on() {
    let world = hello("real_ip=1\nreal_ip_set_from=127.0.0.0/8");
    let _nginx = world.start();
    let given = [
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "www.example.org"),
        ("X-Forwarded-Path", "/outer"),
    ];
    let seen = world.get_with("/hello", &given).seen();
    assert_eq!(seen["x-forwarded-for"], "10.1.2.3, 127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "https");
    assert_eq!(seen["x-forwarded-host"], "www.example.org");
    assert_eq!(seen["x-forwarded-path"], "/outer");
    // The port of another host is not known.
    assert!(!seen.contains_key("x-forwarded-port"));
    let seen = world.get_with("/hello", &[("X-Forwarded-Port", "443"), ("X-Forwarded-Prefix", "/p")]).seen();
    assert_eq!((seen["x-forwarded-port"].as_str(), seen["x-forwarded-prefix"].as_str()), ("443", "/p"));
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    for settings in
        ["", "real_ip=1\nreal_ip_set_from=10.0.0.0/8,192.0.2.1", "real_ip=1\nreal_ip_set_from=null"]
    {
        let world = hello(settings);
        let _nginx = world.start();
        let given = [
            ("X-Forwarded-For", "10.1.2.3"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Port", "1"),
            ("X-Forwarded-Path", "/evil"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Forwarded-Ssl", "on"),
            ("X-Forwarded-Protocol", "ssl"),
            ("X-Forwarded-Scheme", "https"),
            ("Forwarded", "for=10.1.2.3"),
            ("X-Real-IP", "10.1.2.3"),
            ("Host", "example.org:8080"),
        ];
        let seen = world.get_with("/hello", &given).seen();
        for (name, value) in [
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-real-ip", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("x-forwarded-host", Some("example.org")),
            ("x-forwarded-port", Some("8080")),
            ("x-forwarded-path", Some("/hello")),
            ("x-forwarded-prefix", None),
            ("x-forwarded-ssl", None),
            ("x-forwarded-protocol", None),
            ("x-forwarded-scheme", None),
            ("forwarded", None),
        ] {
            assert_eq!(seen.get(name).map(String::as_str), value, "{settings}: {name}");
        }
    }
}

#[test]
fn a_request_without_a_host_has_one_at_the_worker() {
    let world = hello("");
    let _nginx = world.start();
    let answer = world.send(b"GET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(answer.seen()["host"], "localhost");
}

#[test]
fn each_request_has_an_id_of_our_own() {
    let world = hello("");
    let _nginx = world.start();
    let answer = world.get_with("/hello", &[("X-Request-Id", "theirs")]);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(answer.seen()["x-request-id"], id);
    // Of an app that sends one itself, the client sees ours alone; of errors, too.
    assert_eq!(world.get("/hello/own-id").header("x-request-id").unwrap().len(), 32);
    assert_eq!(world.get("/none").header("x-request-id").unwrap().len(), 32);
}

#[test]
fn the_id_of_a_request_can_come_with_it() {
    let world = hello("accept_incoming_request_id_header=1");
    let _nginx = world.start();
    let answer = world.get_with("/hello", &[("X-Request-Id", "theirs-1/2")]);
    assert_eq!(answer.header("x-request-id"), Some("theirs-1/2"));
    assert_eq!(answer.seen()["x-request-id"], "theirs-1/2");
    let hostile = world.get_with("/hello", &[("X-Request-Id", "a\"b")]);
    assert_eq!(hostile.header("x-request-id").unwrap().len(), 32);
    assert_eq!(world.get("/hello").header("x-request-id").unwrap().len(), 32);
}

#[test]
fn switches_turn_headers_off() {
    let world = hello("add_request_id_header=0\nadd_x_forwarded_headers=0\nserver_tokens=0");
    let _nginx = world.start();
    let answer = world.get_with("/hello", &[("X-Forwarded-For", "theirs")]);
    let seen = answer.seen();
    assert_eq!(seen.get("x-forwarded-for").map(String::as_str), Some("theirs"));
    assert!(!seen.contains_key("x-real-ip") && !seen.contains_key("x-request-id"));
    assert_eq!((answer.header("x-request-id"), answer.header("server")), (None, Some("nginx")));
}

#[test]
fn the_real_address_comes_from_trusted_proxies_only() {
    let world = hello("real_ip=1\nreal_ip_set_from=127.0.0.0/8,10.0.0.0/8");
    let _nginx = world.start();
    let seen = world.get_with("/hello", &[("X-Forwarded-For", "8.8.8.8, 192.0.2.7, 10.0.0.1")]).seen();
    assert_eq!(seen["x-real-ip"], "192.0.2.7");
}

#[test]
fn a_websocket_goes_through() {
    let world = hello("");
    let _nginx = world.start();
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = "GET /hello/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 101 "));
    for message in ["first", "second"] {
        stream.write_all(message.as_bytes()).unwrap();
        let mut echoed = vec![0; message.len()];
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, message.as_bytes());
    }
}

#[test]
fn what_an_app_has_said_goes_out_before_it_has_said_all() {
    let world = hello("");
    let _nginx = world.start();
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /hello/stream HTTP/1.0\r\n\r\n").unwrap();
    until_first(&mut stream);
    // Each chunk is one saying, however the app has its answers collected.
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /hello/stream-chunks HTTP/1.0\r\n\r\n").unwrap();
    until_first(&mut stream);
}

fn until_first(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"first") {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..length]);
    }
}

#[test]
fn large_bodies_arrive_up_to_the_limit() {
    let world = hello("upload_max_body_size=2");
    let _nginx = world.start();
    let post = |size: usize| {
        let head =
            format!("POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
        world.send(&[head.as_bytes(), &vec![b'x'; size]].concat())
    };
    assert!(post(1 << 21).text().ends_with("body of 2097152\n"));
    assert_eq!(post((1 << 21) + 1).status, 413);
}
