//! Writes the octets that each fuzz target begins with: `cargo run --example seeds`.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use matrix_smpp_codec::{
    Body, COctets, CommandId, CommandStatus, DataSm, DeliverSm, DestAddress, MessageState,
    NetworkErrorCode, Npi, Pdu, Receipt, ReferenceWidth, ShortMessage, Splitter, SubmitMulti,
    SubmitSm, Tlvs, Ton,
};

fn main() {
    save("pdu", &pdus());
    save("tlv", &tlvs());
    save("receipt", &receipts());
    save("text", &texts());
    save("segments", &segments());
    save("session", &sessions());
}

fn save(target: &str, seeds: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("a folder for the seeds");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:02}")), seed).expect("a place for a seed");
    }
}

fn encoded(pdu: &Pdu) -> Vec<u8> {
    let mut out = BytesMut::new();
    pdu.encode(&mut out);
    out.to_vec()
}

/// Each operation empty, and the ones with content full; two in one stream.
fn pdus() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = CommandId::KNOWN
        .iter()
        .filter_map(|id| Body::empty(*id))
        .map(|body| encoded(&Pdu::new(1, body)))
        .collect();
    let full = [
        Body::SubmitSm(submit_sm()),
        Body::DeliverSm(receipt().deliver_sm()),
        Body::SubmitMulti(submit_multi()),
        Body::DataSm(DataSm {
            tlvs: all_tlvs(),
            ..DataSm::default()
        }),
    ];
    seeds.extend(full.into_iter().map(|body| encoded(&Pdu::new(2, body))));
    let both = [&seeds[0][..], &seeds[seeds.len() - 1]].concat();
    let mut refused = Pdu::new(3, Body::SubmitSm(submit_sm()));
    refused.status = CommandStatus::ESME_RTHROTTLED;
    seeds.extend([both, encoded(&refused)]);
    seeds
}

fn submit_sm() -> SubmitSm {
    SubmitSm {
        source_addr: "12345".parse().expect("it fits"),
        destination_addr: "447700900123".parse().expect("it fits"),
        validity_period: "000001000000000R".parse().expect("it fits"),
        short_message: ShortMessage::try_from(&b"\x05\x00\x03\x07\x02\x01hello"[..])
            .expect("it fits"),
        tlvs: all_tlvs(),
        ..SubmitSm::default()
    }
}

fn submit_multi() -> SubmitMulti {
    let destinations = vec![
        DestAddress::Sme {
            dest_addr_ton: Ton::INTERNATIONAL,
            dest_addr_npi: Npi::ISDN,
            destination_addr: "447700900123".parse().expect("it fits"),
        },
        DestAddress::List {
            dl_name: COctets::try_from("all").expect("it fits"),
        },
    ];
    SubmitMulti {
        dest_addresses: destinations.try_into().expect("they fit"),
        ..SubmitMulti::default()
    }
}

fn all_tlvs() -> Tlvs {
    let mut tlvs = Tlvs::default();
    tlvs.set_sar(7, 2, 1);
    tlvs.set_message_state(MessageState::DELIVERED);
    tlvs.set_network_error_code(NetworkErrorCode {
        network_type: 3,
        code: 5,
    });
    tlvs.set_receipted_message_id(&"a1b2".parse().expect("it fits"));
    tlvs.set_qos_time_to_live(60);
    tlvs.set_message_payload(b"a text").expect("it fits");
    tlvs.set_alert_on_message_delivery();
    tlvs
}

fn tlvs() -> Vec<Vec<u8>> {
    let all = all_tlvs();
    let mut seeds: Vec<_> = all
        .iter()
        .map(|tlv| {
            let mut one = Tlvs::default();
            one.push(tlv.tag, tlv.value).expect("it fitted");
            one.as_bytes().to_vec()
        })
        .collect();
    seeds.push(all.as_bytes().to_vec());
    seeds.push([all.as_bytes(), &[0]].concat());
    seeds.push(vec![0x15, 0x01, 0, 3, 1, 2, 3]);
    seeds
}

fn receipt() -> Receipt {
    Receipt {
        message_id: "0123456789".into(),
        state: MessageState::DELIVERED,
        text: Some("hello".into()),
        ..Receipt::default()
    }
}

/// `data_coding`, `esm_class`, text.
fn receipts() -> Vec<Vec<u8>> {
    let texts = [
        receipt().write(),
        "id:1 stat:EXPIRED".into(),
        "ID:00aBc SUB:001 STAT:BUFFRED ERR:E0A Text:".into(),
        "id: 1, submit_date: 20260228123400, stat: UNDELIV, err: 3".into(),
        "id:1 sub: dlvrd: stat:ACKED err: text:id:2 stat:DELIVRD".into(),
    ];
    let ascii = texts.iter().map(|text| [&[0, 4], text.as_bytes()].concat());
    let ucs2 = texts[..2].iter().map(|text| {
        let octets = matrix_smpp_codec::text::ucs2::encode(text);
        [&[8, 4], &octets[..]].concat()
    });
    let lie = texts[..1]
        .iter()
        .map(|text| [&[8, 0x20], text.as_bytes()].concat());
    ascii.chain(ucs2).chain(lie).collect()
}

/// Settings of a splitter, then a text: see `Sent` in `messages.rs`.
fn texts() -> Vec<Vec<u8>> {
    let words = [
        "hello {€}",
        "Şişli ığdır",
        "हिन्दी में",
        "日本語 한글",
        "👨‍👩‍👧‍👦e\u{301}",
        "Привет שלום",
    ];
    let all = [0xff; 6];
    let mut seeds = Vec::new();
    for carriage in 0..4_u8 {
        for word in words {
            let long = word.repeat(20);
            seeds.push([&[carriage][..], &all, &[1, 7, 0], long.as_bytes()].concat());
        }
    }
    seeds.push(b"\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00plain".to_vec());
    seeds
}

/// Segments: see `Segment` in `messages.rs`. Arbitrary data, so the fuzzer finds the rest.
fn segments() -> Vec<Vec<u8>> {
    let text = "a long text ".repeat(30);
    [ReferenceWidth::Eight, ReferenceWidth::Sixteen]
        .into_iter()
        .map(|width| {
            let parts = Splitter::headers(width)
                .split(&text)
                .expect("it is short enough")
                .parts;
            let octets = parts.iter().map(|part| {
                let short_message = part.short_message(7);
                [&[1, 0, 0, 0x40, 0, 0, 0, 0, 0, 0][..], &short_message].concat()
            });
            octets.collect::<Vec<_>>().concat()
        })
        .collect()
}

/// A session of either role that is bound, used and closed, step by step as octets.
fn sessions() -> Vec<Vec<u8>> {
    let bind = encoded(&Pdu::new(
        1,
        Body::empty(CommandId::BIND_TRANSCEIVER).expect("a body"),
    ));
    let bound = encoded(&Pdu::new(
        1,
        Body::empty(CommandId::BIND_TRANSCEIVER_RESP).expect("a body"),
    ));
    let deliver = encoded(&Pdu::new(7, Body::DeliverSm(DeliverSm::default())));
    let answer = encoded(&Pdu::new(
        2,
        Body::empty(CommandId::SUBMIT_SM_RESP).expect("a body"),
    ));
    [
        [bind, answer.clone(), deliver.clone()],
        [bound, deliver, answer],
    ]
    .into_iter()
    .map(|pdus| pdus.concat())
    .collect()
}
