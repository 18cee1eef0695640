//! Delivery receipts: whether one is owed, when it goes, and what it says (SMPP 3.4 §5.2.17 and
//! appendix B).

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::time::AbsoluteTime;
use matrix_smpp_codec::{DeliverSm, InboundText, MessageState, ShortMessage, SubmitSm, Tlvs};
use serde::{Deserialize, Serialize};

use crate::sim::dice::mix;
use crate::sim::fate::Mix;
use crate::sim::records::Parcel;
use crate::sim::span::{Latency, Span};

/// Where a receipt says what it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// By TLVs and by text.
    #[default]
    Both,
    /// By TLVs alone; the text is empty.
    Tlv,
    /// By text alone.
    Text,
}

/// In which order receipts go that are due in the same window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReceiptOrder {
    /// That of their messages.
    #[default]
    Natural,
    /// The last message's first.
    Reversed,
    /// As the seed has it.
    Shuffled,
}

/// What receipts are like, where no rule says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReceiptStyle {
    /// What becomes of messages, by share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mix: Option<Mix>,
    /// From the delivery of a message to its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Latency>,
    /// By TLV, by text, or both.
    pub(crate) form: Form,
    /// The order of those that are due in one `window`.
    pub(crate) order: ReceiptOrder,
    /// Receipts leave together at the end of each window of this length; otherwise each when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<Span>,
    /// Every receipt goes before the answer to its message.
    pub(crate) early: bool,
    /// An intermediate notification goes first, where the sender asked for it.
    pub(crate) intermediate: bool,
}

impl ReceiptStyle {
    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.order != ReceiptOrder::Natural && self.window.is_none_or(|span| span.0.is_zero()) {
            return Err("another `order` than natural needs a `window` of time".to_owned());
        }
        self.mix.as_ref().map_or(Ok(()), Mix::check)
    }

    /// When a receipt goes that is due so long after the start, and its rank among those that go
    /// at the same time.
    pub(crate) fn slot(&self, due: Duration, arrival: u64, seed: u64) -> (Duration, u64) {
        let Some(window) = self.window.map(|span| span.0.as_nanos()) else {
            return (due, 0);
        };
        let windows = due.as_nanos().div_ceil(window.max(1));
        let end = u64::try_from(windows * window).map_or(due, Duration::from_nanos);
        let rank = match self.order {
            ReceiptOrder::Natural => arrival,
            ReceiptOrder::Reversed => u64::MAX - arrival,
            ReceiptOrder::Shuffled => mix(seed ^ arrival),
        };
        (end, rank)
    }
}

/// Whether the sender is owed a receipt for this outcome.
pub(crate) fn is_owed(pdu: &SubmitSm, state: MessageState) -> bool {
    let delivered = matches!(state, MessageState::DELIVERED | MessageState::ACCEPTED);
    pdu.registered_delivery.wants_receipt(delivered)
}

/// What an SMSC has to tell the sender of a message. It is put in words when it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// The message as it was when this was due.
    pub(crate) parcel: Arc<Parcel>,
    /// It is on its way (SMPP 3.4 §2.11); otherwise it has ended.
    pub(crate) intermediate: bool,
}

impl Notice {
    /// The `deliver_sm` that says it.
    pub(crate) fn body(&self, dates: &mut Dates) -> DeliverSm {
        let parcel = &*self.parcel;
        let (state, error, done) = if self.intermediate {
            (MessageState::ENROUTE, "000", parcel.at)
        } else {
            (parcel.end.fate.state(), &*parcel.end.error, parcel.end.at)
        };
        let id = parcel.receipt_id.as_ref().or(parcel.message_id.as_ref());
        let receipt = Receipt {
            message_id: id.map(ToString::to_string).unwrap_or_default(),
            state,
            intermediate: self.intermediate,
            error: Some(error.to_owned()),
            submitted: dates.of(parcel.at),
            done: dates.of(done),
            text: Some(beginning(&parcel.pdu)),
            ..Receipt::default()
        };
        let mut body = receipt.deliver_sm();
        match parcel.course.form {
            Form::Both => {}
            Form::Tlv => body.short_message = ShortMessage::default(),
            Form::Text => body.tlvs = Tlvs::default(),
        }
        addressed(body, &parcel.pdu)
    }
}

