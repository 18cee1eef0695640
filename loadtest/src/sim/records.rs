//! Every message as it was received, for tests to look at and for `query_sm` to ask about: the latest
//! so many, in the order of their arrival.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use matrix_smpp_codec::{CommandId, InboundText, MessageState, SubmitSm, TlvTag};
use serde::{Serialize, Serializer};

use crate::sim::course::{Course, End};
use crate::sim::handsets::Words;
use crate::sim::loopback::Loopback;
use crate::sim::status::StatusName;

/// How many messages are kept unless it is told.
pub(crate) const MESSAGES_KEPT: usize = 100_000;

/// What does not change about a message.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// Counts up from 1 in the order of arrival, over all binds.
    pub(crate) arrival: u64,
    /// Counts up with each `replace_sm`; what was planned before is void.
    pub(crate) edition: u32,
    /// Milliseconds since 1970 (UTC).
    pub(crate) at: u64,
    /// The number of the bind it came over, as in `GET /binds`.
    pub(crate) bind: u64,
    /// Who is bound there.
    pub(crate) system_id: Arc<str>,
    pub(crate) sequence: u32,
    /// What it came as.
    pub(crate) command: CommandId,
    /// What came, copied out of the buffer that it was read into.
    pub(crate) pdu: SubmitSm,
    /// Ours; none for what was not accepted.
    pub(crate) message_id: Option<Arc<str>>,
    /// The id in the receipt, where that is another.
    pub(crate) receipt_id: Option<Arc<str>>,
    /// What is to happen to it.
    pub(crate) course: Course,
    /// How that ends.
    pub(crate) end: End,
    /// What comes of it.
    pub(crate) back: Option<Back>,
}

/// What comes of a message beside its receipt.
#[derive(Debug, Clone)]
pub(crate) enum Back {
    /// Its phone says this.
    Reply(Words),
    /// Its text comes back from its own sender, and no phone gets it.
    Echo,
    /// It goes to an ESME as it is.
    Loop(Loopback),
}

/// One message and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) parcel: Arc<Parcel>,
    /// The status of the answer; none where it was swallowed.
    pub(crate) status: Option<StatusName>,
    /// `none` where none is owed; `owed`; then the `command_status` of the receiver's answer.
    pub(crate) receipt: Cow<'static, str>,
    /// It was cancelled.
    pub(crate) cancelled: bool,
    /// Its id on the phone that got it.
    pub(crate) on_phone: Option<u64>,
}

impl Record {
    /// Where it has got to at this moment, in milliseconds since 1970 (UTC); none where it was not
    /// accepted.
    pub(crate) fn state(&self, now_ms: u64) -> Option<MessageState> {
        self.parcel.message_id.as_ref()?;
        Some(if self.cancelled {
            MessageState::DELETED
        } else if now_ms >= self.parcel.end.at {
            self.parcel.end.fate.state()
        } else {
            MessageState::ENROUTE
        })
    }

    /// What the API shows of it.
    pub(crate) fn view(&self, now_ms: u64) -> View<'_> {
        let Parcel {
            arrival,
            at,
            bind,
            system_id,
            sequence,
            command,
            pdu,
            message_id,
            ..
        } = &*self.parcel;
        View {
            arrival: *arrival,
            at: *at,
            bind: *bind,
            system_id,
            sequence: *sequence,
            command: command.name().unwrap_or("unknown"),
            service_type: pdu.service_type.to_text(),
            source: pdu.source_addr.to_text(),
            source_ton: pdu.source_addr_ton.0,
            source_npi: pdu.source_addr_npi.0,
            destination: pdu.destination_addr.to_text(),
            destination_ton: pdu.dest_addr_ton.0,
            destination_npi: pdu.dest_addr_npi.0,
            esm_class: pdu.esm_class.0,
            data_coding: pdu.data_coding.0,
            registered_delivery: pdu.registered_delivery.0,
            schedule_delivery_time: pdu.schedule_delivery_time.to_text(),
            validity_period: pdu.validity_period.to_text(),
            payload: payload(pdu),
            text: Words(InboundText::from(pdu).text()),
            message_id: message_id.as_deref(),
            status: self.status,
            state: self.state(now_ms).and_then(MessageState::name),
            receipt: &self.receipt,
        }
    }
}

fn payload(pdu: &SubmitSm) -> Bytes {
    if pdu.short_message.is_empty() {
        let long = pdu.tlvs.get(TlvTag::MESSAGE_PAYLOAD);
        Bytes::copy_from_slice(long.unwrap_or_default())
    } else {
        pdu.short_message.bytes()
    }
}

/// One message, as the API shows it.
#[derive(Serialize)]
pub(crate) struct View<'a> {
    arrival: u64,
    at: u64,
    bind: u64,
    system_id: &'a str,
    sequence: u32,
    command: &'static str,
    service_type: String,
    source: String,
    source_ton: u8,
    source_npi: u8,
    destination: String,
    destination_ton: u8,
    destination_npi: u8,
    esm_class: u8,
    data_coding: u8,
    registered_delivery: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    schedule_delivery_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    validity_period: String,
    /// `short_message`, or `message_payload` where that is empty; its header included.
    #[serde(serialize_with = "hex")]
    payload: Bytes,
    /// What it says, its header taken off.
    text: Words,
    message_id: Option<&'a str>,
    status: Option<StatusName>,
    state: Option<&'static str>,
    receipt: &'a str,
}

