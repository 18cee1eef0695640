//! What happens to an accepted message: it reaches its phone, its sender is told, its phone answers.

use std::sync::Arc;

use matrix_smpp_codec::{DeliverSm, InboundText};

use crate::sim::agenda::Errand;
use crate::sim::clock::Now;
use crate::sim::handsets::{Delivery, Words};
use crate::sim::loopback::Loopback;
use crate::sim::mo::Writing;
use crate::sim::model::Model;
use crate::sim::receipts::{self, Notice};
use crate::sim::records::{Back, Parcel, Record};

/// Something that an errand has come to.
pub(crate) enum Due {
    /// A receipt or a notification.
    Notice(Notice),
    /// A phone writes.
    Write { from: String, writing: Writing },
    /// A message goes on to the account that sent it, or to that which receives for its number.
    Loop {
        account: Option<Arc<str>>,
        pdu: Box<DeliverSm>,
    },
    /// Something about a phone has changed.
    Changed,
}

impl Model {
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

    /// Brings an accepted message on its way to its phone: now, or when it is scheduled.
    pub(crate) fn set_out(&mut self, now: Now, record: &mut Record) {
        let parcel = &record.parcel;
        let (wait, _) = parcel.course.waits(now);
        let delivery = now.instant + wait;
        if parcel.back.is_some() {
            let reply = Errand::Reply(Arc::clone(parcel));
            self.agenda.add(delivery, 0, reply);
        }
        let echo = matches!(parcel.back, Some(Back::Echo));
        if !echo && wait.is_zero() {
            record.on_phone = Some(self.deliver(now, &record.parcel));
        } else if !echo {
            let deliver = Errand::Deliver(Arc::clone(&record.parcel));
            self.agenda.add(delivery, 0, deliver);
        }
        let wanted = record.parcel.pdu.registered_delivery.wants_intermediate();
        if self.script.receipts.intermediate && wanted {
            let notify = Errand::Notify(Arc::clone(&record.parcel));
            self.agenda.add(delivery, 0, notify);
        }
    }

    /// Sees to the receipt, where one is owed.
    pub(crate) fn owe(&mut self, now: Now, record: &mut Record, early: bool) {
        let parcel = Arc::clone(&record.parcel);
        let fate = parcel.end.fate;
        if !fate.is_told() || !receipts::is_owed(&parcel.pdu, fate.state()) {
            record.receipt = "none".into();
            return;
        }
        record.receipt = "owed".into();
        let (_, wait) = parcel.course.waits(now);
        let due = (now.instant + wait).saturating_duration_since(self.start);
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

    fn deliver(&mut self, now: Now, parcel: &Parcel) -> u64 {
        let delivery = Delivery {
            from: parcel.pdu.source_addr.as_str().unwrap_or_default(),
            to: parcel.pdu.destination_addr.as_str().unwrap_or_default(),
            at: now.unix_ms,
            status: parcel.end.fate.name(),
        };
        self.handsets
            .deliver(&delivery, InboundText::from(&parcel.pdu))
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
                let state = parcel.end.fate.state();
                if !receipts::is_owed(&parcel.pdu, state) {
                    return None;
                }
                *self.ended.entry(state).or_default() += 1;
                Some(Due::Notice(Notice {
                    parcel,
                    intermediate: false,
                }))
            }
            Errand::Reply(parcel) => {
                let parcel = self.current(parcel)?;
                parcel.back.as_ref().map(|back| reply(&parcel, back))
            }
        }
    }

    /// The message as it is now: another text may have replaced its own. None where it was cancelled,
    /// or has other times now.
    fn current(&mut self, parcel: Arc<Parcel>) -> Option<Arc<Parcel>> {
        match self.records.get_mut(parcel.arrival) {
            Some(record) if record.cancelled || record.parcel.edition != parcel.edition => None,
            Some(record) => Some(Arc::clone(&record.parcel)),
            None => Some(parcel),
        }
    }
}

fn reply(parcel: &Parcel, back: &Back) -> Due {
    let source = parcel.pdu.source_addr.to_text();
    let destination = parcel.pdu.destination_addr.to_text();
    let (from, to, text) = match back {
        Back::Reply(text) => (destination, source, text.clone()),
        Back::Echo => (
            source,
            destination,
            Words(InboundText::from(&parcel.pdu).text()),
        ),
        Back::Loop(loopback) => {
            let to_sender = *loopback == Loopback::Sender;
            return Due::Loop {
                account: to_sender.then(|| Arc::clone(&parcel.system_id)),
                pdu: loopback.pdu(&parcel.pdu).into(),
            };
        }
    };
    let writing = Writing {
        to,
        text,
        account: Some(parcel.system_id.to_string()),
        ..Writing::default()
    };
    Due::Write { from, writing }
}
