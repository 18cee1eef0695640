//! The last step of every octet: between the session, which keeps to the protocol, and the socket.
//! Here PDUs are lost, mangled and reordered by plan, and everything is recorded.
//!
//! Without a fault a write passes through as it is; PDUs are cut out and looked at only while a
//! fault stands or a PDU is marked.

pub(crate) mod capture;
pub(crate) mod faults;
mod frames;
pub(crate) mod mangle;
pub(crate) mod pcapng;
mod plan;
pub(crate) mod tap;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use crate::sim::clock::Now;

use self::capture::Direction;
use self::frames::Frames;
use self::plan::{Due, Piece, Plan};
use self::tap::{End, Tap};

/// While so many octets wait to go out, the session is told to wait.
const MAX_QUEUED: usize = 1 << 20;

/// A socket, with or without TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket whose octets are recorded, and mangled where a plan says so.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    tap: Arc<Tap>,
    /// Where the session stands in its PDUs.
    written: Frames,
    plan: Plan,
    /// How much of the first piece of the plan is out.
    sent: usize,
    ended: Option<End>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(socket: Socket, tap: Arc<Tap>) -> Self {
        Self {
            socket,
            tap,
            written: Frames::default(),
            plan: Plan::default(),
            sent: 0,
            ended: None,
            timer: None,
        }
    }

    /// Does what is wanted past the session.
    fn obey(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (injected, end) = self.tap.wanted(cx.waker());
        for octets in injected {
            self.plan.add(Piece::of(octets));
        }
        if let Some(end) = end {
            self.plan.clear();
            self.plan.add(Piece::end(end));
        }
        self.put_out(cx)
    }

    /// Writes what the plan has ready.
    fn put_out(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            match self.plan.due() {
                Due::Never => return Ok(()),
                Due::At(due) if !self.is_over(due, cx) => return Ok(()),
                Due::At(_) | Due::Now => {}
            }
            let Some(piece) = self.plan.next() else {
                return Ok(());
            };
            if let Some(end) = piece.end {
                return self.finish(end);
            }
            let left = piece.octets.get(self.sent..).unwrap_or_default();
            if !left.is_empty() {
                let Poll::Ready(octets) = self.socket.poll_write(cx, left) else {
                    return Ok(());
                };
                let octets = octets?;
                let out = left.get(..octets).unwrap_or_default();
                self.tap.capture.record(&self.tap.ends, Direction::Out, out);
                self.sent += octets;
            }
            if self.sent >= piece.octets.len() {
                self.sent = 0;
                self.plan.done();
            }
        }
    }

    fn finish(&mut self, end: End) -> io::Result<()> {
        self.ended = Some(end);
        self.plan.clear();
        match end {
            End::HalfOpen => Ok(()),
            End::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            End::Reset => {
                self.socket.tcp().set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// Whether this moment has come; if not, the task is woken then.
    fn is_over(&mut self, moment: std::time::Instant, cx: &mut Context<'_>) -> bool {
        if moment <= Now::read().instant {
            return true;
        }
        let moment = Instant::from_std(moment);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(moment)));
        if timer.deadline() != moment {
            timer.as_mut().reset(moment);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// Takes octets of the session apart into PDUs and plans each.
    fn take(&mut self, octets: &[u8]) {
        self.written.walk(octets);
        let now = Now::read().instant;
        let tap = &self.tap;
        self.plan.take(now, octets, |pdu| tap.strike(pdu));
    }

    fn passes(&self) -> bool {
        self.plan.is_empty() && !self.tap.armed()
    }

    fn pass(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_write(cx, octets))?;
        let out = octets.get(..count).unwrap_or_default();
        self.written.walk(out);
        self.tap.capture.record(&self.tap.ends, Direction::Out, out);
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.obey(cx)?;
        if self.ended.is_some() {
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(self.socket.poll_read(cx, into))?;
        let came = into.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            self.tap.capture.record(&self.tap.ends, Direction::In, came);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.obey(cx)?;
        if self.ended.is_some() {
            // Nobody will ever see it.
            return Poll::Ready(Ok(octets.len()));
        }
        if self.passes() {
            return self.pass(cx, octets);
        }
        if self.plan.octets() > MAX_QUEUED {
            return Poll::Pending;
        }
        let cut = self.written.missing();
        if self.plan.is_empty() && (cut > 0 || self.written.in_length()) {
            // The PDU was begun before the fault was there: its rest passes.
            let rest = octets.get(..cut.max(1)).unwrap_or(octets);
            return self.pass(cx, rest);
        }
        self.take(octets);
        self.put_out(cx)?;
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.put_out(cx)?;
        ready!(self.socket.poll_flush(cx))?;
        if self.plan.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if self.ended == Some(End::HalfOpen) {
            return Poll::Pending;
        }
        self.socket.poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tap.capture.close(&self.tap.ends);
    }
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
