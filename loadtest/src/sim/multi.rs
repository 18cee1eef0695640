//! `submit_multi`: one message for many phones and distribution lists (SMPP 3.4 §4.5).

use matrix_smpp_codec::{
    Address, Body, CommandId, CommandStatus, DestAddress, SubmitMulti, SubmitMultiResp,
    UnsuccessSme, UnsuccessSmes,
};

use crate::sim::clock::Now;
use crate::sim::desk::{Batch, Place};
use crate::sim::model::{Model, Origin, Outcome, Verdict};
use crate::sim::requests::{Destination, empty, single};

/// How many refused destinations an answer names.
const MOST_REFUSED: usize = 255;

/// What the phones of one `submit_multi` have come to.
#[derive(Default)]
struct Verdicts {
    /// The first acceptance, else the first refusal.
    first: Option<Verdict>,
    refused: Vec<UnsuccessSme>,
    early: bool,
}

/// Each phone gets a message of its own; all have the same id.
pub(crate) fn multiply(
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
    let mut verdicts = Verdicts::default();
    for destination in pdu.dest_addresses.iter() {
        match phones(model, destination) {
            Ok(phones) => {
                for phone in phones {
                    let outcome = model.submit(now, origin, single(pdu, phone));
                    verdicts.add(phone, outcome);
                }
            }
            Err(refused) => verdicts.refuse(refused),
        }
    }
    let Verdicts {
        first,
        mut refused,
        early,
    } = verdicts;
    refused.truncate(MOST_REFUSED);
    let unsuccess_smes = UnsuccessSmes::try_from(refused).unwrap_or_default();
    let outcome = Outcome {
        answer: first,
        early,
    };
    batch.add(place, outcome, |message_id, tlvs| {
        Body::SubmitMultiResp(SubmitMultiResp {
            message_id,
            unsuccess_smes,
            tlvs,
        })
    });
}

/// The phones that a destination stands for; a list that nobody knows is refused.
fn phones(model: &Model, destination: &DestAddress) -> Result<Vec<Destination>, UnsuccessSme> {
    match destination {
        DestAddress::Sme {
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
        } => Ok(vec![Destination {
            ton: *dest_addr_ton,
            npi: *dest_addr_npi,
            address: *destination_addr,
        }]),
        DestAddress::List { dl_name } => {
            let members = model.script.lists.members(&dl_name.to_text());
            members.ok_or_else(|| UnsuccessSme {
                destination_addr: Address::try_from(dl_name.as_bytes()).unwrap_or_default(),
                error_status_code: CommandStatus::ESME_RINVDLNAME,
                ..UnsuccessSme::default()
            })
        }
    }
}

impl Verdicts {
    fn add(&mut self, phone: Destination, outcome: Outcome) {
        self.early |= outcome.early;
        let Some(verdict) = outcome.answer else {
            return;
        };
        if verdict.status.is_ok() {
            self.first = self.first.take().filter(is_ok).or(Some(verdict));
        } else {
            self.refused.push(phone.refused(verdict.status));
            self.first = self.first.take().or(Some(verdict));
        }
    }

    fn refuse(&mut self, refused: UnsuccessSme) {
        let verdict = Verdict::bare(refused.error_status_code);
        self.first = self.first.take().or(Some(verdict));
        self.refused.push(refused);
    }
}

const fn is_ok(verdict: &Verdict) -> bool {
    verdict.status.is_ok()
}
