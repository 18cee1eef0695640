//! A claimed segment as the PDU that carries it.

use std::time::Duration;

use matrix_smpp_codec::time::RelativeTime;
use matrix_smpp_codec::values::{EsmClass, Npi, RegisteredDelivery, Ton};
use matrix_smpp_codec::{Address, COctets, DeliverSm, ShortMessage, SubmitSm};
use matrix_smpp_config::{Originator as Sender, Route, Routing};

use crate::gateway::model::{Originator, Timestamp};
use crate::store::Claimed;

/// Why a segment fits into no PDU. The store never claims such a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("the sender's number has more than 20 digits")]
    Sender,
    #[error("its text takes more than 254 octets")]
    Text,
}

/// The `submit_sm` of a segment.
pub(super) fn submit_sm(
    claimed: &Claimed,
    routing: &Routing,
    now: Timestamp,
) -> Result<SubmitSm, Misfit> {
    let route = routing
        .routes
        .iter()
        .find(|route| route.name == claimed.route);
    let (source_ton, source_npi) = source_kind(&claimed.originator, route, routing);
    let udhi = if claimed.udhi {
        EsmClass::UDHI
    } else {
        EsmClass::DEFAULT
    };
    let receipt = if claimed.receipts {
        RegisteredDelivery::RECEIPT
    } else {
        RegisteredDelivery::NONE
    };
    let sender = Address::try_from(claimed.originator.digits().as_str());
    let text = ShortMessage::try_from(claimed.payload.clone());
    Ok(SubmitSm {
        source_addr_ton: source_ton,
        source_addr_npi: source_npi,
        source_addr: sender.map_err(|_| Misfit::Sender)?,
        dest_addr_ton: Ton(route.map_or(Ton::INTERNATIONAL.0, |route| route.dest_ton)),
        dest_addr_npi: Npi(route.map_or(Npi::ISDN.0, |route| route.dest_npi)),
        destination_addr: Address::from(claimed.destination),
        esm_class: EsmClass::DEFAULT | udhi,
        validity_period: validity(claimed.valid_until, now),
        registered_delivery: receipt,
        data_coding: claimed.data_coding,
        short_message: text.map_err(|_| Misfit::Text)?,
        tlvs: claimed.tlvs.clone(),
        ..SubmitSm::default()
    })
}

/// The `deliver_sm` of a segment, for a peer that has bound to us. It has the fields of the
/// `submit_sm` that mean something in it. SMPP 3.4 §4.6.1.
pub(super) fn deliver_sm(
    claimed: &Claimed,
    routing: &Routing,
    now: Timestamp,
) -> Result<DeliverSm, Misfit> {
    let sm = submit_sm(claimed, routing, now)?;
    Ok(DeliverSm {
        source_addr_ton: sm.source_addr_ton,
        source_addr_npi: sm.source_addr_npi,
        source_addr: sm.source_addr,
        dest_addr_ton: sm.dest_addr_ton,
        dest_addr_npi: sm.dest_addr_npi,
        destination_addr: sm.destination_addr,
        esm_class: sm.esm_class,
        data_coding: sm.data_coding,
        short_message: sm.short_message,
        tlvs: sm.tlvs,
        ..DeliverSm::default()
    })
}

/// The kind of the sender's number. The route's settings are for its own senders: the numbers of its
/// pool, or its short code. Any other, such as a number dedicated to its owner, or one that a
/// conversation got on another route, is sent as what its digits are.
fn source_kind(originator: &Originator, route: Option<&Route>, routing: &Routing) -> (Ton, Npi) {
    let own = route.filter(|route| is_own(originator, route, routing));
    match (originator, own) {
        (_, Some(route)) => (Ton(route.source_ton), Npi(route.source_npi)),
        (Originator::Vmn(_), None) => (Ton::INTERNATIONAL, Npi::ISDN),
        (Originator::Shortcode(_), None) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN),
    }
}

/// Whether a route's settings are about this sender. International, which is the default of the
/// config, is never about a short code.
fn is_own(originator: &Originator, route: &Route, routing: &Routing) -> bool {
    match (originator, &route.originator) {
        (Originator::Vmn(number), Sender::Pool(name)) => routing
            .pools
            .iter()
            .any(|pool| pool.name == *name && pool.numbers.contains(&number.0)),
        (Originator::Shortcode(code), Sender::Shortcode(own)) => {
            code == own.as_str() && route.source_ton != Ton::INTERNATIONAL.0
        }
        _ => false,
    }
}

