//! What goes into the store of what a peer sends: receipts and texts, on the terms of their group.

use std::time::Duration;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::udh::{InboundText, join};
use matrix_smpp_config::MoUnleased;
use tracing::{debug, warn};
use uuid::Uuid;

use super::inbound::{Fate, Inbound, Request};
use super::said::{Identity, Parties, Said, What};
use super::terms::Side;
use crate::gateway::opt_out::Wish;
use crate::store::{ReceiptIn, ReceiptTaken, SmsIn, SmsTaken, StoreError, SubmissionIn};

impl Inbound {
    pub(super) async fn store(&self, said: Said, request: &Request, living: Vec<Uuid>) -> Fate {
        let Said {
            parties,
            what,
            submitted,
        } = said;
        let stored = match what {
            What::Receipt(receipt) => {
                let receipt = self.receipt_of(&parties, receipt);
                Ok(self.receipt_alone(receipt).await)
            }
            What::UnreadableReceipt => Ok(self.unreadable_receipt()),
            What::Text(text, identity) => {
                let binds = (request.session, living);
                self.sms(parties, (text, identity), submitted, binds).await
            }
        };
        stored.unwrap_or_else(|error| {
            warn!(%error, group = self.terms.group, "cannot store what the peer sent");
            Fate::CannotStore
        })
    }

    /// Stores what receipts say, all in one step of the store; each alone where one of them cannot be
    /// stored.
    pub(super) async fn store_receipts(&self, said: Vec<Option<Said>>) -> Vec<Fate> {
        let receipts: Vec<_> = said
            .iter()
            .map(|said| self.receipt_in(said.as_ref()))
            .collect();
        let readable: Vec<_> = receipts.iter().flatten().cloned().collect();
        let together = self.take_receipts(readable).await;
        let (mut taken, mut fates) = (together.into_iter().flatten(), Vec::new());
        for receipt in receipts {
            fates.push(match receipt {
                None => self.unreadable_receipt(),
                Some(receipt) => match taken.next() {
                    Some(taken) => taken,
                    None => self.receipt_alone(receipt).await,
                },
            });
        }
        fates
    }

    fn receipt_in(&self, said: Option<&Said>) -> Option<ReceiptIn> {
        let Said {
            parties,
            what: What::Receipt(receipt),
            ..
        } = said?
        else {
            return None;
        };
        Some(self.receipt_of(parties, receipt.clone()))
    }

    fn receipt_of(&self, parties: &Parties, receipt: Receipt) -> ReceiptIn {
        ReceiptIn {
            link_group: self.terms.group.clone(),
            message_id: receipt.message_id,
            state: receipt.state,
            error: receipt.error,
            handset: parties.handset(self.country_code()),
            originator: parties.own_number(self.country_code()),
            id_form: self.terms.id_form,
            at: self.gateway.clock.now(),
        }
    }

