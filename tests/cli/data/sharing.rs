//! Another redis than the module's own.

use std::process::{Child, Command, Stdio};

use super::flow::Flow;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_existing_redis_is_used_where_the_settings_name_one() {
    let flow = Flow::new();
    flow.noting_step("");
    let socket = flow.sandbox.path("shared.socket");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let server = Server(command.stdout(Stdio::null()).spawn().unwrap());
    flow.until("it answers", || flow.redis_at(&socket, &["PING"]) == "PONG");
    flow.configure(&format!("[redis]\naddress={}\n", socket.display()));
    let up = flow.up();
    flow.drop_file("f", "f");
    flow.until_noted(&["f"]);
    assert!(up.status()["redis"].is_null());
    assert!(!flow.home("var/redis.socket").exists());
    assert_eq!(flow.redis_at(&socket, &["GET", "counter.p.main"]), "1");
    drop(server);
    flow.until("it is told to be away", || up.problems().contains("shared.socket"));
}

#[test]
fn an_address_that_is_none_is_refused_with_its_place() {
    let flow = Flow::new();
    flow.noting_step("");
    flow.configure("[redis]\naddress=queues\n");
    let up = flow.sandbox.fails(1, ["up", "--detach", "--module", "mfdata"]);
    for part in ["config.ini:5", "[redis] address", "`queues`", "HOST:PORT"] {
        assert!(up.stderr.contains(part), "{part} in {up:?}");
    }
}
