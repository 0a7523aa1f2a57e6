//! What runs, for Prometheus: over HTTP on the socket `var/metrics.socket` and, where a port is set, on the loopback.
//!
//! It is for looking alone, so the group may look too. A port that is taken keeps nothing else from running.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::Supervisor;
use super::http::{self, Answer, PAUSE};
use crate::run::metrics;

pub(super) fn socket(var: &Path) -> PathBuf {
    var.join("metrics.socket")
}

/// Begins to answer, as long as this process lives.
pub(super) async fn start(supervisor: &Rc<Supervisor>) {
    let port = supervisor.settings.borrow().supervisor.metrics_port;
    let on_socket = Rc::clone(supervisor);
    let answer = async move |request| answer(request, &on_socket).await;
    match http::listen(&socket(&supervisor.around.var), 0o660) {
        Ok(listener) => drop(tokio::task::spawn_local(http::serve(listener, answer.clone()))),
        Err(error) => supervisor.note(&format!("no metrics: {error}")),
    }
    let Some(port) = port else { return };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => {
            tokio::task::spawn_local(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => http::talk(stream, answer.clone()),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
            });
        }
        Err(error) => {
            let problem = format!("metrics_port {port}: {}", crate::text::io_reason(&error));
            supervisor.note(&format!("no metrics on the loopback: {problem}"));
        }
    }
}

async fn answer(request: Request<Incoming>, supervisor: &Rc<Supervisor>) -> Answer {
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
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(body)
}
