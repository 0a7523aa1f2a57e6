//! Workers that are not there, that end, and that are slow.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Answer, World, wait_until};

/// An app with so many workers in its configuration; who starts them is the test.
fn app(workers: u32, lines: &str) -> World {
    let world = World::new();
    let section =
        format!("[app_main]\n_cmd_and_args=x {{unix_socket_path}}\nnumprocesses={workers}\n{lines}");
    world.plugin("hello", "", &section);
    world
}

fn request(world: &World, method: &str, path: &str) -> Answer {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    world.send(head.as_bytes())
}

#[test]
fn a_request_that_kills_its_worker_takes_one_other_with_it_at_most() {
    for (lines, method, most) in
        [("", "GET", 2), ("", "PUT", 2), ("", "POST", 1), ("_virtualdomain_based_routing=1\n", "GET", 2)]
    {
        let world = app(4, lines);
        let dead: Vec<_> = (1..=4).map(|number| world.mortal("hello", "main", number)).collect();
        let _nginx = world.start();
        let answer = request(&world, method, "/hello/kill");
        assert_eq!(answer.status, 502, "{answer:?}");
        let killed = dead.iter().filter(|it| it.load(Ordering::Relaxed)).count();
        assert_eq!(killed, most, "{lines}{method}");
        assert!(world.who("/hello").starts_with("hello/main/"));
    }
}

#[test]
fn workers_that_are_gone_are_passed_over_however_many_they_are() {
    for fragment in
        [None, Some("proxy_read_timeout 9s;\nadd_header X-Own 1;\n"), Some("location /hello/main/x { }")]
    {
        let world = app(9, if fragment.is_some() { "_extra_nginx_conf_filename=x.conf\n" } else { "" });
        world.write("hello/x.conf", fragment.unwrap_or_default());
        let dead = world.mortal("hello", "main", 7);
        let _nginx = world.start();
        for method in ["GET", "POST", "PUT"] {
            for _ in 0..10 {
                assert_eq!(request(&world, method, "/hello/main/a").who(), "hello/main/7", "{method}");
            }
        }
        assert_eq!(request(&world, "GET", "/hello/kill").status, 502);
        assert!(dead.load(Ordering::Relaxed));
    }
}

#[test]
fn an_app_that_does_not_run_is_unavailable_for_a_while() {
    for (workers, lines) in
        [(1, ""), (3, ""), (2, "_gateway_interface_mode=fastcgi\n"), (4, "_gateway_interface_mode=fastcgi\n")]
    {
        let world = app(workers, &format!("_virtualdomain_based_routing=1\n{lines}"));
        let _nginx = world.start();
        for (host, path) in [("x", "/hello/main/a"), ("x", "/hello"), ("hello.localhost", "/")] {
            let answer = world.host(host, path);
            assert_eq!(
                (answer.status, answer.header("retry-after")),
                (503, Some("5")),
                "{workers} {host}{path}"
            );
            assert!(answer.text().contains("the app does not run"), "{answer:?}");
            assert!(answer.header("x-request-id").is_some());
        }
        assert_eq!(world.who("/other"), "404");
        if lines.is_empty() {
            world.worker("hello", "main", 1);
            wait_until("it answers", || world.who("/hello") == "hello/main/1");
        }
    }
}

#[test]
fn what_an_app_answers_itself_is_its_answer() {
    let world = app(3, "");
    world.worker("hello", "main", 2);
    let _nginx = world.start();
    let answer = world.get("/hello/own-502");
    assert_eq!((answer.status, answer.header("retry-after")), (502, None));
    assert!(answer.text().starts_with("hello/main/2"));
}

#[test]
fn clients_that_do_not_read_leave_the_workers_free_for_others() {
    let world = app(2, "");
    world.single("hello", "main", 1);
    world.single("hello", "main", 2);
    let _nginx = world.start();
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
            stream.write_all(b"GET /hello/megabytes=40 HTTP/1.0\r\n\r\n").unwrap();
            // It has been taken once there is something to read.
            stream.peek(&mut [0]).unwrap();
            stream
        })
        .collect();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(world.who("/hello")).unwrap());
        let who = receiver.recv_timeout(Duration::from_secs(40));
        drop(slow);
        assert!(who.is_ok_and(|who| who.starts_with("hello/main/")));
    });
}
