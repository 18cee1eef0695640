//! Requests that carry a message, as the `submit_sm` that says the same; and their responses.

use bytes::Bytes;
use matrix_smpp_codec::{
    Address, Body, CommandId, CommandStatus, DataSm, Npi, ShortMessage, SubmitMulti, SubmitSm,
    Tlvs, Ton, UnsuccessSme,
};

use crate::sim::mo::Party;
use crate::sim::rules::Asked;

/// A copy that does not hold on to all that was read at once.
pub(crate) fn copied(pdu: &SubmitSm) -> SubmitSm {
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

/// The response to a command, with nothing in it.
pub(crate) fn empty(command: CommandId) -> Body {
    let response = command.response().and_then(Body::empty);
    response.unwrap_or(Body::GenericNack)
}

/// What rules see of a request that is about a message.
pub(crate) fn asked<'a>(body: &'a Body, account: &'a str, bind: u64) -> Asked<'a> {
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
pub(crate) fn submitted(pdu: &DataSm) -> SubmitSm {
    let narrow = |address: Address<65>| Address::try_from(address.as_bytes()).unwrap_or_default();
    copied(&SubmitSm {
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
    })
}

/// One phone that a `submit_multi` goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    pub(crate) ton: Ton,
    pub(crate) npi: Npi,
    pub(crate) address: Address<21>,
}

impl From<Party> for Destination {
    fn from(party: Party) -> Self {
        Self {
            ton: party.ton,
            npi: party.npi,
            address: party.address,
        }
    }
}

impl Destination {
    /// That it does not get the message, and why.
    pub(crate) const fn refused(self, status: CommandStatus) -> UnsuccessSme {
        UnsuccessSme {
            dest_addr_ton: self.ton,
            dest_addr_npi: self.npi,
            destination_addr: self.address,
            error_status_code: status,
        }
    }
}

/// The message to one destination.
pub(crate) fn single(pdu: &SubmitMulti, to: Destination) -> SubmitSm {
    copied(&SubmitSm {
        service_type: pdu.service_type,
        source_addr_ton: pdu.source_addr_ton,
        source_addr_npi: pdu.source_addr_npi,
        source_addr: pdu.source_addr,
        dest_addr_ton: to.ton,
        dest_addr_npi: to.npi,
        destination_addr: to.address,
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
    })
}
