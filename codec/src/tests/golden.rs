//! Every PDU as the tables of SMPP 3.4 §4 lay it out, written octet by octet from them: strings in
//! hexadecimal with their NUL, one field after the other.

use super::{decoded, encoded, hex};
use crate::{
    AlertNotification, Bind, BindResp, Body, CancelSm, CommandId, CommandStatus, DataCoding,
    DataSm, DataSmResp, DeliverSm, DeliverSmResp, DestAddress, EsmClass, InterfaceVersion,
    MessageState, NetworkErrorCode, Npi, Outbind, Pdu, QuerySm, QuerySmResp, RegisteredDelivery,
    ReplaceSm, SubmitMulti, SubmitMultiResp, SubmitSm, SubmitSmResp, Tlvs, Ton, UnsuccessSme,
};

/// Checks both ways that these octets and this value are the same.
fn same(octets: &str, pdu: &Pdu) {
    let octets = hex(octets);
    let length = u32::from_be_bytes(*octets.first_chunk().unwrap());
    assert_eq!(
        usize::try_from(length).unwrap(),
        octets.len(),
        "the vector's own length"
    );
    assert_eq!(encoded(pdu), octets);
    assert_eq!(decoded(&octets), *pdu);
}

fn tlvs(fill: impl FnOnce(&mut Tlvs)) -> Tlvs {
    let mut tlvs = Tlvs::default();
    fill(&mut tlvs);
    tlvs
}

fn refused(sequence: u32, status: CommandStatus, body: Body) -> Pdu {
    Pdu {
        status,
        sequence,
        body,
    }
}

#[test]
fn the_standards_own_example_of_a_bind_transmitter() {
    same(
        "00 00 00 2F 00 00 00 02 00 00 00 00 00 00 00 01 53 4D 50 50 33 54 45 53 54 00
         73 65 63 72 65 74 30 38 00 53 55 42 4D 49 54 31 00 00 01 01 00",
        &Pdu::new(
            1,
            Body::BindTransmitter(Bind {
                system_id: "SMPP3TEST".parse().unwrap(),
                password: "secret08".parse().unwrap(),
                system_type: "SUBMIT1".parse().unwrap(),
                interface_version: InterfaceVersion(0),
                addr_ton: Ton::INTERNATIONAL,
                addr_npi: Npi::ISDN,
                ..Bind::default()
            }),
        ),
    );
}

#[test]
fn the_three_binds_and_their_answers() {
    let bind = Bind {
        system_id: "a".parse().unwrap(),
        interface_version: InterfaceVersion::V3_4,
        address_range: "44".parse().unwrap(),
        ..Bind::default()
    };
    let body = "6100 00 00 34 00 00 343400";
    let at = |id: &str| format!("0000001a {id} 00000000 7fffffff {body}");
    same(
        &at("00000001"),
        &Pdu::new(0x7fff_ffff, Body::BindReceiver(bind.clone())),
    );
    same(
        &at("00000002"),
        &Pdu::new(0x7fff_ffff, Body::BindTransmitter(bind.clone())),
    );
    same(
        &at("00000009"),
        &Pdu::new(0x7fff_ffff, Body::BindTransceiver(bind)),
    );

    let resp = BindResp {
        system_id: "smsc".parse().unwrap(),
        tlvs: tlvs(|tlvs| tlvs.set_sc_interface_version(InterfaceVersion::V3_4)),
    };
    let at = |id: &str| format!("0000001a {id} 00000000 00000002 736d736300 0210 0001 34");
    same(
        &at("80000001"),
        &Pdu::new(2, Body::BindReceiverResp(resp.clone())),
    );
    same(
        &at("80000002"),
        &Pdu::new(2, Body::BindTransmitterResp(resp.clone())),
    );
    same(
        &at("80000009"),
        &Pdu::new(2, Body::BindTransceiverResp(resp)),
    );
}

