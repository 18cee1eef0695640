//! The ESME's end: a link that is bound again whenever it falls.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsStream;

use crate::backoff::{Attempts, Outcome};
use crate::driver::Driver;
use crate::error::CloseReason;
use crate::link::{Link, LinkEvents, LinkState};
use crate::operations::Role;
use crate::settings::LinkSettings;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::tls::TlsSettings;

/// A persistent link to an SMSC: a handle to send with, the events, and the future that does the
/// work. The future ends after [`Link::close`] (or when the events are dropped); dropped before, it
/// hands back every request without an answer and ends the events.
#[must_use = "the link lives only while the future is polled"]
pub fn client(settings: LinkSettings) -> (Link, LinkEvents, impl Future<Output = ()> + Send) {
    let shared = Shared::new(settings.name.clone(), settings.session);
    let link = Link {
        shared: Arc::clone(&shared),
    };
    let events = LinkEvents {
        shared: Arc::clone(&shared),
    };
    (link, events, keep_bound(Ending(shared), settings))
}

/// Tells the readers of the events that nothing follows, however the future ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.finish();
    }
}

async fn keep_bound(ending: Ending, settings: LinkSettings) {
    let shared = &ending.0;
    let mut attempts = Attempts::new(settings.reconnect);
    loop {
        let (reason, held) = attempt(shared, &settings).await;
        if shared.closing.is_cancelled() {
            tracing::debug!(link = shared.name, %reason, "link closed");
            return shared.report_down(reason, None);
        }
        let outcome = match held {
            Some(held) => Outcome::Held(held),
            None if reason.is_hopeless() => Outcome::Hopeless,
            None => Outcome::Failed,
        };
        let pause = attempts.pause(outcome, rand::random());
        tracing::debug!(link = shared.name, %reason, ?pause, "link down");
        shared.report_down(reason, Some(pause));
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.closing.cancelled() => {
                return shared.report_down(CloseReason::WeClosed, None);
            }
        }
    }
}

/// One session from connect to its end: why it ended and how long it was bound.
async fn attempt(shared: &Arc<Shared>, settings: &LinkSettings) -> (CloseReason, Option<Duration>) {
    shared.lock().state = LinkState::Binding;
    // Boxed: what a handshake needs is not to be carried for as long as the session lives.
    let connecting = Box::pin(connect(&settings.address, settings.tls.as_ref()));
    let connected = tokio::select! {
        connected = timeout(settings.session.session_init, connecting) => connected,
        () = shared.closing.cancelled() => return (CloseReason::WeClosed, None),
    };
    let stream = match connected {
        Ok(Ok((stream, _))) => stream,
        Ok(Err(reason)) => return (reason, None),
        Err(_elapsed) => return (CloseReason::ConnectFailed(io::ErrorKind::TimedOut), None),
    };
    shared.begin(Role::Esme, |session, now| session.bind(now, &settings.bind));
    let driver = Driver::new(Arc::clone(shared), stream);
    if shared.closing.is_cancelled() {
        // The close came before there was a session that could hear it.
        shared.close();
    }
    driver.await
}

/// A connection to `host:port`, and where that is.
pub(crate) async fn connect(
    address: &str,
    tls: Option<&TlsSettings>,
) -> Result<(Stream, SocketAddr), CloseReason> {
    let failed = |error: io::Error| CloseReason::ConnectFailed(error.kind());
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let peer = stream.peer_addr().map_err(failed)?;
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => secure(tls.clone(), address, stream).await?,
    };
    Ok((stream, peer))
}

async fn secure(tls: TlsSettings, address: &str, stream: TcpStream) -> Result<Stream, CloseReason> {
    let host = host_of(address).to_owned();
    // Files and the system's store are read: not on a thread that serves other links.
    let read = tokio::task::spawn_blocking(move || tls.connector(&host));
    let (connector, name) = match read.await {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) => {
            tracing::warn!(%error, "TLS settings cannot be used");
            return Err(CloseReason::TlsSettings);
        }
        Err(_panicked) => return Err(CloseReason::TlsSettings),
    };
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream)))),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            Err(CloseReason::TlsHandshake)
        }
    }
}

/// `host` of `host:port` and of `[host]:port`.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        assert_eq!(host_of("smsc.example.org:2775"), "smsc.example.org");
        assert_eq!(host_of("[::1]:2775"), "::1");
        assert_eq!(host_of("192.0.2.1:2775"), "192.0.2.1");
    }
}
