//! Delivery receipts: whether one is owed, and what it says (SMPP 3.4 §5.2.17 and appendix B).

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::{DeliverSm, InboundText, MessageState, SubmitSm};

use crate::sim::behaviour::Receipts;

/// The receipt for an accepted message, if its sender asked for one of this kind. `done_ms` is when
/// its fate is sealed; both times in milliseconds since 1970 (UTC).
pub(crate) fn receipt(
    fate: Receipts,
    (submitted_ms, done_ms): (u64, u64),
    message_id: &str,
    pdu: &SubmitSm,
) -> Option<DeliverSm> {
    let state = match fate {
        Receipts::Delivered => MessageState::DELIVERED,
        Receipts::Undeliverable => MessageState::UNDELIVERABLE,
        Receipts::Expired => MessageState::EXPIRED,
        Receipts::None => return None,
    };
    if !pdu
        .registered_delivery
        .wants_receipt(state == MessageState::DELIVERED)
    {
        return None;
    }
    let receipt = Receipt {
        message_id: message_id.to_owned(),
        state,
        error: Some(error(state).to_owned()),
        submitted: Some(stamp(submitted_ms)),
        done: Some(stamp(done_ms)),
        text: Some(InboundText::from(pdu).text()),
        ..Receipt::default()
    };
    Some(addressed(receipt.deliver_sm(), pdu))
}

/// Sends the receipt back where the message came from.
fn addressed(receipt: DeliverSm, pdu: &SubmitSm) -> DeliverSm {
    let mut tlvs = receipt.tlvs;
    if let Some(reference) = pdu.tlvs.user_message_reference() {
        tlvs.set_user_message_reference(reference);
    }
    DeliverSm {
        source_addr_ton: pdu.dest_addr_ton,
        source_addr_npi: pdu.dest_addr_npi,
        source_addr: pdu.destination_addr,
        dest_addr_ton: pdu.source_addr_ton,
        dest_addr_npi: pdu.source_addr_npi,
        destination_addr: pdu.source_addr,
        tlvs,
        ..receipt
    }
}

/// The network's error: 000 is none; the others are of no standard, as in the field.
fn error(state: MessageState) -> &'static str {
    match state {
        MessageState::DELIVERED => "000",
        MessageState::EXPIRED => "034",
        _ => "001",
    }
}

/// `YYMMDDhhmm` in UTC.
fn stamp(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (year, month, day) = civil(minutes / 1_440);
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{:02}{month:02}{day:02}{hour:02}{minute:02}", year % 100)
}

/// The Gregorian date of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{EsmClass, RegisteredDelivery, ShortMessage};

    use super::*;

    /// 2026-02-28 23:59 UTC, and one minute later.
    const TIMES: (u64, u64) = (1_772_323_140_000, 1_772_323_200_000);

    fn submit(registered_delivery: RegisteredDelivery) -> SubmitSm {
        SubmitSm {
            source_addr: "447700900001".parse().unwrap(),
            destination_addr: "447700900123".parse().unwrap(),
            registered_delivery,
            short_message: ShortMessage::try_from(&b"one two three four five six"[..]).unwrap(),
            ..SubmitSm::default()
        }
    }

    fn asked(fate: Receipts, registered_delivery: RegisteredDelivery) -> Option<DeliverSm> {
        receipt(fate, TIMES, "1234567890", &submit(registered_delivery))
    }

    #[test]
    fn a_receipt_goes_back_the_way_the_message_came() {
        let body = asked(Receipts::Delivered, RegisteredDelivery::RECEIPT).unwrap();
        assert_eq!(body.source_addr.to_text(), "447700900123");
        assert_eq!(body.destination_addr.to_text(), "447700900001");
        assert_eq!(body.esm_class, EsmClass::RECEIPT);
    }

    #[test]
    fn a_receipt_says_the_same_by_tlv_and_by_text() {
        let body = asked(Receipts::Delivered, RegisteredDelivery::RECEIPT).unwrap();
        let id = body.tlvs.receipted_message_id().unwrap();
        assert_eq!(id.to_text(), "1234567890");
        assert_eq!(body.tlvs.message_state(), Some(MessageState::DELIVERED));
        let text = String::from_utf8(body.short_message.to_vec()).unwrap();
        assert_eq!(
            text,
            "id:1234567890 sub:001 dlvrd:001 submit date:2602282359 done date:2603010000 \
             stat:DELIVRD err:000 text:one two three four f"
        );
    }

    #[test]
    fn a_failure_names_its_state_and_an_error() {
        for (fate, state, word) in [
            (
                Receipts::Undeliverable,
                MessageState::UNDELIVERABLE,
                "stat:UNDELIV err:001",
            ),
            (
                Receipts::Expired,
                MessageState::EXPIRED,
                "stat:EXPIRED err:034",
            ),
        ] {
            let body = asked(fate, RegisteredDelivery::RECEIPT).unwrap();
            assert_eq!(body.tlvs.message_state(), Some(state));
            assert!(String::from_utf8_lossy(&body.short_message).contains(word));
        }
    }

    #[test]
    fn only_what_was_asked_for_is_owed() {
        let owed = |fate, asked_for| asked(fate, asked_for).is_some();
        assert!(!owed(Receipts::Delivered, RegisteredDelivery::NONE));
        assert!(!owed(
            Receipts::Delivered,
            RegisteredDelivery::RECEIPT_ON_FAILURE
        ));
        assert!(owed(
            Receipts::Expired,
            RegisteredDelivery::RECEIPT_ON_FAILURE
        ));
        assert!(!owed(
            Receipts::Expired,
            RegisteredDelivery::RECEIPT_ON_SUCCESS
        ));
        assert!(!owed(Receipts::None, RegisteredDelivery::RECEIPT));
    }

    #[test]
    fn the_sender_s_own_reference_comes_back() {
        let mut pdu = submit(RegisteredDelivery::RECEIPT);
        pdu.tlvs.set_user_message_reference(77);
        let body = receipt(Receipts::Delivered, TIMES, "1", &pdu).unwrap();
        assert_eq!(body.tlvs.user_message_reference(), Some(77));
    }

    #[test]
    fn days_become_dates_across_leap_years() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_512), (2026, 2, 28));
    }
}
