//! What an outside judge reads in the PDUs that we write: Wireshark's dissector.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use bytes::Bytes;
use proptest::arbitrary::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as ProptestConfig, RngSeed, TestRunner};

use super::golden::every_typed_parameter;
use super::{encoded, hex, number};
use crate::{
    Body, CallbackNum, CallbackNumAtag, CommandId, CommandStatus, DataCoding, DataSm, Npi, Pdu,
    Subaddress, TlvTag, Tlvs, Ton,
};

/// The operations of SMPP 3.4, requests and responses.
const OPERATIONS: usize = 27;
/// How many PDUs with any content there are where nobody says.
const PDUS: u64 = 600;
/// How many of them one run of tshark reads.
const AT_ONCE: usize = 10_000;

/// What is asked of each PDU.
const FIELDS: [&str; 12] = [
    "smpp.command_id",
    "smpp.command_status",
    "smpp.sequence_number",
    "smpp.data_coding",
    "smpp.sm_length",
    "smpp.message",
    "smpp.opt_param_tag",
    "smpp.opt_param_len",
    "smpp.vendor_op",
    "smpp.reserved_op",
    "_ws.malformed",
    "_ws.col.Info",
];

/// The answers for one PDU, by the order of [`FIELDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read(Vec<String>);

impl Read {
    fn field(&self, name: &str) -> &str {
        let place = FIELDS.iter().position(|known| *known == name).unwrap();
        &self.0[place]
    }

    fn number(&self, name: &str) -> u32 {
        value(self.field(name))
    }

    /// The values of a field that may be there several times.
    fn numbers(&self, name: &str) -> Vec<u32> {
        let values = self.field(name).split(',');
        values
            .filter(|value| !value.is_empty())
            .map(value)
            .collect()
    }
}

