//! What an account that binds to us asks for beside a text: which receipts, how long, and later the
//! state, the withdrawal or another text of what it submitted. SMPP 3.4 §4.4, §4.8 to §4.10.

use std::time::Duration;

use futures_util::future::try_join_all;
use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::time::{AbsoluteTime, Time, TimeError};
use matrix_smpp_codec::values::{
    CommandStatus, EsmClass, MessageState, Npi, RegisteredDelivery, Ton,
};
use matrix_smpp_codec::{
    Address, Body, COctets, CancelSm, DataSm, DeliverSm, MessageId, OctetsError, QuerySm,
    QuerySmResp, ReplaceSm, SubmitSm,
};
use tracing::warn;

use super::inbound::Inbound;
use super::names;
use crate::gateway::model::Timestamp;
use crate::store::{
    Cancel, OwedReceipt, Party, Replacement, StoreError, Submission, SubmissionIn, SubmissionRef,
};

/// How far ahead a text may be put off.
const LATEST: Duration = Duration::from_hours(7 * 24);

/// What is wanted for a text that an account submits, or the status that refuses it.
pub(super) trait Wishes {
    fn wishes(&self, now: Timestamp) -> Result<SubmissionIn, CommandStatus>;
}

impl Wishes for SubmitSm {
    fn wishes(&self, now: Timestamp) -> Result<SubmissionIn, CommandStatus> {
        refuse_receipt(self.esm_class)?;
        let deliver_at = deliver_at(&self.schedule_delivery_time, now)?;
        let valid_until = valid_until(&self.validity_period, now)?;
        refuse_never(deliver_at, valid_until)?;
        Ok(SubmissionIn {
            deliver_at,
            valid_until,
            ..wanted(
                party(
                    self.source_addr_ton,
                    self.source_addr_npi,
                    &self.source_addr,
                ),
                party(
                    self.dest_addr_ton,
                    self.dest_addr_npi,
                    &self.destination_addr,
                ),
                self.registered_delivery,
            )
        })
    }
}

impl Wishes for DataSm {
    fn wishes(&self, now: Timestamp) -> Result<SubmissionIn, CommandStatus> {
        refuse_receipt(self.esm_class)?;
        let seconds = self.tlvs.qos_time_to_live();
        Ok(SubmissionIn {
            valid_until: seconds.map(|left| now.after(Duration::from_secs(left.into()))),
            ..wanted(
                party(
                    self.source_addr_ton,
                    self.source_addr_npi,
                    &self.source_addr,
                ),
                party(
                    self.dest_addr_ton,
                    self.dest_addr_npi,
                    &self.destination_addr,
                ),
                self.registered_delivery,
            )
        })
    }
}

fn wanted(source: Party, destination: Party, receipt: RegisteredDelivery) -> SubmissionIn {
    SubmissionIn {
        source,
        destination,
        receipt,
        receipt_age: Duration::ZERO,
        deliver_at: None,
        valid_until: None,
        to_nobody: false,
        awaits_name: false,
    }
}

fn party<const N: usize>(ton: Ton, npi: Npi, address: &Address<N>) -> Party {
    let address = address.to_text();
    Party { ton, npi, address }
}

/// Receipts are ours to give: we ask for none from those who bind to us.
fn refuse_receipt(esm_class: EsmClass) -> Result<(), CommandStatus> {
    if esm_class.is_receipt() {
        return Err(CommandStatus::ESME_RINVESMCLASS);
    }
    Ok(())
}

/// `schedule_delivery_time`. SMPP 3.4 §5.2.15.
fn deliver_at(field: &COctets<17>, now: Timestamp) -> Result<Option<Timestamp>, CommandStatus> {
    let refused = CommandStatus::ESME_RINVSCHED;
    let at = moment(field, now).map_err(|_| refused)?;
    if at.is_some_and(|at| at > now.after(LATEST)) {
        return Err(refused);
    }
    Ok(at)
}

/// What cannot be said between its two times never could be.
fn refuse_never(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), CommandStatus> {
    match (from, until) {
        (Some(from), Some(until)) if until <= from => Err(CommandStatus::ESME_RINVEXPIRY),
        _ => Ok(()),
    }
}

fn valid_until(field: &COctets<17>, now: Timestamp) -> Result<Option<Timestamp>, CommandStatus> {
    moment(field, now).map_err(|_| CommandStatus::ESME_RINVEXPIRY)
}

fn moment(field: &COctets<17>, now: Timestamp) -> Result<Option<Timestamp>, TimeError> {
    let time = Time::of(field)?;
    Ok(time.map(|time| Timestamp(time.unix(seconds(now)).saturating_mul(1_000))))
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000)
}

/// The receipt that an account is owed, under the name that the account knows the message by.
/// SMPP 3.4 §2.11, Appendix B.
pub(super) fn receipt(owed: &OwedReceipt, name: &MessageId) -> Result<DeliverSm, OctetsError> {
    let date = |at| AbsoluteTime::from_unix(seconds(at)).map(|time| time.receipt_date());
    let receipt = Receipt {
        message_id: name.to_text(),
        state: owed.state,
        submitted: date(owed.at),
        done: date(owed.ended_at),
        ..Receipt::default()
    };
    let (from, to) = (&owed.destination, &owed.source);
    Ok(DeliverSm {
        source_addr_ton: from.ton,
        source_addr_npi: from.npi,
        source_addr: Address::try_from(from.address.as_str())?,
        dest_addr_ton: to.ton,
        dest_addr_npi: to.npi,
        destination_addr: Address::try_from(to.address.as_str())?,
        ..receipt.deliver_sm()
    })
}

