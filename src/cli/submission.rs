//! What became of something that an account submitted, in words.

use matrix_smpp_codec::values::MessageState;

use crate::gateway::model::Timestamp;
use crate::ops::admin;
use crate::store::{ReceiptHistory, SubmissionHistory};

/// Its state in one line, then what happened and what it waits for, a line each.
pub(super) fn history(of: &SubmissionHistory) -> String {
    let state = MessageState(of.state);
    let state = state
        .name()
        .map_or_else(|| of.state.to_string(), str::to_lowercase);
    let head = format!("submission {} of {}: {state}", of.id, of.account);
    let recipient = of.recipient.as_ref().map(|who| format!("  for {who}"));
    let parts = of
        .waits_for_parts
        .then(|| "  waits for its other parts".to_owned());
    let aside = of.aside.as_ref().map(|why| format!("  set aside: {why}"));
    let final_state = of.ended_at.map(|at| line(at, &state));
    [
        Some(head),
        recipient,
        Some(line(of.at, "submitted")),
        parts,
        of.due_at.map(|at| line(at, "is its time")),
        of.valid_until
            .map(|at| line(at, "is the end of its validity")),
        of.said_at.map(|at| line(at, "last tried to say")),
        aside,
        final_state,
        receipt(of.receipt),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("\n")
}

fn line(at: Timestamp, what: &str) -> String {
    format!("  {} {what}", admin::utc(at))
}

fn receipt(receipt: ReceiptHistory) -> Option<String> {
    let words = match receipt {
        ReceiptHistory::NotYet => return None,
        ReceiptHistory::NotWanted => "no receipt was asked for".to_owned(),
        ReceiptHistory::Over => {
            "its receipt is not owed any more: taken, refused or not fetched in time".to_owned()
        }
        ReceiptHistory::Owed {
            attempts,
            due_at,
            until,
        } => {
            let due = match due_at {
                None => "its answer is waited for".to_owned(),
                Some(at) => format!("due at {}", admin::utc(at)),
            };
            let times = match attempts {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            format!(
                "its receipt was sent {times}; {due}, given up at {}",
                admin::utc(until)
            )
        }
    };
    Some(format!("  {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_told_line_by_line() {
        let of = SubmissionHistory {
            id: "00c0ffee0000002a".to_owned(),
            account: "aggregator".to_owned(),
            state: MessageState::DELIVERED.0,
            recipient: Some("conversation 3".to_owned()),
            waits_for_parts: false,
            aside: None,
            at: Timestamp(0),
            due_at: None,
            valid_until: None,
            said_at: Some(Timestamp(1_000)),
            ended_at: Some(Timestamp(1_000)),
            receipt: ReceiptHistory::Owed {
                attempts: 1,
                due_at: None,
                until: Timestamp(61_000),
            },
        };
        let told = "\
submission 00c0ffee0000002a of aggregator: delivered
  for conversation 3
  1970-01-01T00:00:00Z submitted
  1970-01-01T00:00:01Z last tried to say
  1970-01-01T00:00:01Z delivered
  its receipt was sent once; its answer is waited for, given up at 1970-01-01T00:01:01Z";
        assert_eq!(history(&of), told);
    }
}