#[test]
fn a_refused_bind_has_no_body() {
    let body = Body::BindTransceiverResp(BindResp::default());
    same(
        "00000010 80000009 0000000e 00000002",
        &refused(2, CommandStatus::ESME_RINVPASWD, body),
    );
}

#[test]
fn outbind() {
    let outbind = Outbind {
        system_id: "smsc".parse().unwrap(),
        password: "pw".parse().unwrap(),
    };
    same(
        "00000018 0000000b 00000000 00000001 736d736300 707700",
        &Pdu::new(1, Body::Outbind(outbind)),
    );
}

#[test]
fn the_pdus_that_are_a_header_alone() {
    same(
        "00000010 00000006 00000000 00000003",
        &Pdu::new(3, Body::Unbind),
    );
    same(
        "00000010 80000006 00000000 00000003",
        &Pdu::new(3, Body::UnbindResp),
    );
    same(
        "00000010 00000015 00000000 00000004",
        &Pdu::new(4, Body::EnquireLink),
    );
    same(
        "00000010 80000015 00000000 00000004",
        &Pdu::new(4, Body::EnquireLinkResp),
    );
    same(
        "00000010 80000008 00000000 00000005",
        &Pdu::new(5, Body::CancelSmResp),
    );
    same(
        "00000010 80000007 00000000 00000006",
        &Pdu::new(6, Body::ReplaceSmResp),
    );
    same(
        "00000010 80000000 00000003 00000007",
        &refused(7, CommandStatus::ESME_RINVCMDID, Body::GenericNack),
    );
}

#[test]
fn submit_sm_with_every_field_its_own() {
    same(
        "0000005f 00000004 00000000 00000005
         434d5400  05 00 476174657700  01 01 34343737303039303031323300
         40 7f 03  00  30303030303130303030303030303052 00
         11 01 08 07  04 0416 0401
         0204 0002 abcd  020c 0002 1234  020e 0001 02  020f 0001 01",
        &Pdu::new(
            5,
            Body::SubmitSm(SubmitSm {
                service_type: "CMT".parse().unwrap(),
                source_addr_ton: Ton::ALPHANUMERIC,
                source_addr_npi: Npi::UNKNOWN,
                source_addr: "Gatew".parse().unwrap(),
                dest_addr_ton: Ton::INTERNATIONAL,
                dest_addr_npi: Npi::ISDN,
                destination_addr: "447700900123".parse().unwrap(),
                esm_class: EsmClass::UDHI,
                protocol_id: 0x7f,
                priority_flag: 3,
                schedule_delivery_time: "".parse().unwrap(),
                validity_period: "000001000000000R".parse().unwrap(),
                registered_delivery: RegisteredDelivery::RECEIPT | RegisteredDelivery::INTERMEDIATE,
                replace_if_present_flag: 1,
                data_coding: DataCoding::UCS2,
                sm_default_msg_id: 7,
                short_message: [0x04, 0x16, 0x04, 0x01][..].try_into().unwrap(),
                tlvs: tlvs(|tlvs| {
                    tlvs.set_user_message_reference(0xabcd);
                    tlvs.set_sar(0x1234, 2, 1);
                }),
            }),
        ),
    );
}

#[test]
fn submit_sm_resp_with_and_without_its_body() {
    let message_id = "3a7f".parse().unwrap();
    let resp = SubmitSmResp {
        message_id,
        tlvs: Tlvs::default(),
    };
    same(
        "00000015 80000004 00000000 00000005 3361376600",
        &Pdu::new(5, Body::SubmitSmResp(resp.clone())),
    );
    let congested = SubmitSmResp {
        tlvs: tlvs(|tlvs| tlvs.set_congestion_state(99)),
        ..resp
    };
    same(
        "0000001a 80000004 00000000 00000005 3361376600 0428 0001 63",
        &Pdu::new(5, Body::SubmitSmResp(congested)),
    );
    same(
        "00000010 80000004 00000058 00000005",
        &refused(
            5,
            CommandStatus::ESME_RTHROTTLED,
            Body::SubmitSmResp(SubmitSmResp::default()),
        ),
    );
}