/// How a question about a submission is answered.
type Answered = (CommandStatus, Body);

impl Inbound {
    /// Answers a question about what was submitted; `None` for what is no such question.
    pub(super) async fn ask(&self, body: &Body) -> Option<Answered> {
        Some(match body {
            Body::QuerySm(query) => self.query(query).await,
            Body::CancelSm(cancel) => self.cancel(cancel).await,
            Body::ReplaceSm(replace) => self.replace(replace).await,
            _ => return None,
        })
    }

    async fn query(&self, query: &QuerySm) -> Answered {
        let all = self.of(&query.message_id, &query.source_addr);
        let asked = all.map(|one| self.gateway.store.submission(one));
        let found = try_join_all(asked).await;
        let failed = |status| (status, Body::QuerySmResp(QuerySmResp::default()));
        match found.map(|found| told(query.message_id, found.into_iter().flatten())) {
            Ok(Some(resp)) => (CommandStatus::ESME_ROK, Body::QuerySmResp(resp)),
            Ok(None) => failed(CommandStatus::ESME_RQUERYFAIL),
            Err(error) => failed(self.cannot(&error)),
        }
    }

    async fn cancel(&self, cancel: &CancelSm) -> Answered {
        let (source, destination) = (&cancel.source_addr, &cancel.destination_addr);
        let which = if cancel.message_id.is_empty() {
            vec![Cancel::Between {
                link_group: self.terms.group.clone(),
                source: source.to_text(),
                destination: destination.to_text(),
            }]
        } else {
            let all = self.of(&cancel.message_id, source);
            all.map(Cancel::One).collect()
        };
        let now = self.gateway.clock.now();
        let withdraw = |one| self.gateway.store.cancel_submissions(one, now);
        let cancelled = try_join_all(which.into_iter().map(withdraw)).await;
        let status = match cancelled.map(|counts| counts.iter().sum()) {
            Ok(0_usize) => CommandStatus::ESME_RCANCELFAIL,
            Ok(_) => CommandStatus::ESME_ROK,
            Err(error) => self.cannot(&error),
        };
        self.gateway.wakes.group(&self.terms.group);
        (status, Body::CancelSmResp)
    }

    async fn replace(&self, replace: &ReplaceSm) -> Answered {
        let status = match self.replacement(replace) {
            Ok(by) => match self.gateway.store.replace_submission(by).await {
                Ok(true) => {
                    // Its new time may be now.
                    self.gateway.wakes.sms.ring();
                    CommandStatus::ESME_ROK
                }
                Ok(false) => CommandStatus::ESME_RREPLACEFAIL,
                Err(error) => self.cannot(&error),
            },
            Err(status) => status,
        };
        (status, Body::ReplaceSmResp)
    }

    fn replacement(&self, replace: &ReplaceSm) -> Result<Replacement, CommandStatus> {
        let now = self.gateway.clock.now();
        let deliver_at = deliver_at(&replace.schedule_delivery_time, now)?;
        let valid_until = valid_until(&replace.validity_period, now)?;
        refuse_never(deliver_at, valid_until)?;
        let mut all = self.of(&replace.message_id, &replace.source_addr);
        // Many cannot be replaced at once: some may have been said by then.
        let (Some(of), None) = (all.next(), all.next()) else {
            return Err(CommandStatus::ESME_RREPLACEFAIL);
        };
        Ok(Replacement {
            of,
            payload: replace.short_message.bytes().clone(),
            receipt: replace.registered_delivery,
            deliver_at,
            valid_until,
            at: now,
        })
    }

    /// All submissions of this name; several where a `submit_multi` made them.
    fn of(&self, name: &MessageId, source: &Address<21>) -> impl Iterator<Item = SubmissionRef> {
        let ids = names::named(self.gateway.store.instance(), name);
        let (link_group, source) = (self.terms.group.clone(), source.to_text());
        ids.into_iter().map(move |id| SubmissionRef {
            link_group: link_group.clone(),
            id,
            source: source.clone(),
        })
    }

    fn cannot(&self, error: &StoreError) -> CommandStatus {
        warn!(%error, group = self.terms.group, "cannot look after what was submitted");
        CommandStatus::ESME_RSYSERR
    }
}

/// Of several the least final state, and of final ones the worst: what is not delivered to all is not
/// delivered. `None` where there is none.
fn told(message_id: MessageId, found: impl Iterator<Item = Submission>) -> Option<QuerySmResp> {
    const WORST_FIRST: [MessageState; 4] = [
        MessageState::ENROUTE,
        MessageState::UNDELIVERABLE,
        MessageState::EXPIRED,
        MessageState::DELETED,
    ];
    let place = |one: &Submission| {
        let place = WORST_FIRST.iter().position(|state| *state == one.state);
        place.unwrap_or(WORST_FIRST.len())
    };
    let worst = found.min_by_key(place)?;
    let ended = worst
        .ended_at
        .and_then(|at| AbsoluteTime::from_unix(seconds(at)));
    Some(QuerySmResp {
        message_id,
        final_date: ended.map(|time| time.field()).unwrap_or_default(),
        message_state: worst.state,
        ..QuerySmResp::default()
    })
}
