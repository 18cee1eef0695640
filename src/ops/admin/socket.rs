//! The socket itself.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Answer, Request, answer};
use crate::flow::Gateway;

/// The longest request, in octets.
const MAX_REQUEST: u64 = 64 * 1024;

/// Asks the running gateway. `None` where none runs.
pub async fn ask(socket: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).await?;
    Ok(Some(serde_json::from_str(&reply)?))
}

/// No socket, or one that a dead gateway left behind.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Listens on the socket, in place of the one that a dead gateway left there.
pub fn listen(socket: &Path) -> io::Result<UnixListener> {
    remove_socket(socket)?;
    let listener = UnixListener::bind(socket)?;
    restrict(socket)?;
    Ok(listener)
}

/// Removes a socket where there is one, and nothing else.
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of this name that is no socket; move it or choose another path",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Only the gateway's own user may speak to it.
fn restrict(socket: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
}

/// Answers commands until `stop`.
pub async fn serve(gateway: Gateway, listener: UnixListener, stop: CancellationToken) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = calls.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    calls.spawn(call(gateway.clone(), stream));
                }
                Err(error) => warn!(%error, "the admin socket cannot accept"),
            },
        }
    }
}

async fn call(gateway: Gateway, stream: UnixStream) {
    if let Err(error) = try_call(&gateway, stream).await {
        warn!(%error, "an admin command was not answered");
    }
}

async fn try_call(gateway: &Gateway, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_REQUEST))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            info!("an admin command came");
            let answer = answer(&*gateway.store, &gateway.routing(), &gateway.clock, request).await;
            // Whatever it was, there may be work now.
            gateway.wakes.again();
            answer
        }
        Err(error) => Answer::Failed(format!("not a request: {error}")),
    };
    let mut reply = serde_json::to_string(&answer)?;
    reply.push('\n');
    write.write_all(reply.as_bytes()).await
}