/// As many octets as the 20 characters of a receipt's text take at most: four each in UTF-16.
const BEGINNING: usize = 80;

fn beginning(pdu: &SubmitSm) -> String {
    let mut text = InboundText::from(pdu);
    text.payload.truncate(BEGINNING);
    text.text()
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

/// How many minutes [`Dates`] knows the dates of.
const MINUTES_KNOWN: usize = 8;

/// Dates of receipts, `YYMMDDhhmm` in UTC: many receipts are of the same minute.
#[derive(Debug, Default)]
pub(crate) struct Dates([(u64, Option<String>); MINUTES_KNOWN]);

impl Dates {
    fn of(&mut self, unix_ms: u64) -> Option<String> {
        let minute = unix_ms / 60_000;
        let place = usize::try_from(minute).unwrap_or(0) % MINUTES_KNOWN;
        let known = self.0.get_mut(place)?;
        if known.0 != minute {
            let seconds = i64::try_from(minute * 60).ok()?;
            let date = AbsoluteTime::from_unix(seconds).map(|time| time.receipt_date());
            *known = (minute, date);
        }
        known.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{CommandId, EsmClass, RegisteredDelivery};

    use super::*;
    use crate::sim::clock::Now;
    use crate::sim::course::{Course, End};
    use crate::sim::fate::Fate;

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

    fn parcel(fate: Fate) -> Parcel {
        Parcel {
            arrival: 1,
            at: TIMES.0,
            bind: 1,
            system_id: "gateway".into(),
            sequence: 1,
            command: CommandId::SUBMIT_SM,
            pdu: submit(RegisteredDelivery::RECEIPT),
            message_id: Some("1234567890".into()),
            receipt_id: None,
            edition: 0,
            end: End {
                fate,
                error: fate.error().into(),
                at: TIMES.1,
            },
            course: Course::none(Now::read()),
            back: None,
        }
    }

    fn body(fate: Fate, form: Form) -> DeliverSm {
        let mut parcel = parcel(fate);
        parcel.course.form = form;
        told(parcel)
    }

    fn told(parcel: Parcel) -> DeliverSm {
        let notice = Notice {
            parcel: Arc::new(parcel),
            intermediate: false,
        };
        notice.body(&mut Dates::default())
    }

    fn text(body: &DeliverSm) -> String {
        String::from_utf8(body.short_message.to_vec()).unwrap()
    }

    #[test]
    fn a_receipt_goes_back_the_way_the_message_came() {
        let body = body(Fate::Delivered, Form::Both);
        assert_eq!(body.source_addr.to_text(), "447700900123");
        assert_eq!(body.destination_addr.to_text(), "447700900001");
        assert_eq!(body.esm_class, EsmClass::RECEIPT);
    }

    #[test]
    fn a_receipt_says_the_same_by_tlv_and_by_text() {
        let body = body(Fate::Delivered, Form::Both);
        let id = body.tlvs.receipted_message_id().unwrap();
        assert_eq!(id.to_text(), "1234567890");
        assert_eq!(body.tlvs.message_state(), Some(MessageState::DELIVERED));
        assert_eq!(
            text(&body),
            "id:1234567890 sub:001 dlvrd:001 submit date:2602282359 done date:2603010000 \
             stat:DELIVRD err:000 text:one two three four f"
        );
    }

    #[test]
    fn each_receipt_has_the_dates_of_its_own_minutes() {
        let mut dates = Dates::default();
        let mut of = |minute: u64| dates.of(TIMES.0 + minute * 60_000).unwrap();
        // Eight minutes later the place of a date is another's.
        let seen = [0, 1, 8, 0].map(&mut of);
        assert_eq!(
            seen,
            ["2602282359", "2603010000", "2603010007", "2602282359"]
        );
    }

    #[test]
    fn the_text_of_a_receipt_is_the_beginning_of_the_message_in_any_alphabet() {
        let mut parcel = parcel(Fate::Delivered);
        let long: Vec<u8> = "ж"
            .repeat(70)
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        parcel.pdu.data_coding = matrix_smpp_codec::DataCoding::UCS2;
        parcel.pdu.short_message = ShortMessage::try_from(&long[..]).unwrap();
        assert!(text(&told(parcel)).ends_with(&format!(" text:{}", "?".repeat(20))));
    }

    #[test]
    fn a_receipt_can_say_it_one_way_only() {
        let body = |form| body(Fate::Delivered, form);
        assert!(body(Form::Tlv).short_message.is_empty());
        assert!(body(Form::Tlv).tlvs.receipted_message_id().is_some());
        assert!(body(Form::Text).tlvs.is_empty());
        assert!(text(&body(Form::Text)).starts_with("id:1234567890"));
    }

    #[test]
    fn a_receipt_can_bear_another_id_than_the_answer() {
        let parcel = Parcel {
            receipt_id: Some("499602D2".into()),
            ..parcel(Fate::Delivered)
        };
        let body = told(parcel);
        assert_eq!(
            body.tlvs.receipted_message_id().unwrap().to_text(),
            "499602D2"
        );
        assert!(text(&body).starts_with("id:499602D2"));
    }

    #[test]
    fn a_failure_names_its_state_and_an_error() {
        for (fate, words) in [
            (Fate::Undeliverable, "stat:UNDELIV err:001"),
            (Fate::Expired, "stat:EXPIRED err:034"),
            (Fate::Rejected, "stat:REJECTD err:001"),
        ] {
            let body = body(fate, Form::Both);
            assert_eq!(body.tlvs.message_state(), Some(fate.state()));
            assert!(text(&body).contains(words), "{}", text(&body));
        }
    }

    #[test]
    fn only_what_was_asked_for_is_owed() {
        let owed = |state, asked_for| is_owed(&submit(asked_for), state);
        let (good, bad) = (MessageState::DELIVERED, MessageState::EXPIRED);
        assert!(!owed(good, RegisteredDelivery::NONE));
        assert!(!owed(good, RegisteredDelivery::RECEIPT_ON_FAILURE));
        assert!(owed(bad, RegisteredDelivery::RECEIPT_ON_FAILURE));
        assert!(!owed(bad, RegisteredDelivery::RECEIPT_ON_SUCCESS));
        assert!(owed(good, RegisteredDelivery::RECEIPT));
    }

    #[test]
    fn the_sender_s_own_reference_comes_back() {
        let mut parcel = parcel(Fate::Delivered);
        parcel.pdu.tlvs.set_user_message_reference(77);
        let body = told(parcel);
        assert_eq!(body.tlvs.user_message_reference(), Some(77));
    }

    #[test]
    fn a_notification_says_that_more_will_come() {
        let notice = Notice {
            parcel: Arc::new(parcel(Fate::Delivered)),
            intermediate: true,
        };
        let body = notice.body(&mut Dates::default());
        assert_eq!(body.esm_class, EsmClass::INTERMEDIATE);
        assert_eq!(body.tlvs.message_state(), Some(MessageState::ENROUTE));
    }

    #[test]
    fn receipts_of_one_window_go_together_in_the_order_asked_for() {
        let style = |order| ReceiptStyle {
            order,
            window: Some(Span(Duration::from_millis(100))),
            ..ReceiptStyle::default()
        };
        let order = |order| {
            let style = style(order);
            let mut slots: Vec<_> = (1..=20)
                .map(|arrival| {
                    (
                        style.slot(Duration::from_millis(arrival), arrival, 7),
                        arrival,
                    )
                })
                .collect();
            assert!(slots.iter().all(|((due, _), _)| due.as_millis() == 100));
            slots.sort_unstable();
            slots
                .into_iter()
                .map(|(_, arrival)| arrival)
                .collect::<Vec<_>>()
        };
        let natural: Vec<u64> = (1..=20).collect();
        let reversed: Vec<u64> = (1..=20).rev().collect();
        assert_eq!(order(ReceiptOrder::Natural), natural);
        assert_eq!(order(ReceiptOrder::Reversed), reversed);
        let shuffled = order(ReceiptOrder::Shuffled);
        assert!(shuffled != natural && shuffled != reversed);
        let unwindowed = ReceiptStyle {
            window: None,
            ..style(ReceiptOrder::Reversed)
        };
        assert!(unwindowed.check().is_err());
    }
}