    async fn take_receipts(&self, receipts: Vec<ReceiptIn>) -> Result<Vec<Fate>, StoreError> {
        let taken = self.gateway.store.take_receipts(receipts).await?;
        for (kind, name) in [
            (ReceiptTaken::Matched, "id"),
            (ReceiptTaken::Evidence, "evidence"),
            (ReceiptTaken::Parked, "parked"),
        ] {
            let count = taken.iter().filter(|taken| **taken == kind).count();
            let labels = [self.terms.group.as_str(), name];
            let counter = self.gateway.metrics.receipts.with_label_values(&labels);
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
        self.gateway.wakes.outbox.notify_one();
        Ok(taken.iter().map(|_| Fate::Durable(None)).collect())
    }

    async fn receipt_alone(&self, receipt: ReceiptIn) -> Fate {
        match self.take_receipts(vec![receipt]).await {
            Ok(_) => Fate::Durable(None),
            Err(error) => {
                warn!(%error, group = self.terms.group, "cannot store a receipt");
                Fate::CannotStore
            }
        }
    }

    fn country_code(&self) -> Option<&str> {
        self.terms.country_code.as_deref()
    }

    /// A receipt that names no message helps nobody, and is no text for a person either.
    fn unreadable_receipt(&self) -> Fate {
        self.gateway
            .metrics
            .receipts
            .with_label_values(&[self.terms.group.as_str(), "unreadable"])
            .inc();
        Fate::Durable(None)
    }

    async fn sms(
        &self,
        parties: Parties,
        (text, identity): (InboundText, Identity),
        submitted: Option<SubmissionIn>,
        (session, living_sessions): (Uuid, Vec<Uuid>),
    ) -> Result<Fate, StoreError> {
        let to = parties.own_number(self.country_code());
        let wish = self.wish(&text);
        let taken = self.gateway.store.take_sms(SmsIn {
            link_group: self.terms.group.clone(),
            session,
            living_sessions,
            from: parties.sender(self.country_code()),
            dedicated_to: self
                .gateway
                .routing()
                .dedicated_owner(&to)
                .map(ToOwned::to_owned),
            to,
            concat: text.concat,
            data_coding: text.data_coding,
            payload: text.payload,
            user_message_reference: identity.user_message_reference,
            peer_id: identity.peer_id,
            submitted: submitted.map(|wishes| self.on_our_terms(wishes)),
            wish,
            most_waiting: self.gateway.settings.limits.queued_sms,
            most_partial: self.gateway.settings.limits.mo_parts,
            note_sender: self.gateway.routing().fraud.new_phones_per_prefix.is_some(),
            at: self.gateway.clock.now(),
        });
        let taken = taken.await?;
        if let (Some(wish), SmsTaken::Stored { .. } | SmsTaken::Heeded) = (wish, taken) {
            let word = [wish.word()];
            self.gateway.metrics.opt_outs.with_label_values(&word).inc();
            self.gateway.wakes.outbox.notify_one();
        }
        match taken {
            SmsTaken::NotLeased => {
                self.nobody_waits();
                Ok(Fate::NobodysNumber)
            }
            SmsTaken::Full => Ok(Fate::CannotStore),
            SmsTaken::Heeded => Ok(Fate::Durable(None)),
            SmsTaken::Undeliverable { id } => {
                self.nobody_waits();
                Ok(Fate::Durable(Some(id)))
            }
            SmsTaken::Stored { id, complete } => {
                if complete {
                    self.gateway.wakes.sms.ring();
                }
                Ok(Fate::Durable(Some(id)))
            }
            SmsTaken::Repeated { id } => {
                self.gateway
                    .metrics
                    .copies
                    .with_label_values(&[&self.terms.group])
                    .inc();
                Ok(Fate::Durable(Some(id)))
            }
            SmsTaken::Undecided { session } => Ok(Fate::Undecided(session)),
        }
    }

    /// What a text says about being texted, where that is all that it says.
    fn wish(&self, text: &InboundText) -> Option<Wish> {
        let words = &self.gateway.opt_out;
        let is_whole = text.concat.is_none_or(|concat| concat.total <= 1);
        if !is_whole || !words.may_be(text.payload.len()) {
            return None;
        }
        words.wish(&join(&[(text.data_coding, text.payload.clone())]))
    }

    fn nobody_waits(&self) {
        debug!(group = self.terms.group, "an SMS that nobody waits for");
        let group = [self.terms.group.as_str()];
        self.gateway
            .metrics
            .unleased
            .with_label_values(&group)
            .inc();
        self.gateway.wakes.group(&self.terms.group);
    }

    /// What the config says of an account is added to what it asks for.
    fn on_our_terms(&self, wishes: SubmissionIn) -> SubmissionIn {
        let receipt_age = match self.terms.side {
            Side::Esme { receipt_age } => receipt_age,
            Side::Smsc => Duration::ZERO,
        };
        SubmissionIn {
            receipt_age,
            to_nobody: self.terms.unleased == MoUnleased::Drop,
            ..wishes
        }
    }
}