#[test]
fn submit_multi_to_an_sme_and_to_a_list() {
    let sme = DestAddress::Sme {
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: "49".parse().unwrap(),
    };
    let list = DestAddress::List {
        dl_name: "vip".parse().unwrap(),
    };
    same(
        "0000002e 00000021 00000000 00000006
         00 03 00 373000
         02  01 01 01 343900  02 76697000
         00 00 00 00 00 01 00 00 00 02 6869",
        &Pdu::new(
            6,
            Body::SubmitMulti(SubmitMulti {
                source_addr_ton: Ton::NETWORK_SPECIFIC,
                source_addr: "70".parse().unwrap(),
                dest_addresses: vec![sme, list].try_into().unwrap(),
                registered_delivery: RegisteredDelivery::RECEIPT,
                short_message: b"hi"[..].try_into().unwrap(),
                ..SubmitMulti::default()
            }),
        ),
    );
}

#[test]
fn submit_multi_resp_with_the_destination_that_was_refused() {
    let unsuccess = UnsuccessSme {
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: "49".parse().unwrap(),
        error_status_code: CommandStatus::ESME_RINVDSTADR,
    };
    same(
        "0000001c 80000021 00000000 00000006 3100 01 01 01 343900 0000000b",
        &Pdu::new(
            6,
            Body::SubmitMultiResp(SubmitMultiResp {
                message_id: "1".parse().unwrap(),
                unsuccess_smes: vec![unsuccess].try_into().unwrap(),
                tlvs: Tlvs::default(),
            }),
        ),
    );
}

#[test]
fn deliver_sm_with_a_receipt_in_parameters() {
    same(
        "00000041 00000005 00000000 00000009
         00 01 01 343900 03 00 373000
         04 00 00 00 00 00 00 00 00 00
         001e 0005 3361376600  0427 0001 05  0423 0003 030008  1501 0003 010203",
        &Pdu::new(
            9,
            Body::DeliverSm(DeliverSm {
                source_addr_ton: Ton::INTERNATIONAL,
                source_addr_npi: Npi::ISDN,
                source_addr: "49".parse().unwrap(),
                dest_addr_ton: Ton::NETWORK_SPECIFIC,
                destination_addr: "70".parse().unwrap(),
                esm_class: EsmClass::RECEIPT,
                tlvs: tlvs(|tlvs| {
                    tlvs.set_receipted_message_id(&"3a7f".parse().unwrap());
                    tlvs.set_message_state(MessageState::UNDELIVERABLE);
                    tlvs.set_network_error_code(NetworkErrorCode {
                        network_type: 3,
                        code: 8,
                    });
                    tlvs.push(crate::TlvTag(0x1501), &[1, 2, 3]).unwrap();
                }),
                ..DeliverSm::default()
            }),
        ),
    );
}

#[test]
fn deliver_sm_resp_has_an_empty_id_whatever_its_status() {
    let body = Body::DeliverSmResp(DeliverSmResp::default());
    same(
        "00000011 80000005 00000000 00000009 00",
        &Pdu::new(9, body.clone()),
    );
    same(
        "00000011 80000005 00000064 00000009 00",
        &refused(9, CommandStatus::ESME_RX_T_APPN, body),
    );
}

#[test]
fn data_sm_carries_its_text_in_a_parameter() {
    same(
        "00000023 00000103 00000000 0000000a
         00 01 01 343900 05 00 4200 00 01 08 0424 0002 0416",
        &Pdu::new(
            10,
            Body::DataSm(DataSm {
                source_addr_ton: Ton::INTERNATIONAL,
                source_addr_npi: Npi::ISDN,
                source_addr: "49".parse().unwrap(),
                dest_addr_ton: Ton::ALPHANUMERIC,
                destination_addr: "B".parse().unwrap(),
                registered_delivery: RegisteredDelivery::RECEIPT,
                data_coding: DataCoding::UCS2,
                tlvs: tlvs(|tlvs| tlvs.set_message_payload(&[0x04, 0x16]).unwrap()),
                ..DataSm::default()
            }),
        ),
    );
    let resp = DataSmResp {
        message_id: "1".parse().unwrap(),
        tlvs: tlvs(|tlvs| tlvs.set_delivery_failure_reason(1_u8)),
    };
    same(
        "00000017 80000103 000000fe 0000000a 3100 0425 0001 01",
        &refused(
            10,
            CommandStatus::ESME_RDELIVERYFAILURE,
            Body::DataSmResp(resp),
        ),
    );
}

