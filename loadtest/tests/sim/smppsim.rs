//! What users of `SMPPSim` know: `/inject_mo` with the fields of its form, loopback, messages from one
//! ESME to another.

use matrix_smpp_codec::values::{EsmClass, Npi, Ton};
use matrix_smpp_codec::{CommandStatus, DataCoding, SubmitSm, TlvTag};
use matrix_smpp_loadtest::sim::{Scenario, Sim, SimSettings};
use matrix_smpp_session::BindMode;

use crate::client::{Esme, PHONE, VMN, http, message, simulator};

const SENT: &str = r#"{"state":"sent"}"#;

async fn inject(sim: &Sim, fields: &str) -> (u16, String) {
    http(sim.http_addr, "GET", &format!("/inject_mo?{fields}"), "").await
}

async fn with(scenario: &str) -> Sim {
    let settings = SimSettings {
        scenario: Scenario::from_toml(scenario).expect("a scenario"),
        ..SimSettings::default()
    };
    Sim::start(settings).await.expect("a simulator")
}

#[tokio::test]
async fn a_phone_writes_and_the_answer_does_not_wait_for_the_esme() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    // The form sends all of its fields, those that nobody has filled in too.
    let fields = "short_message=hi+there&source_addr=447700900123&destination_addr=60777\
                  &submit=Submit+Message&service_type=&data_coding=0&message_payload=&tlv1_tag=";
    assert_eq!(inject(&sim, fields).await, (200, SENT.to_owned()));
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(&*pdu.short_message, b"hi there");
    assert_eq!(pdu.source_addr.to_text(), "447700900123");
    assert_eq!(pdu.data_coding, DataCoding::GSM_DEFAULT);
    let posted = http(sim.http_addr, "POST", "/inject_mo", fields).await;
    assert_eq!(posted, (200, SENT.to_owned()));
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(&*pdu.short_message, b"hi there");
}

#[tokio::test]
async fn what_is_written_while_nobody_is_bound_waits_for_the_next_receiver() {
    let sim = simulator().await;
    let waits = (200, r#"{"state":"waits for a bind"}"#.to_owned());
    for text in ["one", "two"] {
        let fields = format!("source_addr={PHONE}&destination_addr={VMN}&short_message={text}");
        assert_eq!(inject(&sim, &fields).await, waits);
    }
    let _transmitter = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let mut receiver = Esme::bind(&sim, BindMode::Receiver, "gateway").await;
    for text in ["one", "two"] {
        let pdu = receiver.deliver(CommandStatus::ESME_ROK).await;
        assert_eq!(&*pdu.short_message, text.as_bytes());
    }
}

#[tokio::test]
async fn every_field_of_the_form_is_in_the_pdu() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let fields = "short_message=0x050003010201414243&source_addr=12345&destination_addr=60777\
        &service_type=USSD&source_addr_ton=3&source_addr_npi=0&dest_addr_ton=2&dest_addr_npi=8\
        &esm_class=64&protocol_ID=63&priority_flag=2&registered_delivery_flag=1&data_coding=8\
        &user_message_reference=2022&source_port=5000&callback_num=abc\
        &tlv1_tag=1281&tlv1_len=1&tlv1_val=02&tlv2_tag=0x1500&tlv2_len=2&tlv2_val=CF1D";
    assert_eq!(inject(&sim, fields).await, (200, SENT.to_owned()));
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(&*pdu.short_message, b"\x05\x00\x03\x01\x02\x01ABC");
    assert_eq!((pdu.source_addr_ton, pdu.source_addr_npi), (Ton(3), Npi(0)));
    assert_eq!((pdu.dest_addr_ton, pdu.dest_addr_npi), (Ton(2), Npi(8)));
    assert_eq!(
        (pdu.esm_class, pdu.data_coding),
        (EsmClass(64), DataCoding(8))
    );
    assert_eq!((pdu.protocol_id, pdu.priority_flag), (63, 2));
    assert_eq!(pdu.registered_delivery.0, 1);
    assert_eq!(pdu.service_type.to_text(), "USSD");
    assert_eq!(pdu.tlvs.user_message_reference(), Some(2022));
    assert_eq!(pdu.tlvs.source_port(), Some(5000));
    assert_eq!(pdu.tlvs.get(TlvTag::CALLBACK_NUM), Some(&b"abc"[..]));
    assert_eq!(pdu.tlvs.ussd_service_op(), Some(2));
    assert_eq!(pdu.tlvs.get(TlvTag(0x1500)), Some(&[0xcf, 0x1d][..]));
}

