//! What tests look for among the messages, and whether they found it.

use std::time::Duration;

use matrix_smpp_codec::{InboundText, MessageState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sim::records::Record;
use crate::sim::rules::fits;
use crate::sim::status::StatusName;

/// How many messages an answer shows.
const SHOWN: usize = 10;

/// Which messages are meant: those for which all holds that is said. Numbers and names may have `*` and
/// `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    #[serde(alias = "destination")]
    to: Option<String>,
    #[serde(alias = "source")]
    from: Option<String>,
    account: Option<String>,
    bind: Option<u64>,
    /// Words of the text, in any case.
    text: Option<String>,
    /// `submit_sm`, `submit_multi` or `data_sm`.
    command: Option<String>,
    /// The status of the answer.
    status: Option<StatusName>,
    /// `DELIVERED` and so on, in any case, as of now.
    state: Option<StateName>,
    /// `none`, `owed`, or the status of the answer to the receipt.
    receipt: Option<String>,
    message_id: Option<String>,
    data_coding: Option<u8>,
    /// Only what arrived after this number.
    pub(crate) after: u64,
    /// No more than so many.
    pub(crate) limit: Option<usize>,
}

impl Filter {
    /// Whether this message is meant.
    pub(crate) fn takes(&self, record: &Record, now_ms: u64) -> bool {
        let parcel = &record.parcel;
        let pdu = &parcel.pdu;
        fits(
            self.to.as_deref(),
            pdu.destination_addr.as_str().unwrap_or_default(),
        ) && fits(
            self.from.as_deref(),
            pdu.source_addr.as_str().unwrap_or_default(),
        ) && fits(self.account.as_deref(), &parcel.system_id)
            && self.bind.is_none_or(|bind| bind == parcel.bind)
            && self
                .command
                .as_deref()
                .is_none_or(|name| parcel.command.name() == Some(name))
            && self
                .status
                .is_none_or(|status| record.status == Some(status))
            && self
                .data_coding
                .is_none_or(|coding| pdu.data_coding.0 == coding)
            && self
                .state
                .is_none_or(|StateName(wanted)| record.state(now_ms) == Some(wanted))
            && self
                .receipt
                .as_deref()
                .is_none_or(|receipt| record.receipt == receipt)
            && (self.message_id.is_none()
                || self.message_id.as_deref() == parcel.message_id.as_deref())
            && self.says(record)
    }

    fn says(&self, record: &Record) -> bool {
        self.text.as_deref().is_none_or(|words| {
            let text = InboundText::from(&record.parcel.pdu).text();
            text.to_lowercase().contains(&words.to_lowercase())
        })
    }
}

/// A `message_state` by its name (SMPP 3.4 §5.2.28), in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct StateName(MessageState);

impl TryFrom<String> for StateName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut states = (0..=u8::MAX).map(MessageState);
        let is_named = |state: &MessageState| {
            let known = state.name();
            known.is_some_and(|known| known.eq_ignore_ascii_case(&name))
        };
        states
            .find(is_named)
            .map(Self)
            .ok_or_else(|| format!("no message_state is called {name}: DELIVERED is one"))
    }
}

/// What is expected, as `POST /expect` takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expectation {
    /// Which messages.
    pub(crate) messages: Filter,
    /// Just so many; otherwise `min` and `max`.
    count: Option<usize>,
    /// At least so many; without a word, one.
    min: Option<usize>,
    /// At most so many.
    max: Option<usize>,
    /// How long to wait for them.
    pub(crate) within_ms: u64,
    /// How long to wait for more than there should be, once enough are there.
    pub(crate) settle_ms: u64,
}

impl Expectation {
    /// At least how many, and at most.
    pub(crate) fn bounds(&self) -> (usize, Option<usize>) {
        if let Some(count) = self.count {
            return (count, Some(count));
        }
        let least = usize::from(self.max.is_none());
        (self.min.unwrap_or(least), self.max)
    }

    /// Whether nothing can change the verdict any more but more waiting for too many.
    pub(crate) fn is_settled(&self, matched: usize) -> bool {
        let (min, max) = self.bounds();
        max.is_some_and(|max| matched > max) || (min > 0 && matched >= min)
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    fn wanted(&self) -> String {
        match self.bounds() {
            (min, Some(max)) if min == max => format!("exactly {min}"),
            (min, Some(max)) => format!("{min} to {max}"),
            (min, None) => format!("at least {min}"),
        }
    }

    fn holds(&self, matched: usize) -> bool {
        let (min, max) = self.bounds();
        matched >= min && max.is_none_or(|max| matched <= max)
    }
}

/// The answer to an expectation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) pass: bool,
    pub(crate) matched: usize,
    wanted: String,
    explanation: String,
    /// The first of those that matched.
    messages: Vec<Value>,
    /// Where too few did: the latest of those that did not.
    others: Vec<Value>,
}

impl Verdict {
    /// Judges what there is now.
    pub(crate) fn of<'a>(
        expectation: &Expectation,
        records: impl DoubleEndedIterator<Item = &'a Record>,
        now_ms: u64,
    ) -> Self {
        let (matched, others): (Vec<_>, Vec<_>) =
            records.partition(|record| expectation.messages.takes(record, now_ms));
        let pass = expectation.holds(matched.len());
        let view = |record: &&Record| serde_json::to_value(record.view(now_ms)).unwrap_or_default();
        let few = matched.len() < expectation.bounds().0;
        let latest = others.iter().rev().take(if few { SHOWN } else { 0 });
        Self {
            pass,
            matched: matched.len(),
            wanted: expectation.wanted(),
            explanation: format!(
                "{} of {} messages match, wanted {}",
                matched.len(),
                matched.len() + others.len(),
                expectation.wanted()
            ),
            messages: matched.iter().take(SHOWN).map(view).collect(),
            others: latest.map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(json: &str) -> Expectation {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_state_is_named_in_any_case_and_a_wrong_name_is_refused() {
        let filter = |json| serde_json::from_str::<Filter>(json);
        let [upper, lower] = [r#"{"state": "DELIVERED"}"#, r#"{"state": "delivered"}"#];
        assert_eq!(filter(upper).unwrap(), filter(lower).unwrap());
        let wrong = filter(r#"{"state": "DELIVRD"}"#).unwrap_err();
        assert!(wrong.to_string().contains("DELIVRD"), "{wrong}");
    }

    #[test]
    fn a_count_is_exact_and_bounds_are_bounds() {
        assert_eq!(expectation(r#"{"count": 3}"#).bounds(), (3, Some(3)));
        assert_eq!(expectation(r#"{"min": 2}"#).bounds(), (2, None));
        assert_eq!(expectation(r#"{"max": 2}"#).bounds(), (0, Some(2)));
        assert_eq!(expectation("{}").bounds(), (1, None));
    }

    #[test]
    fn it_is_settled_when_enough_or_too_many_are_there() {
        let three = expectation(r#"{"count": 3}"#);
        let settled: Vec<_> = (0..5).map(|count| three.is_settled(count)).collect();
        assert_eq!(settled, [false, false, false, true, true]);
        let none = expectation(r#"{"max": 0}"#);
        assert!(!none.is_settled(0) && none.is_settled(1));
    }
}
