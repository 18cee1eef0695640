//! What goes out by itself: the errands that are due, and receipts and MO as far as the binds have
//! room.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use matrix_smpp_codec::{Body, CommandStatus, DeliverSm};
use matrix_smpp_session::Ticket;
use tokio::time::sleep_until;

use crate::sim::clock::Now;
use crate::sim::life::Due;
use crate::sim::lines::Load;
use crate::sim::mo::Writing;
use crate::sim::outgoing::{Content, Outgoing, Purpose, ReceiptNews};
use crate::sim::receipts::Dates;
use crate::sim::smsc::Smsc;

/// Most errands that are run under one hold of the model's lock.
const ERRANDS: usize = 256;

/// The outcome of one request of ours: the status of its answer, or that there will be none.
pub(crate) type Settled = (Ticket, Option<CommandStatus>);

impl Smsc {
    /// Sends what is due until the simulator stops.
    pub(crate) async fn pump(&self) {
        loop {
            let next = self.pump_once();
            let due = async {
                match next {
                    Some(next) => sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = due => {}
            }
        }
    }

    /// Runs the errands that are due and sends what has room. Returns when there is more to do. One
    /// at a time: when this returns, all that was due before has left.
    pub(crate) fn pump_once(&self) -> Option<Instant> {
        let mut dates = self.dates();
        let now = Now::read();
        let again = self.send_waiting(now.instant);
        let next = self.run_errands(now);
        self.send_due(now.instant, &mut dates);
        let sent = self.lines().next_due(now.instant);
        next.into_iter().chain(sent).chain(again).min()
    }

    /// Binds have answered, or will not any more: what waits has room now and goes at once, unless
    /// somebody else is about to send it. Gives what is to be noted of receipts.
    pub(crate) fn settle(&self, mut settled: Vec<Settled>) -> Vec<ReceiptNews> {
        if settled.is_empty() {
            return Vec::new();
        }
        if self.loses_answers.load(Relaxed) {
            let lost = self.model().lose_answers(&mut settled);
            if lost {
                self.drop_binds();
            }
        }
        let now = Now::read().instant;
        let (news, again) = self.lines().settle(now, settled.into_iter());
        match self.pumping.try_lock() {
            Ok(mut dates) => self.send_due(now, &mut dates),
            Err(_) => self.wake(),
        }
        if again {
            self.wake();
        }
        news
    }

    fn run_errands(&self, now: Now) -> Option<Instant> {
        loop {
            let (due, next) = {
                let mut model = self.model();
                (model.due(now, ERRANDS), model.agenda.next_due())
            };
            if due.is_empty() {
                return next;
            }
            let mut notices = Vec::with_capacity(due.len());
            for due in due {
                match due {
                    Due::Notice(notice) => notices.push(Outgoing::notice(notice)),
                    Due::Write { from, writing } => {
                        self.put_in_line(now, notices.drain(..));
                        self.write_alone(&from, &writing);
                    }
                    Due::Loop { account, pdu } => {
                        self.put_in_line(now, notices.drain(..));
                        self.loop_back(now, account, *pdu);
                    }
                    Due::Changed => {}
                }
            }
            self.put_in_line(now, notices.drain(..));
            self.changed();
        }
    }

    /// Receipts and notifications wait for their binds from now on.
    fn put_in_line(&self, now: Now, notices: impl Iterator<Item = Outgoing>) {
        let mut dropped = Vec::new();
        {
            let mut lines = self.lines();
            for outgoing in notices {
                let news = outgoing.news("dropped".into());
                if !lines.enqueue(now.instant, outgoing) {
                    dropped.extend(news);
                }
            }
        }
        for news in dropped {
            self.model().records.receipt(news.arrival, news.status);
        }
    }

    /// Sends what has room; the words are found and the sessions filled without a lock of ours.
    fn send_due(&self, now: Instant, dates: &mut Dates) {
        let loads = self.lines().assign(now);
        for load in loads {
            let Load { link, items, .. } = load;
            let items = items.into_iter();
            let mut requests: VecDeque<(Ticket, Body)> = items
                .map(|(ticket, content)| (ticket, content.body(dates)))
                .collect();
            link.submit_many(&mut requests);
            if !requests.is_empty() {
                let left = requests.into_iter().map(|(ticket, _)| ticket);
                self.lines().put_back(now, left);
            }
        }
    }

    fn dates(&self) -> MutexGuard<'_, Dates> {
        self.pumping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message goes to an ESME as it is; without one it goes nowhere.
    fn loop_back(&self, now: Now, account: Option<Arc<str>>, pdu: DeliverSm) {
        let receiver = account.or_else(|| {
            self.account(&Writing {
                to: pdu.destination_addr.to_text(),
                ..Writing::default()
            })
        });
        let Some(account) = receiver else {
            tracing::debug!("nobody is bound for a message that comes back");
            return;
        };
        let outgoing = Outgoing {
            account,
            content: Content::Segment(Body::DeliverSm(pdu).into()),
            bind: None,
            purpose: Purpose::Segment {
                answer: None,
                redeliver: true,
            },
        };
        self.lines().enqueue(now.instant, outgoing);
    }

    /// A phone writes, and nobody waits for the answers.
    pub(crate) fn write_alone(&self, from: &str, writing: &Writing) {
        match self.send_segments(from, writing, false) {
            Ok((id, _)) => self.model().handsets.settle(from, id, "sent"),
            Err(reason) => tracing::debug!(%reason, "a phone could not write"),
        }
    }
}