/// What is left of the validity, relative to the SMSC's own clock. SMPP 3.4 §7.1.1.
fn validity(until: Timestamp, now: Timestamp) -> COctets<17> {
    let left = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0) / 1_000;
    RelativeTime::from_duration(Duration::from_secs(left.max(1))).field()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use matrix_smpp_codec::values::DataCoding;
    use matrix_smpp_codec::{E164, Tlvs};
    use matrix_smpp_config::ProcessEnv;
    use uuid::Uuid;

    use super::*;
    use crate::gateway::model::{ConversationId, E164Text, MessageId, SegmentRef};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn claimed(originator: Originator) -> Claimed {
        Claimed {
            segment: SegmentRef {
                message: MessageId(Uuid::nil()),
                index: 1,
            },
            attempt: 1,
            retries: 0,
            possible_duplicate: false,
            route: "uk".to_owned(),
            conversation: ConversationId(1),
            originator,
            destination: "447700900123".parse().unwrap(),
            udhi: false,
            data_coding: DataCoding::GSM_DEFAULT,
            payload: Bytes::from_static(b"hello"),
            tlvs: Tlvs::default(),
            receipts: true,
            valid_until: NOW.after(Duration::from_hours(24)),
        }
    }

    fn vmn() -> Originator {
        Originator::Vmn(E164Text("447700900900".parse().unwrap()))
    }

    #[test]
    fn a_segment_goes_out_between_its_numbers_with_a_receipt_asked_for() {
        let sm = submit_sm(&claimed(vmn()), &elsewhere(), NOW).unwrap();
        assert_eq!(sm.source_addr.to_text(), "447700900900");
        assert_eq!(sm.destination_addr.to_text(), "447700900123");
        assert_eq!(
            (sm.source_addr_ton, sm.source_addr_npi),
            (Ton::INTERNATIONAL, Npi::ISDN)
        );
        assert_eq!(
            (sm.dest_addr_ton, sm.dest_addr_npi),
            (Ton::INTERNATIONAL, Npi::ISDN)
        );
        assert_eq!(sm.registered_delivery, RegisteredDelivery::RECEIPT);
        assert_eq!(sm.short_message.bytes(), &b"hello"[..]);
        assert!(!sm.esm_class.udhi());
    }

    #[test]
    fn a_short_code_is_network_specific_and_no_receipt_is_asked_for_where_none_is_wanted() {
        let mut segment = claimed(Originator::Shortcode("12345".to_owned()));
        segment.receipts = false;
        segment.udhi = true;
        let sm = submit_sm(&segment, &elsewhere(), NOW).unwrap();
        assert_eq!(
            (sm.source_addr_ton, sm.source_addr_npi),
            (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN)
        );
        assert_eq!(sm.registered_delivery, RegisteredDelivery::NONE);
        assert!(sm.esm_class.udhi());
    }

    #[test]
    fn the_smsc_is_told_what_is_left_of_the_validity() {
        let left = |millis: i64| validity(Timestamp(NOW.0 + millis), NOW).to_text();
        assert_eq!(left(24 * 3_600_000), "000001000000000R");
        assert_eq!(left(90_000), "000000000130000R");
        assert_eq!(left(0), "000000000001000R", "never none at all");
        assert_eq!(left(-5_000), "000000000001000R");
    }

    #[test]
    fn what_no_pdu_can_hold_is_told() {
        let mut segment = claimed(vmn());
        segment.payload = Bytes::from(vec![0; 255]);
        let routing = elsewhere();
        assert_eq!(submit_sm(&segment, &routing, NOW), Err(Misfit::Text));
        let sender = claimed(Originator::Shortcode("1".repeat(21)));
        assert_eq!(submit_sm(&sender, &routing, NOW), Err(Misfit::Sender));
    }

    /// A configuration without the route of [`claimed`].
    fn elsewhere() -> Routing {
        let mut routing = routing("{ pool = \"uk\" }", 1);
        routing.routes.clear();
        routing
    }

    fn routing(originator: &str, ton: u8) -> Routing {
        let text = format!(
            r#"
            [[homeserver]]
            name = "example.org"
            url = "http://127.0.0.1:8008"
            bot_localpart = ".tel.bot"
            as_token = "0123456789abcdef0123456789abcdef"
            hs_token = "fedcba9876543210fedcba9876543210"
            [[link_group]]
            name = "operator"
            [[link_group.link]]
            name = "a"
            address = "127.0.0.1:2775"
            system_id = "smsgw"
            password = "secret"
            [[pool]]
            name = "uk"
            numbers = ["447700900901"]
            [[route]]
            name = "uk"
            prefixes = ["44"]
            link_group = "operator"
            originator = {originator}
            price = "0.01"
            source_ton = {ton}
            "#
        );
        let settings = matrix_smpp_config::parse(&text, Path::new("test.toml"), &ProcessEnv);
        settings.unwrap().routing
    }

    #[test]
    fn a_route_tells_the_kind_of_its_own_senders_only() {
        let number = |digits: &str| Originator::Vmn(E164Text(digits.parse::<E164>().unwrap()));
        let (vmn, dedicated) = (number("447700900901"), number("447700900999"));
        let code = Originator::Shortcode("12345".to_owned());
        let other = Originator::Shortcode("54321".to_owned());
        let pool = routing("{ pool = \"uk\" }", 2);
        let short = routing("{ shortcode = \"12345\" }", 6);
        let default = routing("{ shortcode = \"12345\" }", 1);
        let ton = |originator: &Originator, routing: &Routing| {
            let sm = submit_sm(&claimed(originator.clone()), routing, NOW);
            sm.unwrap().source_addr_ton
        };
        assert_eq!(ton(&vmn, &pool), Ton::NATIONAL);
        assert_eq!(ton(&dedicated, &pool), Ton::INTERNATIONAL);
        assert_eq!(ton(&vmn, &short), Ton::INTERNATIONAL);
        assert_eq!(ton(&vmn, &elsewhere()), Ton::INTERNATIONAL);
        assert_eq!(ton(&code, &short), Ton::ABBREVIATED);
        for routing in [&elsewhere(), &pool, &default] {
            assert_eq!(ton(&code, routing), Ton::NETWORK_SPECIFIC);
        }
        assert_eq!(ton(&other, &short), Ton::NETWORK_SPECIFIC);
    }
}
