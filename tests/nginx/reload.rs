//! A new configuration: what becomes of nginx's workers with the old one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{World, wait_until};

fn websocket(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = "GET /hello/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 101 "));
    stream
}

#[test]
fn workers_from_before_a_reload_end_after_the_timeout_however_many_websockets_are_open() {
    let mut world = World::new();
    world.set("timeout=1");
    // A reload does not count as silence of the app.
    world.app("hello", "timeout=600\n");
    world.main("hello");
    let nginx = world.start();
    let first = nginx.workers();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(websocket(&world));
        nginx.reload();
    }
    wait_until("the workers from before have gone", || nginx.workers().len() == 1);
    assert!(nginx.workers().is_disjoint(&first));
    open.push(websocket(&world));
}

#[test]
fn the_same_plugins_make_the_same_configuration() {
    let world = World::new();
    for name in ["one", "two", "three"] {
        world.app(name, "_virtualdomain_based_routing=1\nprefix_based_routing_extra_routes=/x;/y\n");
    }
    assert_eq!(world.configure().text, world.configure().text);
}
