//! Apps that speak FastCGI.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use crate::support::{APP, World, wait_until};

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

/// Answers with its parameters, `NAME=value` per line.
fn responder(world: &World, plugin: &str, app: &str) {
    let listener = UnixListener::bind(world.socket(plugin, app, 1)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut parameters = Vec::new();
            loop {
                let mut header = [0; 8];
                stream.read_exact(&mut header).unwrap();
                let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
                let mut content = vec![0; length + usize::from(header[6])];
                stream.read_exact(&mut content).unwrap();
                content.truncate(length);
                match header[1] {
                    PARAMS => parameters.extend(content),
                    STDIN if length == 0 => break,
                    BEGIN | STDIN => {}
                    kind => panic!("a record of type {kind}"),
                }
            }
            let mut answer = b"Content-Type: text/plain\r\n\r\n".to_vec();
            answer.extend(listed(&parameters).into_bytes());
            for (kind, content) in [(STDOUT, answer.as_slice()), (STDOUT, b""), (END, &[0; 8])] {
                let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
                stream.write_all(&[1, kind, 0, 1, high, low, 0, 0]).unwrap();
                stream.write_all(content).unwrap();
            }
        }
    });
}

fn listed(mut bytes: &[u8]) -> String {
    let mut list = String::new();
    while !bytes.is_empty() {
        let mut length = || {
            let long = bytes[0] >= 128;
            let (head, rest) = bytes.split_at(if long { 4 } else { 1 });
            bytes = rest;
            head.iter().fold(0_usize, |sum, byte| (sum << 8) + usize::from(*byte)) & 0x7fff_ffff
        };
        let (name, value) = (length(), length());
        list.push_str(&String::from_utf8_lossy(&bytes[..name]));
        list.push('=');
        list.push_str(&String::from_utf8_lossy(&bytes[name..name + value]));
        list.push('\n');
        bytes = &bytes[name + value..];
    }
    list
}

#[test]
fn a_responder_learns_which_script_is_meant() {
    let world = World::new();
    let routing = "_virtualdomain_based_routing=1\nprefix_based_routing_extra_routes=/p.x\n";
    world.plugin("php", "", &format!("[app_main]\n{APP}_gateway_interface_mode=fastcgi\n{routing}"));
    world.write("php/main/index.php", "");
    world.write("php/main/static/a.txt", "file\n");
    responder(&world, "php", "main");
    let _nginx = world.start();
    let dir = world.home().join("var/plugins/php/main");
    let dir = dir.to_str().unwrap();
    for (host, path, script, info) in [
        ("x", "/php/main/a.php?q=1", "/a.php", ""),
        ("x", "/php/a/b.php/more/info", "/a/b.php", "/more/info"),
        ("x", "/php/a.phpx/b", "/a.phpx/b", ""),
        ("x", "/php/", "/index.php", ""),
        ("x", "/php", "", ""),
        ("x", "/p.x/a.php", "/a.php", ""),
        ("php.localhost", "/a.php/b", "/a.php", "/b"),
        ("php.localhost", "/", "/index.php", ""),
    ] {
        let answer = world.host(host, path);
        let text = answer.text();
        let get = |name: &str| {
            let mut found = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            let value = found.next();
            assert!(found.next().is_none(), "{name} is there twice: {text}");
            value.map(str::to_owned)
        };
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(get("SCRIPT_FILENAME"), Some(format!("{dir}{script}")), "{path}");
        assert_eq!(get("PATH_INFO").as_deref(), Some(info), "{path}");
        assert_eq!(get("REQUEST_URI").as_deref(), Some(path));
        assert_eq!(get("DOCUMENT_ROOT").as_deref(), Some(dir));
        assert_eq!(get("REQUEST_METHOD").as_deref(), Some("GET"));
        let before = path.split('?').next().unwrap();
        let before = &before[..before.len() - info.len()];
        let whole = if path.ends_with('/') { format!("{before}index.php") } else { before.to_owned() };
        assert_eq!(get("SCRIPT_NAME"), Some(whole), "{path}");
        assert_eq!(get("HTTP_X_REQUEST_ID").map(|id| id.len()), Some(32));
        assert_eq!(get("HTTP_X_REAL_IP").as_deref(), Some("127.0.0.1"));
        assert_eq!(get("HTTP_X_FORWARDED_HOST").as_deref(), Some(host));
        assert_eq!(get("HTTP_HOST").as_deref(), Some(host));
    }
    assert_eq!(world.who("/php/static/a.txt"), "file");
    let seen = world.get_with("/php/a.php", &[("Proxy", "http://evil")]).text();
    assert!(!seen.contains("HTTP_PROXY"), "{seen}");
    let told = [("X-Forwarded-Prefix", "/evil"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=evil")];
    let seen = world.get_with("/php/a.php", &told).text();
    assert!(!seen.contains("evil") && seen.contains("HTTP_X_FORWARDED_PROTO=http\n"), "{seen}");
}

#[test]
fn a_fragment_can_choose_the_script() {
    let world = World::new();
    let fragment = "if ($request_filename ~ \"\\.php$\") { set $script $request_filename; }\n\
                    if ($request_filename !~ \"\\.php$\") { set $script $request_filename/index.php; }\n\
                    fastcgi_param SCRIPT_FILENAME $script;\n";
    let sections =
        format!("[app_main]\n{APP}_gateway_interface_mode=fastcgi\n_extra_nginx_conf_filename=x.conf\n");
    world.plugin("php", "", &sections);
    world.write("php/x.conf", fragment);
    responder(&world, "php", "main");
    let _nginx = world.start();
    let dir = world.home().join("var/plugins/php/main");
    for (path, script) in [("/php/main/a.php", "a.php"), ("/php/main/b", "b/index.php")] {
        let text = world.get(path).text();
        let scripts: Vec<_> = text.lines().filter(|line| line.starts_with("SCRIPT_FILENAME=")).collect();
        assert_eq!(scripts, [format!("SCRIPT_FILENAME={}", dir.join(script).display())]);
    }
}

/// MetWork's command of this name, of which we have a stand-in.
fn php_wrapper() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/shims/bin/php_wrapper"))
}

#[test]
fn php_wrapper_answers_what_it_has_begun_before_it_ends() {
    let world = World::new();
    world.plugin("php", "", &format!("[app_main]\n{APP}_gateway_interface_mode=fastcgi\n"));
    let script = "<?php touch(getenv('BEGUN')); usleep(300000); header('Content-Length: 9'); echo getenv('COLOUR'), $_SERVER['PATH_INFO'];";
    world.write("php/main/a.php", script);
    let (socket, begun) = (world.socket("php", "main", 1), world.home().join("begun"));
    let mut command = php_wrapper();
    command.args(["php", "main"]).arg(&socket).env("TMPDIR", world.home().join("tmp"));
    let mut worker = command.env("COLOUR", "teal").env("BEGUN", &begun).spawn().unwrap();
    wait_until("php-fpm listens", || UnixStream::connect(&socket).is_ok());
    let _nginx = world.start();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.who("/php/a.php/info"));
        wait_until("the request has begun", || begun.exists());
        Command::new("kill").args(["-QUIT", &worker.id().to_string()]).status().unwrap();
        assert_eq!(asking.join().unwrap(), "teal/info");
    });
    assert!(worker.wait().unwrap().success());
}

#[test]
fn php_wrapper_says_what_it_wants() {
    let output = php_wrapper().arg("php").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("found 1 words; PLUGIN APP UNIX_SOCKET is required"), "{said}");
}
