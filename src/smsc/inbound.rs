//! What a peer asks of us: SMS and receipts. Durable first, answered after.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::udh::InboundText;
use matrix_smpp_codec::values::{CommandStatus, Ton};
use matrix_smpp_codec::{
    Body, DataSm, DataSmResp, DeliverSm, DeliverSmResp, E164, MessageId, Quirks, SubmitSm,
    SubmitSmResp, Tlvs,
};
use matrix_smpp_config::MoUnleased;
use matrix_smpp_session::Link;
use tokio::time::timeout;
use tracing::{debug, warn};
use uuid::Uuid;

use super::esme::{self, Wishes};
use super::group::Sessions;
use super::terms::{Side, Terms};
use crate::flow::Gateway;
use crate::gateway::model::{E164Text, Handset, TakenId};
use crate::gateway::number;
use crate::store::{ReceiptIn, ReceiptTaken, SmsIn, SmsTaken, StoreError, SubmissionIn};

/// The name of a sender whose address is empty: no ghost goes without one.
const NAMELESS: &str = "unknown";

/// How long an SMS waits for word whether another bind's peer has heard of it already. Less than the
/// response timers of SMSCs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fewest digits of a sender that is a phone's number; what has fewer is a short code.
const MIN_DIGITS: usize = 7;

/// Answers of one bind of which it is not known yet whether they were read.
const MAX_ANSWERED: usize = 100_000;

/// A request of the peer that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) session: Uuid,
    pub(super) epoch: u64,
    pub(super) sequence: u32,
    pub(super) body: Body,
}

/// Takes in the requests of one link.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    pub(super) gateway: Gateway,
    pub(super) terms: Terms,
    link: Link,
    sessions: Arc<Sessions>,
    pub(super) answered: Answered,
}

/// An SMS that may be a copy of one on another bind.
pub(super) struct Undecided {
    request: Request,
    session: Uuid,
}

/// What was answered well on this bind and the peer may not have read yet, by the answers' numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<Mutex<VecDeque<(u64, TakenId)>>>);

impl Answered {
    fn list(&self) -> MutexGuard<'_, VecDeque<(u64, TakenId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, number: u64, id: TakenId) {
        let mut list = self.list();
        // What falls out stays as if it had not been heard.
        if list.len() >= MAX_ANSWERED {
            list.pop_front();
        }
        list.push_back((number, id));
    }

    /// Takes out what the first `answers` answers were about.
    pub(super) fn heard(&self, answers: u64) -> Vec<TakenId> {
        let mut list = self.list();
        let count = list.partition_point(|(number, _)| *number <= answers);
        list.drain(..count).map(|(_, id)| id).collect()
    }

    /// The bind is over: what is not known now never will be.
    pub(super) fn clear(&self) {
        self.list().clear();
    }
}

/// What became of a request, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Safe; with what tells the store that the peer heard so.
    Durable(Option<TakenId>),
    NobodysNumber,
    /// The same words were taken on this other bind, and perhaps they are these.
    Undecided(Uuid),
    CannotStore,
    NotForUs,
    Refused(CommandStatus),
}

/// What a `deliver_sm` or a `data_sm` says. SMPP 3.4 §4.6.1, §4.7.1.
struct Said {
    parties: Parties,
    what: What,
    /// What an account wants for it.
    submitted: Option<SubmissionIn>,
}

/// Between whom, as the PDU has it.
struct Parties {
    source_ton: Ton,
    source: String,
    destination_ton: Ton,
    destination: String,
}

impl Parties {
    /// Who texts. A sender that is no number in the world has a ghost class of its own.
    fn sender(&self, country_code: Option<&str>) -> Handset {
        if self.source.trim().is_empty() {
            return Handset::Alphanumeric(NAMELESS.to_owned());
        }
        if !is_numeric(self.source_ton, &self.source) {
            return Handset::Alphanumeric(self.source.clone());
        }
        match number_of(self.source_ton, &self.source, country_code) {
            Some(number) if number.as_str().len() >= MIN_DIGITS => {
                Handset::Number(E164Text(number))
            }
            _ => Handset::Shortcode(bare(&self.source).to_owned()),
        }
    }

    /// The phone that a receipt is about, where it can be told: an address of any odd type is read as
    /// an international number, as that is what was sent to.
    fn handset(&self, country_code: Option<&str>) -> Option<E164> {
        let is_national = self.source_ton == Ton::NATIONAL;
        let as_it_stands = || bare(&self.source).parse().ok().filter(|_| !is_national);
        number_of(self.source_ton, &self.source, country_code).or_else(as_it_stands)
    }

