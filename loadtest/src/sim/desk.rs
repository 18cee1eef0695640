//! Serves one bind: takes its requests and answers them, in time and as the script wants.

use std::sync::Arc;

use matrix_smpp_codec::{Body, CommandStatus, DataSmResp, MessageId, SubmitSmResp, Tlvs};
use matrix_smpp_session::{Answer, Link, LinkEvent, LinkEvents};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::sim::clock::Now;
use crate::sim::model::{Model, Origin, Outcome, Verdict};
use crate::sim::multi::multiply;
use crate::sim::peers::Peers;
use crate::sim::pump::Settled;
use crate::sim::records::Record;
use crate::sim::requests::{asked, copied, empty, submitted};
use crate::sim::smsc::Smsc;
use crate::sim::wire::tap::Tap;

/// How many events of one bind are taken at once.
const BATCH: usize = 256;

/// How many answers of one bind may wait for their time; then nothing more is read from it.
const MAX_DELAYED: usize = 10_000;

/// One bind and whom it talks to.
pub(crate) struct Desk {
    peers: Peers,
    link: Link,
    bind: u64,
    system_id: Arc<str>,
    tap: Arc<Tap>,
    /// Room for answers that wait for their time.
    delayed: Arc<Semaphore>,
}

/// Where an answer belongs: the number of the request, and the session it came on.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    epoch: u64,
    sequence: u32,
}

/// An answer that is ready to go.
struct Ready {
    place: Place,
    answer: Verdict,
    body: Body,
}

/// What one batch of requests has come to.
#[derive(Default)]
pub(crate) struct Batch {
    ready: Vec<Ready>,
    /// What is due now is to go before the answers.
    early: bool,
    touched: bool,
    /// What became of requests of ours.
    settled: Vec<Settled>,
}

impl Desk {
    pub(crate) fn new(
        peers: Peers,
        link: Link,
        bind: u64,
        system_id: Arc<str>,
        tap: Arc<Tap>,
    ) -> Self {
        Self {
            peers,
            link,
            bind,
            system_id,
            tap,
            delayed: Semaphore::new(MAX_DELAYED).into(),
        }
    }

    pub(crate) fn smsc(&self) -> &Smsc {
        &self.peers.smsc
    }

    pub(crate) async fn read(&self, events: &mut LinkEvents) {
        let mut events_read = Vec::new();
        while events.recv_many(&mut events_read, BATCH).await > 0 {
            for event in &mut events_read {
                own(event);
            }
            let (batch, garbage) = self.take(events_read.drain(..));
            drop(garbage);
            self.deliver(batch).await;
        }
    }

    /// Takes what came at once, under one hold of the model's lock. Gives back what was forgotten for
    /// it.
    fn take(&self, events: impl Iterator<Item = LinkEvent>) -> (Batch, Vec<Record>) {
        let now = Now::read();
        let mut batch = Batch::default();
        let mut model = None;
        for event in events {
            match event {
                LinkEvent::Request {
                    epoch,
                    sequence,
                    body,
                } => {
                    let model = model.get_or_insert_with(|| self.smsc().model());
                    let place = Place { epoch, sequence };
                    self.request(&mut batch, (now, model), place, body);
                }
                LinkEvent::Answered { ticket, status, .. } => {
                    batch.settled.push((ticket, Some(status)));
                }
                LinkEvent::Unanswered { ticket, .. } => batch.settled.push((ticket, None)),
                _ => {}
            }
        }
        let garbage = model.map(|mut model| model.garbage());
        (batch, garbage.unwrap_or_default())
    }

    /// Sends the answers of a batch, and has sent what belongs to it.
    async fn deliver(&self, mut batch: Batch) {
        self.smsc().settle(&mut batch.settled);
        if batch.touched {
            self.smsc().changed();
        }
        if batch.early {
            self.smsc().pump_once();
        }
        self.mark(&batch.ready);
        let (now, later): (Vec<_>, Vec<_>) = batch
            .ready
            .into_iter()
            .partition(|ready| ready.answer.delay.is_zero());
        let mut answers = now.into_iter().map(Answer::from).collect();
        self.link.respond_many(&mut answers);
        for ready in later {
            self.send_later(ready).await;
        }
        if batch.touched {
            self.smsc().wake();
        }
    }

    /// Says what is to happen on the wire to answers that are about to go.
    fn mark(&self, ready: &[Ready]) {
        for one in ready {
            if let Some(fault) = &one.answer.fault {
                let command = one.body.command_id().0;
                self.tap.mark(command, one.place.sequence, fault.clone());
            }
        }
    }

