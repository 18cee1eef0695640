//! Every `submit_sm` as it was received, for tests to look at.

use std::collections::VecDeque;

use bytes::Bytes;
use matrix_smpp_codec::{SubmitSm, TlvTag};
use serde::{Serialize, Serializer};

use crate::sim::model::Origin;
use crate::sim::status::StatusName;

/// How many submissions are kept; with one more, the oldest is forgotten.
pub(crate) const MAX_SUBMITS: usize = 100_000;

/// One `submit_sm` as received.
#[derive(Clone, Serialize)]
pub(crate) struct Submit {
    /// Counts up from 1 in the order of arrival, over all binds.
    pub(crate) arrival: u64,
    /// Milliseconds since 1970 (UTC).
    pub(crate) at: u64,
    /// The number of the bind it came over, as in `GET /binds`.
    pub(crate) bind: u64,
    /// Who is bound there.
    pub(crate) system_id: String,
    pub(crate) sequence: u32,
    pub(crate) service_type: String,
    pub(crate) source: String,
    pub(crate) source_ton: u8,
    pub(crate) source_npi: u8,
    pub(crate) destination: String,
    pub(crate) destination_ton: u8,
    pub(crate) destination_npi: u8,
    pub(crate) esm_class: u8,
    pub(crate) data_coding: u8,
    pub(crate) registered_delivery: u8,
    /// `short_message`, or `message_payload` where that is empty; its header included.
    #[serde(serialize_with = "hex")]
    pub(crate) payload: Bytes,
    /// Ours; none for what was not accepted.
    pub(crate) message_id: Option<String>,
    /// The status of the answer; none where it was swallowed.
    pub(crate) status: Option<StatusName>,
    /// `none` where none is owed; `owed`; then the `command_status` of the receiver's answer.
    pub(crate) receipt: String,
}

impl Submit {
    /// What the PDU says; the rest is for the model to fill in.
    pub(crate) fn of(origin: Origin<'_>, pdu: &SubmitSm) -> Self {
        let long = pdu.tlvs.get(TlvTag::MESSAGE_PAYLOAD);
        let short = (!pdu.short_message.is_empty()).then_some(&*pdu.short_message);
        Self {
            arrival: 0,
            at: 0,
            bind: origin.bind,
            system_id: origin.system_id.to_owned(),
            sequence: origin.sequence,
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
            payload: Bytes::copy_from_slice(short.or(long).unwrap_or_default()),
            message_id: None,
            status: None,
            receipt: "none".to_owned(),
        }
    }
}

/// The latest submissions.
#[derive(Default)]
pub(crate) struct Submits {
    kept: VecDeque<Submit>,
    arrivals: u64,
}

impl Submits {
    /// The number of the next arrival.
    pub(crate) fn next_arrival(&self) -> u64 {
        self.arrivals + 1
    }

    /// Keeps a submission, which bears [`Submits::next_arrival`].
    pub(crate) fn keep(&mut self, submit: Submit) {
        if self.kept.len() >= MAX_SUBMITS {
            self.kept.pop_front();
        }
        self.arrivals = submit.arrival;
        self.kept.push_back(submit);
    }

    /// Says what became of the receipt for an arrival.
    pub(crate) fn receipt(&mut self, arrival: u64, status: &str) {
        let place = self
            .kept
            .binary_search_by_key(&arrival, |submit| submit.arrival);
        if let Some(submit) = place.ok().and_then(|at| self.kept.get_mut(at)) {
            status.clone_into(&mut submit.receipt);
        }
    }

    /// Those that arrived after this number, oldest first, at most `limit`.
    pub(crate) fn after(&self, arrival: u64, limit: usize) -> Vec<Submit> {
        let later = self
            .kept
            .iter()
            .skip_while(|submit| submit.arrival <= arrival);
        later.take(limit).cloned().collect()
    }
}

fn hex<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{octets:x}"))
}
