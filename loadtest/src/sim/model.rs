//! What the simulator knows and decides. No network and no clock: both are arguments.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use matrix_smpp_codec::time::{Time, TimeError};
use matrix_smpp_codec::{
    COctets, CommandId, CommandStatus, InboundText, MessageState, ShortMessage, SubmitSm, Tlvs,
};

use crate::sim::accounts::Accounts;
use crate::sim::agenda::{Agenda, Errand};
use crate::sim::behaviour::{Behaviour, Change, ChangeError};
use crate::sim::clock::Now;
use crate::sim::conventions::Custom;
use crate::sim::fate::Fate;
use crate::sim::handsets::{Delivery, Handsets, digits};
use crate::sim::ids::Ids;
use crate::sim::mo::Writing;
use crate::sim::pump::Settled;
use crate::sim::receipts::{self, Form, Notice};
use crate::sim::records::{Parcel, Record, Records};
use crate::sim::rules::{Asked, Then};
use crate::sim::script::Script;
use crate::sim::status::StatusName;
use crate::sim::wire::mangle::Mangle;

/// Of how many originators the simulator remembers who sends from them.
const MAX_ORIGINATORS: usize = 100_000;

/// Everything that a request over HTTP or SMPP can change or see.
pub(crate) struct Model {
    pub(crate) ids: Ids,
    pub(crate) behaviour: Behaviour,
    pub(crate) script: Script,
    pub(crate) accounts: Accounts,
    pub(crate) handsets: Handsets,
    pub(crate) records: Records,
    pub(crate) agenda: Agenda,
    /// Answers to messages by their status, since the start or the last reset.
    pub(crate) answered: HashMap<StatusName, u64>,
    /// Receipts by their state.
    pub(crate) ended: HashMap<MessageState, u64>,
    seed: u64,
    /// What due times are counted from.
    start: Instant,
    fresh: Behaviour,
    /// Originator to the account that last sent from it.
    senders: HashMap<String, Arc<str>>,
}

/// Where a message came from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The number of the bind.
    pub(crate) bind: u64,
    pub(crate) system_id: &'a Arc<str>,
    pub(crate) sequence: u32,
    /// What it came as.
    pub(crate) command: CommandId,
    /// How many requests of the bind wait for their answers.
    pub(crate) outstanding: usize,
    /// The serial number, where several messages have one id.
    pub(crate) serial: Option<u64>,
}

/// What the simulator does about one message.
pub(crate) struct Outcome {
    /// None where the request is swallowed.
    pub(crate) answer: Option<Verdict>,
    /// What is due at once is to go before the answer.
    pub(crate) early: bool,
}

/// The answer to a message, and when it goes.
pub(crate) struct Verdict {
    pub(crate) status: CommandStatus,
    /// For an accepted message.
    pub(crate) message_id: Option<Arc<str>>,
    pub(crate) delay: Duration,
    /// What happens to it on the wire.
    pub(crate) fault: Option<Mangle>,
    pub(crate) congestion: Option<u8>,
}

impl Verdict {
    /// A status, at once, with nothing about it.
    pub(crate) const fn bare(status: CommandStatus) -> Self {
        Self {
            status,
            message_id: None,
            delay: Duration::ZERO,
            fault: None,
            congestion: None,
        }
    }
}

/// Something that an errand has come to.
pub(crate) enum Due {
    /// A receipt or a notification.
    Notice(Notice),
    /// A phone writes.
    Write { from: String, writing: Writing },
    /// Something about a phone has changed.
    Changed,
}

/// When things happen to one message.
struct Course {
    fate: Fate,
    error: Cow<'static, str>,
    /// From now to the delivery; `None` for at once.
    scheduled: Option<Duration>,
    /// From now to its end.
    done: Duration,
    form: Form,
}

