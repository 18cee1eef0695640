//! Requests are written only while their owner may: one that stood still for too long says nothing more
//! that it had in hand.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::{Context, Poll};

use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandStatus, DeliverSm, Inbound, Pdu, take};
use matrix_smpp_session::{BindRequest, Incoming, LinkEvent, Peer, Ticket, UnansweredCause};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::timeout;

use crate::common::*;
use crate::raw::{Raw, encoded};

/// Octets of one write, where writes are short: less than one PDU.
const SHORT: usize = 10;

/// What the SMSC's end may do, and has done.
#[derive(Debug, Default)]
struct Hand {
    /// It may not write requests.
    is_held: AtomicBool,
    /// From its next write on it may not.
    holds_after_write: AtomicBool,
    asked: AtomicUsize,
}

/// One end of a connection, whose owner stands still after a write that does not take all.
#[derive(Debug)]
struct Pausing(DuplexStream, Arc<Hand>);

impl AsyncRead for Pausing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Pausing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut octets = octets;
        if self.1.holds_after_write.swap(false, SeqCst) {
            self.1.is_held.store(true, SeqCst);
            octets = &octets[..SHORT];
        }
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A bound ESME, and its SMSC that may have to hold requests back.
struct World {
    esme: DuplexStream,
    read: BytesMut,
    peer: Peer,
    hand: Arc<Hand>,
}

impl World {
    async fn bound() -> Self {
        let (mut esme, stream) = tokio::io::duplex(1 << 20);
        let hand = Arc::<Hand>::default();
        let transport = Box::new(Pausing(stream, Arc::clone(&hand)));
        let address = "127.0.0.1:2775".parse().unwrap();
        let incoming = Incoming::over(transport, address, Arc::new(listener_settings()));
        esme.write_all(&Raw::bind_request()).await.unwrap();
        let admit = async |_: BindRequest| Ok::<(), CommandStatus>(());
        let (mut peer, running) = incoming.establish(&admit).await.unwrap();
        spawn(async move {
            running.await;
        });
        assert!(matches!(peer.next().await, LinkEvent::Up { .. }));
        let asking = Arc::clone(&hand);
        peer.link.write_only_while(move || {
            asking.asked.fetch_add(1, SeqCst);
            !asking.is_held.load(SeqCst)
        });
        let mut world = Self {
            esme,
            read: BytesMut::new(),
            peer,
            hand,
        };
        world.reads().await;
        world
    }

    fn submits(&self, ticket: u64) {
        let body = Body::DeliverSm(DeliverSm::default());
        self.peer.submit(Ticket(ticket), body).unwrap();
    }

    /// The next PDU that the ESME reads.
    async fn reads(&mut self) -> Body {
        loop {
            if let Some(inbound) = take(&mut self.read, 10_000).unwrap() {
                let Inbound::Pdu(pdu) = inbound else {
                    panic!("malformed")
                };
                return pdu.body;
            }
            let reading = self.esme.read_buf(&mut self.read);
            assert!(timeout(LONG, reading).await.unwrap().unwrap() > 0);
        }
    }

    /// Whether the SMSC still lives.
    async fn enquires(&mut self) {
        let enquiry = encoded(&Pdu::new(77, Body::EnquireLink));
        self.esme.write_all(&enquiry).await.unwrap();
    }

    /// Until the owner was asked so often more.
    async fn is_asked(&self, times: usize) {
        let before = self.hand.asked.load(SeqCst);
        let asked = async {
            while self.hand.asked.load(SeqCst) < before + times {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, asked).await.unwrap();
    }

    async fn unanswered(&mut self) -> (Ticket, bool, UnansweredCause) {
        match self.peer.next().await {
            LinkEvent::Unanswered {
                ticket,
                written,
                cause,
            } => (ticket, written, cause),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_submitted_while_nothing_may_be_written_comes_back_and_answers_go_on() {
    let mut world = World::bound().await;
    world.hand.is_held.store(true, SeqCst);
    world.submits(1);
    world.submits(2);
    for ticket in [1, 2] {
        let back = world.unanswered().await;
        assert_eq!(back, (Ticket(ticket), false, UnansweredCause::Withdrawn));
    }
    world.enquires().await;
    assert_eq!(
        world.reads().await,
        Body::EnquireLinkResp,
        "and nothing before it"
    );
    world.hand.is_held.store(false, SeqCst);
    world.submits(3);
    assert!(matches!(world.reads().await, Body::DeliverSm(_)));
}

#[tokio::test]
async fn what_is_about_to_be_written_waits_until_it_may_be_again() {
    let mut world = World::bound().await;
    world.hand.holds_after_write.store(true, SeqCst);
    world.submits(1);
    let mut first = [0; SHORT];
    world.esme.read_exact(&mut first).await.unwrap();
    world.enquires().await;
    world.is_asked(5).await;
    let more = world.esme.read_u8();
    tokio::select! {
        biased;
        _ = more => panic!("it went on"),
        () = async {} => {}
    }
    world.hand.is_held.store(false, SeqCst);
    world.read.extend_from_slice(&first);
    assert!(matches!(world.reads().await, Body::DeliverSm(_)));
    assert_eq!(world.reads().await, Body::EnquireLinkResp);
}

#[tokio::test]
async fn a_session_that_ends_while_requests_are_held_has_not_written_them() {
    let mut world = World::bound().await;
    world.submits(1);
    assert!(matches!(world.reads().await, Body::DeliverSm(_)));
    world.hand.holds_after_write.store(true, SeqCst);
    world.submits(2);
    world.submits(3);
    world.is_asked(5).await;
    drop(world.esme);
    let mut told = Vec::new();
    while told.len() < 3 {
        if let LinkEvent::Unanswered {
            ticket, written, ..
        } = world.peer.next().await
        {
            told.push((ticket.0, written));
        }
    }
    told.sort_unstable();
    // Some octets of the second one are out: it may have arrived.
    assert_eq!(told, [(1, true), (2, true), (3, false)]);
}
