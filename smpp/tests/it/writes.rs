//! How often a session writes: what is said at once goes out at once, in one piece.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandId, CommandStatus, Inbound, Pdu, SubmitSm, take};
use matrix_smpp_session::{
    Answer, BindRequest, Incoming, LinkEvent, ListenerSettings, Peer, SessionSettings, Ticket,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::common::*;
use crate::raw::{Raw, encoded};

/// One end of a connection, which counts the writes to it.
#[derive(Debug)]
struct Counting {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, SeqCst);
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A bound ESME, and the session of its SMSC, whose writes are counted.
struct World {
    esme: DuplexStream,
    peer: Peer,
    writes: Arc<AtomicUsize>,
}

impl World {
    async fn bound() -> Self {
        let (mut esme, stream) = tokio::io::duplex(1 << 20);
        let writes = Arc::<AtomicUsize>::default();
        let transport = Counting {
            stream,
            writes: Arc::clone(&writes),
        };
        let settings = ListenerSettings {
            session: SessionSettings {
                window: 100,
                ..SessionSettings::default()
            },
            ..listener_settings()
        };
        let address = "127.0.0.1:2775".parse().unwrap();
        let incoming = Incoming::over(Box::new(transport), address, Arc::new(settings));
        esme.write_all(&Raw::bind_request()).await.unwrap();
        let admit = async |_: BindRequest| Ok::<(), CommandStatus>(());
        let (mut peer, running) = incoming.establish(&admit).await.unwrap();
        spawn(async move {
            running.await;
        });
        assert!(matches!(peer.next().await, LinkEvent::Up { .. }));
        let mut world = Self { esme, peer, writes };
        world.reads(1).await;
        world.writes.store(0, SeqCst);
        world
    }

    /// The ESME sends this so often, numbered from 2, in one write.
    async fn sends(&mut self, body: &Body, count: u32) {
        let mut octets = BytesMut::new();
        for sequence in 2..2 + count {
            octets.extend_from_slice(&encoded(&Pdu::new(sequence, body.clone())));
        }
        self.esme.write_all(&octets).await.unwrap();
    }

    /// The ESME reads so many PDUs; how many writes those took.
    async fn reads(&mut self, count: usize) -> usize {
        let mut octets = BytesMut::new();
        let mut read = 0;
        while read < count {
            self.esme.read_buf(&mut octets).await.unwrap();
            while let Some(inbound) = take(&mut octets, 10_000).unwrap() {
                assert!(matches!(inbound, Inbound::Pdu(_)));
                read += 1;
            }
        }
        self.writes.swap(0, SeqCst)
    }
}

#[tokio::test]
async fn what_comes_in_one_read_is_answered_in_one_write() {
    let mut world = World::bound().await;
    world.sends(&Body::EnquireLink, 500).await;
    assert_eq!(world.reads(500).await, 1);
}

#[tokio::test]
async fn a_batch_of_answers_and_a_window_of_requests_are_one_write_each() {
    let mut world = World::bound().await;
    let submit = Body::SubmitSm(SubmitSm::default());
    world.sends(&submit, 100).await;
    let mut answers = Vec::new();
    while answers.len() < 100 {
        let LinkEvent::Request {
            epoch,
            sequence,
            body,
        } = world.peer.next().await
        else {
            panic!("not a request")
        };
        answers.push(Answer {
            epoch,
            sequence,
            status: CommandStatus::ESME_ROK,
            body: body.command_id().response().and_then(Body::empty).unwrap(),
        });
    }
    world.peer.link.respond_many(&mut answers);
    assert_eq!(world.reads(100).await, 1);

    let deliver = Body::empty(CommandId::DELIVER_SM).unwrap();
    let mut requests: VecDeque<_> = (0..200)
        .map(|ticket| (Ticket(ticket), deliver.clone()))
        .collect();
    assert_eq!(world.peer.link.submit_many(&mut requests), 100);
    assert_eq!(world.reads(100).await, 1);
}
