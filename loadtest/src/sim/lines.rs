//! The binds that are up, what waits for them, and what they have not answered yet.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{Body, CommandId, CommandStatus};
use matrix_smpp_session::{BindMode, Link, LinkState, Role, Ticket};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::sim::counts::Counts;
use crate::sim::outbox::Outbox;
use crate::sim::status::StatusName;
use crate::sim::wire::tap::Tap;

/// How long something waits after a temporary refusal or a lost link before it is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// What stands where the status of an answer would, when none came.
pub(crate) const UNANSWERED: &str = "unanswered";

/// One `deliver_sm` or `data_sm` on its way to an account.
pub(crate) struct Outgoing {
    pub(crate) account: String,
    pub(crate) body: Body,
    /// The bind it must go over; otherwise the account's binds take turns.
    pub(crate) bind: Option<u64>,
    pub(crate) purpose: Purpose,
}

/// Why a `deliver_sm` goes out, and so who wants to know of its answer.
pub(crate) enum Purpose {
    /// The receipt of the `submit_sm` with this number of arrival.
    Receipt { arrival: u64 },
    /// A segment of what a phone wrote.
    Segment {
        /// Who wants to know the status of the answer.
        answer: Option<oneshot::Sender<String>>,
        /// Sent again until it is answered for good.
        redeliver: bool,
    },
}

/// What became of a receipt, for the record of its `submit_sm`.
pub(crate) struct ReceiptNews {
    pub(crate) arrival: u64,
    pub(crate) status: String,
}

/// One bind.
pub(crate) struct Line {
    pub(crate) system_id: String,
    pub(crate) mode: BindMode,
    pub(crate) address: SocketAddr,
    pub(crate) link: Link,
    /// Cuts the link without a word.
    pub(crate) cut: CancellationToken,
    /// What is done to it past the session.
    pub(crate) tap: Arc<Tap>,
    /// Milliseconds since 1970 (UTC).
    pub(crate) since: u64,
}

/// One bind as the API shows it.
#[derive(Clone, Serialize)]
pub(crate) struct LineView {
    bind: u64,
    system_id: String,
    mode: &'static str,
    address: String,
    since: u64,
    octets_in: u64,
    octets_out: u64,
    in_flight: usize,
}

/// All binds, and what goes out over them.
#[derive(Default)]
pub(crate) struct Lines {
    binds: BTreeMap<u64, Line>,
    last_bind: u64,
    outbox: Outbox<Outgoing>,
    in_flight: HashMap<u64, Outgoing>,
    last_ticket: u64,
    /// Which bind went last, so that the next one gets its turn.
    turn: u64,
    /// What the links counted that are gone.
    past: Counts,
}

impl Lines {
    /// Takes a new bind in and numbers it.
    pub(crate) fn open(&mut self, line: Line) -> u64 {
        self.last_bind += 1;
        self.binds.insert(self.last_bind, line);
        self.last_bind
    }

    /// Forgets a bind, but not what it counted.
    pub(crate) fn close(&mut self, bind: u64) {
        if let Some(line) = self.binds.remove(&bind) {
            self.past.add(line.link.counters());
        }
    }

    /// One bind, as long as it lasts.
    pub(crate) fn line(&self, bind: u64) -> Option<&Line> {
        self.binds.get(&bind)
    }

    /// The binds of an account that can receive, in the order in which they came.
    pub(crate) fn receivers<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Line> {
        let lines = self.binds.values();
        lines.filter(move |line| line.receives() && line.system_id == account)
    }

    /// How many binds there are.
    pub(crate) fn len(&self) -> usize {
        self.binds.len()
    }

    /// How many `deliver_sm` wait for their answers.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Counts a bind that was refused.
    pub(crate) fn refused(&mut self, bind: CommandId) {
        self.past.add_answered(bind);
    }

