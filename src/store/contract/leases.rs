//! Numbers: leased for phones, dedicated to people.

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use ruma::{OwnedUserId, UserId};

use super::{Lease, Result};
use crate::gateway::model::Handset;

/// Leases, and numbers that belong to people. Done by `steps/leases.rs`; why that is atomic:
/// [`Store`](super::Store).
///
/// A number is leased by [`accept_message`](super::MessageStore::accept_message), or when a conversation
/// is [opened](super::ConversationStore::open_conversation) with it, and cools off from the conversation's
/// [end](super::ConversationStore::end_conversation). All leases of a phone are one row, in which each
/// number stands once: so a pair of number and phone cannot be two conversations'.
#[async_trait]
pub trait LeaseStore {
    /// All leases, active and cooling.
    async fn leases(&self) -> Result<Vec<Lease>>;

    /// The leases of about `limit` phones, in no order, from the beginning or from where the last page
    /// ended. A phone whose leases stay as they are throughout is in at least one page.
    async fn leases_page(&self, from: Option<String>, limit: usize) -> Result<LeasesPage>;

    /// Frees a lease at once, cooling-off included; its conversation forgets the number. True if
    /// there was one. Fails with [`Conflict`](super::StoreError::Conflict) while a message from the number
    /// may still leave (queued, on the wire, uncertain): the pair would serve two conversations.
    ///
    /// *Again*: there is none: `false`. The pair may have been leased anew meanwhile; that lease is freed.
    async fn release_lease(&self, vmn: E164, handset: &Handset) -> Result<bool>;

    /// Gives a number to a Matrix ID: any handset may text it first. Fails with
    /// [`Conflict`](super::StoreError::Conflict) while another owner has it or a pool lease is on it.
    ///
    /// *Again*: it is theirs already.
    async fn dedicate(&self, number: &str, owner: &UserId) -> Result<()>;

    /// Takes a dedicated number back. True if it was dedicated.
    ///
    /// *Again*: it is nobody's: `false`.
    async fn undedicate(&self, number: &str) -> Result<bool>;

    /// The numbers dedicated through [`dedicate`](Self::dedicate) (those in the config are not here).
    async fn dedicated(&self) -> Result<Vec<(String, OwnedUserId)>>;
}

/// The leases of some phones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeasesPage {
    /// All leases of each phone.
    pub phones: Vec<Vec<Lease>>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}
