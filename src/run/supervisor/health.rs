//! Asking an app over its socket whether it is well.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::run::HealthTest;
use crate::text;

/// For an app without a test of its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer to such a question is longer.
const LONGEST: usize = 1_000_000;

/// Why an app is not well.
#[derive(Debug)]
pub(super) enum Failure {
    /// It says nothing, or nothing that is HTTP.
    NoAnswer(String),
    /// It says something else than it should.
    WrongAnswer(String),
}

/// As [`ask`], for people.
pub(super) async fn check(socket: &Path, test: Option<&HealthTest>, path: &str) -> Result<(), String> {
    ask(socket, test, path).await.map_err(|failure| match failure {
        Failure::NoAnswer(reason) | Failure::WrongAnswer(reason) => reason,
    })
}

/// Whether the app that listens there passes its test; without one, whether it answers in HTTP at all to a request for
/// `path`.
pub(super) async fn ask(socket: &Path, test: Option<&HealthTest>, path: &str) -> Result<(), Failure> {
    let path = test.map_or(path, |test| &test.path);
    let patience = test.map(|test| test.timeout).filter(|timeout| !timeout.is_zero()).unwrap_or(PATIENCE);
    let asked = tokio::time::timeout(patience, request(socket, path)).await;
    let (status, body) = asked
        .unwrap_or_else(|_| Err(format!("no answer within {}", text::duration(patience))))
        .map_err(|reason| Failure::NoAnswer(format!("`GET {}`: {reason}", text::visible(path))))?;
    let Some(test) = test else { return Ok(()) };
    let found = |what: &str, found: &str, expected: &str| {
        Err(Failure::WrongAnswer(format!(
            "`GET {}`: found {what} {}; {} is expected",
            text::visible(path),
            text::visible(found),
            text::visible(expected)
        )))
    };
    if status != test.status {
        return found("status", &status.to_string(), &test.status.to_string());
    }
    // As people write it: an answer with an end of line is the same.
    if body.trim() != test.body.trim() {
        let start: String = body.trim().chars().take(60).collect();
        return found("body", &format!("`{start}`"), &format!("`{}`", test.body.trim()));
    }
    Ok(())
}

async fn request(socket: &Path, path: &str) -> Result<(u16, String), String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| text::io_reason(&error).to_string())?;
    let told = |error: hyper::Error| format!("no HTTP answer: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let talking = tokio::task::spawn_local(connection);
    let request = Request::get(path)
        .header("Host", "localhost")
        .header("Connection", "close")
        .header("User-Agent", "mwp-health-check")
        .body(String::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(told)?;
    let status = response.status().as_u16();
    let body = whole(response.into_body()).await.map_err(|reason| format!("no whole answer: {reason}"))?;
    talking.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

async fn whole(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        content.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if content.len() > LONGEST {
            return Err(format!("found more than {LONGEST} bytes"));
        }
    }
    Ok(content)
}
