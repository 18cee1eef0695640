//! `submit_multi`: one text for many, and for each of them a submission of its own. SMPP 3.4 §4.5.
//!
//! The answer's `message_id` stands for all that were taken ([`names`]), and their receipts bear it:
//! it is durable before the answer goes out, and they wait for it.

use futures_util::future::join_all;
use matrix_smpp_codec::{
    Address, Body, CommandStatus, DestAddress, MessageId, Quirks, SubmitMulti, SubmitMultiResp,
    SubmitSm, UnsuccessSme, UnsuccessSmes,
};
use tracing::warn;
use uuid::Uuid;

use super::esme::Wishes;
use super::inbound::{Fate, Inbound, Request};
use super::names;
use super::said::{FromPeer, Said};
use crate::gateway::model::{TakenId, Timestamp};
use crate::store::SubmissionIn;

/// The text as it is submitted to one of several destinations.
struct OneOfMany(SubmitSm);

impl Wishes for OneOfMany {
    fn wishes(&self, now: Timestamp) -> Result<SubmissionIn, CommandStatus> {
        Ok(SubmissionIn {
            awaits_name: true,
            ..self.0.wishes(now)?
        })
    }
}

impl<'a> FromPeer<&'a OneOfMany> for Said {
    fn from_peer(one: &'a OneOfMany, quirks: Quirks) -> Self {
        Self::from_peer(&one.0, quirks)
    }
}

impl Inbound {
    /// Submits the text to each of its destinations, in their order.
    pub(super) async fn each(
        &self,
        multi: &SubmitMulti,
        request: &Request,
        living: &[Uuid],
    ) -> Vec<Fate> {
        let all = multi.dest_addresses.iter();
        join_all(all.map(|one| self.to_one(multi, one, request, living))).await
    }

    /// Tries those again of which another bind had to tell whether they are copies.
    pub(super) async fn each_undecided(
        &self,
        fates: &mut [Fate],
        multi: &SubmitMulti,
        request: &Request,
        living: &[Uuid],
    ) {
        let all = fates.iter_mut().zip(multi.dest_addresses.iter());
        let open = all.filter(|(fate, _)| matches!(fate, Fate::Undecided(_)));
        let again = open.map(async |(fate, one)| {
            *fate = self.to_one(multi, one, request, living).await;
        });
        join_all(again).await;
    }

    async fn to_one(
        &self,
        multi: &SubmitMulti,
        destination: &DestAddress,
        request: &Request,
        living: &[Uuid],
    ) -> Fate {
        match alone(multi, destination) {
            Ok(sm) if multi.dest_addresses.len() > 1 => {
                let one = OneOfMany(sm);
                self.submitted(&one, request, living.to_vec()).await
            }
            Ok(sm) => self.submitted(&sm, request, living.to_vec()).await,
            Err(status) => Fate::Refused(status),
        }
    }

    /// Has the receipts of those that were taken bear their common name. Where that cannot be made to
    /// last, none counts as taken.
    pub(super) async fn name_all(&self, fates: &mut [Fate]) {
        let taken = taken(fates);
        let Some(name) = self.name(&taken).filter(|_| fates.len() > 1) else {
            return;
        };
        let named = self.gateway.store.name_submissions(taken, name.to_text());
        match named.await {
            Ok(()) => self.gateway.wakes.group(&self.terms.group),
            Err(error) => {
                warn!(%error, group = self.terms.group, "cannot store the name of a text for many");
                fates.fill(Fate::CannotStore);
            }
        }
    }

    fn name(&self, taken: &[TakenId]) -> Option<MessageId> {
        let store = &self.gateway.store;
        (!taken.is_empty()).then(|| names::name(store.instance(), taken))
    }

    /// OK where anybody can have the text. Otherwise the status that all share.
    pub(super) fn multi_answer(
        &self,
        multi: &SubmitMulti,
        fates: &[Fate],
    ) -> (CommandStatus, Body) {
        let taken = taken(fates);
        let all = multi.dest_addresses.iter().zip(fates);
        let failed = all.map(|(one, fate)| unsuccess(one, self.status(*fate)));
        let failed: Vec<_> = failed
            .filter(|one| !one.error_status_code.is_ok())
            .collect();
        let status = overall(multi.dest_addresses.len(), &failed);
        let message_id = self.name(&taken).unwrap_or_default();
        let answer = SubmitMultiResp {
            message_id,
            // There are no more of them than of destinations.
            unsuccess_smes: UnsuccessSmes::try_from(failed).unwrap_or_default(),
            ..SubmitMultiResp::default()
        };
        (status, Body::SubmitMultiResp(answer))
    }
}

fn taken(fates: &[Fate]) -> Vec<TakenId> {
    fates.iter().filter_map(|fate| fate.taken()).collect()
}

fn overall(all: usize, failed: &[UnsuccessSme]) -> CommandStatus {
    let mut statuses = failed.iter().map(|one| one.error_status_code);
    match statuses.next() {
        None if all == 0 => CommandStatus::ESME_RINVNUMDESTS,
        Some(first) if all == failed.len() => {
            if statuses.all(|other| other == first) {
                first
            } else {
                CommandStatus::ESME_RSUBMITFAIL
            }
        }
        _ => CommandStatus::ESME_ROK,
    }
}

/// A list's name stands where the address of a destination would.
fn unsuccess(destination: &DestAddress, status: CommandStatus) -> UnsuccessSme {
    let refused = UnsuccessSme {
        error_status_code: status,
        ..UnsuccessSme::default()
    };
    match destination {
        DestAddress::Sme {
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
        } => UnsuccessSme {
            dest_addr_ton: *dest_addr_ton,
            dest_addr_npi: *dest_addr_npi,
            destination_addr: *destination_addr,
            ..refused
        },
        DestAddress::List { dl_name } => UnsuccessSme {
            destination_addr: Address::try_from(dl_name.as_bytes()).unwrap_or_default(),
            ..refused
        },
    }
}

/// The `submit_sm` that says the same to one destination. There are no distribution lists here.
fn alone(multi: &SubmitMulti, destination: &DestAddress) -> Result<SubmitSm, CommandStatus> {
    let DestAddress::Sme {
        dest_addr_ton,
        dest_addr_npi,
        destination_addr,
    } = *destination
    else {
        return Err(CommandStatus::ESME_RINVDLNAME);
    };
    if destination_addr.is_empty() {
        return Err(CommandStatus::ESME_RINVDSTADR);
    }
    Ok(SubmitSm {
        service_type: multi.service_type,
        source_addr_ton: multi.source_addr_ton,
        source_addr_npi: multi.source_addr_npi,
        source_addr: multi.source_addr,
        dest_addr_ton,
        dest_addr_npi,
        destination_addr,
        esm_class: multi.esm_class,
        protocol_id: multi.protocol_id,
        priority_flag: multi.priority_flag,
        schedule_delivery_time: multi.schedule_delivery_time,
        validity_period: multi.validity_period,
        registered_delivery: multi.registered_delivery,
        data_coding: multi.data_coding,
        sm_default_msg_id: multi.sm_default_msg_id,
        short_message: multi.short_message.clone(),
        tlvs: multi.tlvs.clone(),
        ..SubmitSm::default()
    })
}