/// The latest messages.
pub(crate) struct Records {
    kept: VecDeque<Record>,
    by_id: HashMap<Arc<str>, u64>,
    arrivals: u64,
    limit: usize,
}

impl Records {
    /// Keeps at most so many.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            by_id: HashMap::new(),
            arrivals: 0,
            limit: limit.max(1),
        }
    }

    /// The number of the next arrival.
    pub(crate) const fn next_arrival(&self) -> u64 {
        self.arrivals + 1
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Keeps a message, which bears [`Records::next_arrival`]. Gives back the one that is forgotten
    /// for it: to free it takes long, and somebody may hold a lock.
    pub(crate) fn keep(&mut self, record: Record) -> Option<Record> {
        let forgotten = if self.kept.len() >= self.limit {
            self.forget()
        } else {
            None
        };
        self.arrivals = record.parcel.arrival;
        if let Some(id) = &record.parcel.message_id {
            self.by_id
                .entry(Arc::clone(id))
                .or_insert(record.parcel.arrival);
        }
        self.kept.push_back(record);
        forgotten
    }

    fn forget(&mut self) -> Option<Record> {
        let oldest = self.kept.pop_front()?;
        let parcel = &oldest.parcel;
        if let Some(id) = &parcel.message_id
            && self.by_id.get(id) == Some(&parcel.arrival)
        {
            self.by_id.remove(id);
        }
        Some(oldest)
    }

    /// Forgets everything; arrivals go on counting.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.by_id.clear();
    }

    /// The message of this arrival, while it is kept.
    pub(crate) fn get_mut(&mut self, arrival: u64) -> Option<&mut Record> {
        let first = self.kept.front()?.parcel.arrival;
        let place = usize::try_from(arrival.checked_sub(first)?).ok()?;
        self.kept.get_mut(place)
    }

    /// The message with this id, as the answer to its submission gave it.
    pub(crate) fn named(&mut self, message_id: &str) -> Option<&mut Record> {
        let arrival = *self.by_id.get(message_id)?;
        self.get_mut(arrival)
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.kept.iter()
    }

    /// Says what became of the receipt for an arrival.
    pub(crate) fn receipt(&mut self, arrival: u64, status: Cow<'static, str>) {
        if let Some(record) = self.get_mut(arrival) {
            record.receipt = status;
        }
    }

    /// Those that arrived after this number, oldest first.
    pub(crate) fn after(&self, arrival: u64) -> impl DoubleEndedIterator<Item = &Record> {
        let first = self.kept.front().map_or(0, |record| record.parcel.arrival);
        let skipped = (arrival + 1).saturating_sub(first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        self.kept.range(skipped.min(self.kept.len())..)
    }
}

fn hex<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{octets:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::clock::Now;
    use crate::sim::fate::Fate;

    fn record(records: &Records, id: &str) -> Record {
        let arrival = records.next_arrival();
        Record {
            parcel: Arc::new(Parcel {
                arrival,
                at: 0,
                bind: 1,
                system_id: "gateway".into(),
                sequence: 1,
                command: CommandId::SUBMIT_SM,
                pdu: SubmitSm::default(),
                message_id: Some(id.into()),
                receipt_id: None,
                edition: 0,
                end: End {
                    fate: Fate::Delivered,
                    error: "000".into(),
                    at: 1_000,
                },
                course: Course::none(Now::read()),
                back: None,
            }),
            status: Some(StatusName::OK),
            receipt: "none".into(),
            cancelled: false,
            on_phone: None,
        }
    }

    #[test]
    fn only_the_latest_are_kept_and_found_by_their_id() {
        let mut records = Records::new(3);
        for id in ["a", "b", "c", "d"] {
            records.keep(record(&records, id));
        }
        assert_eq!((records.len(), records.by_id.len()), (3, 3));
        assert!(records.named("a").is_none());
        assert_eq!(records.named("b").unwrap().parcel.arrival, 2);
        let after: Vec<_> = records.after(2).map(|one| one.parcel.arrival).collect();
        assert_eq!(after, [3, 4]);
        assert_eq!(records.after(0).count(), 3);
        assert_eq!(records.after(9).count(), 0);
    }

    #[test]
    fn a_message_is_on_its_way_until_its_time() {
        let mut records = Records::new(3);
        records.keep(record(&records, "a"));
        let one = records.named("a").unwrap();
        assert_eq!(one.state(999), Some(MessageState::ENROUTE));
        assert_eq!(one.state(1_000), Some(MessageState::DELIVERED));
        one.cancelled = true;
        assert_eq!(one.state(1_000), Some(MessageState::DELETED));
    }
}
