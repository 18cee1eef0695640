use matrix_smpp_codec::{Charset, InboundText};

use super::*;

fn writing(to: &str, text: String, order: Order) -> Writing {
    Writing {
        to: to.to_owned(),
        text: Words(text),
        order,
        account: None,
        redeliver: false,
        ..Writing::default()
    }
}

fn segments_of(from: &str, writing: &Writing) -> Result<Vec<DeliverSm>, MoError> {
    segments(from, writing, &mut Ids::new(1))
}

fn places(bodies: &[DeliverSm]) -> Vec<u8> {
    let concat = |body| InboundText::from(body).concat.unwrap().index;
    bodies.iter().map(concat).collect()
}

#[test]
fn a_short_text_is_one_segment_from_the_phone_to_its_partner() {
    let short = writing("+447700900001", "hi".to_owned(), Order::Unsaid);
    let bodies = segments_of("447700900123", &short).unwrap();
    let [body] = &bodies[..] else {
        panic!("one segment")
    };
    assert_eq!(body.source_addr.to_text(), "447700900123");
    assert_eq!(body.destination_addr.to_text(), "447700900001");
    assert_eq!(
        (body.source_addr_ton, body.source_addr_npi),
        (Ton::INTERNATIONAL, Npi::ISDN)
    );
    assert_eq!(body.esm_class, EsmClass::DEFAULT);
}

#[test]
fn a_long_text_has_a_header_in_each_segment_and_goes_in_the_order_asked_for() {
    let text = "x".repeat(400);
    let long = |order: &str| writing("60777", text.clone(), serde_json::from_str(order).unwrap());
    let bodies = segments_of("447700900123", &long(r#""reversed""#)).unwrap();
    assert_eq!(places(&bodies), [3, 2, 1]);
    assert!(bodies.iter().all(|body| body.esm_class == EsmClass::UDHI));
    assert!(
        bodies
            .iter()
            .all(|body| body.dest_addr_ton == Ton::NETWORK_SPECIFIC)
    );
    let bodies = segments_of("447700900123", &long(r#""shuffled""#)).unwrap();
    let mut order = places(&bodies);
    order.sort_unstable();
    assert_eq!(order, [1, 2, 3]);
    let bodies = segments_of("447700900123", &long("[3, 1, 1]")).unwrap();
    assert_eq!(places(&bodies), [3, 1, 1]);
    for wrong in ["[4]", "[0]"] {
        let refused = segments_of("447700900123", &long(wrong)).unwrap_err();
        assert_eq!(refused, MoError::NoSuchSegment);
    }
}

#[test]
fn segments_find_together_in_each_of_the_ways() {
    let text = "x".repeat(400);
    let cut = |segmentation| Writing {
        segmentation,
        reference: Some(0x1234),
        ..writing("60777", text.clone(), Order::Unsaid)
    };
    let reference = |segmentation| {
        let bodies = segments_of("447700900123", &cut(segmentation)).unwrap();
        InboundText::from(&bodies[0]).concat.unwrap().reference
    };
    assert_eq!(reference(Segmentation::Udh8), Reference::Eight(0x34));
    assert_eq!(reference(Segmentation::Udh16), Reference::Sixteen(0x1234));
    assert_eq!(reference(Segmentation::Sar), Reference::Sar(0x1234));
    let payload = segments_of("447700900123", &cut(Segmentation::Payload)).unwrap();
    assert_eq!(payload.len(), 1);
    assert!(payload[0].short_message.is_empty());
    assert_eq!(InboundText::from(&payload[0]).text(), text);
}

#[test]
fn a_text_can_go_in_a_data_sm() {
    let short = writing("60777", "hi".to_owned(), Order::Unsaid);
    let body = segments_of("447700900123", &short).unwrap().remove(0);
    let Body::DataSm(pdu) = carried(body, Carrier::DataSm) else {
        panic!("a data_sm")
    };
    assert_eq!(InboundText::from(&pdu).text(), "hi");
    assert_eq!(pdu.source_addr.to_text(), "447700900123");
}

#[test]
fn a_text_can_be_in_the_coding_asked_for() {
    let latin = Writing {
        data_coding: Some(3),
        ..writing("60777", "é".to_owned(), Order::Unsaid)
    };
    let body = segments_of("447700900123", &latin).unwrap().remove(0);
    assert_eq!(
        Charset::of(body.data_coding),
        Charset::of(DataCoding::LATIN1)
    );
    assert_eq!(InboundText::from(&body).text(), "é");
}

#[test]
fn a_name_may_write_and_what_is_no_party_may_not() {
    let body = |from| segments_of(from, &writing("60777", String::new(), Order::Unsaid));
    assert_eq!(
        body("MY BANK").unwrap()[0].source_addr_ton,
        Ton::ALPHANUMERIC
    );
    for wrong in ["", "a name too long", "123456789012345678901", "Bänk"] {
        assert_eq!(body(wrong).unwrap_err(), MoError::BadNumber, "{wrong}");
    }
}

#[test]
fn a_text_of_more_than_255_segments_is_refused() {
    let endless = writing("60777", "x".repeat(152 * 255 + 1), Order::Unsaid);
    assert_eq!(
        segments_of("447700900123", &endless).unwrap_err(),
        MoError::TooLong
    );
}
