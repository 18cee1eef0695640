//! The message centre: the model behind one lock, the lines behind another, and what moves between.
//! Nobody holds both locks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matrix_smpp_codec::{CommandId, CommandStatus, SubmitSm};
use matrix_smpp_session::Ticket;
use serde::Serialize;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::sim::clock::Now;
use crate::sim::counts::Counts;
use crate::sim::handsets::Written;
use crate::sim::lines::{Line, LineView, Lines, Outgoing, Purpose, ReceiptNews, UNANSWERED};
use crate::sim::mo::{self, MoError, Writing};
use crate::sim::model::{Model, Origin, Outcome, Owed};

/// How long a phone waits for the answers to what it wrote.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// What the HTTP side and every bind share.
pub(crate) struct Smsc {
    model: Mutex<Model>,
    lines: Mutex<Lines>,
    /// Ticks with every change of the model that somebody may wait for.
    changes: watch::Sender<()>,
    /// Something may go out: it was put in, or a line has room again.
    wake: Notify,
    stop: CancellationToken,
}

/// What `GET /counters` shows.
#[derive(Serialize)]
pub(crate) struct CountersView {
    #[serde(flatten)]
    pdus: Counts,
    /// How many `deliver_sm` wait for a bind with room, or for their time.
    waiting: usize,
    /// How many found no room to wait.
    dropped: u64,
}

/// Why a phone's message did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Text(#[from] MoError),
    #[error("no receiver or transceiver is bound")]
    NoReceiver,
    #[error("too much is waiting for this account already")]
    Busy,
}

