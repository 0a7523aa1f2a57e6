//! Files that come into mfdata over HTTP, through nginx and the supervisor behind it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Answer, GENERAL, World, wait_until};

/// What an installation leaves behind.
const METADATA: &str = r#"{"version": "1", "release": "1", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
    "size": "12", "summary": "s", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;

/// mfdata that is up, with a step that watches `incoming` and its inbox, and has no process that takes files away.
struct Uploads {
    world: World,
}

impl Uploads {
    fn new(settings: &str) -> Uploads {
        let world = World::new();
        let step = "[step_main]\n_cmd_and_args = true\nnumprocesses = 0\n\
                    watched_directories = {MFDATA_CURRENT_STEP_DIR},incoming\n";
        world.write("p/.layerapi2_label", "plugin_p@mfdata\n");
        world.write("p/.plugin_format_version", "1.0.0\n");
        world.write("p/.metadata.json", METADATA);
        world.write("p/config.ini", &format!("{GENERAL}{step}"));
        let config = format!(
            "[nginx]\nflag=1\nport={}\nlisten=127.0.0.1\nworkers=1\n{settings}\n\
             [internal_plugins]\ninstall_guess_file_type=0\ninstall_switch=0\n",
            world.port
        );
        fs::write(world.home().join("config/config.ini"), config).unwrap();
        // It returns once everything answers; whoever asks earlier meets nginx's test of its configuration.
        assert!(mwp(&world, &["up", "--detach", "--module", "mfdata"]).status().unwrap().success());
        Uploads { world }
    }

