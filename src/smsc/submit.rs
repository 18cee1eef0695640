//! A claimed segment as the PDU that carries it.

use std::time::Duration;

use matrix_smpp_codec::time::RelativeTime;
use matrix_smpp_codec::values::{EsmClass, Npi, RegisteredDelivery, Ton};
use matrix_smpp_codec::{Address, COctets, ShortMessage, SubmitSm};
use matrix_smpp_config::Route;

use crate::gateway::model::{Originator, Timestamp};
use crate::store::Claimed;

/// The `submit_sm` of a segment. `None` for what no PDU can hold, which the store never claims: a
/// payload over 254 octets or a sender over 20 digits.
#[must_use]
pub(super) fn submit_sm(
    claimed: &Claimed,
    route: Option<&Route>,
    now: Timestamp,
) -> Option<SubmitSm> {
    let (source_ton, source_npi) = source_kind(claimed, route);
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
    Some(SubmitSm {
        source_addr_ton: source_ton,
        source_addr_npi: source_npi,
        source_addr: Address::try_from(claimed.originator.digits().as_str()).ok()?,
        dest_addr_ton: Ton(route.map_or(Ton::INTERNATIONAL.0, |route| route.dest_ton)),
        dest_addr_npi: Npi(route.map_or(Npi::ISDN.0, |route| route.dest_npi)),
        destination_addr: Address::from(claimed.destination),
        esm_class: EsmClass::DEFAULT | udhi,
        validity_period: validity(claimed.valid_until, now),
        registered_delivery: receipt,
        data_coding: claimed.data_coding,
        short_message: ShortMessage::try_from(claimed.payload.clone()).ok()?,
        ..SubmitSm::default()
    })
}

/// The kind of the sender's number: the route's for its own originators, else what the digits are.
fn source_kind(claimed: &Claimed, route: Option<&Route>) -> (Ton, Npi) {
    match (&claimed.originator, route) {
        (Originator::Vmn(_), Some(route)) => (Ton(route.source_ton), Npi(route.source_npi)),
        (Originator::Vmn(_), None) => (Ton::INTERNATIONAL, Npi::ISDN),
        (Originator::Shortcode(_), Some(route)) if route.source_ton != Ton::INTERNATIONAL.0 => {
            (Ton(route.source_ton), Npi(route.source_npi))
        }
        (Originator::Shortcode(_), _) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN),
    }
}

/// What is left of the validity, relative to the SMSC's own clock. SMPP 3.4 §7.1.1.
fn validity(until: Timestamp, now: Timestamp) -> COctets<17> {
    let left = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0) / 1_000;
    RelativeTime::from_duration(Duration::from_secs(left.max(1))).field()
}