impl Model {
    pub(crate) fn new(now: Now, seed: u64, keep: usize, script: Script, fresh: Behaviour) -> Self {
        Self {
            ids: Ids::new(seed),
            behaviour: fresh.clone(),
            accounts: Accounts::default(),
            handsets: Handsets::default(),
            records: Records::new(keep),
            agenda: Agenda::new(keep.saturating_mul(2)),
            answered: HashMap::new(),
            ended: HashMap::new(),
            script,
            seed,
            start: now.instant,
            fresh,
            senders: HashMap::new(),
        }
    }

    pub(crate) fn change_behaviour(&mut self, change: &Change) -> Result<(), ChangeError> {
        let after = self.behaviour.changed(change.clone(), &self.fresh)?;
        if change.reset {
            self.script.reset();
        }
        self.script.yield_to(change);
        self.behaviour = after;
        Ok(())
    }

    /// Forgets messages, phones and counts; what was scripted stays.
    pub(crate) fn forget(&mut self) {
        self.records.clear();
        self.agenda.clear();
        self.handsets.clear();
        self.answered.clear();
        self.ended.clear();
        self.senders.clear();
    }

    /// The account that last sent from this originator.
    pub(crate) fn sender(&self, originator: &str) -> Option<&str> {
        self.senders.get(digits(originator)).map(|sender| &**sender)
    }

    /// Takes one message: notes it, decides its answer, and brings an accepted one to its phone.
    pub(crate) fn submit(&mut self, now: Now, origin: Origin<'_>, pdu: &SubmitSm) -> Outcome {
        let then = self.decide(origin, pdu);
        let custom = self.script.conventions.of(origin.system_id, pdu);
        let status = self.status(now, origin, pdu, (&then, &custom));
        let course = self.course(now, pdu, (&then, &custom));
        let (status, course) = match (status, course) {
            (Some(StatusName::OK), Err(wrong)) => (Some(StatusName(wrong)), Course::none()),
            (status, course) => (status, course.unwrap_or_else(|_| Course::none())),
        };
        let accepted = status == Some(StatusName::OK);
        let parcel = self.parcel(now, origin, pdu, accepted.then_some(&course));
        let message_id = parcel.message_id.clone();
        let mut record = Record {
            parcel: Arc::new(parcel),
            status,
            receipt: "none".into(),
            cancelled: false,
            on_phone: None,
        };
        let early = then.early || self.script.receipts.early;
        if accepted {
            self.follow(now, &mut record, &course, (&then, custom.echo, early));
        }
        self.records.keep(record);
        let answer = status.map(|status| self.answer(status, message_id, then));
        Outcome {
            answer,
            early: early && accepted,
        }
    }

    /// What a rule says about a request that is not a message.
    pub(crate) fn decide_other(&mut self, asked: &Asked<'_>) -> Option<Then> {
        self.script.rules.decide(asked, self.ids.dice())
    }

