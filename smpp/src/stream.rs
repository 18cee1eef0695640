//! A TCP connection, with or without TLS, with the octets that are on their way in and out.

use std::fmt::Debug;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::error::CloseReason;

/// Most octets taken by one read. On the stack, so that an idle connection keeps no buffer.
const CHUNK: usize = 16 * 1024;

/// A connection that its owner made, such as one that records or mangles what goes over it.
pub trait Transport: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Transport for T {}

#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Own(Box<dyn Transport>),
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Own(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Own(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    /// A plain socket keeps nothing back; TLS may hold records that the socket did not take.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Own(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Own(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A stream and its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// Read and not yet cut into PDUs.
    pub(crate) inbound: BytesMut,
    /// Encoded and not yet handed to the socket.
    pub(crate) outbound: BytesMut,
    unflushed: bool,
    /// The peer has shut down its side: nothing more comes.
    pub(crate) silent: bool,
    /// Why nothing more can be read or written.
    pub(crate) ended: Option<CloseReason>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            unflushed: false,
            silent: false,
            ended: None,
        }
    }

    /// Reads once; how many octets came, 0 when none are there now.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> usize {
        if self.silent || self.ended.is_some() {
            return 0;
        }
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        match self.stream.poll_read(cx, &mut chunk) {
            Poll::Pending => return 0,
            Poll::Ready(Ok(())) if chunk.filled().is_empty() => self.silent = true,
            Poll::Ready(Ok(())) => self.inbound.extend_from_slice(chunk.filled()),
            Poll::Ready(Err(error)) => self.fail(error.kind()),
        }
        chunk.filled().len()
    }

    /// Writes as much as the socket takes, for as long as `may` says so; how many octets that was.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, may: impl Fn() -> bool) -> usize {
        let mut written = 0;
        while !self.outbound.is_empty() && self.ended.is_none() {
            if !may() {
                return written;
            }
            match self.stream.poll_write(cx, &self.outbound) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.fail(io::ErrorKind::WriteZero),
                Poll::Ready(Ok(octets)) => {
                    self.outbound.advance(octets);
                    self.unflushed = true;
                    written += octets;
                }
                Poll::Ready(Err(error)) => self.fail(error.kind()),
            }
        }
        self.poll_flush(cx);
        written
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if !self.unflushed || self.ended.is_some() {
            return;
        }
        match self.stream.poll_flush(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => self.fail(error.kind()),
        }
    }

    /// A peer that was gone for good when it fell silent is noticed by the next octets to it.
    fn fail(&mut self, error: io::ErrorKind) {
        self.ended = Some(if self.silent {
            CloseReason::PeerClosed
        } else {
            CloseReason::Io(error)
        });
    }

    /// Says that we have no more to say, once everything is out, then reads to the peer's end.
    /// Closing with something unread would reset the connection, and our last octets with it.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) {
        if !self.outbound.is_empty() || self.unflushed {
            return;
        }
        if self.ended.is_none() && self.stream.poll_shutdown(cx).is_ready() {
            while self.poll_fill(cx) > 0 {
                self.inbound.clear();
            }
            if self.silent {
                self.ended = Some(CloseReason::PeerClosed);
            }
        }
    }

    /// Gives back buffers that nothing is in.
    pub(crate) fn release(&mut self) {
        for buffer in [&mut self.inbound, &mut self.outbound] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }
}
