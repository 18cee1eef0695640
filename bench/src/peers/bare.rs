//! Both ends as loops over the socket that copy PDUs encoded beforehand and look at nothing but
//! length, kind and sequence number: what the kernel and the runtime leave to a session.

use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use matrix_smpp_codec::{Bind, BindResp, Body, Pdu, SubmitSm, SubmitSmResp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{ANSWERED, MESSAGE_ID, NUMBERS, TEXT};

/// Octets read at once.
const CHUNK: usize = 64 * 1024;

const BIND_TRANSCEIVER: u8 = 0x09;

pub async fn serve(started: impl FnOnce(u16) + Send) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    started(listener.local_addr().expect("bound").port());
    let tracker = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        tracker.spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let bound = encoded(Body::BindTransceiverResp(BindResp::default()));
    let submitted = encoded(Body::SubmitSmResp(SubmitSmResp {
        message_id: MESSAGE_ID.parse().expect("short"),
        ..SubmitSmResp::default()
    }));
    let mut input = BytesMut::with_capacity(CHUNK);
    let mut output = Vec::new();
    while stream
        .read_buf(&mut input)
        .await
        .is_ok_and(|octets| octets > 0)
    {
        while let Some(pdu) = cut(&mut input) {
            let template = if pdu[7] == BIND_TRANSCEIVER {
                &bound
            } else {
                &submitted
            };
            let start = output.len();
            output.extend_from_slice(template);
            output[start + 12..start + 16].copy_from_slice(&pdu[12..16]);
        }
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
        input.reserve(CHUNK);
    }
}

pub async fn drive(port: u16, window: usize) {
    let mut stream = bind(port).await;
    let message = message();
    let mut input = BytesMut::with_capacity(CHUNK);
    let mut output = Vec::new();
    let mut sequence = 1_u32;
    let mut room = window;
    loop {
        for _ in 0..room {
            sequence = sequence.wrapping_add(1) & 0x7fff_ffff;
            let start = output.len();
            output.extend_from_slice(&message);
            output[start + 12..start + 16].copy_from_slice(&sequence.to_be_bytes());
        }
        stream.write_all(&output).await.expect("the server lives");
        output.clear();
        input.reserve(CHUNK);
        assert_ne!(
            stream.read_buf(&mut input).await.expect("the server lives"),
            0
        );
        room = std::iter::from_fn(|| cut(&mut input)).count();
        ANSWERED.fetch_add(room as u64, Relaxed);
    }
}

/// A connection that is bound.
async fn bind(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let bind = Body::BindTransceiver(Bind {
        system_id: "bench".parse().expect("short"),
        ..Bind::default()
    });
    stream
        .write_all(&encoded(bind))
        .await
        .expect("the server lives");
    let mut input = BytesMut::with_capacity(64);
    while cut(&mut input).is_none() {
        assert_ne!(
            stream.read_buf(&mut input).await.expect("the server lives"),
            0
        );
    }
    stream
}

/// A bound session that answers `enquire_link` and keeps no buffer.
pub struct Client {
    orders: mpsc::Sender<usize>,
    done: mpsc::Receiver<()>,
}

impl Client {
    /// Binds.
    pub async fn bind(port: u16) -> Self {
        let stream = bind(port).await;
        let (orders, ordered) = mpsc::channel(1);
        let (finished, done) = mpsc::channel(1);
        TaskTracker::new().spawn(stay(stream, ordered, finished));
        Self { orders, done }
    }

    /// Sends so many messages.
    pub async fn begin(&mut self, messages: usize) {
        self.orders.send(messages).await.expect("alive");
    }

    /// Waits for their answers.
    pub async fn end(&mut self) {
        self.done.recv().await.expect("alive");
    }
}

async fn stay(mut stream: TcpStream, mut ordered: mpsc::Receiver<usize>, done: mpsc::Sender<()>) {
    let mut missing = 0;
    loop {
        tokio::select! {
            order = ordered.recv() => {
                let Some(messages) = order else { return };
                missing = messages;
                let message = message();
                for _ in 0..messages {
                    stream.write_all(&message).await.expect("the server lives");
                }
            }
            ready = stream.readable() => {
                ready.expect("the server lives");
                let answered = take_in(&mut stream).await;
                if missing > 0 {
                    missing -= answered;
                    if missing == 0 {
                        done.send(()).await.expect("alive");
                    }
                }
            }
        }
    }
}

/// Answers `enquire_link`; counts answers.
async fn take_in(stream: &mut TcpStream) -> usize {
    let mut input = BytesMut::with_capacity(4096);
    let mut answered = 0;
    match stream.try_read_buf(&mut input) {
        Ok(octets) => assert_ne!(octets, 0),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            return 0;
        }
    }
    while !input.is_empty() {
        let Some(mut pdu) = cut(&mut input) else {
            assert_ne!(
                stream.read_buf(&mut input).await.expect("the server lives"),
                0
            );
            continue;
        };
        if pdu[4] & 0x80 != 0 {
            answered += 1;
        } else {
            pdu[4] |= 0x80;
            stream.write_all(&pdu).await.expect("the server lives");
        }
    }
    answered
}

fn message() -> BytesMut {
    encoded(Body::SubmitSm(SubmitSm {
        source_addr: NUMBERS[0].parse().expect("short"),
        destination_addr: NUMBERS[1].parse().expect("short"),
        short_message: Bytes::from_static(TEXT).try_into().expect("short"),
        ..SubmitSm::default()
    }))
}

fn encoded(body: Body) -> BytesMut {
    let mut octets = BytesMut::new();
    Pdu::new(1, body).encode(&mut octets);
    octets
}

fn cut(input: &mut BytesMut) -> Option<BytesMut> {
    let length = u32::from_be_bytes(*input.first_chunk::<4>()?) as usize;
    (input.len() >= length).then(|| input.split_to(length))
}