    /// The number of ours: digits, international where it is one in the world.
    fn own_number(&self, country_code: Option<&str>) -> String {
        number_of(self.destination_ton, &self.destination, country_code).map_or_else(
            || bare(&self.destination).to_owned(),
            |number| number.to_string(),
        )
    }
}

enum What {
    Receipt(Receipt),
    UnreadableReceipt,
    Text(InboundText, Identity),
}

/// What the peer says of a text's identity beside its words.
#[derive(Default)]
struct Identity {
    user_message_reference: Option<u16>,
    peer_id: Option<String>,
}

impl Identity {
    fn of(tlvs: &Tlvs) -> Self {
        let id = tlvs.receipted_message_id().map(|id| id.to_text());
        Self {
            user_message_reference: tlvs.user_message_reference(),
            peer_id: id.filter(|id| !id.is_empty()),
        }
    }
}

macro_rules! said_by {
    ($($pdu:ty, $receipt:expr;)*) => {$(
        impl FromPeer<&$pdu> for Said {
            fn from_peer(sm: &$pdu, quirks: Quirks) -> Self {
                let parties = Parties {
                    source_ton: sm.source_addr_ton,
                    source: sm.source_addr.to_text(),
                    destination_ton: sm.dest_addr_ton,
                    destination: sm.destination_addr.to_text(),
                };
                let what = match $receipt(sm, quirks) {
                    Some(receipt) => What::Receipt(receipt),
                    None if sm.esm_class.is_receipt() => What::UnreadableReceipt,
                    None => What::Text(InboundText::with(sm, quirks), Identity::of(&sm.tlvs)),
                };
                Self {
                    parties,
                    what,
                    submitted: None,
                }
            }
        }
    )*};
}

said_by! {
    DeliverSm, Receipt::with;
    DataSm, Receipt::with;
    SubmitSm, no_receipt;
}

/// One that says it is a receipt was refused before.
fn no_receipt(_: &SubmitSm, _: Quirks) -> Option<Receipt> {
    None
}

/// Reads a PDU as a peer with these quirks means it.
trait FromPeer<P> {
    fn from_peer(pdu: P, quirks: Quirks) -> Self;
}

impl Inbound {
    pub(super) fn new(gateway: Gateway, terms: Terms, link: Link, sessions: Arc<Sessions>) -> Self {
        Self {
            sessions,
            answered: Answered::default(),
            gateway,
            terms,
            link,
        }
    }

    /// Stores and answers requests. They reach the store in the order in which they came, and share
    /// its commits.
    ///
    /// Gives back those of which only another bind can tell whether they are copies.
    pub(super) async fn take(&self, requests: Vec<Request>, living: &[Uuid]) -> Vec<Undecided> {
        let taken = requests.into_iter().map(async |request| {
            if let Some((status, answer)) = self.asked(&request).await {
                let (sequence, epoch) = (request.sequence, request.epoch);
                self.link.respond(sequence, epoch, status, answer);
                return None;
            }
            let fate = self.fate(&request, living.to_vec()).await;
            if let Fate::Undecided(session) = fate {
                return Some(Undecided { request, session });
            }
            self.answer(&request, fate);
            None
        });
        join_all(taken).await.into_iter().flatten().collect()
    }

    /// The answer to what only an account may ask.
    async fn asked(&self, request: &Request) -> Option<(CommandStatus, Body)> {
        match self.terms.side {
            Side::Esme { .. } => self.ask(&request.body).await,
            Side::Smsc => None,
        }
    }

    /// Takes one in after all, once its other bind has told or has ended. Where that takes long the
    /// peer is asked to bring it again later.
    pub(super) async fn settle(self, undecided: Undecided) {
        let Undecided { request, session } = undecided;
        let decided = timeout(PATIENCE, self.decide(&request, session)).await;
        self.answer(&request, decided.unwrap_or(Fate::CannotStore));
    }

    async fn decide(&self, request: &Request, mut asked: Uuid) -> Fate {
        loop {
            let mut changed = pin!(self.sessions.changed.notified());
            changed.as_mut().enable();
            self.sessions.confirm(asked);
            match self.fate(request, self.sessions.living()).await {
                Fate::Undecided(session) => asked = session,
                fate => return fate,
            }
            changed.await;
        }
    }

    /// Asks the peer to bring it again.
    pub(super) fn put_off(&self, undecided: &Undecided) {
        self.answer(&undecided.request, Fate::CannotStore);
    }