    /// Cuts every link. Returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        self.binds.values().for_each(|line| line.cut.cancel());
        self.binds.len()
    }

    /// Unbinds every link.
    pub(crate) fn unbind(&self) {
        self.binds.values().for_each(|line| line.link.close());
    }

    pub(crate) fn views(&self) -> Vec<LineView> {
        self.binds
            .iter()
            .map(|(bind, line)| line.view(*bind))
            .collect()
    }

    /// Everything sent and received so far.
    pub(crate) fn counts(&self) -> Counts {
        let mut all = self.past.clone();
        self.binds
            .values()
            .for_each(|line| all.add(line.link.counters()));
        all
    }

    /// How many `deliver_sm` wait, and how many found no room.
    pub(crate) fn backlog(&self) -> (usize, u64) {
        (self.outbox.len(), self.outbox.dropped())
    }

    /// The account that has a bind to receive over: the preferred one, or without a preference any.
    pub(crate) fn receiver(&self, preferred: Option<&str>) -> Option<String> {
        let fits = |line: &&Line| preferred.is_none_or(|id| line.system_id == id);
        let mut receivers = self.binds.values().filter(|line| line.receives());
        receivers.find(fits).map(|line| line.system_id.clone())
    }

    /// Keeps something for an account until it is due and a bind has room. `false` without room here.
    pub(crate) fn enqueue(&mut self, due: Instant, outgoing: Outgoing) -> bool {
        let account = outgoing.account.clone();
        self.outbox.push(&account, due, outgoing)
    }

    /// Sends what is due, as far as the windows of the binds go. Returns when the next item is due.
    pub(crate) fn send_due(&mut self, now: Instant) -> Option<Instant> {
        for account in self.outbox.due(now) {
            while let Some(bind) = self.next_free(&account)
                && let Some(outgoing) = self.outbox.pop(&account, now)
            {
                let bind = outgoing.bind.unwrap_or(bind);
                self.send(now, bind, outgoing);
            }
        }
        self.outbox.next_due(now)
    }

    /// A bind answered.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        status: CommandStatus,
    ) -> Option<ReceiptNews> {
        let outgoing = self.in_flight.remove(&ticket.0)?;
        self.settle(
            now,
            outgoing,
            StatusName(status).to_string(),
            is_temporary(status),
        )
    }

    /// A bind will not answer any more.
    pub(crate) fn unanswered(&mut self, now: Instant, ticket: Ticket) -> Option<ReceiptNews> {
        let outgoing = self.in_flight.remove(&ticket.0)?;
        self.settle(now, outgoing, UNANSWERED.to_owned(), true)
    }

    fn settle(
        &mut self,
        now: Instant,
        outgoing: Outgoing,
        status: String,
        again: bool,
    ) -> Option<ReceiptNews> {
        match outgoing.purpose {
            Purpose::Segment {
                redeliver: true, ..
            } if again => {
                self.enqueue(now + RETRY, outgoing);
                None
            }
            Purpose::Segment { answer, .. } => {
                if let Some(answer) = answer {
                    // Nobody listens any more when the phone's request was given up.
                    drop(answer.send(status));
                }
                None
            }
            Purpose::Receipt { arrival } => {
                if again {
                    self.enqueue(now + RETRY, outgoing);
                }
                Some(ReceiptNews { arrival, status })
            }
        }
    }

    fn send(&mut self, now: Instant, bind: u64, outgoing: Outgoing) {
        if outgoing.abandoned() {
            return;
        }
        self.last_ticket += 1;
        self.turn = bind;
        let body = outgoing.body.clone();
        let line = self.binds.get(&bind);
        let sent =
            line.is_some_and(|line| line.link.submit(Ticket(self.last_ticket), body).is_ok());
        if sent {
            self.in_flight.insert(self.last_ticket, outgoing);
        } else if line.is_none() && outgoing.bind.is_some() {
            self.settle(now, outgoing, UNANSWERED.to_owned(), false);
        } else {
            let later = if outgoing.bind.is_some() {
                RETRY
            } else {
                Duration::ZERO
            };
            self.enqueue(now + later, outgoing);
        }
    }

    /// The next bind of this account, in turn, that can receive and has room in its window.
    fn next_free(&self, account: &str) -> Option<u64> {
        let free = |(_, line): &(&u64, &Line)| {
            line.receives() && line.system_id == account && line.link.capacity() > 0
        };
        let after = self.binds.range(self.turn + 1..);
        let mut in_turn = after.chain(self.binds.range(..=self.turn));
        in_turn.find(free).map(|(bind, _)| *bind)
    }
}

impl Line {
    pub(crate) fn receives(&self) -> bool {
        self.mode.sends(Role::Smsc) && self.link.state() == LinkState::Bound
    }

    fn view(&self, bind: u64) -> LineView {
        let (octets_in, octets_out) = self.tap.ends.octets();
        LineView {
            octets_in,
            octets_out,
            in_flight: self.link.in_flight(),
            bind,
            system_id: self.system_id.clone(),
            mode: match self.mode {
                BindMode::Transmitter => "transmitter",
                BindMode::Receiver => "receiver",
                BindMode::Transceiver => "transceiver",
            },
            address: self.address.to_string(),
            since: self.since,
        }
    }
}

impl Outgoing {
    /// Whether nobody waits for it any more.
    fn abandoned(&self) -> bool {
        matches!(&self.purpose, Purpose::Segment { answer: Some(answer), .. } if answer.is_closed())
    }
}

/// Whether the same may be taken later.
fn is_temporary(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::ESME_RSYSERR
            | CommandStatus::ESME_RMSGQFUL
            | CommandStatus::ESME_RTHROTTLED
            | CommandStatus::ESME_RX_T_APPN
    )
}
