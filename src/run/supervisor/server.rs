//! The supervisor's end of the control socket.

use std::path::Path;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Supervisor;
use crate::error::{Error, Result};
use crate::fs;
use crate::run::control::{Reply, Request, too_long};

/// Nobody asks more.
const LONGEST: u64 = 64 * 1024;

pub(super) fn listen(path: &Path) -> Result<UnixListener> {
    fs::remove_file(path)?;
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => too_long(path),
        _ => Error::io("listen on", path, &error),
    })?;
    // Whoever can talk to it can stop everything.
    fs::set_mode(path, 0o600)?;
    Ok(listener)
}

/// Answers whoever connects, each in a task of its own.
pub(super) async fn serve(listener: UnixListener, supervisor: Rc<Supervisor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let supervisor = Rc::clone(&supervisor);
                tokio::task::spawn_local(async move {
                    // Who asked may have gone; there is nobody to tell.
                    let _ = answer(stream, &supervisor).await;
                });
            }
            // Out of descriptors, most likely: others may end.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
    }
}

async fn answer(mut stream: UnixStream, supervisor: &Rc<Supervisor>) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST));
    reader.read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let plugin =
                if let Request::Swap { plugin, .. } = &request { Some(plugin.clone()) } else { None };
            let obeying = supervisor.obey(request);
            tokio::pin!(obeying);
            tokio::select! {
                reply = &mut obeying => reply,
                // Whoever asked is gone, and nobody will make the new version final: it must not serve.
                () = hung_up(&mut reader) => {
                    let calling_off = async {
                        if let Some(plugin) = plugin {
                            // Too late, where it serves already: the next look puts that right.
                            let _ = supervisor.call_off_swap(&plugin).await;
                        }
                    };
                    tokio::join!(obeying, calling_off).0
                }
            }
        }
        Err(error) => Reply::Failed(
            Error::usage(format!("the supervisor does not understand this request: {error}"))
                .hint("it may be of another version: `mwp down`, then `mwp up`"),
        ),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Returns when the other end is closed.
async fn hung_up(reader: &mut (impl tokio::io::AsyncRead + Unpin)) {
    use tokio::io::AsyncReadExt;
    while !matches!(reader.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
}
