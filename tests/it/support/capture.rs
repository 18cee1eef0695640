//! What really went over the wire, as Wireshark sees it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::peer::{Peer, free_port};
use super::wait::until;

/// The commands of SMPP 3.4 §5.1.2.1 that the gateway and the simulator exchange.
pub(crate) const COMMANDS: &[(u32, &str)] = &[
    (0x0000_0001, "bind_receiver"),
    (0x8000_0001, "bind_receiver_resp"),
    (0x0000_0002, "bind_transmitter"),
    (0x8000_0002, "bind_transmitter_resp"),
    (0x0000_0004, "submit_sm"),
    (0x8000_0004, "submit_sm_resp"),
    (0x0000_0005, "deliver_sm"),
    (0x8000_0005, "deliver_sm_resp"),
    (0x0000_0006, "unbind"),
    (0x8000_0006, "unbind_resp"),
    (0x0000_0009, "bind_transceiver"),
    (0x8000_0009, "bind_transceiver_resp"),
    (0x0000_0015, "enquire_link"),
    (0x8000_0015, "enquire_link_resp"),
];

/// A running capture of one TCP port on the loopback interface.
#[derive(Debug)]
pub(crate) struct Capture {
    port: u16,
    file: PathBuf,
    /// A datagram to this port is captured too, and so marks how far the file has got.
    marker: u16,
    peer: Peer,
}

impl Capture {
    /// Starts capturing, and returns once nothing is missed any more.
    pub(crate) async fn start(home: &Path, port: u16) -> Self {
        let file = home.join("capture.pcapng");
        let marker = free_port();
        let filter = format!("tcp port {port} or udp port {marker}");
        let path = file.to_str().expect("paths of the tests are UTF-8");
        let command = [
            "dumpcap", "-q", "-i", "lo", "-B", "64", "-f", &filter, "-w", path,
        ];
        let mut peer = Peer::start("dumpcap", home, &command);
        peer.ready(async |said| said.contains("File: ").then_some(()))
            .await;
        let capture = Self {
            port,
            file,
            marker,
            peer,
        };
        capture.reaches_the_file("first mark").await;
        capture
    }

    /// Ends the capture once all that has been sent so far is in the file.
    pub(crate) async fn stop(self) -> Captured {
        self.reaches_the_file("last mark").await;
        self.peer.end(Signal::INT).await;
        Captured {
            port: self.port,
            file: self.file,
        }
    }

    /// Packets are written in order: when the mark is there, so is everything before it.
    async fn reaches_the_file(&self, mark: &str) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP socket");
        until(
            "a marked datagram is captured (capturing needs root)",
            async || {
                socket
                    .send_to(mark.as_bytes(), (Ipv4Addr::LOCALHOST, self.marker))
                    .ok();
                let captured = std::fs::read(&self.file).ok()?;
                captured
                    .windows(mark.len())
                    .any(|octets| octets == mark.as_bytes())
                    .then_some(())
            },
        )
        .await;
    }
}

/// A finished capture.
#[derive(Debug)]
pub(crate) struct Captured {
    port: u16,
    file: PathBuf,
}

impl Captured {
    /// How many PDUs of each command went to the SMSC.
    pub(crate) fn sent_to_smsc(&self) -> BTreeMap<String, u64> {
        self.pdus(&format!("smpp && tcp.dstport=={}", self.port))
    }

    /// How many PDUs of each command came from the SMSC.
    pub(crate) fn sent_by_smsc(&self) -> BTreeMap<String, u64> {
        self.pdus(&format!("smpp && tcp.srcport=={}", self.port))
    }

    /// By command; one that is not in [`COMMANDS`] goes by its number.
    fn pdus(&self, filter: &str) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.fields(filter, &["smpp.command_id"]) {
            for command in line.split(',') {
                *counts.entry(name(command)).or_default() += 1;
            }
        }
        counts
    }

    /// Numbers of the frames that hold a PDU which Wireshark calls malformed.
    pub(crate) fn malformed(&self) -> Vec<String> {
        self.fields("smpp && _ws.malformed", &["frame.number"])
    }

    /// Frames with octets that Wireshark did not take for SMPP: an impossible `command_length` or
    /// an unknown `command_id` is not called malformed, it is not dissected at all. Nor is what TCP sent
    /// again, as it does on a busy machine: it was dissected when it came first.
    pub(crate) fn undissected(&self) -> Vec<String> {
        let filter = format!(
            "tcp.port=={} && tcp.len>0 && !smpp && !tcp.reassembled_in \
             && !tcp.analysis.retransmission && !tcp.analysis.spurious_retransmission",
            self.port
        );
        self.fields(&filter, &["frame.number", "tcp.stream", "tcp.payload"])
    }

    /// Frames that were lost on the way from the kernel to the file.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.fields(
            "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment",
            &["frame.number"],
        )
    }

    /// One line per frame that the filter finds; several values of a field are parted by commas.
    fn fields(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(&self.file).args(["-2", "-Y", filter]);
        tshark.args(["-d", &format!("tcp.port=={},smpp", self.port)]);
        tshark.args(["-o", "tcp.reassemble_out_of_order:TRUE"]);
        tshark.args(["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]);
        for field in fields {
            tshark.args(["-e", field]);
        }
        let output = tshark
            .output()
            .expect("tshark is not installed: run `make setup`");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

fn name(command: &str) -> String {
    let id = command
        .strip_prefix("0x")
        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let known = COMMANDS.iter().find(|(number, _)| Some(*number) == id);
    known.map_or_else(|| command.to_owned(), |(_, name)| (*name).to_owned())
}
