//! The binds that are up, what waits for them, and what they have not answered yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{CommandId, CommandStatus};
use matrix_smpp_session::{BindMode, Link, LinkState, Role, Ticket};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::sim::counts::Counts;
use crate::sim::outbox::Outbox;
use crate::sim::outgoing::{Content, Outgoing, ReceiptNews, UNANSWERED, is_temporary};
use crate::sim::status::StatusName;
use crate::sim::wire::tap::Tap;
use crate::slab::Slab;

/// How long something waits after a temporary refusal or a lost link before it is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// How long what must go over one bind waits for room there.
const PAUSE: Duration = Duration::from_millis(20);

/// One bind.
pub(crate) struct Line {
    pub(crate) system_id: Arc<str>,
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
    in_flight: Slab<Outgoing>,
    /// Which bind went last, so that the next one gets its turn.
    turn: u64,
    /// What the links counted that are gone.
    past: Counts,
}

/// What one bind is to send now.
pub(crate) struct Load {
    pub(crate) link: Link,
    pub(crate) items: Vec<(Ticket, Content)>,
    bind: u64,
    room: usize,
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
        lines.filter(move |line| line.receives() && *line.system_id == *account)
    }

    /// How many binds there are.
    pub(crate) fn len(&self) -> usize {
        self.binds.len()
    }

    /// How many `deliver_sm` wait for their answers.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.count()
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
    pub(crate) fn receiver(&self, preferred: Option<&str>) -> Option<Arc<str>> {
        let fits = |line: &&Line| preferred.is_none_or(|id| *line.system_id == *id);
        let mut receivers = self.binds.values().filter(|line| line.receives());
        receivers.find(fits).map(|line| Arc::clone(&line.system_id))
    }

    /// Keeps something for an account until it is due and a bind has room. `false` without room here.
    pub(crate) fn enqueue(&mut self, due: Instant, outgoing: Outgoing) -> bool {
        let account = Arc::clone(&outgoing.account);
        self.outbox.push(&account, due, outgoing)
    }

    /// Takes out what is due, as far as the windows of the binds go, for the binds to send.
    pub(crate) fn assign(&mut self, now: Instant) -> Vec<Load> {
        let mut all = Vec::new();
        for account in self.outbox.due(now) {
            let mut loads = self.free(&account);
            let mut turn = 0;
            while let Some(next) = next_with_room(&loads, turn)
                && let Some(outgoing) = self.outbox.pop(&account, now)
            {
                turn = next + 1;
                self.load(now, &mut loads, (next, outgoing));
            }
            if let Some(last) = turn.checked_sub(1).and_then(|last| loads.get(last)) {
                self.turn = last.bind;
            }
            all.extend(loads.into_iter().filter(|load| !load.items.is_empty()));
        }
        all
    }

    /// Takes back what was assigned to a bind that had no room any more.
    pub(crate) fn put_back(&mut self, now: Instant, tickets: impl Iterator<Item = Ticket>) {
        for ticket in tickets {
            if let Some(outgoing) = self.in_flight.close(ticket) {
                self.enqueue(now, outgoing);
            }
        }
    }

    /// When to look again: the next item is due, or one that is waits for a bind's rate to have
    /// room.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = self.outbox.due(now);
        let waits = due
            .iter()
            .any(|account| self.receivers(account).next().is_some());
        let again = waits.then(|| now + PAUSE);
        self.outbox.next_due(now).into_iter().chain(again).min()
    }

    /// Notes the answers of a bind, where there is a status, and the requests that it will not
    /// answer any more. What may be taken later is sent again: the second value says whether
    /// something is.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        outcomes: impl Iterator<Item = (Ticket, Option<CommandStatus>)>,
    ) -> (Vec<ReceiptNews>, bool) {
        let mut news = Vec::new();
        let mut waits = false;
        for (ticket, status) in outcomes {
            let Some(outgoing) = self.in_flight.close(ticket) else {
                continue;
            };
            let again = status.is_none_or(is_temporary);
            let word = status.map_or(Cow::Borrowed(UNANSWERED), |status| {
                StatusName(status).word()
            });
            waits |= again;
            news.extend(self.close_one(now, outgoing, (word, again)));
        }
        (news, waits)
    }

    fn close_one(
        &mut self,
        now: Instant,
        outgoing: Outgoing,
        (word, again): (Cow<'static, str>, bool),
    ) -> Option<ReceiptNews> {
        if !again || !outgoing.goes_again() {
            return outgoing.tell(word);
        }
        let news = outgoing.news(word);
        self.enqueue(now + RETRY, outgoing);
        news
    }

    /// The binds of this account that can receive, the one first whose turn it is.
    fn free(&self, account: &str) -> Vec<Load> {
        let after = self.binds.range(self.turn + 1..);
        let in_turn = after.chain(self.binds.range(..=self.turn));
        let receives = |(_, line): &(&u64, &Line)| line.receives() && *line.system_id == *account;
        let load = |(bind, line): (&u64, &Line)| Load {
            room: line.link.capacity(),
            link: line.link.clone(),
            items: Vec::new(),
            bind: *bind,
        };
        in_turn.filter(receives).map(load).collect()
    }

    /// Gives it to the bind whose turn it is, or to the one that it must go over.
    fn load(&mut self, now: Instant, loads: &mut [Load], (next, outgoing): (usize, Outgoing)) {
        if outgoing.abandoned() {
            return;
        }
        let place = match outgoing.bind {
            None => Some(next),
            Some(bind) => loads.iter().position(|load| load.bind == bind),
        };
        match place.and_then(|place| loads.get_mut(place)) {
            Some(load) if load.room > 0 => {
                load.room -= 1;
                let content = outgoing.content.clone();
                load.items.push((self.in_flight.open(outgoing), content));
            }
            None if outgoing
                .bind
                .is_some_and(|bind| !self.binds.contains_key(&bind)) =>
            {
                self.close_one(now, outgoing, (UNANSWERED.into(), false));
            }
            _ => {
                self.enqueue(now + PAUSE, outgoing);
            }
        }
    }
}

/// The next bind from `turn` on that has room.
fn next_with_room(loads: &[Load], turn: usize) -> Option<usize> {
    let places = (turn..loads.len()).chain(0..turn.min(loads.len()));
    places.into_iter().find(|place| {
        let load = loads.get(*place);
        load.is_some_and(|load| load.room > 0)
    })
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
            system_id: self.system_id.to_string(),
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
