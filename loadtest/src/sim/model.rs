//! What the simulator knows and decides. No network and no clock: both are arguments.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use matrix_smpp_codec::{CommandStatus, DeliverSm, InboundText, SubmitSm};

use crate::sim::behaviour::{Behaviour, Change, ChangeError, Receipts};
use crate::sim::clock::Now;
use crate::sim::handsets::{Delivery, Handsets, digits};
use crate::sim::ids::Ids;
use crate::sim::receipts;
use crate::sim::status::StatusName;
use crate::sim::submits::{Submit, Submits};

/// Of how many originators the simulator remembers who sends from them.
const MAX_ORIGINATORS: usize = 100_000;

/// Everything that a request over HTTP or SMPP can change or see.
pub(crate) struct Model {
    pub(crate) ids: Ids,
    pub(crate) behaviour: Behaviour,
    pub(crate) handsets: Handsets,
    pub(crate) submits: Submits,
    fresh: Behaviour,
    /// Originator to the account that last sent from it.
    senders: HashMap<String, String>,
}

/// Where a `submit_sm` came from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The number of the bind.
    pub(crate) bind: u64,
    pub(crate) system_id: &'a str,
    pub(crate) sequence: u32,
}

/// What the simulator does about one `submit_sm`.
pub(crate) struct Outcome {
    /// None where the request is swallowed.
    pub(crate) answer: Option<Answer>,
    pub(crate) receipt: Option<Owed>,
}

/// The `submit_sm_resp`, and when it goes.
pub(crate) struct Answer {
    pub(crate) status: CommandStatus,
    /// For an accepted message.
    pub(crate) message_id: Option<String>,
    pub(crate) delay: Duration,
}

/// A receipt, and when it goes.
pub(crate) struct Owed {
    pub(crate) arrival: u64,
    pub(crate) body: DeliverSm,
    pub(crate) delay: Duration,
}

impl Model {
    pub(crate) fn new(seed: u64, receipt_delay: Duration) -> Self {
        let fresh = Behaviour::new(receipt_delay);
        Self {
            ids: Ids::new(seed),
            behaviour: fresh.clone(),
            handsets: Handsets::default(),
            submits: Submits::default(),
            fresh,
            senders: HashMap::new(),
        }
    }

    pub(crate) fn change_behaviour(&mut self, change: Change) -> Result<(), ChangeError> {
        self.behaviour = self.behaviour.changed(change, &self.fresh)?;
        Ok(())
    }

    /// The account that last sent from this originator.
    pub(crate) fn sender(&self, originator: &str) -> Option<&str> {
        self.senders.get(digits(originator)).map(String::as_str)
    }

    /// Takes one `submit_sm`: notes it, decides its answer, and brings an accepted one to its phone.
    pub(crate) fn submit(&mut self, now: Now, origin: Origin<'_>, pdu: &SubmitSm) -> Outcome {
        let destination = pdu.destination_addr.to_text();
        let status = self
            .behaviour
            .answer(&destination)
            .map(|status| checked(status, &destination));
        let accepted = status == Some(StatusName::OK);
        let message_id = accepted.then(|| self.ids.message_id());
        let receipt = message_id.as_deref().and_then(|id| self.owe(now, id, pdu));
        let owed = if receipt.is_some() { "owed" } else { "none" };
        let note = Submit {
            arrival: self.submits.next_arrival(),
            at: now.unix_ms,
            message_id: message_id.clone(),
            status,
            receipt: owed.to_owned(),
            ..Submit::of(origin, pdu)
        };
        self.submits.keep(note);
        if accepted {
            self.deliver(now, origin, pdu);
        }
        let delay = Duration::from_millis(self.behaviour.response_delay_ms);
        let answer = status.map(|status| Answer {
            status: status.0,
            message_id,
            delay,
        });
        Outcome { answer, receipt }
    }

    fn deliver(&mut self, now: Now, origin: Origin<'_>, pdu: &SubmitSm) {
        let source = pdu.source_addr.to_text();
        let destination = pdu.destination_addr.to_text();
        if self.senders.len() >= MAX_ORIGINATORS {
            self.senders.clear();
        }
        self.senders
            .insert(digits(&source).to_owned(), origin.system_id.to_owned());
        let status = match self.behaviour.receipts {
            Receipts::Delivered | Receipts::None => "delivered",
            Receipts::Undeliverable => "undeliverable",
            Receipts::Expired => "expired",
        };
        let delivery = Delivery {
            from: &source,
            to: &destination,
            at: now.unix_ms,
            status,
        };
        let segment = InboundText::from(pdu);
        // The PDU is a slice of all that was read at once: not to be kept for one text.
        let payload = Bytes::copy_from_slice(&segment.payload);
        self.handsets
            .deliver(&delivery, InboundText { payload, ..segment });
    }