#[tokio::test]
async fn a_payload_goes_in_its_parameter_and_octets_are_binary() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let ends = format!("source_addr={PHONE}&destination_addr=60777");
    inject(&sim, &format!("{ends}&short_message=&message_payload=long")).await;
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(pdu.tlvs.get(TlvTag::MESSAGE_PAYLOAD), Some(&b"long"[..]));
    assert_eq!(&*pdu.short_message, b"");
    inject(&sim, &format!("{ends}&format=yes&short_message=00ff")).await;
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(&*pdu.short_message, [0x00, 0xff]);
    assert_eq!(pdu.data_coding, DataCoding(4));
}

#[tokio::test]
async fn a_field_that_cannot_be_read_is_named() {
    let sim = simulator().await;
    let ends = format!("source_addr={PHONE}&destination_addr=60777&short_message=x");
    for (field, named) in [
        ("esm_class=256", "esm_class"),
        ("source_port=x", "source_port"),
        ("tlv3_tag=1403&tlv3_val=0", "tlv3_val"),
        ("source_addr=&destination_addr=1", "number"),
    ] {
        let (status, said) = inject(&sim, &format!("{ends}&{field}")).await;
        assert_eq!(status, 400, "{field}");
        assert!(said.contains(named), "{said}");
    }
}

/// A segment with a header, a coding and a parameter of its own.
fn segment() -> SubmitSm {
    let mut sm = message("\u{5}\u{0}\u{3}\u{1}\u{2}\u{1}part");
    sm.esm_class = EsmClass(0x43);
    sm.data_coding = DataCoding(0xf5);
    sm.tlvs.set_user_message_reference(7);
    sm
}

#[tokio::test]
async fn loopback_gives_a_message_back_to_its_sender_with_its_addresses_swapped() {
    let sim = with("loopback = \"sender\"").await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let sent = SubmitSm {
        registered_delivery: matrix_smpp_codec::RegisteredDelivery::NONE,
        ..segment()
    };
    esme.submit(sent.clone()).await;
    let back = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(back.source_addr.to_text(), PHONE);
    assert_eq!(back.destination_addr.to_text(), VMN);
    assert_eq!(back.short_message, sent.short_message);
    assert_eq!(back.esm_class, EsmClass::UDHI, "without the mode");
    assert_eq!(back.data_coding, sent.data_coding);
    assert_eq!(back.tlvs, sent.tlvs);
}

#[tokio::test]
async fn a_message_from_one_esme_to_another_keeps_its_addresses() {
    let sim = with("loopback = \"recipient\"").await;
    let mut one = Esme::bind(&sim, BindMode::Transceiver, "one").await;
    let mut other = Esme::bind(&sim, BindMode::Transceiver, "other").await;
    let text = |from: &str, to: &str| SubmitSm {
        source_addr: from.parse().unwrap(),
        destination_addr: to.parse().unwrap(),
        registered_delivery: matrix_smpp_codec::RegisteredDelivery::NONE,
        ..message("hello")
    };
    // The other's number is known from here on; nobody has the phone's yet, so it goes to any.
    other.submit(text("60777", PHONE)).await;
    one.deliver(CommandStatus::ESME_ROK).await;
    one.submit(text(VMN, "60777")).await;
    let pdu = other.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(pdu.source_addr.to_text(), VMN);
    assert_eq!(pdu.destination_addr.to_text(), "60777");
}
