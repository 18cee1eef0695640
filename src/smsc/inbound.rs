//! What a peer asks of us: SMS and receipts. Durable first, answered after.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use matrix_smpp_codec::values::CommandStatus;
use matrix_smpp_codec::{Body, DataSmResp, DeliverSmResp, MessageId, SubmitSmResp};
use matrix_smpp_config::MoUnleased;
use matrix_smpp_session::Link;
use tokio::time::sleep;
use uuid::Uuid;

use super::esme::Wishes;
use super::group::Sessions;
use super::names;
use super::said::{FromPeer, Said};
use super::terms::{Side, Terms};
use crate::flow::Gateway;
use crate::gateway::model::TakenId;

/// How long an SMS waits for word whether another bind's peer has heard of it already. Less than the
/// response timers of SMSCs.
const PATIENCE: Duration = Duration::from_secs(5);

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

impl Request {
    /// Whether it says that it is a delivery receipt (SMPP 3.4 §5.2.12).
    fn is_receipt(&self) -> bool {
        match &self.body {
            Body::DeliverSm(sm) => sm.esm_class.is_receipt(),
            Body::DataSm(sm) => sm.esm_class.is_receipt(),
            _ => false,
        }
    }
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

/// A request of which something may be a copy of what came on another bind.
pub(super) struct Undecided {
    request: Request,
    fates: Fates,
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
pub(super) enum Fate {
    /// Safe; with what tells the store that the peer heard so.
    Durable(Option<TakenId>),
    NobodysNumber,
    /// The same words were taken on this other bind, and perhaps they are these.
    Undecided(Uuid),
    CannotStore,
    NotForUs,
    Refused(CommandStatus),
}

impl Fate {
    /// What the store calls it, where it has it.
    pub(super) const fn taken(self) -> Option<TakenId> {
        match self {
            Self::Durable(id) => id,
            _ => None,
        }
    }
}

/// What became of all that a request says.
enum Fates {
    One(Fate),
    /// Of a `submit_multi`, for each of its destinations.
    Each(Vec<Fate>),
}

impl Fates {
    fn all(&self) -> &[Fate] {
        match self {
            Self::One(fate) => std::slice::from_ref(fate),
            Self::Each(fates) => fates,
        }
    }

    /// The bind that has to tell first.
    fn undecided(&self) -> Option<Uuid> {
        self.all().iter().find_map(|fate| match fate {
            Fate::Undecided(session) => Some(*session),
            _ => None,
        })
    }
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

    /// Stores and answers requests. They reach the store in the order in which they came, receipts in one
    /// piece, and share its commits.
    ///
    /// Gives back those of which only another bind can tell whether they are copies.
    pub(super) async fn take(&self, mut requests: Vec<Request>, living: &[Uuid]) -> Vec<Undecided> {
        let mut receipts = Vec::new();
        if matches!(self.terms.side, Side::Smsc) {
            receipts.extend(requests.extract_if(.., |request| request.is_receipt()));
        }
        let (undecided, ()) = tokio::join!(
            self.take_each(requests, living),
            self.answer_receipts(receipts)
        );
        undecided
    }

    async fn take_each(&self, requests: Vec<Request>, living: &[Uuid]) -> Vec<Undecided> {
        let taken = requests.into_iter().map(async |request| {
            if let Some((status, answer)) = self.asked(&request).await {
                let (sequence, epoch) = (request.sequence, request.epoch);
                self.link.respond(sequence, epoch, status, answer);
                return None;
            }
            let fates = self.fates(&request, living).await;
            if fates.undecided().is_some() {
                return Some(Undecided { request, fates });
            }
            self.finish(Undecided { request, fates }).await;
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
        let Undecided { request, mut fates } = undecided;
        let mut enough = pin!(sleep(PATIENCE));
        while let Some(session) = fates.undecided() {
            let mut changed = pin!(self.sessions.changed.notified());
            changed.as_mut().enable();
            self.sessions.confirm(session);
            self.decide(&request, &mut fates).await;
            if fates.undecided().is_none() {
                break;
            }
            tokio::select! {
                () = changed => {}
                () = &mut enough => break,
            }
        }
        self.finish(Undecided { request, fates }).await;
    }

    /// Tries again what was not decided.
    async fn decide(&self, request: &Request, fates: &mut Fates) {
        let living = self.sessions.living();
        match (fates, &request.body) {
            (Fates::Each(fates), Body::SubmitMulti(multi)) => {
                self.each_undecided(fates, multi, request, &living).await;
            }
            (fates, _) => *fates = self.fates(request, &living).await,
        }
    }

    /// Answers; what is undecided still the peer is asked to bring again.
    pub(super) async fn finish(&self, undecided: Undecided) {
        let Undecided { request, mut fates } = undecided;
        if let Fates::Each(fates) = &mut fates {
            self.name_all(fates).await;
        }
        self.answer(&request, &fates);
    }

    /// Stores and answers receipts.
    async fn answer_receipts(&self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        let said = requests.iter().map(|request| self.said(&request.body));
        let fates = self.store_receipts(said.collect()).await;
        for (request, fate) in requests.iter().zip(fates) {
            self.answer(request, &Fates::One(fate));
        }
    }

    /// What an SMSC says of something that it delivers.
    fn said(&self, body: &Body) -> Option<Said> {
        match body {
            Body::DeliverSm(sm) => Some(Said::from_peer(sm, self.terms.quirks)),
            Body::DataSm(sm) => Some(Said::from_peer(sm, self.terms.quirks)),
            _ => None,
        }
    }

    async fn fates(&self, request: &Request, living: &[Uuid]) -> Fates {
        match (self.terms.side, &request.body) {
            (Side::Esme { .. }, Body::SubmitMulti(multi)) => {
                Fates::Each(self.each(multi, request, living).await)
            }
            _ => Fates::One(self.fate(request, living.to_vec()).await),
        }
    }

    async fn fate(&self, request: &Request, living: Vec<Uuid>) -> Fate {
        match (self.terms.side, &request.body) {
            (Side::Smsc, Body::AlertNotification(_)) => Fate::Durable(None),
            (Side::Smsc, body) => match self.said(body) {
                Some(said) => self.store(said, request, living).await,
                None => Fate::NotForUs,
            },
            (Side::Esme { .. }, Body::SubmitSm(sm)) => self.submitted(sm, request, living).await,
            (Side::Esme { .. }, Body::DataSm(sm)) => self.submitted(sm, request, living).await,
            _ => Fate::NotForUs,
        }
    }

    /// What an account submits.
    pub(super) async fn submitted<'a, Sm: Wishes>(
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

    fn answer(&self, request: &Request, fates: &Fates) {
        let (status, answer) = match (&request.body, fates) {
            (Body::AlertNotification(_), _) => return,
            (Body::SubmitMulti(multi), Fates::Each(fates)) => self.multi_answer(multi, fates),
            (body, Fates::One(fate)) => self.one_answer(body, *fate),
            (_, Fates::Each(_)) => (CommandStatus::ESME_RINVCMDID, Body::GenericNack),
        };
        let (sequence, epoch) = (request.sequence, request.epoch);
        if let Some(number) = self.link.respond(sequence, epoch, status, answer) {
            let taken = fates.all().iter().filter_map(|fate| fate.taken());
            taken.for_each(|id| self.answered.push(number, id));
        }
    }

    fn one_answer(&self, body: &Body, fate: Fate) -> (CommandStatus, Body) {
        let answer = match body {
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
        (self.status(fate), answer)
    }

    pub(super) fn status(&self, fate: Fate) -> CommandStatus {
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
        names::name(self.gateway.store.instance(), &[id])
    }
}