    fn owe(&self, now: Now, message_id: &str, pdu: &SubmitSm) -> Option<Owed> {
        let wait = self.behaviour.receipt_delay_ms;
        let times = (now.unix_ms, now.unix_ms + wait);
        let body = receipts::receipt(self.behaviour.receipts, times, message_id, pdu)?;
        let delay = Duration::from_millis(wait);
        Some(Owed {
            arrival: self.submits.next_arrival(),
            body,
            delay,
        })
    }
}

/// Where nothing else is wrong, a destination that is no number is.
fn checked(status: StatusName, destination: &str) -> StatusName {
    let number = digits(destination);
    let dialable = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    if status == StatusName::OK && !dialable {
        return StatusName(CommandStatus::ESME_RINVDSTADR);
    }
    status
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{RegisteredDelivery, ShortMessage};

    use super::*;

    const PHONE: &str = "447700900123";
    const VMN: &str = "447700900001";
    const ORIGIN: Origin<'_> = Origin {
        bind: 1,
        system_id: "gateway",
        sequence: 9,
    };

    fn model() -> Model {
        Model::new(1, Duration::from_millis(500))
    }

    fn submit(destination: &str) -> SubmitSm {
        SubmitSm {
            source_addr: VMN.parse().unwrap(),
            destination_addr: destination.parse().unwrap(),
            registered_delivery: RegisteredDelivery::RECEIPT,
            short_message: ShortMessage::try_from(&b"hello"[..]).unwrap(),
            ..SubmitSm::default()
        }
    }

    fn take(model: &mut Model, pdu: &SubmitSm) -> Outcome {
        model.submit(Now::read(), ORIGIN, pdu)
    }

    fn change(model: &mut Model, json: &str) {
        model
            .change_behaviour(serde_json::from_str(json).unwrap())
            .unwrap();
    }

    #[test]
    fn an_accepted_message_is_noted_reaches_its_phone_and_owes_a_receipt() {
        let mut model = model();
        let outcome = take(&mut model, &submit(PHONE));
        let answer = outcome.answer.unwrap();
        assert!(answer.status.is_ok());
        assert_eq!(outcome.receipt.unwrap().delay, Duration::from_millis(500));
        let note = model.submits.after(0, 10).remove(0);
        assert_eq!((note.arrival, note.bind, note.sequence), (1, 1, 9));
        assert_eq!(note.message_id, answer.message_id);
        assert_eq!(note.receipt, "owed");
        assert_eq!(model.handsets.messages(PHONE, 10).remove(0).text.0, "hello");
        assert_eq!(model.sender("+447700900001"), Some("gateway"));
    }

    #[test]
    fn a_refused_message_reaches_no_phone_and_owes_nothing() {
        let mut model = model();
        change(&mut model, r#"{"submit_status": "ESME_RTHROTTLED"}"#);
        let outcome = take(&mut model, &submit(PHONE));
        let answer = outcome.answer.unwrap();
        assert_eq!(answer.status, CommandStatus::ESME_RTHROTTLED);
        assert_eq!(answer.message_id, None);
        assert!(outcome.receipt.is_none());
        assert!(model.handsets.messages(PHONE, 10).is_empty());
        assert_eq!(model.submits.after(0, 10).len(), 1);
    }

    #[test]
    fn a_swallowed_message_leaves_only_its_note() {
        let mut model = model();
        change(&mut model, r#"{"silent": true}"#);
        let outcome = take(&mut model, &submit(PHONE));
        assert!(outcome.answer.is_none() && outcome.receipt.is_none());
        assert!(model.handsets.messages(PHONE, 10).is_empty());
        assert_eq!(model.submits.after(0, 10).remove(0).status, None);
    }

    #[test]
    fn a_destination_that_is_no_number_is_refused() {
        for wrong in ["", "BANK", "44770x"] {
            let answer = take(&mut model(), &submit(wrong)).answer.unwrap();
            assert_eq!(answer.status, CommandStatus::ESME_RINVDSTADR, "{wrong}");
        }
    }

    #[test]
    fn a_phone_that_cannot_be_reached_says_so() {
        let mut model = model();
        change(&mut model, r#"{"receipts": "undeliverable"}"#);
        assert!(take(&mut model, &submit(PHONE)).receipt.is_some());
        assert_eq!(
            model.handsets.messages(PHONE, 10).remove(0).status,
            "undeliverable"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_message_ids() {
        let id = || {
            take(&mut model(), &submit(PHONE))
                .answer
                .unwrap()
                .message_id
        };
        assert_eq!(id(), id());
    }
}
