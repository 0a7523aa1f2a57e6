//! The access log: JSON, whatever people ask for.

use serde_json::Value;

use crate::support::{World, wait_until};

fn lines(world: &World, count: usize) -> Vec<Value> {
    wait_until("the log has its lines", || world.log("nginx_access.log").lines().count() >= count);
    let path = world.home().join("log/nginx_access.log");
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn every_line_is_json_whatever_the_request_is() {
    let world = World::new();
    world.app("hello", "");
    world.main("hello");
    let _nginx = world.start();
    let requests: [&[u8]; 10] = [
        b"GET /hello/a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /\"quoted\"\\%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /hello/\xff\xfe?\x01 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /hello/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /hello/caf\xc3\xa9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /hello/\xed\xa0\x80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /none\r\n",
        b"\x16\x03\x01nonsense\r\n\r\n",
        b"G\xffT /x HTTP/1.1\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: \"x\"\r\nConnection: close\r\n\r\n",
    ];
    for request in requests {
        world.send(request);
    }
    let lines = lines(&world, requests.len());
    assert_eq!(lines.len(), requests.len());
    let first = &lines[0];
    let keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "@timestamp",
        "from",
        "method",
        "uri",
        "duration",
        "status",
        "request_length",
        "reply_length",
        "plugin",
        "request_id",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&first["uri"], &first["plugin"]), (&"/hello/a?b=c".into(), &"hello".into()));
    assert_eq!(
        (&first["status"], &first["method"], &first["from"]),
        (&200.into(), &"GET".into(), &"127.0.0.1".into())
    );
    let uris: Vec<_> = lines.iter().map(|line| line["uri"].as_str().unwrap()).collect();
    assert!(uris.contains(&"/hello/..."), "{uris:?}");
    assert!(uris.contains(&"/hello/caf\u{e9}"), "{uris:?}");
    assert!(lines.iter().any(|line| line["plugin"] == "#unknown#"));
}

#[test]
fn a_plugin_can_add_to_its_lines() {
    let world = World::new();
    world.app("hello", "_extra_nginx_conf_filename=x.conf\n");
    world.write("hello/x.conf", "set $extra_log_format \"$arg_who\";\n");
    world.main("hello");
    let _nginx = world.start();
    world.get("/hello/?who=%22me");
    assert_eq!(lines(&world, 1)[0]["extra"], "%22me");
}

#[test]
fn it_can_be_switched_off() {
    let mut world = World::new();
    world.set("logging=0");
    let _nginx = world.start();
    world.get("/x");
    assert!(!world.home().join("log/nginx_access.log").exists());
}
