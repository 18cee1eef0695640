//! Serves one bind: takes its requests and answers them, in time and as the script wants.

use std::sync::Arc;

use matrix_smpp_codec::{
    Address, Body, CommandId, CommandStatus, DataSm, DataSmResp, DestAddress, MessageId,
    ShortMessage, SubmitMulti, SubmitMultiResp, SubmitSm, SubmitSmResp, Tlvs, UnsuccessSme,
    UnsuccessSmes,
};
use matrix_smpp_session::{Answer, Link, LinkEvent, LinkEvents};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::sim::clock::Now;
use crate::sim::model::{Model, Origin, Outcome, Verdict};
use crate::sim::peers::Peers;
use crate::sim::pump::Settled;
use crate::sim::rules::Asked;
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
struct Place {
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
struct Batch {
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
            let batch = self.take(events_read.drain(..));
            self.deliver(batch).await;
        }
    }

    /// Takes what came at once, under one hold of the model's lock.
    fn take(&self, events: impl Iterator<Item = LinkEvent>) -> Batch {
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
        batch
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
                let outcome = model.submit(now, origin, &pdu);
                batch.add(place, outcome, |id, tlvs| {
                    Body::SubmitSmResp(SubmitSmResp {
                        message_id: id,
                        tlvs,
                    })
                });
            }
            Body::DataSm(pdu) => {
                let outcome = model.submit(now, origin, &submitted(&pdu));
                batch.add(place, outcome, |id, tlvs| {
                    Body::DataSmResp(DataSmResp {
                        message_id: id,
                        tlvs,
                    })
                });
            }
            Body::SubmitMulti(pdu) => Self::multiply(batch, (now, model), (place, origin), &pdu),
            other => self.operate(batch, (now, model), place, &other),
        }
    }

    /// One message for many: each destination is one of its own, and all have the same id.
    fn multiply(
        batch: &mut Batch,
        (now, model): (Now, &mut Model),
        (place, origin): (Place, Origin<'_>),
        pdu: &SubmitMulti,
    ) {
        if pdu.dest_addresses.iter().next().is_none() {
            let body = empty(CommandId::SUBMIT_MULTI);
            batch.refuse(place, CommandStatus::ESME_RINVNUMDESTS, body);
            return;
        }
        let origin = Origin {
            serial: Some(model.ids.serial()),
            ..origin
        };
        let mut refused = Vec::new();
        let mut first: Option<Outcome> = None;
        for destination in pdu.dest_addresses.iter() {
            let outcome = model.submit(now, origin, &single(pdu, destination));
            batch.early |= outcome.early;
            let Some(answer) = &outcome.answer else {
                continue;
            };
            if answer.status.is_ok() {
                first = first.filter(is_ok).or(Some(outcome));
            } else {
                refused.push(unsuccess(destination, answer.status));
                first = first.or(Some(outcome));
            }
        }
        batch.touched = true;
        let Some(outcome) = first else {
            return;
        };
        let unsuccess_smes = UnsuccessSmes::try_from(refused).unwrap_or_default();
        batch.add(place, outcome, |message_id, tlvs| {
            Body::SubmitMultiResp(SubmitMultiResp {
                message_id,
                unsuccess_smes,
                tlvs,
            })
        });
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
    fn refuse(&mut self, place: Place, status: CommandStatus, body: Body) {
        self.ready.push(Ready {
            place,
            answer: Verdict::bare(status),
            body,
        });
    }

    fn add(&mut self, place: Place, outcome: Outcome, body: impl FnOnce(MessageId, Tlvs) -> Body) {
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

/// The response to a command, with nothing in it.
fn empty(command: CommandId) -> Body {
    let response = command.response().and_then(Body::empty);
    response.unwrap_or(Body::GenericNack)
}

fn is_ok(outcome: &Outcome) -> bool {
    let answer = outcome.answer.as_ref();
    answer.is_some_and(|answer| answer.status.is_ok())
}

fn asked<'a>(body: &'a Body, account: &'a str, bind: u64) -> Asked<'a> {
    let (to, from) = match body {
        Body::QuerySm(pdu) => (None, pdu.source_addr.as_str()),
        Body::CancelSm(pdu) => (pdu.destination_addr.as_str(), pdu.source_addr.as_str()),
        Body::ReplaceSm(pdu) => (None, pdu.source_addr.as_str()),
        _ => (None, None),
    };
    Asked {
        command: body.command_id(),
        to: to.unwrap_or_default(),
        from: from.unwrap_or_default(),
        account,
        bind,
        text: &String::new,
    }
}

/// A `data_sm` as the `submit_sm` that says the same. An address of more than 20 octets is left out,
/// and so refused.
fn submitted(pdu: &DataSm) -> SubmitSm {
    let narrow = |address: Address<65>| Address::try_from(address.as_bytes()).unwrap_or_default();
    SubmitSm {
        service_type: pdu.service_type,
        source_addr_ton: pdu.source_addr_ton,
        source_addr_npi: pdu.source_addr_npi,
        source_addr: narrow(pdu.source_addr),
        dest_addr_ton: pdu.dest_addr_ton,
        dest_addr_npi: pdu.dest_addr_npi,
        destination_addr: narrow(pdu.destination_addr),
        esm_class: pdu.esm_class,
        registered_delivery: pdu.registered_delivery,
        data_coding: pdu.data_coding,
        tlvs: pdu.tlvs.clone(),
        ..SubmitSm::default()
    }
}

/// The message to one of the destinations. A distribution list has no number, and so is refused.
fn single(pdu: &SubmitMulti, destination: &DestAddress) -> SubmitSm {
    let mut one = SubmitSm {
        service_type: pdu.service_type,
        source_addr_ton: pdu.source_addr_ton,
        source_addr_npi: pdu.source_addr_npi,
        source_addr: pdu.source_addr,
        esm_class: pdu.esm_class,
        protocol_id: pdu.protocol_id,
        priority_flag: pdu.priority_flag,
        schedule_delivery_time: pdu.schedule_delivery_time,
        validity_period: pdu.validity_period,
        registered_delivery: pdu.registered_delivery,
        data_coding: pdu.data_coding,
        short_message: ShortMessage::try_from(pdu.short_message.bytes()).unwrap_or_default(),
        tlvs: pdu.tlvs.clone(),
        ..SubmitSm::default()
    };
    if let DestAddress::Sme {
        dest_addr_ton,
        dest_addr_npi,
        destination_addr,
    } = destination
    {
        one.dest_addr_ton = *dest_addr_ton;
        one.dest_addr_npi = *dest_addr_npi;
        one.destination_addr = *destination_addr;
    }
    one
}

fn unsuccess(destination: &DestAddress, status: CommandStatus) -> UnsuccessSme {
    match destination {
        DestAddress::Sme {
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
        } => UnsuccessSme {
            dest_addr_ton: *dest_addr_ton,
            dest_addr_npi: *dest_addr_npi,
            destination_addr: *destination_addr,
            error_status_code: status,
        },
        DestAddress::List { dl_name } => UnsuccessSme {
            destination_addr: Address::try_from(dl_name.as_bytes()).unwrap_or_default(),
            error_status_code: CommandStatus::ESME_RINVDLNAME,
            ..UnsuccessSme::default()
        },
    }
}
