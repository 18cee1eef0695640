//! The sending half of a link, and what is on its wire.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use matrix_smpp_codec::{Body, CommandId};
use matrix_smpp_session::{Link, LinkState, SubmitError, Ticket};

use crate::gateway::model::{SegmentRef, TakenId};
use crate::ops::metrics::{self, Metrics};
use crate::store::{Answer, Claimed, Outcome, OwedReceipt, ReceiptAnswer, ReceiptOutcome};

/// The sending half of a link, with what is on its wire. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) name: String,
    pub(super) handle: Link,
    /// Whether it carries messages of ours to the peer.
    pub(super) takes: bool,
    pub(super) on_wire: Arc<OnWire>,
}

/// What each ticket stands for.
#[derive(Debug, Default)]
pub(super) struct OnWire {
    next: AtomicU64,
    segments: Mutex<HashMap<Ticket, Sent>>,
}

/// What must be known of a segment or a receipt when its answer comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    what: Carried,
    attempt: u32,
    pub(super) retries: u32,
}

#[derive(Debug, Clone, Copy)]
enum Carried {
    Segment(SegmentRef),
    /// Of what an account has submitted.
    Receipt(TakenId),
}

impl From<&Claimed> for Sent {
    fn from(claimed: &Claimed) -> Self {
        Self {
            what: Carried::Segment(claimed.segment),
            attempt: claimed.attempt,
            retries: claimed.retries,
        }
    }
}

impl From<&OwedReceipt> for Sent {
    fn from(owed: &OwedReceipt) -> Self {
        Self {
            what: Carried::Receipt(owed.id),
            attempt: owed.attempt,
            retries: owed.retries,
        }
    }
}

/// What is to be recorded when an answer came, or none will.
pub(super) enum Told {
    Segment(Answer),
    Receipt(ReceiptAnswer),
}

impl Sent {
    /// How often it has been tried in vain. A receipt is tried again for as long as it is owed.
    pub(super) fn retries_that_count(self) -> u32 {
        match self.what {
            Carried::Segment(_) => self.retries,
            Carried::Receipt(_) => 0,
        }
    }

    pub(super) fn told(self, outcome: Outcome) -> Told {
        let Self { what, attempt, .. } = self;
        match what {
            Carried::Segment(segment) => Told::Segment(Answer {
                segment,
                attempt,
                outcome,
            }),
            Carried::Receipt(id) => Told::Receipt(ReceiptAnswer {
                id,
                attempt,
                outcome: as_of_receipt(&outcome),
            }),
        }
    }
}

/// A receipt that is refused is not sent again; the sender has said that it does not want it.
fn as_of_receipt(outcome: &Outcome) -> ReceiptOutcome {
    match *outcome {
        Outcome::NotWritten => ReceiptOutcome::NotWritten,
        Outcome::Throttled { retry_at } | Outcome::Retry { retry_at, .. } => {
            ReceiptOutcome::Retry { retry_at }
        }
        Outcome::Uncertain => ReceiptOutcome::Uncertain,
        Outcome::Submitted { .. } | Outcome::Rejected { .. } | Outcome::Unsendable { .. } => {
            ReceiptOutcome::Over
        }
    }
}

impl OnWire {
    fn put(&self, sent: Sent) -> Ticket {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed));
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.insert(ticket, sent);
        ticket
    }

    pub(super) fn take(&self, ticket: Ticket) -> Option<Sent> {
        self.segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&ticket)
    }
}

impl Outgoing {
    pub(super) fn new(name: String, handle: Link, takes: bool) -> Self {
        Self {
            name,
            handle,
            takes,
            on_wire: Arc::default(),
        }
    }

    /// Hands a claimed segment or receipt to the link.
    pub(super) fn submit<'a, T>(&self, claimed: &'a T, pdu: Body) -> Result<(), SubmitError>
    where
        Sent: From<&'a T>,
    {
        let ticket = self.on_wire.put(Sent::from(claimed));
        let submitted = self.handle.submit(ticket, pdu);
        if submitted.is_err() {
            self.on_wire.take(ticket);
        }
        submitted
    }

    /// Writes the link's state and counters into the metrics.
    pub(super) fn export(&self, group: &str, metrics: &Metrics) {
        let up = i64::from(self.handle.state() == LinkState::Bound);
        metrics
            .link_up
            .with_label_values(&[group, &self.name])
            .set(up);
        if let Some((window, rate)) = self.handle.pace() {
            let window = i64::try_from(window).unwrap_or(i64::MAX);
            let rate = rate.map_or(0, |rate| rate.get().into());
            let labels = [group, &self.name];
            metrics.link_window.with_label_values(&labels).set(window);
            metrics.link_rate.with_label_values(&labels).set(rate);
        }
        let counters = self.handle.counters();
        for command in CommandId::KNOWN {
            for (direction, count) in [
                ("in", counters.pdus_in(*command)),
                ("out", counters.pdus_out(*command)),
            ] {
                let labels = [
                    group,
                    &self.name,
                    direction,
                    command.name().unwrap_or("other"),
                ];
                metrics::catch_up(&metrics.pdus.with_label_values(&labels), count);
            }
        }
    }
}