    async fn fate(&self, request: &Request, living: Vec<Uuid>) -> Fate {
        match (self.terms.side, &request.body) {
            (Side::Smsc, Body::DeliverSm(sm)) => self.delivered(sm, request, living).await,
            (Side::Smsc, Body::DataSm(sm)) => self.delivered(sm, request, living).await,
            (Side::Smsc, Body::AlertNotification(_)) => Fate::Durable(None),
            (Side::Esme { .. }, Body::SubmitSm(sm)) => self.submitted(sm, request, living).await,
            (Side::Esme { .. }, Body::DataSm(sm)) => self.submitted(sm, request, living).await,
            _ => Fate::NotForUs,
        }
    }

    /// What an SMSC delivers.
    async fn delivered<'a, Sm>(&self, sm: &'a Sm, request: &Request, living: Vec<Uuid>) -> Fate
    where
        Said: FromPeer<&'a Sm>,
    {
        let said = Said::from_peer(sm, self.terms.quirks);
        self.store(said, request, living).await
    }

    /// What an account submits.
    async fn submitted<'a, Sm: Wishes>(
        &self,
        sm: &'a Sm,
        request: &Request,
        living: Vec<Uuid>,
    ) -> Fate
    where
        Said: FromPeer<&'a Sm>,
    {
        match sm.wishes(self.gateway.clock.now()) {
            Ok(wishes) => {
                let said = Said {
                    submitted: Some(wishes),
                    ..Said::from_peer(sm, self.terms.quirks)
                };
                self.store(said, request, living).await
            }
            Err(status) => Fate::Refused(status),
        }
    }

    fn answer(&self, request: &Request, fate: Fate) {
        let status = self.status(fate);
        let answer = match &request.body {
            Body::AlertNotification(_) => return,
            Body::DataSm(_) => Body::DataSmResp(DataSmResp {
                message_id: self.message_id(fate),
                ..DataSmResp::default()
            }),
            Body::SubmitSm(_) => Body::SubmitSmResp(SubmitSmResp {
                message_id: self.message_id(fate),
                ..SubmitSmResp::default()
            }),
            Body::DeliverSm(_) => Body::DeliverSmResp(DeliverSmResp::default()),
            _ => Body::GenericNack,
        };
        let number = self
            .link
            .respond(request.sequence, request.epoch, status, answer);
        if let (Some(number), Fate::Durable(Some(id))) = (number, fate) {
            self.answered.push(number, id);
        }
    }

    fn status(&self, fate: Fate) -> CommandStatus {
        match (fate, self.terms.unleased) {
            (Fate::Refused(status), _) => status,
            (Fate::Durable(_), _) | (Fate::NobodysNumber, MoUnleased::Drop) => {
                CommandStatus::ESME_ROK
            }
            (Fate::NobodysNumber, MoUnleased::Reject) => CommandStatus::ESME_RINVDSTADR,
            (Fate::CannotStore | Fate::Undecided(_), _) => CommandStatus::ESME_RMSGQFUL,
            (Fate::NotForUs, _) => CommandStatus::ESME_RINVCMDID,
        }
    }

    /// Our name for what an account submitted; empty for an SMSC, which has its own.
    fn message_id(&self, fate: Fate) -> MessageId {
        let (Side::Esme { .. }, Fate::Durable(Some(id))) = (self.terms.side, fate) else {
            return MessageId::default();
        };
        let text = esme::message_id(self.gateway.store.instance(), id);
        // It has far fewer octets than fit.
        MessageId::try_from(text.as_str()).unwrap_or_default()
    }

    async fn store(&self, said: Said, request: &Request, living: Vec<Uuid>) -> Fate {
        let Said {
            parties,
            what,
            submitted,
        } = said;
        let stored = match what {
            What::Receipt(receipt) => self.receipt(&parties, receipt).await,
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

    async fn receipt(&self, parties: &Parties, receipt: Receipt) -> Result<Fate, StoreError> {
        let taken = self.gateway.store.take_receipt(ReceiptIn {
            link_group: self.terms.group.clone(),
            message_id: receipt.message_id,
            state: receipt.state,
            error: receipt.error,
            handset: parties.handset(self.country_code()),
            originator: parties.own_number(self.country_code()),
            id_form: self.terms.id_form,
            at: self.gateway.clock.now(),
        });
        let matched = match taken.await? {
            ReceiptTaken::Matched => "id",
            ReceiptTaken::Evidence => "evidence",
            ReceiptTaken::Parked => "parked",
        };
        self.gateway
            .metrics
            .receipts
            .with_label_values(&[&self.terms.group, matched])
            .inc();
        self.gateway.wakes.outbox.notify_one();
        Ok(Fate::Durable(None))
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
        let taken = self.gateway.store.take_sms(SmsIn {
            link_group: self.terms.group.clone(),
            session,
            living_sessions,
            from: parties.sender(self.country_code()),
            dedicated_to: self
                .gateway
                .settings
                .dedicated_owner(&to)
                .map(ToOwned::to_owned),
            to,
            concat: text.concat,
            data_coding: text.data_coding,
            payload: text.payload,
            user_message_reference: identity.user_message_reference,
            peer_id: identity.peer_id,
            submitted: submitted.map(|wishes| self.on_our_terms(wishes)),
            at: self.gateway.clock.now(),
        });
        match taken.await? {
            SmsTaken::NotLeased => {
                self.nobody_waits();
                Ok(Fate::NobodysNumber)
            }
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
}

impl Inbound {
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

/// Whether an address is made of digits, as far as its type allows.
fn is_numeric(ton: Ton, address: &str) -> bool {
    let digits = bare(address);
    let all_digits = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    all_digits && ton != Ton::ALPHANUMERIC
}

/// The number in the world that an address is: of itself, or in the national form of the peer's
/// country. Without a country the digits of a national one could be another subscriber's
/// international number.
fn number_of(ton: Ton, address: &str, country_code: Option<&str>) -> Option<E164> {
    let digits = bare(address);
    let is_short = digits.len() < MIN_DIGITS;
    if !is_numeric(ton, address) || (is_short && ton != Ton::INTERNATIONAL) {
        return None;
    }
    let national = match ton {
        Ton::NATIONAL => true,
        // With a national prefix, which no international number begins with.
        Ton::UNKNOWN => digits.starts_with('0'),
        Ton::INTERNATIONAL => false,
        _ => return None,
    };
    if national {
        return number::from_national(digits, country_code?);
    }
    digits.parse().ok()
}

/// An address without the plus that some peers put before it.
fn bare(address: &str) -> &str {
    address.trim().trim_start_matches('+')
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{Address, Quirk};
    use proptest::prelude::*;

    use super::*;

    fn parties(ton: Ton, source: String) -> Parties {
        Parties {
            source_ton: ton,
            source,
            destination_ton: Ton::INTERNATIONAL,
            destination: "447700900901".to_owned(),
        }
    }

    fn sender(ton: Ton, source: String) -> Handset {
        parties(ton, source).sender(None)
    }

    #[test]
    fn a_sender_without_an_address_has_a_name() {
        for address in ["", " "] {
            let handset = sender(Ton::UNKNOWN, address.to_owned());
            assert_eq!(handset, Handset::Alphanumeric("unknown".to_owned()));
        }
    }

    #[test]
    fn only_an_international_number_is_a_number() {
        let digits = "7700900123";
        let number = Handset::Number(E164Text(digits.parse().unwrap()));
        for ton in [Ton::UNKNOWN, Ton::INTERNATIONAL] {
            assert_eq!(sender(ton, digits.to_owned()), number);
            assert_eq!(sender(ton, format!("+{digits}")), number);
            let short = Handset::Shortcode("770090".to_owned());
            assert_eq!(sender(ton, "770090".to_owned()), short);
        }
        let others = [
            Ton::NATIONAL,
            Ton::NETWORK_SPECIFIC,
            Ton::SUBSCRIBER_NUMBER,
            Ton::ABBREVIATED,
        ];
        for ton in others {
            let local = Handset::Shortcode(digits.to_owned());
            assert_eq!(sender(ton, digits.to_owned()), local, "{ton:?}");
        }
    }

    #[test]
    fn a_national_number_is_completed_by_the_country_of_the_peer() {
        for (ton, digits, country, expected) in [
            (Ton::NATIONAL, "07700900123", "44", Some("447700900123")),
            (Ton::NATIONAL, "7700900123", "44", Some("447700900123")),
            (Ton::UNKNOWN, "07700900123", "44", Some("447700900123")),
            (
                Ton::INTERNATIONAL,
                "447700900123",
                "44",
                Some("447700900123"),
            ),
            (Ton::UNKNOWN, "447700900123", "44", Some("447700900123")),
            (Ton::NATIONAL, "015112345678", "49", Some("4915112345678")),
            (Ton::NATIONAL, "2025550123", "1", Some("12025550123")),
            // No phone of the country, no country, and what is no phone's number anyway.
            (Ton::NATIONAL, "12345678901234", "44", None),
            (Ton::NATIONAL, "07700900123", "999", None),
            (Ton::NATIONAL, "12345", "44", None),
            (Ton::ALPHANUMERIC, "07700900123", "44", None),
        ] {
            let from = parties(ton, digits.to_owned());
            let number = expected.map(|digits| digits.parse().unwrap());
            assert_eq!(from.handset(Some(country)), number, "{digits} {ton:?}");
            assert_eq!(
                from.sender(Some(country)).number(),
                number,
                "{digits} {ton:?}"
            );
        }
        let odd = parties(Ton::NETWORK_SPECIFIC, "447700900123".to_owned());
        assert!(odd.handset(None).is_some() && odd.sender(None).number().is_none());
        let national = parties(Ton::NATIONAL, "07700900123".to_owned());
        assert_eq!(national.handset(None), None);
    }

    #[test]
    fn our_own_number_is_known_in_national_form() {
        let to = |ton, digits: &str, country| {
            let parties = Parties {
                destination_ton: ton,
                destination: digits.to_owned(),
                ..parties(Ton::INTERNATIONAL, String::new())
            };
            parties.own_number(country)
        };
        assert_eq!(to(Ton::NATIONAL, "07700900901", Some("44")), "447700900901");
        assert_eq!(to(Ton::UNKNOWN, "+447700900901", None), "447700900901");
        for country in [None, Some("44")] {
            assert_eq!(to(Ton::NATIONAL, "12345", country), "12345");
            assert_eq!(to(Ton::NETWORK_SPECIFIC, "12345", country), "12345");
        }
        assert_eq!(to(Ton::NATIONAL, "07700900901", None), "07700900901");
    }

    #[test]
    fn a_data_sm_keeps_its_long_addresses() {
        let name = "a".repeat(64);
        let sm = DataSm {
            source_addr: Address::try_from(name.as_str()).unwrap(),
            destination_addr: Address::try_from("447700900901").unwrap(),
            ..DataSm::default()
        };
        let said = Said::from_peer(&sm, Quirks::NONE);
        assert_eq!(said.parties.source, name);
        assert_eq!(said.parties.destination, "447700900901");
        assert!(matches!(said.what, What::Text(..)));
    }

    #[test]
    fn senders_have_the_class_that_their_address_says() {
        for (address, ton, key) in [
            ("447700900123", Ton::INTERNATIONAL, "447700900123"),
            ("+447700900123", Ton::UNKNOWN, "447700900123"),
            ("12345", Ton::UNKNOWN, "=s12345"),
            ("12345", Ton::INTERNATIONAL, "=s12345"),
            ("447700900123", Ton::NETWORK_SPECIFIC, "=s447700900123"),
            ("07700900123", Ton::NATIONAL, "=s07700900123"),
            ("MyBank", Ton::ALPHANUMERIC, "=a4d7942616e6b"),
            ("12345", Ton::ALPHANUMERIC, "=a3132333435"),
            ("My-Bank", Ton::UNKNOWN, "=a4d792d42616e6b"),
        ] {
            assert_eq!(
                sender(ton, address.to_owned()).key(),
                key,
                "{address} {ton:?}"
            );
        }
    }

    #[test]
    fn a_text_is_read_as_its_peer_means_it() {
        for (quirk, octets, words) in [
            (None, &b"\x00"[..], "@"),
            (Some(Quirk::DefaultIsLatin1), b"\xe9", "é"),
            (Some(Quirk::DefaultIsUtf8), "é€😀".as_bytes(), "é€😀"),
        ] {
            let sm = DeliverSm {
                short_message: octets.try_into().unwrap(),
                ..DeliverSm::default()
            };
            let said = Said::from_peer(&sm, quirk.into_iter().collect());
            let What::Text(text, _) = said.what else {
                panic!("{quirk:?}: no text")
            };
            assert_eq!(text.text(), words, "{quirk:?}");
        }
    }

    #[test]
    fn a_receipt_without_its_mark_is_one_from_such_a_peer_only() {
        let words = b"id:1 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000";
        let sm = DeliverSm {
            short_message: words.as_slice().try_into().unwrap(),
            ..DeliverSm::default()
        };
        let unmarked = Quirks::NONE.with(Quirk::UnmarkedReceipts);
        assert!(matches!(
            Said::from_peer(&sm, unmarked).what,
            What::Receipt(_)
        ));
        assert!(matches!(
            Said::from_peer(&sm, Quirks::NONE).what,
            What::Text(..)
        ));
    }

    proptest! {
        #[test]
        fn every_sender_survives_its_key(
            ton: u8,
            text in prop_oneof!["\\PC{0,65}", "[+ ]{0,2}[0-9]{0,64}", "[\0-\x7f]{0,20}"],
        ) {
            let handset = sender(Ton(ton % 8), text);
            prop_assert_eq!(Handset::from_key(&handset.key()), Some(handset));
        }
    }
}