    /// A path below the directory of incoming files.
    fn input(&self, relative: &str) -> PathBuf {
        self.world.home().join("var/in").join(relative)
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        self.world.send(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
    }

    #[track_caller]
    fn is_created(&self, method: &str, path: &str, body: &str) {
        let answer = self.send(method, path, body);
        assert_eq!((answer.status, answer.text().as_str()), (201, "Created\n"), "{method} {path}");
    }

    #[track_caller]
    fn is_refused(&self, method: &str, path: &str, status: u16) -> String {
        let answer = self.send(method, path, "refused");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer.text()
    }

    /// Names in a directory below that of incoming files, sorted.
    fn names(&self, relative: &str) -> Vec<String> {
        let entries = fs::read_dir(self.input(relative)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn content(&self, relative: &str) -> String {
        fs::read_to_string(self.input(relative)).unwrap()
    }

    /// Neither a file that came, nor a body that is on its way.
    #[track_caller]
    fn nothing_came(&self) {
        assert_eq!(self.names("incoming"), [""; 0]);
        assert_eq!(self.names("step.p.main"), [""; 0]);
        // nginx answers first.
        wait_until("the body is gone", || self.names("tmp/nginx").is_empty());
    }

    fn process_of_nginx(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.world.home().join("var/nginx/nginx.pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let _ = mwp(&self.world, &["down", "--module", "mfdata"]).status();
    }
}

fn mwp(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
    command.args(arguments).env_clear().envs(world.site().environment.iter());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_file_gets_the_name_of_a_put_and_a_random_one_by_post() {
    let uploads = Uploads::new("");
    uploads.is_created("PUT", "/a,;:_-.9", "one");
    uploads.is_created("PUT", "/step.p.main/b", "two");
    assert_eq!(uploads.names("incoming"), ["a,;:_-.9"]);
    assert_eq!(uploads.content("incoming/a,;:_-.9"), "one");
    assert_eq!(uploads.content("step.p.main/b"), "two");
    let mode = uploads.input("incoming/a,;:_-.9").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    // A sender that is not sure sends again.
    uploads.is_created("PUT", "/step.p.main/b", "three");
    assert_eq!(uploads.content("step.p.main/b"), "three");

    fs::remove_file(uploads.input("incoming/a,;:_-.9")).unwrap();
    fs::remove_file(uploads.input("step.p.main/b")).unwrap();
    uploads.is_created("POST", "/", "four");
    uploads.is_created("POST", "/?from=me", "four");
    uploads.is_created("POST", "/step.p.main/", "four");
    let names = [uploads.names("incoming"), uploads.names("step.p.main")].concat();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.len() == 32), "{names:?}");
    assert_ne!(names[0], names[1]);
    assert_eq!(uploads.content(&format!("step.p.main/{}", names[2])), "four");
    assert_eq!(uploads.names("tmp/nginx"), [""; 0]);
}

#[test]
fn an_empty_body_is_an_empty_file() {
    let uploads = Uploads::new("");
    uploads.is_created("PUT", "/empty", "");
    let head = "Host: x\r\nConnection: close\r\n";
    let without_length = uploads.world.send(format!("PUT /none HTTP/1.1\r\n{head}\r\n").as_bytes());
    let chunked = format!("PUT /chunked HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let chunked = uploads.world.send(chunked.as_bytes());
    assert_eq!((without_length.status, chunked.status), (201, 201));
    assert_eq!(uploads.names("incoming"), ["chunked", "empty", "none"]);
    for name in uploads.names("incoming") {
        assert_eq!(uploads.content(&format!("incoming/{name}")), "");
    }
}

#[test]
fn addresses_that_are_none_and_other_methods_are_refused() {
    let uploads = Uploads::new("");
    for (method, path) in [
        ("PUT", "/"),
        ("PUT", "/incoming/"),
        ("POST", "/a"),
        ("POST", "/incoming/a"),
        ("PUT", "/a/b/c"),
        ("PUT", "/a%20b"),
        ("PUT", "/caf%C3%A9"),
        ("PUT", "/incoming/.."),
        ("PUT", "/incoming/../../x"),
        ("PUT", "/%2e%2e/x"),
        ("PUT", "/incoming/%2e%2e/%2e%2e/x"),
        ("PUT", "/incoming/%2e%2e%2fx"),
        ("PUT", "/a+b"),
        // Nobody would be told of these.
        ("PUT", "/a.t"),
        ("PUT", "/a.tmp"),
        ("PUT", "/incoming/a.working"),
    ] {
        uploads.is_refused(method, path, 400);
    }
    for (method, path) in [("DELETE", "/a"), ("OPTIONS", "/"), ("PATCH", "/a"), ("PUT", "/__health")] {
        uploads.is_refused(method, path, 405);
    }
    let answer = uploads.world.get("/");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, PUT")));
    assert_eq!(uploads.world.get("/status").status, 200);
    assert_eq!(uploads.world.get("/__health").text(), "OK");
    uploads.nothing_came();
}

#[test]
fn only_directories_that_a_step_watches_take_files_and_no_link_does() {
    let uploads = Uploads::new("");
    let outside = uploads.world.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(uploads.input("unwatched")).unwrap();
    for name in ["absent", "unwatched", "tmp", "step.q.main"] {
        let said = uploads.is_refused("PUT", &format!("/{name}/a"), 404);
        assert_eq!(said, format!("there is no directory `{name}` that a step watches\n"));
        uploads.is_refused("POST", &format!("/{name}/"), 404);
    }
    fs::create_dir(uploads.input("incoming/dir")).unwrap();
    uploads.is_refused("PUT", "/dir", 400);
    fs::remove_dir(uploads.input("incoming/dir")).unwrap();
    uploads.nothing_came();

    // What a link in place of the file points to stays as it is.
    let victim = outside.join("victim");
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, uploads.input("incoming/a")).unwrap();
    uploads.is_created("PUT", "/a", "new");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert_eq!(uploads.content("incoming/a"), "new");

    fs::remove_dir_all(uploads.input("incoming")).unwrap();
    symlink(&outside, uploads.input("incoming")).unwrap();
    uploads.is_refused("PUT", "/b", 404);
    assert!(!outside.join("b").exists());
}

#[test]
fn a_body_may_be_so_large_and_no_larger() {
    let uploads = Uploads::new("");
    let head = "PUT /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let large = uploads.world.send(format!("{head}Content-Length: 150000000\r\n\r\n").as_bytes());
    assert_eq!(large.status, 413);
    uploads.nothing_came();

    let uploads = Uploads::new("upload_max_body_size=1");
    let megabyte = "x".repeat(1 << 20);
    uploads.is_created("PUT", "/whole", &megabyte);
    assert_eq!(uploads.input("incoming/whole").metadata().unwrap().len(), 1 << 20);
    fs::remove_file(uploads.input("incoming/whole")).unwrap();
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n100001\r\n{megabyte}x\r\n");
    assert_eq!(uploads.world.send(chunked.as_bytes()).status, 413);
    uploads.nothing_came();
}

#[test]
fn a_client_that_breaks_off_leaves_nothing_and_others_go_on() {
    let uploads = Uploads::new("");
    let begin = |name: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", uploads.world.port)).unwrap();
        let head =
            format!("PUT /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 100_000]).unwrap();
        stream
    };
    let (broken, mut one, mut two) = (begin("broken"), begin("one"), begin("two"));
    wait_until("nginx writes all three", || uploads.names("tmp/nginx").len() == 3);
    assert_eq!(uploads.names("incoming"), [""; 0], "nobody sees half a file");
    drop(broken);
    wait_until("the half is gone", || uploads.names("tmp/nginx").len() == 2);
    for (stream, byte) in [(&mut two, b'2'), (&mut one, b'1')] {
        stream.write_all(&[byte; 100_000]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    }
    assert_eq!(uploads.names("incoming"), ["one", "two"]);
    for (name, byte) in [("one", "1"), ("two", "2")] {
        assert_eq!(uploads.content(&format!("incoming/{name}")), "x".repeat(100_000) + &byte.repeat(100_000));
    }
    assert_eq!(uploads.names("tmp/nginx"), [""; 0]);
}

#[test]
fn a_socket_takes_files_too_and_is_there_again_after_a_kill() {
    let uploads = Uploads::new("");
    let socket = uploads.world.home().join("var/nginx.socket");
    let put = |name: &str| {
        let mut stream = UnixStream::connect(&socket).ok()?;
        let head =
            format!("PUT /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    assert!(put("one").unwrap().contains(" 201 "));
    let killed = uploads.process_of_nginx().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    wait_until("another nginx runs", || uploads.process_of_nginx().is_some_and(|pid| pid != killed));
    wait_until("it answers", || put("two").is_some_and(|answer| answer.contains(" 201 ")));
    assert_eq!(uploads.names("incoming"), ["one", "two"]);
}

#[test]
fn there_is_no_nginx_unless_it_is_asked_for_and_the_status_says_where_it_is() {
    let status = |uploads: &Uploads| {
        let mut command = mwp(&uploads.world, &["status", "--json", "--module", "mfdata"]);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let uploads = Uploads::new("");
    let url = format!("http://127.0.0.1:{}", uploads.world.port);
    assert_eq!(status(&uploads)["url"], url);
    fs::write(
        uploads.world.home().join("config/config.ini"),
        "[internal_plugins]\ninstall_switch=0\ninstall_guess_file_type=0\n",
    )
    .unwrap();
    assert!(mwp(&uploads.world, &["reload", "--module", "mfdata"]).status().unwrap().success());
    assert_eq!(status(&uploads)["url"], serde_json::Value::Null);
    assert_eq!(status(&uploads)["nginx"], serde_json::Value::Null);
    assert!(TcpStream::connect(("127.0.0.1", uploads.world.port)).is_err());
}
