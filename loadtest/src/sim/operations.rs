//! What ESMEs ask about their messages afterwards: `query_sm`, `cancel_sm`, `replace_sm`.

use std::sync::Arc;

use bytes::Bytes;
use matrix_smpp_codec::time::AbsoluteTime;
use matrix_smpp_codec::{
    Address, CancelSm, CommandStatus, InboundText, MessageState, QuerySm, QuerySmResp, ReplaceSm,
    ShortMessage, SubmitSm,
};

use crate::sim::clock::Now;
use crate::sim::course::Times;
use crate::sim::handsets::Words;
use crate::sim::model::Model;
use crate::sim::records::{Parcel, Record};

impl Model {
    /// Where a message has got to. SMPP 3.4 §4.8.
    pub(crate) fn query(
        &mut self,
        now: Now,
        account: &str,
        asked: &QuerySm,
    ) -> Result<QuerySmResp, CommandStatus> {
        let record = self.own(account, &asked.message_id.to_text())?;
        if !is_from(record, &asked.source_addr) {
            return Err(CommandStatus::ESME_RQUERYFAIL);
        }
        let state = record.state(now.unix_ms).unwrap_or(MessageState::UNKNOWN);
        let ended = state.is_final() || state == MessageState::ACCEPTED;
        let seconds = i64::try_from(record.parcel.end.at / 1_000).unwrap_or(i64::MAX);
        let date = AbsoluteTime::from_unix(seconds).filter(|_| ended);
        let failed = ended && state != MessageState::DELIVERED;
        Ok(QuerySmResp {
            message_id: asked.message_id,
            final_date: date.map(|date| date.field()).unwrap_or_default(),
            message_state: state,
            error_code: if failed {
                error_code(&record.parcel)
            } else {
                0
            },
        })
    }

    /// Takes back one message, or all that match. SMPP 3.4 §4.9.
    pub(crate) fn cancel(
        &mut self,
        now: Now,
        account: &str,
        asked: &CancelSm,
    ) -> Result<(), CommandStatus> {
        if asked.message_id.is_empty() {
            return self.cancel_all(now, account, asked);
        }
        let record = self.own(account, &asked.message_id.to_text())?;
        let named = asked.destination_addr.is_empty()
            || asked.destination_addr == record.parcel.pdu.destination_addr;
        if !named || !is_from(record, &asked.source_addr) || !is_under_way(record, now) {
            return Err(CommandStatus::ESME_RCANCELFAIL);
        }
        let arrival = record.parcel.arrival;
        self.withdraw(now, arrival, "deleted");
        Ok(())
    }

    /// Changes a message that has not ended yet. SMPP 3.4 §4.10.
    pub(crate) fn replace(
        &mut self,
        now: Now,
        account: &str,
        asked: &ReplaceSm,
    ) -> Result<(), CommandStatus> {
        let record = self.own(account, &asked.message_id.to_text())?;
        if !is_from(record, &asked.source_addr) || !is_under_way(record, now) {
            return Err(CommandStatus::ESME_RREPLACEFAIL);
        }
        let times = Times::of(now, &asked.schedule_delivery_time, &asked.validity_period)?;
        let before = record.parcel.course.delivery_at();
        let parcel = Arc::make_mut(&mut record.parcel);
        let text = Bytes::copy_from_slice(&asked.short_message);
        parcel.pdu.short_message = ShortMessage::try_from(text).unwrap_or_default();
        parcel.pdu.registered_delivery = asked.registered_delivery;
        parcel.reschedule(&times, asked);
        let words = Words(InboundText::from(&parcel.pdu).text());
        let on_phone = record.on_phone;
        let (phone, arrival) = (phone(&record.parcel.pdu), record.parcel.arrival);
        if let Some(id) = on_phone {
            self.handsets.correct(&phone, id, "replaced", Some(words));
        }
        self.plan_anew(now, arrival, before > now.unix_ms);
        Ok(())
    }

