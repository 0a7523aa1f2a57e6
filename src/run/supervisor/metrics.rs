//! What runs, for Prometheus: over HTTP on the socket `var/metrics.socket` and, where a port is set, on the loopback.
//!
//! It is for looking alone, so the group may look too. A port that is taken keeps nothing else from running.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::Supervisor;
use crate::error::{Error, Result};
use crate::fs;
use crate::run::control::too_long;
use crate::run::metrics;

/// Who asks has done so by then, and has its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Out of descriptors, most likely: others may end.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn socket(var: &Path) -> PathBuf {
    var.join("metrics.socket")
}

/// Begins to answer, as long as this process lives.
pub(super) async fn start(supervisor: &Rc<Supervisor>) {
    match listen(&socket(&supervisor.around.var)) {
        Ok(listener) => drop(tokio::task::spawn_local(serve_socket(listener, Rc::clone(supervisor)))),
        Err(error) => supervisor.note(&format!("no metrics: {error}")),
    }
    let port = supervisor.settings.borrow().supervisor.metrics_port;
    let Some(port) = port else { return };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => drop(tokio::task::spawn_local(serve_port(listener, Rc::clone(supervisor)))),
        Err(error) => {
            let problem = format!("metrics_port {port}: {}", crate::text::io_reason(&error));
            supervisor.note(&format!("no metrics on the loopback: {problem}"));
        }
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    fs::remove_file(path)?;
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => too_long(path),
        _ => Error::io("listen on", path, &error),
    })?;
    fs::set_mode(path, 0o660)?;
    Ok(listener)
}

async fn serve_socket(listener: UnixListener, supervisor: Rc<Supervisor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => talk(stream, &supervisor),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_port(listener: TcpListener, supervisor: Rc<Supervisor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => talk(stream, &supervisor),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, supervisor: &Rc<Supervisor>) {
    let supervisor = Rc::clone(supervisor);
    let service = service_fn(move |request| answer(request, Rc::clone(&supervisor)));
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::task::spawn_local(async move {
        // Who asked may have gone; there is nobody to tell.
        let _ = tokio::time::timeout(PATIENCE, connection).await;
    });
}

async fn answer(
    request: Request<Incoming>,
    supervisor: Rc<Supervisor>,
) -> std::result::Result<Response<Full<Bytes>>, hyper::http::Error> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let status = supervisor.status(false).await;
            (StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(&status))
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "text/plain", "metrics are at /metrics\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET is allowed\n".to_owned()),
    };
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(Full::from(body))
}
