//! Small HTTP servers of the supervisor, on sockets of the module.

use std::path::Path;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;

use crate::error::{Error, Result};
use crate::fs;
use crate::run::control::too_long;

/// Who asks has done so by then, and has its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Out of descriptors, most likely: others may end.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

pub(super) type Answer = std::result::Result<Response<String>, hyper::http::Error>;

/// Takes over a socket that an earlier process has left.
pub(super) fn listen(path: &Path, mode: u32) -> Result<UnixListener> {
    fs::remove_file(path)?;
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => too_long(path),
        _ => Error::io("listen on", path, &error),
    })?;
    fs::set_mode(path, mode)?;
    Ok(listener)
}

/// Answers, as long as this process lives.
pub(super) async fn serve<A>(listener: UnixListener, answer: A)
where
    A: AsyncFn(Request<Incoming>) -> Answer + Clone + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => talk(stream, answer.clone()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

pub(super) fn talk<A>(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, answer: A)
where
    A: AsyncFn(Request<Incoming>) -> Answer + Clone + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { answer(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::task::spawn_local(async move {
        // Who asked may have gone; there is nobody to tell.
        let _ = tokio::time::timeout(PATIENCE, connection).await;
    });
}
