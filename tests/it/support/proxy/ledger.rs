//! What went over the wire towards and from the SMSC, and how it was answered.

use std::collections::HashMap;

use bytes::Bytes;
use matrix_smpp_codec::{
    Body, CommandId, CommandStatus, DataCoding, EsmClass, Inbound, InboundText, Pdu,
};
use tokio::time::Instant;

use crate::support::wait::now;

/// A segment of a text, and how its receiver answered.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Its number among how many; the one of one where the text is whole.
    pub(crate) part: (u8, u8),
    pub(crate) octets: (DataCoding, Bytes),
    /// When it went by.
    pub(crate) at: Instant,
    /// `None` where it was not answered.
    pub(crate) answer: Option<CommandStatus>,
    /// The answer was lost on a link that lives.
    pub(crate) unheard: bool,
}

impl Segment {
    fn of(body: &Body) -> Option<Self> {
        let (text, from, to) = match body {
            Body::SubmitSm(pdu) => (
                InboundText::of(pdu),
                &pdu.source_addr,
                &pdu.destination_addr,
            ),
            Body::DeliverSm(pdu) if pdu.esm_class.message_type() != EsmClass::RECEIPT => (
                InboundText::of(pdu),
                &pdu.source_addr,
                &pdu.destination_addr,
            ),
            _ => return None,
        };
        Some(Self {
            from: from.to_string(),
            to: to.to_string(),
            part: text.concat.map_or((1, 1), |it| (it.index, it.total)),
            octets: (text.data_coding, text.payload),
            at: now(),
            answer: None,
            unheard: false,
        })
    }

    /// Whether its receiver took it.
    pub(crate) fn taken(&self) -> bool {
        self.answer == Some(CommandStatus::ESME_ROK)
    }

    /// What it says.
    pub(crate) fn text(&self) -> String {
        matrix_smpp_codec::text::decode(self.octets.0, &self.octets.1)
    }
}

/// Everything in order, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Towards phones.
    pub(crate) submits: Vec<Segment>,
    /// From phones.
    pub(crate) delivers: Vec<Segment>,
    /// Receipts that the SMSC brought.
    pub(crate) receipts: usize,
    /// Requests that carry a message and have no answer yet, by connection, command and number.
    open: HashMap<(u64, CommandId, u32), Option<usize>>,
    /// Every PDU that has to do with messages.
    moves: u64,
}

impl Ledger {
    /// Notes a PDU of a connection. `lost` where it is an answer that will not arrive.
    pub(crate) fn note(&mut self, connection: u64, pdu: &Inbound, lost: bool) {
        let Inbound::Pdu(pdu) = pdu else {
            return;
        };
        let request = match &pdu.body {
            Body::SubmitSm(_) | Body::DeliverSm(_) => return self.asked(connection, pdu),
            Body::SubmitSmResp(_) => CommandId::SUBMIT_SM,
            Body::DeliverSmResp(_) => CommandId::DELIVER_SM,
            _ => return,
        };
        if let Some(segment) = self.answered(connection, request, pdu) {
            segment.answer = Some(pdu.status);
            segment.unheard = lost;
        }
    }

    fn asked(&mut self, connection: u64, pdu: &Pdu) {
        self.moves += 1;
        let list = match pdu.body {
            Body::SubmitSm(_) => &mut self.submits,
            _ => &mut self.delivers,
        };
        let place = Segment::of(&pdu.body).map(|segment| {
            list.push(segment);
            list.len() - 1
        });
        self.receipts += usize::from(place.is_none());
        self.open
            .insert((connection, pdu.command_id(), pdu.sequence), place);
    }

    /// The segment that this answers.
    fn answered(&mut self, connection: u64, request: CommandId, pdu: &Pdu) -> Option<&mut Segment> {
        self.moves += 1;
        let place = self.open.remove(&(connection, request, pdu.sequence))??;
        let list = match request {
            CommandId::SUBMIT_SM => &mut self.submits,
            _ => &mut self.delivers,
        };
        list.get_mut(place)
    }

    /// How many `submit_sm` of a connection wait for their answers.
    pub(crate) fn unanswered(&self, connection: u64) -> usize {
        let of_it =
            |key: &&(u64, CommandId, u32)| key.0 == connection && key.1 == CommandId::SUBMIT_SM;
        self.open.keys().filter(of_it).count()
    }

    /// A connection is gone, and with it what nobody answered on it.
    pub(crate) fn closed(&mut self, connection: u64) {
        self.open.retain(|key, _| key.0 != connection);
    }

    /// How many requests wait for their answers, and how many PDUs there were: a wire where nothing
    /// waits is still while the second number stays.
    pub(crate) fn motion(&self) -> (usize, u64) {
        (self.open.len(), self.moves)
    }
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{DeliverSmResp, SubmitSm, SubmitSmResp};

    use super::*;

    fn submit(sequence: u32) -> Inbound {
        Inbound::Pdu(Pdu::new(sequence, Body::SubmitSm(SubmitSm::default())))
    }

    #[test]
    fn an_answer_belongs_to_the_request_of_its_number_on_its_connection() {
        let mut ledger = Ledger::default();
        ledger.note(1, &submit(5), false);
        ledger.note(2, &submit(5), false);
        let other = Pdu::new(5, Body::DeliverSmResp(DeliverSmResp::default()));
        ledger.note(2, &Inbound::Pdu(other), false);
        assert!(ledger.submits.iter().all(|one| !one.taken()));
        let answer = Pdu::new(5, Body::SubmitSmResp(SubmitSmResp::default()));
        ledger.note(2, &Inbound::Pdu(answer), false);
        let taken: Vec<bool> = ledger.submits.iter().map(Segment::taken).collect();
        assert_eq!(taken, [false, true]);
        assert_eq!((ledger.unanswered(1), ledger.unanswered(2)), (1, 0));
        ledger.closed(1);
        assert_eq!(ledger.motion().0, 0);
    }
}