#[test]
fn query_sm_and_its_answer() {
    let query_sm = QuerySm {
        message_id: "1".parse().unwrap(),
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "49".parse().unwrap(),
    };
    same(
        "00000017 00000003 00000000 0000000b 3100 01 01 343900",
        &Pdu::new(11, Body::QuerySm(query_sm)),
    );
    let resp = QuerySmResp {
        message_id: "1".parse().unwrap(),
        final_date: "260228120000004+".parse().unwrap(),
        message_state: MessageState::DELIVERED,
        error_code: 0x11,
    };
    same(
        "00000025 80000003 00000000 0000000b 3100 3236303232383132303030303030342b00 02 11",
        &Pdu::new(11, Body::QuerySmResp(resp)),
    );
}

#[test]
fn cancel_sm() {
    let cancel_sm = CancelSm {
        service_type: "CMT".parse().unwrap(),
        message_id: "1".parse().unwrap(),
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "49".parse().unwrap(),
        dest_addr_ton: Ton::NATIONAL,
        dest_addr_npi: Npi::NATIONAL,
        destination_addr: "50".parse().unwrap(),
    };
    same(
        "00000020 00000008 00000000 0000000c 434d5400 3100 01 01 343900 02 08 353000",
        &Pdu::new(12, Body::CancelSm(cancel_sm)),
    );
}

#[test]
fn replace_sm() {
    let replace_sm = ReplaceSm {
        message_id: "1".parse().unwrap(),
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "49".parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT_ON_FAILURE,
        sm_default_msg_id: 9,
        short_message: b"new"[..].try_into().unwrap(),
        ..ReplaceSm::default()
    };
    same(
        "0000001f 00000007 00000000 0000000d 3100 01 01 343900 00 00 02 09 03 6e6577",
        &Pdu::new(13, Body::ReplaceSm(replace_sm)),
    );
}

#[test]
fn alert_notification() {
    let alert = AlertNotification {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "49".parse().unwrap(),
        esme_addr_ton: Ton::NETWORK_SPECIFIC,
        esme_addr_npi: Npi::PRIVATE,
        esme_addr: "70".parse().unwrap(),
        tlvs: tlvs(|tlvs| tlvs.set_ms_availability_status(0_u8)),
    };
    same(
        "0000001f 00000102 00000000 0000000e 01 01 343900 03 09 373000 0422 0001 00",
        &Pdu::new(14, Body::AlertNotification(alert)),
    );
}

#[test]
fn every_command_id_is_the_standards() {
    let numbers = [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        0x0b,
        0x15,
        0x21,
        0x102,
        0x103,
        0x8000_0000,
        0x8000_0001,
        0x8000_0002,
        0x8000_0003,
        0x8000_0004,
        0x8000_0005,
        0x8000_0006,
        0x8000_0007,
        0x8000_0008,
        0x8000_0009,
        0x8000_0015,
        0x8000_0021,
        0x8000_0103,
    ];
    assert_eq!(CommandId::KNOWN, numbers.map(CommandId));
}

