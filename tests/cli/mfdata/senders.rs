//! ftpsend, sftpsend and httpsend.

use std::fs;

use super::servers::{self, PASSWORD, Server};
use super::{override_custom, plugin_of, until_processed, worker};
use crate::steps::world::{Running, World};

/// Names and contents that are easily damaged.
const FILES: [(&str, &[u8]); 3] =
    [("100%d #1.txt", b"line\r\nline\n"), ("a.bin", b"\0\xff\r\n\0"), ("empty", b"")];

fn sent() -> Vec<(String, Vec<u8>)> {
    FILES.map(|(name, content)| (name.to_owned(), content.to_vec())).to_vec()
}

/// The step sends these files, they come in whole and under their names, and nothing is left of them here.
#[track_caller]
fn sends_all(world: &World, server: &Server) -> String {
    let mut step = worker(world, "step_main");
    for (name, content) in FILES {
        world.deliver(name, content);
    }
    until_processed(&mut step, FILES.len());
    let log = step.stop();
    assert_eq!(server.received(), sent(), "{log}\n{}", server.log());
    nothing_is_left(world);
    log
}

#[track_caller]
fn nothing_is_left(world: &World) {
    world.nothing_is_left();
    assert_eq!(world.files("trash/p.main"), []);
    assert_eq!(world.files("step.p.main"), []);
}

fn ftp_plugin(server: &Server, more: &[(&str, &str)]) -> World {
    let port = server.port_text();
    let settings = [
        ("ftp_hostname", "127.0.0.1"),
        ("ftp_port", &port),
        ("ftp_username", "anonymous"),
        ("ftp_password", PASSWORD),
        ("ftp_directory", "received"),
        ("retry_total", "0"),
    ];
    plugin_of("ftpsend", &[&settings, more].concat())
}

fn sftp_plugin(server: &Server, more: &[(&str, &str)]) -> World {
    let port = server.port_text();
    let user = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let settings = [
        ("sftp_hostname", "127.0.0.1"),
        ("sftp_port", &port),
        ("sftp_username", user.trim()),
        ("sftp_directory", "received"),
        ("retry_total", "0"),
    ];
    plugin_of("sftpsend", &[&settings, more].concat())
}

fn http_plugin(url: &str, more: &[(&str, &str)]) -> World {
    plugin_of("httpsend", &[&[("http_url", url), ("retry_total", "0")], more].concat())
}

/// What a step does with a server that is away, comes back, and breaks off the session.
#[track_caller]
fn survives_its_server(world: &World, server: &Server) {
    let mut step = worker(world, "step_main");
    world.deliver("early", "early");
    until_processed(&mut step, 1);
    assert!(step.log().contains("Bad processing status for file: "), "{}", step.log());
    let kept = world.files("trash/p.main");
    assert_eq!((kept.len(), kept[0].1.as_str()), (2, "early"), "{kept:?}");
    assert!(kept[1].1.contains("first.core.original_basename = early\n"), "{kept:?}");

    server.start();
    world.deliver("first", "1");
    until_processed(&mut step, 2);
    // The session that the step keeps is of no use any more.
    server.stop();
    server.start();
    world.deliver("second", "2");
    until_processed(&mut step, 3);
    assert_eq!(step.log().matches("Bad processing status").count(), 1, "{}", step.log());
    let received: Vec<_> = server.received().into_iter().map(|(_, content)| content).collect();
    assert_eq!(received, [b"1", b"2"], "{}\n{}", step.log(), server.log());
    // With a session that is open.
    step.stop();
    world.nothing_is_left();
}

#[test]
fn ftp_takes_files_whole_and_by_their_names() {
    let server = servers::ftp().started();
    let world = ftp_plugin(&server, &[]);
    let log = sends_all(&world, &server);
    assert!(log.contains("was sent to 127.0.0.1 as 100%d #1.txt"), "{log}");
    let protocol = server.log();
    // Nobody sees half a file under its name.
    assert!(protocol.contains("\"STOR a.bin.t\"") && protocol.contains("\"RNTO a.bin\""), "{protocol}");
    let sessions = protocol.matches("OK LOGIN").count();
    assert_eq!(sessions, 1, "one session for all: {protocol}");
    assert!(protocol.contains("\"QUIT\""), "{protocol}");
}

#[test]
fn ftp_away_then_back_then_gone_for_a_moment() {
    let server = servers::ftp();
    let world = ftp_plugin(&server, &[]);
    survives_its_server(&world, &server);
}

#[test]
fn ftp_that_refuses_us_is_told() {
    let server = servers::ftp().started();
    let world = ftp_plugin(&server, &[("ftp_password", "wrong")]);
    let mut step = worker(&world, "step_main");
    world.deliver("a", "content");
    until_processed(&mut step, 1);
    let log = step.stop();
    assert!(log.contains("was not sent: error_perm: 530"), "{log}");
    assert!(!log.contains("wrong"), "{log}");
    assert_eq!(world.files("trash/p.main").len(), 2);
}

