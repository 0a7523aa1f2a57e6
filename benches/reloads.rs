//! What keep-alive clients lose over 40 reloads of our nginx, against 40 of an nginx with the same configuration that is
//! told by hand. Needs python3 and nginx.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "support/running.rs"]
mod running;
mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use running::{Counted, Load, Module, PYTHON_SERVER};
use support::{finish, scaled};

const RELOADS: usize = 20;
const REQUESTS: usize = 30_000;
const CLIENTS: usize = 8;

const APP: &str =
    "[app_main]\n_cmd_and_args=python3 {plugin_dir}/server {unix_socket_path}\nnumprocesses=2\n";

fn main() {
    let module = Module::new();
    module.installed("app", APP, PYTHON_SERVER);
    module.up();
    let settings = |round: usize| {
        let port = module.port;
        // Of no consequence, but another text.
        let size = 100 + round % 2;
        format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\nupload_max_body_size={size}\n")
    };
    let conf = module.path("home/var/nginx/nginx.conf");
    let ours = over_reloads(module.port, |round| {
        let before = fs::read_to_string(&conf).unwrap();
        module.configure(&settings(round + 1));
        module.ok(&["reload", "--module", "mfserv"]);
        assert_ne!(before, fs::read_to_string(&conf).unwrap(), "nothing to reload for");
    });
    let bare = Bare::start(&module, &fs::read_to_string(&conf).unwrap());
    let theirs = over_reloads(bare.port, |round| bare.reload(100 + round % 2));
    for (who, counted) in [("mwp", ours), ("bare nginx", theirs)] {
        println!(
            "{} reloads, {who}: {} answered, {} lost, {} asked again on a new connection",
            scaled(RELOADS),
            counted.answered,
            counted.lost,
            counted.repeated
        );
    }
    finish(&[ours.lost <= theirs.lost]);
}

/// Clients ask so many times, and the reloads are spread over that.
fn over_reloads(port: u16, mut reload: impl FnMut(usize)) -> Counted {
    let load = Load::start(port, "/app/", true, CLIENTS);
    for round in 0..scaled(RELOADS) {
        wait_until(|| load.answered() >= scaled(REQUESTS) / (scaled(RELOADS) + 1) * (round + 1));
        reload(round);
    }
    wait_until(|| load.answered() >= scaled(REQUESTS));
    load.stop()
}

fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The same configuration in an nginx that nobody looks after.
struct Bare {
    child: Child,
    port: u16,
    conf: std::path::PathBuf,
    text: String,
}

impl Bare {
    fn start(module: &Module, text: &str) -> Bare {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = module.path("bare");
        for part in ["log", "var/nginx"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let conf = dir.join("nginx.conf");
        let text = text.replace(&format!(":{}", module.port), &format!(":{port}"));
        fs::write(&conf, &text).unwrap();
        let mut nginx = Command::new("nginx");
        nginx
            .args(["-e", "stderr", "-g", "daemon off;", "-c"])
            .arg(&conf)
            .arg("-p")
            .arg(&dir)
            .stdin(Stdio::null());
        let child = nginx.spawn().unwrap();
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Bare { child, port, conf, text }
    }

    /// As `nginx -s reload` does it.
    fn reload(&self, size: usize) {
        let is_size = |line: &&str| line.trim().starts_with("client_max_body_size");
        let line = self.text.lines().find(is_size).unwrap();
        fs::write(&self.conf, self.text.replace(line, &format!("client_max_body_size {size}m;"))).unwrap();
        Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