    /// What the errands have come to that are due, at most so many.
    pub(crate) fn due(&mut self, now: Now, most: usize) -> Vec<Due> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some(errand) = self.agenda.pop(now.instant)
        {
            due.extend(self.run(now, errand));
        }
        due
    }

    /// Makes answers to `deliver_sm` unheard, as many as are to be lost; whether any was.
    pub(crate) fn lose_answers(&mut self, settled: &mut [Settled]) -> bool {
        let mut lost = false;
        for (_, status) in settled.iter_mut().filter(|(_, status)| status.is_some()) {
            if !self.behaviour.loses_answer() {
                break;
            }
            *status = None;
            lost = true;
        }
        lost
    }

    fn decide(&mut self, origin: Origin<'_>, pdu: &SubmitSm) -> Then {
        let asked = Asked {
            command: origin.command,
            to: pdu.destination_addr.as_str().unwrap_or_default(),
            from: pdu.source_addr.as_str().unwrap_or_default(),
            account: origin.system_id,
            bind: origin.bind,
            text: &|| InboundText::from(pdu).text(),
        };
        let decided = self.script.rules.decide(&asked, self.ids.dice());
        decided.unwrap_or_default()
    }

    fn status(
        &mut self,
        now: Now,
        origin: Origin<'_>,
        pdu: &SubmitSm,
        (then, custom): (&Then, &Custom),
    ) -> Option<StatusName> {
        if then.silent || self.behaviour.silent {
            return None;
        }
        let Origin {
            system_id,
            outstanding,
            ..
        } = origin;
        let exceeded = self.accounts.exceeds(now.instant, system_id, outstanding);
        if let Some(status) = exceeded {
            return Some(StatusName(status));
        }
        let destination = pdu.destination_addr.as_str().unwrap_or_default();
        let own = then.status.or_else(|| custom.status.map(StatusName));
        let status = own.or_else(|| self.behaviour.answer(destination))?;
        Some(checked(status, destination, custom.echo))
    }

    /// When the message is delivered and when and how it ends, or what is wrong with its times.
    fn course(
        &mut self,
        now: Now,
        pdu: &SubmitSm,
        (then, custom): (&Then, &Custom),
    ) -> Result<Course, CommandStatus> {
        let scheduled = until(now, &pdu.schedule_delivery_time);
        let scheduled = scheduled.map_err(|_| CommandStatus::ESME_RINVSCHED)?;
        let expiry = until(now, &pdu.validity_period);
        let expiry = expiry.map_err(|_| CommandStatus::ESME_RINVEXPIRY)?;
        let dice = self.ids.dice();
        let style = &self.script.receipts;
        let mixed = style.mix.as_ref().map(|mix| mix.draw(dice));
        let (fate, error) = match (then.receipt, custom.fate) {
            (Some(fate), _) => (fate, fate.error()),
            (None, Some((fate, error))) => (fate, error),
            (None, None) => {
                let fate = mixed.unwrap_or_else(|| self.behaviour.receipts.into());
                (fate, fate.error())
            }
        };
        let delay = then.receipt_delay.as_ref().or(style.delay.as_ref());
        let delay = delay.map(|delay| delay.draw(dice));
        let usual = Duration::from_millis(self.behaviour.receipt_delay_ms);
        let delay = delay.unwrap_or(usual);
        let early = then.early || style.early;
        let delay = if early { Duration::ZERO } else { delay };
        let mut course = Course {
            fate,
            error: then.error.clone().map_or(Cow::Borrowed(error), Cow::Owned),
            scheduled: scheduled.filter(|wait| !wait.is_zero()),
            done: scheduled.unwrap_or_default() + delay,
            form: then.form.unwrap_or(style.form),
        };
        if let Some(expiry) = expiry
            && expiry < course.done
        {
            course.expire(expiry);
        }
        Ok(course)
    }

    fn parcel(
        &mut self,
        now: Now,
        origin: Origin<'_>,
        pdu: &SubmitSm,
        course: Option<&Course>,
    ) -> Parcel {
        let given = origin.serial;
        let serial = course.map(|_| given.unwrap_or_else(|| self.ids.serial()));
        let form = self.script.response_id();
        let message_id: Option<Arc<str>> = serial.map(|serial| form.write(serial).into());
        let other = self.script.message_id.receipt.as_ref();
        let receipt_id = other
            .zip(serial)
            .map(|(form, serial)| form.write(serial).into());
        let done = course.map_or(Duration::ZERO, |course| course.done);
        Parcel {
            arrival: self.records.next_arrival(),
            at: now.unix_ms,
            bind: origin.bind,
            system_id: Arc::clone(origin.system_id),
            sequence: origin.sequence,
            command: origin.command,
            pdu: copied(pdu),
            message_id,
            receipt_id,
            fate: course.map_or(Fate::None, |course| course.fate),
            error: course.map_or(Cow::Borrowed("000"), |course| course.error.clone()),
            done_at: now.unix_ms + u64::try_from(done.as_millis()).unwrap_or(u64::MAX / 2),
            form: course.map_or(Form::Both, |course| course.form),
        }
    }

    /// Brings an accepted message on its way.
    fn follow(
        &mut self,
        now: Now,
        record: &mut Record,
        course: &Course,
        (then, echo, early): (&Then, bool, bool),
    ) {
        let parcel = Arc::clone(&record.parcel);
        self.remember(&parcel);
        let delivery = now.instant + course.scheduled.unwrap_or_default();
        if let Some(text) = back(&parcel.pdu, then, echo) {
            let parcel = Arc::clone(&parcel);
            let reply = Errand::Reply { parcel, text, echo };
            self.agenda.add(delivery, 0, reply);
        }
        if !echo {
            self.bring(now, record, course, delivery);
        }
        let wants_notification = parcel.pdu.registered_delivery.wants_intermediate();
        if self.script.receipts.intermediate && wants_notification {
            let notify = Errand::Notify(Arc::clone(&parcel));
            self.agenda.add(delivery, 0, notify);
        }
        if !course.fate.is_told() || !receipts::is_owed(&parcel.pdu, course.fate.state()) {
            return;
        }
        record.receipt = "owed".into();
        let due = (now.instant + course.done).saturating_duration_since(self.start);
        let (due, rank) = if early {
            (due, 0)
        } else {
            self.script.receipts.slot(due, parcel.arrival, self.seed)
        };
        let kept = self
            .agenda
            .add(self.start + due, rank, Errand::Receipt(parcel));
        if !kept {
            record.receipt = "dropped".into();
        }
    }

    /// The phone gets the message now, or when it is scheduled.
    fn bring(&mut self, now: Now, record: &mut Record, course: &Course, delivery: Instant) {
        if course.scheduled.is_some() {
            let deliver = Errand::Deliver(Arc::clone(&record.parcel));
            self.agenda.add(delivery, 0, deliver);
        } else {
            record.on_phone = Some(self.deliver(now, &record.parcel));
        }
    }

    fn deliver(&mut self, now: Now, parcel: &Parcel) -> u64 {
        let delivery = Delivery {
            from: parcel.pdu.source_addr.as_str().unwrap_or_default(),
            to: parcel.pdu.destination_addr.as_str().unwrap_or_default(),
            at: now.unix_ms,
            status: parcel.fate.name(),
        };
        self.handsets
            .deliver(&delivery, InboundText::from(&parcel.pdu))
    }

    fn remember(&mut self, parcel: &Parcel) {
        let source = digits(parcel.pdu.source_addr.as_str().unwrap_or_default());
        if let Some(sender) = self.senders.get_mut(source) {
            if *sender != parcel.system_id {
                *sender = Arc::clone(&parcel.system_id);
            }
            return;
        }
        if self.senders.len() >= MAX_ORIGINATORS {
            self.senders.clear();
        }
        self.senders
            .insert(source.to_owned(), Arc::clone(&parcel.system_id));
    }

    fn answer(&mut self, status: StatusName, message_id: Option<Arc<str>>, then: Then) -> Verdict {
        *self.answered.entry(status).or_default() += 1;
        let latency = then
            .latency
            .as_ref()
            .or(self.script.answers.latency.as_ref());
        let delay = latency.map(|latency| latency.draw(self.ids.dice()));
        let usual = Duration::from_millis(self.behaviour.response_delay_ms);
        Verdict {
            status: status.0,
            message_id,
            delay: delay.unwrap_or(usual),
            fault: then.fault,
            congestion: then.congestion,
        }
    }

    fn run(&mut self, now: Now, errand: Errand) -> Option<Due> {
        match errand {
            Errand::Deliver(parcel) => {
                let parcel = self.current(parcel)?;
                let id = self.deliver(now, &parcel);
                if let Some(record) = self.records.get_mut(parcel.arrival) {
                    record.on_phone = Some(id);
                }
                Some(Due::Changed)
            }
            Errand::Notify(parcel) => {
                let parcel = self.current(parcel)?;
                Some(Due::Notice(Notice {
                    parcel,
                    intermediate: true,
                }))
            }
            Errand::Receipt(parcel) => {
                let parcel = self.current(parcel)?;
                let state = parcel.fate.state();
                if !receipts::is_owed(&parcel.pdu, state) {
                    return None;
                }
                *self.ended.entry(state).or_default() += 1;
                Some(Due::Notice(Notice {
                    parcel,
                    intermediate: false,
                }))
            }
            Errand::Reply { parcel, text, echo } => {
                let parcel = self.current(parcel)?;
                Some(reply(&parcel, &text, echo))
            }
        }
    }

    /// The message as it is now: another text may have replaced its own. None where it was cancelled.
    fn current(&mut self, parcel: Arc<Parcel>) -> Option<Arc<Parcel>> {
        match self.records.get_mut(parcel.arrival) {
            Some(record) if record.cancelled => None,
            Some(record) => Some(Arc::clone(&record.parcel)),
            None => Some(parcel),
        }
    }
}

