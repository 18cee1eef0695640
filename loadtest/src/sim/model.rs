//! What the simulator knows and decides. No network and no clock: both are arguments.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{CommandId, CommandStatus, InboundText, MessageState, SubmitSm};

use crate::sim::accounts::Accounts;
use crate::sim::agenda::Agenda;
use crate::sim::behaviour::{Behaviour, Change, ChangeError};
use crate::sim::clock::Now;
use crate::sim::conventions::Custom;
use crate::sim::course::{Course, Times};
use crate::sim::handsets::{Handsets, Words, digits};
use crate::sim::ids::Ids;
use crate::sim::loopback::Loopback;
use crate::sim::pump::Settled;
use crate::sim::records::{Back, Parcel, Record, Records};
use crate::sim::rules::{Asked, Then};
use crate::sim::script::Script;
use crate::sim::status::StatusName;
use crate::sim::wire::mangle::Mangle;

/// Of how many originators the simulator remembers who sends from them.
const MAX_ORIGINATORS: usize = 100_000;

/// `replace_if_present_flag`: replace (SMPP 3.4 §5.2.18).
const REPLACE: u8 = 1;

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
    garbage: Vec<Record>,
    pub(super) seed: u64,
    /// What due times are counted from.
    pub(super) start: Instant,
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
            garbage: Vec::new(),
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

    /// What was forgotten since the last time; to be freed without a lock.
    pub(crate) fn garbage(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.garbage)
    }

    /// Takes one message, whose octets are its own: notes it, decides its answer, and brings an accepted one to its phone.
    pub(crate) fn submit(&mut self, now: Now, origin: Origin<'_>, pdu: SubmitSm) -> Outcome {
        let then = self.decide(origin, &pdu);
        let custom = self.script.conventions.of(origin.system_id, &pdu);
        let status = self.status(now, origin, &pdu, (&then, &custom));
        let course = self.course(now, &pdu, (&then, &custom));
        let (status, course) = match (status, course) {
            (Some(StatusName::OK), Err(wrong)) => (Some(StatusName(wrong)), Course::none(now)),
            (status, course) => (status, course.unwrap_or_else(|_| Course::none(now))),
        };
        let accepted = status == Some(StatusName::OK);
        let early = then.early || self.script.receipts.early;
        if accepted && pdu.replace_if_present_flag == REPLACE {
            self.make_way(now, origin.system_id, &pdu);
        }
        let back = self.back(&then, custom.echo).filter(|_| accepted);
        let parcel = self.parcel(now, (origin, accepted), pdu, (course, back));
        let message_id = parcel.message_id.clone();
        let mut record = Record {
            parcel: Arc::new(parcel),
            status,
            receipt: "none".into(),
            cancelled: false,
            on_phone: None,
        };
        if accepted {
            self.remember(&record.parcel);
            self.set_out(now, &mut record);
            self.owe(now, &mut record, early);
        }
        self.garbage.extend(self.records.keep(record));
        let answer = status.map(|status| self.answer(status, message_id, then));
        Outcome {
            answer,
            early: early && accepted,
        }
    }

    /// What comes of a message: what a convention or a rule says, else what all messages have.
    fn back(&self, then: &Then, echo: bool) -> Option<Back> {
        if echo {
            return Some(Back::Echo);
        }
        let reply = then.reply.clone().map(|text| Back::Reply(Words(text)));
        let loopback = self.script.loopback;
        reply.or_else(|| (loopback != Loopback::None).then_some(Back::Loop(loopback)))
    }

    /// What a rule says about a request that is not a message.
    pub(crate) fn decide_other(&mut self, asked: &Asked<'_>) -> Option<Then> {
        self.script.rules.decide(asked, self.ids.dice())
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
        let times = Times::of(now, &pdu.schedule_delivery_time, &pdu.validity_period)?;
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
        Ok(Course {
            fate,
            error: then.error.clone().map_or(Cow::Borrowed(error), Cow::Owned),
            scheduled_at: times.scheduled_at,
            expires_at: times.expires_at,
            came_at: now.unix_ms,
            delay,
            form: then.form.unwrap_or(style.form),
        })
    }

    fn parcel(
        &mut self,
        now: Now,
        (origin, accepted): (Origin<'_>, bool),
        pdu: SubmitSm,
        (course, back): (Course, Option<Back>),
    ) -> Parcel {
        let given = origin.serial;
        let serial = accepted.then(|| given.unwrap_or_else(|| self.ids.serial()));
        let form = self.script.response_id();
        let message_id: Option<Arc<str>> = serial.map(|serial| form.write(serial).into());
        let other = self.script.message_id.receipt.as_ref();
        let receipt_id = other
            .zip(serial)
            .map(|(form, serial)| form.write(serial).into());
        Parcel {
            arrival: self.records.next_arrival(),
            edition: 0,
            at: now.unix_ms,
            bind: origin.bind,
            system_id: Arc::clone(origin.system_id),
            sequence: origin.sequence,
            command: origin.command,
            pdu,
            message_id,
            receipt_id,
            end: course.end(),
            course,
            back,
        }
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