/// By tag, the value 1 in each.
pub(super) fn every_typed_parameter() -> Tlvs {
    let mut tlvs = Tlvs::default();
    tlvs.set_dest_addr_subunit(1);
    tlvs.set_dest_network_type(1);
    tlvs.set_dest_bearer_type(1);
    tlvs.set_dest_telematics_id(1);
    tlvs.set_source_addr_subunit(1);
    tlvs.set_source_network_type(1);
    tlvs.set_source_bearer_type(1);
    tlvs.set_source_telematics_id(1);
    tlvs.set_qos_time_to_live(1);
    tlvs.set_payload_type(1);
    tlvs.set_ms_msg_wait_facilities(1);
    tlvs.set_privacy_indicator(1);
    tlvs.set_user_message_reference(1);
    tlvs.set_user_response_code(1);
    tlvs.set_source_port(1);
    tlvs.set_destination_port(1);
    tlvs.set_sar_msg_ref_num(1);
    tlvs.set_language_indicator(1);
    tlvs.set_sar_total_segments(1);
    tlvs.set_sar_segment_seqnum(1);
    tlvs.set_sc_interface_version(1);
    tlvs.set_callback_num_pres_ind(1);
    tlvs.set_number_of_messages(1);
    tlvs.set_dpf_result(1);
    tlvs.set_set_dpf(1);
    tlvs.set_ms_availability_status(1);
    tlvs.set_network_error_code(NetworkErrorCode {
        network_type: 0,
        code: 1,
    });
    tlvs.set_delivery_failure_reason(1);
    tlvs.set_more_messages_to_send(1);
    tlvs.set_message_state(1);
    tlvs.set_ussd_service_op(1);
    tlvs.set_display_time(1);
    tlvs.set_sms_signal(1);
    tlvs.set_ms_validity(1);
    tlvs.set_alert_on_message_delivery();
    tlvs.set_its_reply_type(1);
    tlvs.set_its_session_info(1);
    tlvs
}

#[test]
fn every_typed_parameter_has_the_tag_and_the_length_of_the_standard() {
    let all = every_typed_parameter();
    let table = "
        0005:1 0006:1 0007:1 0008:2 000d:1 000e:1 000f:1 0010:1 0017:4 0019:1
        0030:1 0201:1 0204:2 0205:1 020a:2 020b:2 020c:2 020d:1 020e:1 020f:1
        0210:1 0302:1 0304:1 0420:1 0421:1 0422:1 0423:3 0425:1 0426:1 0427:1
        0501:1 1201:1 1203:2 1204:1 130c:0 1380:1 1383:2";
    let written: Vec<_> = all
        .iter()
        .map(|tlv| format!("{:04x}:{}", tlv.tag.0, tlv.value.len()))
        .collect();
    assert_eq!(written, table.split_whitespace().collect::<Vec<_>>());
    assert!(
        all.iter()
            .all(|tlv| tlv.value.last().is_none_or(|last| *last == 1))
    );
}

#[test]
fn what_a_typed_setter_wrote_its_getter_reads() {
    let read = tlvs(|tlvs| {
        tlvs.set_qos_time_to_live(86_400);
        tlvs.set_user_message_reference(0xfffe);
        tlvs.set_message_state(MessageState::EXPIRED);
        tlvs.set_sc_interface_version(InterfaceVersion::V3_4);
        tlvs.set_congestion_state(80);
        tlvs.set_network_error_code(NetworkErrorCode {
            network_type: 3,
            code: 0x1234,
        });
        tlvs.set_receipted_message_id(&"abc".parse().unwrap());
        tlvs.set_message_payload(b"text").unwrap();
        tlvs.set_additional_status_info_text("why").unwrap();
    });
    assert_eq!(read.qos_time_to_live(), Some(86_400));
    assert_eq!(read.user_message_reference(), Some(0xfffe));
    assert_eq!(read.message_state(), Some(MessageState::EXPIRED));
    assert_eq!(read.sc_interface_version(), Some(InterfaceVersion::V3_4));
    assert_eq!(read.congestion_state(), Some(80));
    let error = NetworkErrorCode {
        network_type: 3,
        code: 0x1234,
    };
    assert_eq!(read.network_error_code(), Some(error));
    assert_eq!(read.receipted_message_id().unwrap().as_str(), Some("abc"));
    assert_eq!(read.message_payload().as_deref(), Some(&b"text"[..]));
    assert_eq!(read.additional_status_info_text().as_deref(), Some("why"));
}