#[test]
fn an_idle_session_is_ended() {
    let server = servers::ftp().started();
    let world = ftp_plugin(&server, &[("ftp_session_lifetime", "1")]);
    let step = worker(&world, "step_main");
    world.deliver("a", "content");
    world.until("the session ends", |_| server.log().contains("\"QUIT\""));
    step.stop();
}

#[test]
fn sftp_takes_files_with_a_key_whole_and_by_their_names() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    let server = servers::sftp(&keys.path().join("key.pub")).started();
    let world = sftp_plugin(&server, &[("sftp_key_file", key.to_str().unwrap())]);
    for (kind, passphrase) in [("rsa", ""), ("ed25519", "open sesame")] {
        let _ = fs::remove_file(&key);
        servers::make_key(&["-t", kind, "-N", passphrase], &key);
        override_custom(&world, &[("sftp_key_algorithm", kind), ("sftp_key_file_passphrase", passphrase)]);
        // What is there is written over.
        fs::write(server.path("received/empty"), "old").unwrap();
        sends_all(&world, &server);
    }
}

#[test]
fn sftp_takes_files_with_a_password_and_refuses_another_one() {
    if !crate::support::users::is_root() {
        println!("skipped: only root can give itself a password in a mount of its own");
        return;
    }
    let server = servers::sftp("none".as_ref()).started();
    let world = sftp_plugin(&server, &[("sftp_password", PASSWORD)]);
    sends_all(&world, &server);
    override_custom(&world, &[("sftp_password", "wrong")]);
    let mut step = worker(&world, "step_main");
    world.deliver("a", "content");
    until_processed(&mut step, 1);
    let log = step.stop();
    assert!(log.contains("was not sent: AuthenticationException: "), "{log}");
    assert_eq!(world.files("trash/p.main").len(), 2);
}

#[test]
fn sftp_away_then_back_then_gone_for_a_moment() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    servers::make_key(&["-t", "ecdsa", "-N", ""], &key);
    let server = servers::sftp(&keys.path().join("key.pub"));
    let settings = [("sftp_key_file", key.to_str().unwrap()), ("sftp_key_algorithm", "ecdsa")];
    let world = sftp_plugin(&server, &settings);
    survives_its_server(&world, &server);
}

#[test]
fn http_takes_files_whole_and_by_their_names() {
    let server = servers::http().started();
    let url = format!("http://127.0.0.1:{}/received/{{ORIGINAL_BASENAME}}", server.port);
    let world = http_plugin(&url, &[("http_method", "PUT"), ("http_ok_status_codes", "200,201,204")]);
    sends_all(&world, &server);
    assert!(server.log().contains("PUT /received/100%25d%20%231.txt 201\n"), "{}", server.log());
}

#[test]
fn http_gets_the_bytes_of_a_file_by_post() {
    let server = servers::http().started();
    let world = http_plugin(&format!("http://127.0.0.1:{}/posted", server.port), &[]);
    let mut step = worker(&world, "step_main");
    // More than nginx keeps in memory.
    let content = "0123456789".repeat(100_000);
    world.deliver("a", &content);
    until_processed(&mut step, 1);
    let log = step.stop();
    let received = server.received();
    assert_eq!(received.len(), 1, "{log}\n{}", server.log());
    assert!(received[0].1 == content.as_bytes());
    assert!(server.log().contains("POST /posted 201\n"), "{}", server.log());
    nothing_is_left(&world);
}

#[test]
fn http_away_then_back_then_gone_for_a_moment() {
    let server = servers::http();
    let url = format!("http://127.0.0.1:{}/received/{{ORIGINAL_BASENAME}}", server.port);
    survives_its_server(&http_plugin(&url, &[("http_method", "PUT")]), &server);
}

#[test]
fn a_status_that_is_not_listed_means_that_the_file_was_not_sent() {
    let server = servers::http().started();
    let world =
        http_plugin(&format!("http://127.0.0.1:{}/away", server.port), &[("failure_policy", "delete")]);
    let mut step = worker(&world, "step_main");
    world.deliver("a", "content");
    until_processed(&mut step, 1);
    let log = step.stop();
    assert!(log.contains("/away was answered with 500"), "{log}");
    nothing_is_left(&world);
}

#[test]
fn what_must_be_set_is_said_by_the_senders() {
    for (template, said) in [
        ("ftpsend", "ftp_hostname, ftp_username and ftp_password are required"),
        ("sftpsend", "sftp_hostname, sftp_username, and sftp_password or sftp_key_file are required"),
        ("httpsend", "http_url: found `FIXME`; an address is required"),
    ] {
        let world = plugin_of(template, &[]);
        let status = ended(worker(&world, "step_main"));
        assert!(status.1.contains(said), "{}", status.1);
        assert_eq!(status.0, Some(2));
    }
}

fn ended(mut step: Running) -> (Option<i32>, String) {
    let code = step.child.wait().unwrap().code();
    (code, step.log())
}
