//! Serves one bind: takes its requests and answers them, in time and as the script wants.

use std::sync::Arc;

use matrix_smpp_codec::{Body, CommandStatus, DataSmResp, MessageId, SubmitSmResp, Tlvs};
use matrix_smpp_session::{Answer, Link, LinkEvent, LinkEvents};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::sim::clock::Now;
use crate::sim::model::{Model, Origin, Outcome, Verdict};
use crate::sim::multi::multiply;
use crate::sim::outgoing::ReceiptNews;
use crate::sim::peers::Peers;
use crate::sim::pump::Settled;
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
    /// Something may have changed that somebody waits for.
    touched: bool,
    /// Something may be due later that was not planned before.
    planned: bool,
}

/// What came at once.
#[derive(Default)]
struct Heard {
    /// With octets of their own.
    requests: Vec<(Place, Body)>,
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
        let mut came = Vec::new();
        while events.recv_many(&mut came, BATCH).await > 0 {
            let mut heard = Heard::default();
            came.drain(..).for_each(|event| heard.sort(event));
            // First of all, since there is room now for more of ours.
            let news = self.smsc().settle(heard.settled);
            let batch = self.take(heard.requests, news);
            self.deliver(batch).await;
        }
    }

    /// Takes what came at once, under one hold of the model's lock.
    fn take(&self, requests: Vec<(Place, Body)>, news: Vec<ReceiptNews>) -> Batch {
        let mut batch = Batch::default();
        if requests.is_empty() && news.is_empty() {
            return batch;
        }
        let mut model = self.smsc().model();
        let now = Now::read();
        batch.touched = !news.is_empty();
        for news in news {
            model.records.receipt(news.arrival, news.status);
        }
        for (place, body) in requests {
            self.request(&mut batch, (now, &mut model), place, body);
        }
        let garbage = model.garbage();
        drop(model);
        // To free it takes long, and others may have the lock meanwhile.
        drop(garbage);
        batch
    }

    /// Sends the answers of a batch, and has sent what belongs to it.
    async fn deliver(&self, batch: Batch) {
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
        if batch.planned {
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
        batch.planned = true;
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

impl Heard {
    fn sort(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Request {
                epoch,
                sequence,
                mut body,
            } => {
                if let Body::SubmitSm(pdu) = &mut body {
                    *pdu = copied(pdu);
                }
                self.requests.push((Place { epoch, sequence }, body));
            }
            LinkEvent::Answered { ticket, status, .. } => {
                self.settled.push((ticket, Some(status)));
            }
            LinkEvent::Unanswered { ticket, .. } => self.settled.push((ticket, None)),
            _ => {}
        }
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
        self.planned = true;
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