fn value(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

/// What Wireshark reads in each PDU, one in each TCP segment.
fn dissected(pdus: &[Bytes]) -> Vec<Read> {
    let file = std::env::temp_dir().join(format!(
        "codec-{}-{:?}.pcap",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::write(&file, capture(pdus)).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args(["-d", "tcp.port==2775,smpp", "-T", "fields"]);
    tshark.args(["-E", "separator=/t", "-E", "occurrence=a"]);
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let output = tshark.arg("-r").arg(&file).output();
    fs::remove_file(&file).unwrap();
    let output = output.expect("tshark, which `make setup` installs");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let read: Vec<_> = lines
        .lines()
        .map(|line| Read(line.split('\t').map(str::to_owned).collect()))
        .collect();
    assert_eq!(read.len(), pdus.len());
    read
}

/// A pcap file of raw IP packets from one TCP connection.
fn capture(pdus: &[Bytes]) -> Vec<u8> {
    const RAW_IP: u32 = 101;
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_be_bytes());
    file.extend([0, 2, 0, 4]);
    for word in [0, 0, u32::from(u16::MAX), RAW_IP] {
        file.extend(word.to_be_bytes());
    }
    let mut sequence = 1_u32;
    for pdu in pdus {
        let length = u16::try_from(40 + pdu.len()).unwrap();
        for word in [0, 0, u32::from(length), u32::from(length)] {
            file.extend(word.to_be_bytes());
        }
        file.extend([0x45, 0]);
        file.extend(length.to_be_bytes());
        // No fragment; 64 hops, TCP, no checksum; between two addresses of 127.0.0.0/8.
        file.extend([0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        file.extend(40_000_u16.to_be_bytes());
        file.extend(2_775_u16.to_be_bytes());
        file.extend(sequence.to_be_bytes());
        // Acknowledges 1; a header of five words, PSH and ACK, the largest window.
        file.extend([0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        file.extend_from_slice(pdu);
        sequence += u32::try_from(pdu.len()).unwrap();
    }
    file
}

fn tlvs(body: &Body) -> Option<&Tlvs> {
    Some(match body {
        Body::BindReceiverResp(body)
        | Body::BindTransmitterResp(body)
        | Body::BindTransceiverResp(body) => &body.tlvs,
        Body::SubmitSm(body) => &body.tlvs,
        Body::SubmitSmResp(body) => &body.tlvs,
        Body::SubmitMulti(body) => &body.tlvs,
        Body::SubmitMultiResp(body) => &body.tlvs,
        Body::DeliverSm(body) => &body.tlvs,
        Body::DeliverSmResp(body) => &body.tlvs,
        Body::DataSm(body) => &body.tlvs,
        Body::DataSmResp(body) => &body.tlvs,
        Body::AlertNotification(body) => &body.tlvs,
        _ => return None,
    })
}

fn text(body: &Body) -> Option<(DataCoding, &[u8])> {
    Some(match body {
        Body::SubmitSm(body) => (body.data_coding, &body.short_message),
        Body::SubmitMulti(body) => (body.data_coding, &body.short_message),
        Body::DeliverSm(body) => (body.data_coding, &body.short_message),
        _ => return None,
    })
}

fn assert_read_as_meant(pdus: &[Pdu]) -> Vec<Read> {
    let octets: Vec<_> = pdus.iter().map(encoded).collect();
    let all = dissected(&octets);
    for (pdu, read) in pdus.iter().zip(&all) {
        // A text that says it has a user data header and has not is the text's own fault.
        let malformed = read.field("_ws.malformed").contains("Packet: SMPP");
        assert!(!malformed, "{pdu:?} {read:?}");
        assert_eq!(read.number("smpp.command_id"), pdu.command_id().0);
        assert_eq!(read.number("smpp.sequence_number"), pdu.sequence);
        if pdu.command_id().is_response() {
            assert_eq!(read.number("smpp.command_status"), pdu.status.0);
            if !pdu.status.is_ok() {
                // The bodies of these it leaves alone.
                continue;
            }
        }
        let tags = tlvs(&pdu.body).into_iter().flatten();
        let tags: Vec<_> = tags.map(|tlv| u32::from(tlv.tag.0)).collect();
        assert_eq!(read.numbers("smpp.opt_param_tag"), tags, "{pdu:?}");
        if let Some((data_coding, text)) = text(&pdu.body) {
            let length = u32::try_from(text.len()).unwrap();
            assert_eq!(read.numbers("smpp.sm_length"), [length], "{pdu:?}");
            assert_eq!(hex(read.field("smpp.message")), text, "{pdu:?}");
            let coding = u32::from(data_coding.0);
            assert_eq!(read.numbers("smpp.data_coding"), [coding], "{pdu:?}");
        }
    }
    all
}

/// PDUs with any content that Wireshark can judge; of the parameters that it knows it judges the length too.
fn judged() -> impl Strategy<Value = Pdu> {
    any::<Pdu>().prop_filter("judged", |pdu| {
        let mut tags = tlvs(&pdu.body).into_iter().flatten().map(|tlv| tlv.tag);
        tags.all(|tag| (0x1400..0x4000).contains(&tag.0))
    })
}

/// Some of them. Three of four say that all is well, for of the others it leaves the bodies alone.
fn any_pdus(runner: &mut TestRunner, count: u64) -> Vec<Pdu> {
    let strategy = judged();
    let one = |number| {
        let mut pdu = strategy.new_tree(runner).unwrap().current();
        if number % 4 != 0 {
            pdu.status = CommandStatus::ESME_ROK;
        }
        pdu
    };
    (0..count).map(one).collect()
}

#[test]
fn wireshark_reads_every_operation_without_content() {
    let empty = CommandId::KNOWN.iter().filter_map(|id| Body::empty(*id));
    let pdus: Vec<_> = empty.map(|body| Pdu::new(1, body)).collect();
    assert_eq!(pdus.len(), OPERATIONS);
    assert_read_as_meant(&pdus);
}

/// `TSHARK_PDUS` is how many PDUs it is asked about, `TSHARK_SEED` what they are made of.
#[test]
fn wireshark_reads_every_operation_with_any_content() {
    let (seed, count) = (number("TSHARK_SEED", 1), number("TSHARK_PDUS", PDUS));
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(seed),
        max_local_rejects: u32::MAX,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let mut commands = BTreeSet::new();
    eprintln!("TSHARK_SEED={seed} TSHARK_PDUS={count}");
    for done in (0..count).step_by(AT_ONCE) {
        let pdus = any_pdus(&mut runner, (count - done).min(AT_ONCE as u64));
        commands.extend(pdus.iter().map(Pdu::command_id));
        assert_read_as_meant(&pdus);
    }
    assert_eq!(commands.len(), OPERATIONS, "each is among them");
    eprintln!("{count} PDUs, and no two opinions");
}

/// Each parameter alone, as its setter writes it.
fn parameters() -> Vec<Tlvs> {
    let one = |fill: &dyn Fn(&mut Tlvs)| {
        let mut tlvs = Tlvs::default();
        fill(&mut tlvs);
        tlvs
    };
    let mut all: Vec<_> = every_typed_parameter()
        .iter()
        .map(|tlv| one(&|tlvs| tlvs.push(tlv.tag, tlv.value).unwrap()))
        .collect();
    let subaddress = Subaddress {
        kind: 0x80,
        octets: b"12"[..].into(),
    };
    let number = CallbackNum {
        digit_mode: 1,
        ton: Ton::INTERNATIONAL,
        npi: Npi::ISDN,
        digits: b"447700900123"[..].into(),
    };
    let words = CallbackNumAtag {
        data_coding: DataCoding::IA5,
        octets: b"home"[..].into(),
    };
    all.extend([
        one(&|tlvs| tlvs.set_message_payload(b"text").unwrap()),
        one(&|tlvs| tlvs.set_receipted_message_id(&"abc".parse().unwrap())),
        one(&|tlvs| tlvs.set_additional_status_info_text("why").unwrap()),
        one(&|tlvs| tlvs.set_source_subaddress(&subaddress).unwrap()),
        one(&|tlvs| tlvs.set_dest_subaddress(&subaddress).unwrap()),
        one(&|tlvs| tlvs.push_callback_num(&number).unwrap()),
        one(&|tlvs| tlvs.push_callback_num_atag(&words).unwrap()),
        one(&|tlvs| tlvs.set_congestion_state(80)),
    ]);
    all
}

#[test]
fn wireshark_knows_every_parameter_that_has_a_setter_and_takes_its_value() {
    let parameters = parameters();
    let tags: BTreeSet<_> = parameters.iter().flatten().map(|tlv| tlv.tag).collect();
    let of_3_4 = TlvTag::KNOWN
        .iter()
        .filter(|tag| !(0x0600..0x0700).contains(&tag.0));
    assert!(tags.iter().eq(of_3_4), "each has one: {tags:?}");
    let pdus: Vec<_> = parameters
        .into_iter()
        .map(|tlvs| {
            let body = DataSm {
                tlvs,
                ..DataSm::default()
            };
            Pdu::new(1, Body::DataSm(body))
        })
        .collect();
    for (pdu, read) in pdus.iter().zip(assert_read_as_meant(&pdus)) {
        let tlv = tlvs(&pdu.body).and_then(|tlvs| tlvs.iter().next()).unwrap();
        assert_eq!(read.numbers("smpp.opt_param_tag"), [u32::from(tlv.tag.0)]);
        let length = u32::try_from(tlv.value.len()).unwrap();
        assert_eq!(read.numbers("smpp.opt_param_len"), [length], "{tlv:?}");
        for unknown in ["smpp.vendor_op", "smpp.reserved_op"] {
            assert_eq!(read.field(unknown), "", "{tlv:?}");
        }
    }
}

/// A header alone of each.
fn headers(commands_and_statuses: impl Iterator<Item = (CommandId, CommandStatus)>) -> Vec<Bytes> {
    let words = commands_and_statuses.map(|(command, status)| [16, command.0, status.0, 1]);
    words
        .map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect())
        .collect()
}

#[test]
fn wireshark_calls_every_operation_by_the_same_name() {
    let of_5_0 = [
        CommandId::BROADCAST_SM,
        CommandId::QUERY_BROADCAST_SM,
        CommandId::CANCEL_BROADCAST_SM,
    ];
    let answers = of_5_0.map(|id| CommandId(id.0 | 0x8000_0000));
    let all = [CommandId::KNOWN, &of_5_0, &answers].concat();
    let read = dissected(&headers(
        all.iter().map(|id| (*id, CommandStatus::ESME_ROK)),
    ));
    for (id, read) in all.iter().zip(read) {
        let info = read.field("_ws.col.Info");
        let name = info.split([':', '[']).next().unwrap_or_default();
        let name = name.to_lowercase().replace(" - ", "_");
        assert_eq!(name, id.to_string());
    }
}

#[test]
fn wireshark_has_a_name_for_every_status_that_we_name() {
    let command = CommandId::UNBIND_RESP;
    let statuses = CommandStatus::KNOWN.iter().copied();
    let read = dissected(&headers(statuses.map(|status| (command, status))));
    let names: BTreeSet<_> = read.iter().map(|read| read.field("_ws.col.Info")).collect();
    assert_eq!(names.len(), CommandStatus::KNOWN.len(), "each has its own");
    let nameless = |name: &str| name.contains("Reserved") || name.contains("Unknown (");
    assert!(!names.iter().any(|name| nameless(name)), "{names:?}");
    let [unnamed] = &dissected(&headers([(command, CommandStatus(0x09))].into_iter()))[..] else {
        panic!("one was sent")
    };
    assert!(nameless(unnamed.field("_ws.col.Info")), "{unnamed:?}");
}