    async fn send_later(&self, ready: Ready) {
        // The semaphore is never closed.
        let room = Arc::clone(&self.delayed).acquire_owned().await;
        let (link, cut) = (self.link.clone(), self.peers.cut.clone());
        self.peers.tasks.spawn(async move {
            tokio::select! {
                () = sleep(ready.answer.delay) => {
                    link.respond_many(&mut vec![ready.into()]);
                }
                () = cut.cancelled() => {}
            }
            drop(room);
        });
    }

    fn request(
        &self,
        batch: &mut Batch,
        (now, model): (Now, &mut Model),
        place: Place,
        body: Body,
    ) {
        let command = body.command_id();
        let origin = Origin {
            bind: self.bind,
            system_id: &self.system_id,
            sequence: place.sequence,
            command,
            outstanding: MAX_DELAYED - self.delayed.available_permits() + batch.ready.len(),
            serial: None,
        };
        match body {
            Body::SubmitSm(pdu) => {
                let outcome = model.submit(now, origin, pdu);
                batch.add(place, outcome, |id, tlvs| {
                    Body::SubmitSmResp(SubmitSmResp {
                        message_id: id,
                        tlvs,
                    })
                });
            }
            Body::DataSm(pdu) => {
                let outcome = model.submit(now, origin, submitted(&pdu));
                batch.add(place, outcome, |id, tlvs| {
                    Body::DataSmResp(DataSmResp {
                        message_id: id,
                        tlvs,
                    })
                });
            }
            Body::SubmitMulti(pdu) => multiply(batch, (now, model), (place, origin), &pdu),
            other => self.operate(batch, (now, model), place, &other),
        }
    }

    /// A request that is about a message, or that the simulator does not serve.
    fn operate(
        &self,
        batch: &mut Batch,
        (now, model): (Now, &mut Model),
        place: Place,
        body: &Body,
    ) {
        let command = body.command_id();
        let then = model
            .decide_other(&asked(body, &self.system_id, self.bind))
            .unwrap_or_default();
        if then.silent {
            return;
        }
        let forced = then.status.map(|status| status.0);
        let (status, answer) = match forced {
            Some(status) if !status.is_ok() => (status, empty(command)),
            _ => self.operation(model, now, body),
        };
        let latency = then.latency.as_ref();
        let delay = latency.map(|latency| latency.draw(model.ids.dice()));
        batch.touched = true;
        batch.ready.push(Ready {
            place,
            answer: Verdict {
                delay: delay.unwrap_or_default(),
                fault: then.fault,
                ..Verdict::bare(status)
            },
            body: answer,
        });
    }

    fn operation(&self, model: &mut Model, now: Now, body: &Body) -> (CommandStatus, Body) {
        let command = body.command_id();
        let outcome = match body {
            Body::QuerySm(pdu) => {
                let found = model.query(now, &self.system_id, pdu);
                found.map(Body::QuerySmResp)
            }
            Body::CancelSm(pdu) => {
                let cancelled = model.cancel(now, &self.system_id, pdu);
                cancelled.map(|()| Body::CancelSmResp)
            }
            Body::ReplaceSm(pdu) => {
                let replaced = model.replace(now, &self.system_id, pdu);
                replaced.map(|()| Body::ReplaceSmResp)
            }
            _ => Err(CommandStatus::ESME_RINVCMDID),
        };
        match outcome {
            Ok(answer) => (CommandStatus::ESME_ROK, answer),
            Err(status) => (status, empty(command)),
        }
    }
}

/// Copies the message out of the buffer that it was read into: it is kept for long.
fn own(event: &mut LinkEvent) {
    if let LinkEvent::Request {
        body: Body::SubmitSm(pdu),
        ..
    } = event
    {
        *pdu = copied(pdu);
    }
}

impl From<Ready> for Answer {
    fn from(ready: Ready) -> Self {
        Self {
            epoch: ready.place.epoch,
            sequence: ready.place.sequence,
            status: ready.answer.status,
            body: ready.body,
        }
    }
}

impl Batch {
    /// Answers at once what no rule is asked about.
    pub(crate) fn refuse(&mut self, place: Place, status: CommandStatus, body: Body) {
        self.ready.push(Ready {
            place,
            answer: Verdict::bare(status),
            body,
        });
    }

    pub(crate) fn add(
        &mut self,
        place: Place,
        outcome: Outcome,
        body: impl FnOnce(MessageId, Tlvs) -> Body,
    ) {
        self.touched = true;
        self.early |= outcome.early;
        let Some(answer) = outcome.answer else {
            return;
        };
        let id = answer.message_id.as_deref().and_then(|id| id.parse().ok());
        let mut tlvs = Tlvs::default();
        if let Some(state) = answer.congestion {
            tlvs.set_congestion_state(state);
        }
        let body = body(id.unwrap_or_default(), tlvs);
        self.ready.push(Ready {
            place,
            answer,
            body,
        });
    }
}
