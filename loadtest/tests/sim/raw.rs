//! An ESME that looks at octets: it sees what a strict session would not let through.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{Bind, Body, CommandStatus, Pdu, SubmitSm};
use matrix_smpp_loadtest::sim::Sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::message;

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection and the number of its next request.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    sequence: u32,
}

impl Raw {
    /// Connects and binds as a transceiver.
    pub(crate) async fn bind(sim: &Sim, system_id: &str) -> Self {
        let mut raw = Self::connect(sim).await;
        let answer = raw.try_bind(system_id).await;
        assert_eq!(status(&answer), CommandStatus::ESME_ROK);
        raw
    }

    pub(crate) async fn connect(sim: &Sim) -> Self {
        let stream = TcpStream::connect(sim.smpp_addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            sequence: 0,
        }
    }

    /// Asks to bind as a transceiver. Returns the answer.
    pub(crate) async fn try_bind(&mut self, system_id: &str) -> Vec<u8> {
        let bind = Bind {
            system_id: system_id.parse().unwrap(),
            password: "secret".parse().unwrap(),
            interface_version: matrix_smpp_codec::InterfaceVersion::V3_4,
            ..Bind::default()
        };
        self.send(Body::BindTransceiver(bind)).await;
        self.pdu().await
    }

    /// Sends a request. Returns its number.
    pub(crate) async fn send(&mut self, body: Body) -> u32 {
        self.sequence += 1;
        let mut octets = BytesMut::new();
        Pdu::new(self.sequence, body).encode(&mut octets);
        self.stream.write_all(&octets).await.unwrap();
        self.sequence
    }

    /// Submits a text without asking for a receipt. Returns its number.
    pub(crate) async fn submit(&mut self, text: &str) -> u32 {
        let quiet = SubmitSm {
            registered_delivery: matrix_smpp_codec::RegisteredDelivery::NONE,
            ..message(text)
        };
        self.send(Body::SubmitSm(quiet)).await
    }

    /// The next PDU, as its `command_length` has it.
    pub(crate) async fn pdu(&mut self) -> Vec<u8> {
        let mut pdu = self.octets(4).await;
        let length = u32::from_be_bytes(*pdu.first_chunk().unwrap());
        let rest = usize::try_from(length).unwrap() - 4;
        pdu.extend(self.octets(rest).await);
        pdu
    }

    /// So many octets.
    pub(crate) async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut octets)).await;
        read.expect("octets in time").unwrap();
        octets
    }

    /// What one read brings, at most so many octets.
    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; 65_536];
        let read = timeout(PATIENCE, self.stream.read(&mut octets)).await;
        let count = read.expect("something in time")?;
        octets.truncate(count);
        Ok(octets)
    }

    /// Asks for a sign of life, which must be the next PDU: so nothing else was on its way.
    pub(crate) async fn nothing_else(&mut self) {
        let sequence = self.send(Body::EnquireLink).await;
        let answer = self.pdu().await;
        assert_eq!(head(&answer), (0x8000_0015, 0, sequence));
    }
}

/// `command_id`, `command_status`, `sequence_number`.
pub(crate) fn head(pdu: &[u8]) -> (u32, u32, u32) {
    let word = |at: usize| u32::from_be_bytes(pdu[at..at + 4].try_into().unwrap());
    (word(4), word(8), word(12))
}

pub(crate) fn status(pdu: &[u8]) -> CommandStatus {
    CommandStatus(head(pdu).1)
}
