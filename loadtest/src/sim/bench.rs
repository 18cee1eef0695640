//! What the tests of the model stand on.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::{
    CommandId, CommandStatus, MessageState, QuerySm, RegisteredDelivery, ShortMessage, SubmitSm,
};

use crate::sim::behaviour::Behaviour;
use crate::sim::clock::Now;
use crate::sim::model::{Due, Model, Origin, Outcome};
use crate::sim::receipts::Dates;
use crate::sim::scenario::Scenario;
use crate::sim::script::Script;

pub(crate) const PHONE: &str = "447700900123";
pub(crate) const VMN: &str = "447700900001";

/// A model and a clock that goes only when it is told to.
pub(crate) struct Bench {
    pub(crate) model: Model,
    pub(crate) now: Now,
    pub(crate) account: Arc<str>,
}

impl Bench {
    /// A model in this scenario, with receipts after half a second.
    pub(crate) fn new(scenario: &str) -> Self {
        let now = Now::read();
        let scenario = Scenario::from_toml(scenario).unwrap();
        let fresh = Behaviour::new(Duration::from_millis(500));
        Self {
            model: Model::new(now, 1, 1_000, Script::new(scenario), fresh),
            now,
            account: "gateway".into(),
        }
    }

    /// One message comes.
    pub(crate) fn take(&mut self, pdu: &SubmitSm) -> Outcome {
        let origin = Origin {
            bind: 1,
            system_id: &self.account,
            sequence: 9,
            command: CommandId::SUBMIT_SM,
            outstanding: 0,
            serial: None,
        };
        self.model.submit(self.now, origin, pdu.clone())
    }

    /// One message comes and is accepted; its id.
    pub(crate) fn accepted(&mut self, pdu: &SubmitSm) -> String {
        let answer = self.take(pdu).answer.unwrap();
        assert_eq!(answer.status, CommandStatus::ESME_ROK);
        answer.message_id.unwrap().to_string()
    }

    /// One message comes; the status of its answer.
    pub(crate) fn status(&mut self, pdu: &SubmitSm) -> CommandStatus {
        self.take(pdu).answer.unwrap().status
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        self.now.instant += Duration::from_millis(milliseconds);
        self.now.unix_ms += milliseconds;
    }

    /// The receipts that are due.
    pub(crate) fn receipts(&mut self) -> Vec<Receipt> {
        let due = self.model.due(self.now, 100).into_iter();
        due.filter_map(|due| match due {
            Due::Notice(notice) => Receipt::of(&notice.body(&mut Dates::default())),
            _ => None,
        })
        .collect()
    }

    /// As `POST /behaviour`.
    pub(crate) fn change(&mut self, json: &str) {
        let change = serde_json::from_str(json).unwrap();
        self.model.change_behaviour(&change).unwrap();
    }

    /// Where a message has got to.
    pub(crate) fn query(&mut self, id: &str) -> Result<MessageState, CommandStatus> {
        let asked = QuerySm {
            message_id: id.parse().unwrap(),
            source_addr: VMN.parse().unwrap(),
            ..QuerySm::default()
        };
        let answer = self.model.query(self.now, "gateway", &asked)?;
        Ok(answer.message_state)
    }

    /// Texts and states on [`PHONE`].
    pub(crate) fn phone(&self) -> Vec<(String, String)> {
        let messages = self.model.handsets.messages(PHONE, 10).into_iter();
        messages
            .map(|one| (one.text.0, one.status.into_owned()))
            .collect()
    }
}

/// A text from [`VMN`] to this number that asks for a receipt.
pub(crate) fn submit(destination: &str) -> SubmitSm {
    SubmitSm {
        source_addr: VMN.parse().unwrap(),
        destination_addr: destination.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(&b"hello"[..]).unwrap(),
        ..SubmitSm::default()
    }
}
