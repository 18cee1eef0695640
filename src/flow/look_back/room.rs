//! What is missing of one room.

use std::collections::{BTreeSet, HashSet};

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::Value;

use super::Span;
use crate::flow::{Connected, Gateway, Trouble};
use crate::gateway::model::Timestamp;
use crate::matrix::homeserver::{ErrorKind, MatrixError};
use crate::store::{Membership, NewEvent, RoomFacts};

/// How many pages of a room are read at most.
const PAGES: usize = 20;

/// A room and how far back it counts.
pub(super) struct Reading<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) home: &'a Connected,
    pub(super) room: &'a RoomFacts,
    pub(super) span: Span,
}

impl Reading<'_> {
    /// The events that nobody has brought, oldest first. None where nobody of ours can read the room.
    pub(super) async fn missed(&self) -> Result<Vec<NewEvent>, Trouble> {
        let present = self.present();
        let mut said = Vec::new();
        for reader in &present {
            match self.said_since(reader, present.clone()).await {
                Ok(seen) => said = seen,
                Err(error) if is_no_reader(&error) => continue,
                Err(error) => return Err(error.into()),
            }
            // Who has left, unheard, sees nothing of what came after.
            if !said
                .last()
                .is_some_and(|last| Head::read(&last.json).ends(reader))
            {
                break;
            }
        }
        self.unknown(said).await
    }

    /// Ours who are in the room, as far as is known.
    fn present(&self) -> BTreeSet<OwnedUserId> {
        let members = self.room.members.iter();
        let joined = members.filter(|one| one.membership == Membership::Joined);
        let users = joined.map(|one| one.user.clone());
        users.filter(|user| self.gateway.is_ours(user)).collect()
    }

    /// What was said while one of ours was in the room, oldest first, as `reader` sees it.
    async fn said_since(
        &self,
        reader: &UserId,
        mut present: BTreeSet<OwnedUserId>,
    ) -> Result<Vec<NewEvent>, MatrixError> {
        let mut said = Vec::new();
        let mut from = None;
        for _ in 0..PAGES {
            let api = &self.home.api;
            let page = api
                .history(reader, &self.room.room, from.as_deref())
                .await?;
            let mut goes_on = false;
            for event in page.events {
                if present.is_empty() {
                    break;
                }
                let head = Head::read(&event.json);
                goes_on |= head.at >= self.span.done_until;
                head.undo(&mut present, |user| self.gateway.is_ours(user));
                if (self.span.oldest..=self.span.youngest).contains(&head.at) {
                    said.push(event);
                }
            }
            from = page.next;
            if from.is_none() || present.is_empty() || !goes_on {
                break;
            }
        }
        said.reverse();
        Ok(said)
    }

    async fn unknown(&self, mut said: Vec<NewEvent>) -> Result<Vec<NewEvent>, Trouble> {
        if said.is_empty() {
            return Ok(said);
        }
        let ids = said.iter().map(|event| event.event_id.clone()).collect();
        let unknown = self
            .gateway
            .store
            .unknown_events(&self.room.homeserver, ids);
        let unknown: HashSet<_> = unknown.await?.into_iter().collect();
        said.retain(|event| unknown.contains(&event.event_id));
        Ok(said)
    }
}

/// Another of ours may be let in, where this one is not.
fn is_no_reader(error: &MatrixError) -> bool {
    matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound)
}

/// As much of an event as tells when it was sent and who came or went by it.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(rename = "origin_server_ts")]
    at: Timestamp,
    #[serde(rename = "type", default)]
    event_type: String,
    state_key: Option<String>,
    #[serde(default)]
    content: Standing,
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Debug, Default, Deserialize)]
struct Standing {
    #[serde(default)]
    membership: Value,
}

#[derive(Debug, Default, Deserialize)]
struct Unsigned {
    #[serde(default)]
    prev_content: Option<Standing>,
}

impl Head {
    /// One that cannot be read was sent at no time, so that it is not taken.
    fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| Self {
            at: Timestamp(i64::MIN),
            event_type: String::new(),
            state_key: None,
            content: Standing::default(),
            unsigned: Unsigned::default(),
        })
    }

    /// True for the end of a user's stay.
    fn ends(&self, user: &UserId) -> bool {
        let is_theirs = self.state_key.as_deref() == Some(user.as_str());
        self.event_type == "m.room.member" && is_theirs && !self.content.is_in()
    }

    /// Brings who is in the room back to how it was before this event.
    fn undo(&self, present: &mut BTreeSet<OwnedUserId>, is_ours: impl Fn(&UserId) -> bool) {
        let user = self.state_key.as_deref().unwrap_or_default();
        let Ok(user) = <&UserId>::try_from(user) else {
            return;
        };
        if self.event_type != "m.room.member" || !is_ours(user) {
            return;
        }
        let before = self.unsigned.prev_content.as_ref();
        let was_in = before.map(Standing::is_in);
        match (self.content.is_in(), was_in) {
            // A change of name changes nothing.
            (true, Some(true)) => {}
            (true, _) => {
                present.remove(user);
            }
            // Where it does not say, an invitation or a refusal is likelier than the end of a stay.
            (false, Some(true)) => {
                present.insert(user.to_owned());
            }
            (false, _) => {}
        }
    }
}

impl Standing {
    fn is_in(&self) -> bool {
        self.membership == "join"
    }
}