    /// What was planned for a message is void, since it says something else, at another time or to
    /// be told otherwise.
    fn plan_anew(&mut self, now: Now, arrival: u64, is_undelivered: bool) {
        let Some(mut record) = self.records.get_mut(arrival).cloned() else {
            return;
        };
        if is_undelivered {
            self.set_out(now, &mut record);
        }
        self.owe(now, &mut record, false);
        if let Some(kept) = self.records.get_mut(arrival) {
            *kept = record;
        }
    }

    /// A message that may replace another: the latest of this account that is still on its way from
    /// the same source to the same destination, of the same service, is taken back. SMPP 3.4 §5.2.18.
    pub(crate) fn make_way(&mut self, now: Now, account: &str, pdu: &SubmitSm) {
        let same = |record: &&Record| {
            let other = &record.parcel.pdu;
            &*record.parcel.system_id == account
                && other.destination_addr == pdu.destination_addr
                && other.source_addr == pdu.source_addr
                && other.service_type == pdu.service_type
                && is_under_way(record, now)
        };
        let found = self.records.iter().rev().find(same);
        if let Some(arrival) = found.map(|record| record.parcel.arrival) {
            self.withdraw(now, arrival, "replaced");
        }
    }

    fn cancel_all(
        &mut self,
        now: Now,
        account: &str,
        asked: &CancelSm,
    ) -> Result<(), CommandStatus> {
        let matches = |record: &Record| {
            let pdu = &record.parcel.pdu;
            &*record.parcel.system_id == account
                && pdu.source_addr == asked.source_addr
                && pdu.destination_addr == asked.destination_addr
                && (asked.service_type.is_empty() || pdu.service_type == asked.service_type)
                && is_under_way(record, now)
        };
        let found = self.records.iter().filter(|record| matches(record));
        let arrivals: Vec<u64> = found.map(|record| record.parcel.arrival).collect();
        if arrivals.is_empty() {
            return Err(CommandStatus::ESME_RCANCELFAIL);
        }
        for arrival in arrivals {
            self.withdraw(now, arrival, "deleted");
        }
        Ok(())
    }

    fn withdraw(&mut self, now: Now, arrival: u64, word: &str) {
        let Some(record) = self.records.get_mut(arrival) else {
            return;
        };
        record.cancelled = true;
        Arc::make_mut(&mut record.parcel).end.at = now.unix_ms;
        record.receipt = "none".into();
        let phone = phone(&record.parcel.pdu);
        if let Some(id) = record.on_phone {
            self.handsets.correct(&phone, id, word, None);
        }
    }

    /// The message of this id, where it is one of this account's.
    fn own(&mut self, account: &str, message_id: &str) -> Result<&mut Record, CommandStatus> {
        let record = self.records.named(message_id);
        record
            .filter(|record| &*record.parcel.system_id == account)
            .ok_or(CommandStatus::ESME_RINVMSGID)
    }
}

impl Parcel {
    /// Other times hold, where some are given; what was planned is void.
    fn reschedule(&mut self, times: &Times, asked: &ReplaceSm) {
        self.edition = self.edition.wrapping_add(1);
        self.course.change(times);
        self.end = self.course.end();
        if !asked.schedule_delivery_time.is_empty() {
            self.pdu.schedule_delivery_time = asked.schedule_delivery_time;
        }
        if !asked.validity_period.is_empty() {
            self.pdu.validity_period = asked.validity_period;
        }
    }
}

fn phone(pdu: &SubmitSm) -> String {
    pdu.destination_addr.to_text()
}

/// Whether this is the source that the message was submitted with; left empty it means that one.
fn is_from(record: &Record, source: &Address<21>) -> bool {
    source.is_empty() || *source == record.parcel.pdu.source_addr
}

fn is_under_way(record: &Record, now: Now) -> bool {
    record.state(now.unix_ms) == Some(MessageState::ENROUTE)
}

fn error_code(parcel: &Parcel) -> u8 {
    parcel.end.error.parse().unwrap_or(u8::MAX)
}

#[cfg(test)]
#[path = "operations_tests.rs"]
mod tests;
