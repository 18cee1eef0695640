//! Both ends as loops over the socket that copy PDUs encoded beforehand and look at nothing but
//! length, kind and sequence number: what the kernel and the runtime leave to a session.

use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use matrix_smpp_codec::{Bind, BindResp, Body, Pdu, SubmitSm, SubmitSmResp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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
    while stream.read_buf(&mut input).await.is_ok_and(|octets| octets > 0) {
        while let Some(pdu) = cut(&mut input) {
            let template = if pdu[7] == BIND_TRANSCEIVER { &bound } else { &submitted };
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
    let message = encoded(Body::SubmitSm(SubmitSm {
        source_addr: NUMBERS[0].parse().expect("short"),
        destination_addr: NUMBERS[1].parse().expect("short"),
        short_message: Bytes::from_static(TEXT).try_into().expect("short"),
        ..SubmitSm::default()
    }));
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
        assert_ne!(stream.read_buf(&mut input).await.expect("the server lives"), 0);
        room = std::iter::from_fn(|| cut(&mut input)).count();
        ANSWERED.fetch_add(room as u64, Relaxed);
    }
}

/// A connection that is bound.
pub async fn bind(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let bind = Body::BindTransceiver(Bind {
        system_id: "bench".parse().expect("short"),
        ..Bind::default()
    });
    stream.write_all(&encoded(bind)).await.expect("the server lives");
    let mut input = BytesMut::with_capacity(64);
    while cut(&mut input).is_none() {
        assert_ne!(stream.read_buf(&mut input).await.expect("the server lives"), 0);
    }
    stream
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