impl Smsc {
    pub(crate) fn new(model: Model, stop: CancellationToken) -> Self {
        Self {
            model: Mutex::new(model),
            lines: Mutex::new(Lines::default()),
            changes: watch::Sender::new(()),
            wake: Notify::new(),
            stop,
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due until the simulator stops.
    pub(crate) async fn pump(&self) {
        loop {
            let next = self.lines().send_due(Now::read().instant);
            let due = async {
                match next {
                    Some(next) => sleep_until(Instant::from_std(next)).await,
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

    /// Takes a `submit_sm`. Its answer and its receipt are the caller's to send.
    pub(crate) fn submit(&self, now: Now, origin: Origin<'_>, pdu: &SubmitSm) -> Outcome {
        let outcome = self.model().submit(now, origin, pdu);
        self.changes.send_replace(());
        outcome
    }

    /// Puts a receipt on its way to an account.
    pub(crate) fn owe(&self, now: Now, account: &str, owed: Owed) {
        let purpose = Purpose::Receipt {
            arrival: owed.arrival,
        };
        let outgoing = Outgoing {
            account: account.to_owned(),
            body: owed.body,
            purpose,
        };
        let kept = self.lines().enqueue(now.instant + owed.delay, outgoing);
        if !kept {
            self.model().submits.receipt(owed.arrival, "dropped");
        }
        self.wake.notify_one();
    }

    /// A phone writes: each segment goes out as a `deliver_sm`. Returns the status of each answer,
    /// in the order of the segments.
    pub(crate) async fn write(
        &self,
        from: &str,
        writing: &Writing,
    ) -> Result<Vec<String>, SendError> {
        let (id, answers) = self.send_segments(from, writing)?;
        let deadline = Instant::from_std(Now::read().instant + WRITE_TIMEOUT);
        let mut statuses = Vec::with_capacity(answers.len());
        for answer in answers {
            let status = timeout_at(deadline, answer).await;
            let status = status.ok().and_then(Result::ok);
            statuses.push(status.unwrap_or_else(|| UNANSWERED.to_owned()));
        }
        let ok = CommandStatus::ESME_ROK.to_string();
        let verdict = statuses.iter().find(|status| **status != ok).unwrap_or(&ok);
        self.model().handsets.settle(from, id, verdict);
        self.changes.send_replace(());
        Ok(statuses)
    }

    /// Ends when the condition holds, the time is over, or the simulator stops.
    pub(crate) async fn wait_for(&self, limit: Duration, holds: impl Fn(&Model) -> bool) {
        let mut changes = self.changes.subscribe();
        let held = async {
            loop {
                changes.mark_unchanged();
                if holds(&self.model()) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(limit, held) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// A bind is up. Returns its number.
    pub(crate) fn open(&self, line: Line) -> u64 {
        let bind = self.lines().open(line);
        self.wake.notify_one();
        bind
    }

    /// A bind was refused.
    pub(crate) fn refused(&self, bind: CommandId) {
        self.lines().refused(bind);
    }

    /// A bind is gone.
    pub(crate) fn close(&self, bind: u64) {
        self.lines().close(bind);
    }

    /// A `deliver_sm` was answered.
    pub(crate) fn answered(&self, ticket: Ticket, status: CommandStatus) {
        if self.model().behaviour.loses_answer() {
            self.drop_binds();
            return self.unanswered(ticket);
        }
        let news = self.lines().answered(Now::read().instant, ticket, status);
        self.settled(news);
    }

    /// A `deliver_sm` will not be answered.
    pub(crate) fn unanswered(&self, ticket: Ticket) {
        let news = self.lines().unanswered(Now::read().instant, ticket);
        self.settled(news);
    }

    /// Cuts every link. Returns how many there were.
    pub(crate) fn drop_binds(&self) -> usize {
        self.lines().cut()
    }

    /// Unbinds every link.
    pub(crate) fn unbind(&self) {
        self.lines().unbind();
    }

    pub(crate) fn binds(&self) -> Vec<LineView> {
        self.lines().views()
    }

    pub(crate) fn counters(&self) -> CountersView {
        let lines = self.lines();
        let (waiting, dropped) = lines.backlog();
        CountersView {
            pdus: lines.counts(),
            waiting,
            dropped,
        }
    }

    fn settled(&self, news: Option<ReceiptNews>) {
        if let Some(news) = news {
            self.model().submits.receipt(news.arrival, &news.status);
            self.changes.send_replace(());
        }
        self.wake.notify_one();
    }

    /// Puts the segments on their way, and the text on its phone. The answers come in the order of
    /// the segments, whatever the order in which these go out.
    fn send_segments(
        &self,
        from: &str,
        writing: &Writing,
    ) -> Result<(u64, Vec<Coming>), SendError> {
        let account = self.account(writing).ok_or(SendError::NoReceiver)?;
        let now = Now::read();
        let mut model = self.model();
        let (segments, order) = mo::segments(from, writing, &mut model.ids)?;
        let count = u8::try_from(segments.len()).unwrap_or(u8::MAX);
        let written = Written {
            segments: count,
            at: now.unix_ms,
        };
        let id = model
            .handsets
            .write(from, &writing.to, &writing.text, written);
        drop(model);
        let (senders, answers): (Vec<_>, Vec<_>) =
            segments.iter().map(|_| oneshot::channel()).unzip();
        let mut ready: Vec<_> = segments.into_iter().zip(senders).map(Some).collect();
        let mut lines = self.lines();
        let mut in_order = order
            .into_iter()
            .filter_map(|place| ready.get_mut(place)?.take());
        let room = in_order.all(|(body, answer)| {
            let purpose = Purpose::Segment {
                answer,
                redeliver: writing.redeliver,
            };
            lines.enqueue(
                now.instant,
                Outgoing {
                    account: account.clone(),
                    body,
                    purpose,
                },
            )
        });
        drop(lines);
        self.wake.notify_one();
        if !room {
            self.model().handsets.settle(from, id, "dropped");
            return Err(SendError::Busy);
        }
        Ok((id, answers))
    }

    /// Who gets what the phone writes: the account that it names, or the one that last sent from the
    /// number it writes to, or any that can receive.
    fn account(&self, writing: &Writing) -> Option<String> {
        if let Some(named) = &writing.account {
            return self.lines().receiver(Some(named));
        }
        let sender = self.model().sender(&writing.to).map(ToOwned::to_owned);
        let lines = self.lines();
        lines
            .receiver(sender.as_deref())
            .or_else(|| lines.receiver(None))
    }
}

/// An answer that is to come.
type Coming = oneshot::Receiver<String>;