impl Course {
    /// That of a message that was not accepted.
    const fn none() -> Self {
        Self {
            fate: Fate::None,
            error: Cow::Borrowed("000"),
            scheduled: None,
            done: Duration::ZERO,
            form: Form::Both,
        }
    }

    fn expire(&mut self, expiry: Duration) {
        self.fate = Fate::Expired;
        self.error = Fate::Expired.error().into();
        self.done = expiry;
    }
}

/// What comes back from a phone: what a rule says, or of an echo the message itself.
fn back(pdu: &SubmitSm, then: &Then, echo: bool) -> Option<Arc<str>> {
    if echo {
        return Some(InboundText::from(pdu).text().into());
    }
    then.reply.as_deref().map(Into::into)
}

fn reply(parcel: &Parcel, text: &str, echo: bool) -> Due {
    let source = parcel.pdu.source_addr.to_text();
    let destination = parcel.pdu.destination_addr.to_text();
    let (from, to) = if echo {
        (source, destination)
    } else {
        (destination, source)
    };
    let writing = Writing {
        to,
        text: crate::sim::handsets::Words(text.to_owned()),
        account: Some(parcel.system_id.to_string()),
        ..Writing::default()
    };
    Due::Write { from, writing }
}

/// From now to the time in this field; `None` where it is empty.
pub(crate) fn until(now: Now, field: &COctets<17>) -> Result<Option<Duration>, TimeError> {
    let Some(time) = Time::of(field)? else {
        return Ok(None);
    };
    let now_s = i64::try_from(now.unix_ms / 1_000).unwrap_or(i64::MAX);
    // What has gone by is out of range too.
    let seconds = u64::try_from(time.unix(now_s).saturating_sub(now_s));
    let seconds = seconds.map_err(|_| TimeError::Range)?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// A copy that does not hold on to all that was read at once.
fn copied(pdu: &SubmitSm) -> SubmitSm {
    let mut tlvs = Tlvs::default();
    for tlv in &pdu.tlvs {
        let pushed = tlvs.push(tlv.tag, tlv.value);
        debug_assert!(pushed.is_ok(), "it came in a TLV: it fits into one");
    }
    SubmitSm {
        short_message: ShortMessage::try_from(Bytes::copy_from_slice(&pdu.short_message))
            .unwrap_or_default(),
        tlvs,
        ..pdu.clone()
    }
}

/// Where nothing else is wrong, a destination that is no number is.
fn checked(status: StatusName, destination: &str, echo: bool) -> StatusName {
    let number = digits(destination);
    let dialable = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    if status == StatusName::OK && !dialable && !echo {
        return StatusName(CommandStatus::ESME_RINVDSTADR);
    }
    status
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
