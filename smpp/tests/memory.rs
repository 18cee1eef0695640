//! What strangers make a listener hold before they have bound, counted octet by octet.
//!
//! `STRANGERS` is how many there are.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use allocation_counter::measure;
use matrix_smpp_codec::{COctets, CommandId, CommandStatus};
use matrix_smpp_session::{BindRequest, Incoming, ListenerSettings, SessionSettings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const STRANGERS: u64 = 1_000;

/// What 50,000 strangers may hold of a GiB, each with what it sent.
const MOST: u64 = (1 << 30) / 50_000;

/// What a stranger may have us keep of what it sends, beside what a buffer needs to know of itself.
const BUFFERED: u64 = 4 * 1024 + 256;

/// A connection on which these octets came and nothing follows.
#[derive(Debug)]
struct Stranger {
    octets: &'static [u8],
}

impl AsyncRead for Stranger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self
            .octets
            .split_at(self.octets.len().min(into.remaining()));
        if now.is_empty() {
            return Poll::Pending;
        }
        into.put_slice(now);
        self.octets = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stranger {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Nobody gets that far.
async fn admit(_: BindRequest) -> Result<(), CommandStatus> {
    Err(CommandStatus::ESME_RBINDFAIL)
}

/// How many octets each of so many strangers has us hold that said this.
fn held_for_each(count: u64, octets: &'static [u8]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let settings = Arc::new(ListenerSettings {
        system_id: COctets::default(),
        ..ListenerSettings::default()
    });
    let mut waiting = Vec::with_capacity(usize::try_from(count).unwrap());
    let address = "127.0.0.1:2775".parse().unwrap();
    let held = measure(|| {
        runtime.block_on(async {
            for _ in 0..count {
                let stranger = Box::new(Stranger { octets });
                let incoming = Incoming::over(stranger, address, Arc::clone(&settings));
                let mut establishing = Box::pin(incoming.establish(&admit));
                let first = futures_util::poll!(&mut establishing);
                assert!(first.is_pending(), "{:?}", first.map(|_| ()));
                waiting.push(establishing);
            }
        });
    });
    u64::try_from(held.bytes_current).unwrap() / count
}

/// All but the last octet of the longest bind that is taken.
fn almost_a_bind() -> &'static [u8] {
    let length = u32::try_from(SessionSettings::MAX_PDU_BEFORE_BIND).unwrap();
    let words = [length, CommandId::BIND_TRANSCEIVER.0, 0, 1];
    let mut octets = words.map(u32::to_be_bytes).concat();
    octets.resize(SessionSettings::MAX_PDU_BEFORE_BIND - 1, 0);
    octets.leak()
}

#[test]
fn a_stranger_has_us_hold_little_whatever_it_says() {
    let given = std::env::var("STRANGERS").ok();
    let count = given.map_or(STRANGERS, |text| text.parse().unwrap());
    let silent = held_for_each(count, &[]);
    let talking = held_for_each(count, almost_a_bind());
    let buffered = talking - silent;
    eprintln!(
        "{count} strangers: {silent} octets for one that is silent, {buffered} more for one that talks"
    );
    assert!(buffered <= BUFFERED, "{buffered} octets");
    assert!(talking <= MOST, "{talking} octets");
}
