//! Phones that want no more texts.

use async_trait::async_trait;
use ruma::OwnedUserId;

use super::Result;
use crate::gateway::model::{Handset, Timestamp};
use crate::gateway::opt_out::Wish;

/// What phones want, kept for as long as they do not take it back. Done by `steps/opt_outs.rs`; why that is
/// atomic: [`Store`](super::Store).
///
/// A phone says it with a text ([`take_sms`](super::SmsStore::take_sms)), in whose commit it holds: what waits in the
/// conversation that it texted is taken back, refunded and told.
/// [`accept_message`](super::MessageStore::accept_message) refuses what the phone does not want, and
/// [`claim`](super::MessageStore::claim) takes back what was waiting, so nothing is sent that was not on
/// the wire by then.
#[async_trait]
pub trait OptOutStore {
    /// Heeds a wish of a phone about one of our numbers as if the phone had texted it.
    ///
    /// *Again*: it wants so already.
    async fn heed(&self, handset: &Handset, number: &str, wish: Wish, now: Timestamp)
    -> Result<()>;

    /// All phones that want no more texts, by phone.
    async fn opt_outs(&self) -> Result<Vec<OptedOut>>;
}

/// That a phone wants no more texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptedOut {
    /// Which phone.
    pub handset: Handset,
    /// From which number of ours; `None` for all of them.
    pub number: Option<String>,
    /// Who held the number for that phone: they may not text it from another one either.
    pub holder: Option<OwnedUserId>,
    /// When it said so.
    pub at: Timestamp,
}
