//! `mwp metrics`, and the same over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::support::Sandbox;

/// Samples by name and labels, as the text format has them; whatever else is there is a failure.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(text.ends_with('\n'), "{text:?}");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.is_empty() && families.insert(name.to_owned()), "{line}");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            let kind = kind.strip_prefix(name).unwrap();
            assert!(matches!(kind, " gauge" | " counter"), "{kind}");
            assert_eq!(name.ends_with("_total"), kind == " counter", "{name}");
            name.clone_into(&mut current);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = key.split_once('{').unwrap();
        assert_eq!(name, current, "a sample of another family: {line}");
        let mut rest = labels.strip_suffix('}').unwrap();
        while !rest.is_empty() {
            let (label, value) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let end = value
                .char_indices()
                .scan(false, |escaped, (index, c)| {
                    let is_end = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((index, is_end))
                })
                .find(|(_, is_end)| *is_end)
                .unwrap()
                .0;
            rest = &value[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        assert!(samples.insert(key.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

fn ask(mut stream: impl Read + Write, path: &str) -> (String, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn what_runs_is_told_as_metrics_by_the_command_the_socket_and_the_port() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "1.2");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.configure_module(&format!("[nginx]\nflag=0\n[supervisor]\nmetrics_port={port}\n"));
    let up = sandbox.up_at(0);
    up.until_running("hello", "main");
    let text = sandbox.ok(["metrics"]).stdout;
    let samples = parse(&text);
    let own = "module=\"mfserv\",plugin=\"hello\"";
    let worker = format!("{own},kind=\"app\",service=\"main\",worker=\"1\"");
    for (key, value) in [
        ("mwp_module_up{module=\"mfserv\"}".to_owned(), 1.0),
        (format!("mwp_plugin_info{{{own},version=\"12\",release=\"1\"}}"), 1.0),
        (format!("mwp_plugin_healthy{{{own}}}"), 1.0),
        (format!("mwp_worker_state{{{worker},state=\"running\"}}"), 1.0),
        (format!("mwp_worker_state{{{worker},state=\"stopped\"}}"), 0.0),
        (format!("mwp_worker_restarts_total{{{worker}}}"), 0.0),
    ] {
        assert_eq!(samples.get(&key), Some(&value), "{key} in\n{text}");
    }
    for name in ["cpu_seconds_total", "memory_bytes", "open_fds", "connections", "uptime_seconds"] {
        assert!(samples.contains_key(&format!("mwp_worker_{name}{{{worker}}}")), "{name} in\n{text}");
    }
    let path = sandbox.runtime_home().join("var/metrics.socket");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let unix = ask(UnixStream::connect(&path).unwrap(), "/metrics");
    let tcp = ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), "/metrics");
    for (head, body) in [unix, tcp] {
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(parse(&body).len(), samples.len());
    }
    let (head, _) = ask(UnixStream::connect(&path).unwrap(), "/other");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    if which::which("promtool").is_ok() {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut child = promtool.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    drop(up);
    assert!(!path.exists());
    sandbox.fails(1, ["metrics"]).says("no module is up");
}

#[test]
fn status_that_is_watched_is_printed_once_per_change_without_a_terminal() {
    use std::io::BufRead;
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("one", "exec sleep 1000\n");
    sandbox.ok(["install", sandbox.packed("one").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("one", "foo");
    let mut watch = sandbox.mwp(["status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut before: Vec<String> = lines.by_ref().take(3).collect();
    assert!(before[0].starts_with("mfserv is up for "), "{before:?}");
    assert!(before[2].contains("running"), "{before:?}");
    assert!(!before[1].contains("CPU"), "{before:?}");
    // Several looks later there is nothing new to say.
    std::thread::sleep(std::time::Duration::from_secs(5));
    sandbox.ok(["stop", "one"]);
    before.extend(lines.by_ref().take_while(|line| !line.contains("stopped")));
    assert_eq!(before.iter().filter(|line| line.contains("running")).count(), 1, "{before:?}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}
