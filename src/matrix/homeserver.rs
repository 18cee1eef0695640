//! What the gateway asks of a homeserver, and how a homeserver says no.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::Value;

use crate::store::{Member, NewEvent};

/// The device of every ghost and of the bot. A send is idempotent across restarts of the
/// homeserver only when a device makes it (Client-Server API, "Transaction identifiers").
pub const DEVICE_ID: &str = "SMSGW";

/// The state event, with an empty state key, by which a room is found again after a crash between
/// its creation and the note of it in the store.
pub const MARKER_TYPE: &str = "dev.matrix-smpp.conversation";

/// One homeserver, spoken to as its application service. Every call may be made again after any
/// failure: all but [`Homeserver::create_room`] are idempotent.
#[async_trait]
pub trait Homeserver: fmt::Debug + Send + Sync {
    /// The domain of the Matrix IDs that live there.
    fn name(&self) -> &ServerName;

    /// The application service's own user, `sender_localpart` of the registration.
    fn bot(&self) -> &UserId;

    /// Makes the account of a ghost or of the bot. One that exists already is fine.
    async fn register(&self, user: &UserId) -> Result<()>;

    /// Gives `user` the device [`DEVICE_ID`]. One that exists already is fine.
    async fn create_device(&self, user: &UserId) -> Result<()>;

    /// Sets the profile's display name.
    async fn set_display_name(&self, user: &UserId, name: &str) -> Result<()>;

    /// Joins as `user`. A member already joined is fine.
    async fn join(&self, user: &UserId, room: &RoomId) -> Result<()>;

    /// Leaves a room or declines its invite; the reason is shown to people. One that has left
    /// already is fine.
    async fn leave(&self, user: &UserId, room: &RoomId, reason: Option<&str>) -> Result<()>;

    /// Invites `invitee` as `user`. One already invited or joined is fine.
    async fn invite(
        &self,
        user: &UserId,
        room: &RoomId,
        invitee: &UserId,
        is_direct: bool,
    ) -> Result<()>;

    /// Creates a room as `user`, who is joined to it. NOT idempotent: put [`MARKER_TYPE`] into
    /// [`NewRoom::initial_state`] and look through [`Homeserver::joined_rooms`] before a repeat.
    async fn create_room(&self, user: &UserId, room: NewRoom) -> Result<OwnedRoomId>;

    /// Every room that `user` is joined to.
    async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>>;

    /// What a room's state says, as far as the gateway cares.
    async fn room_state(&self, user: &UserId, room: &RoomId) -> Result<RoomState>;

    /// The content of the room's [`MARKER_TYPE`] where `user` itself has set it; `None` where
    /// nobody has, or somebody else: anybody can write what we would.
    async fn own_marker(&self, user: &UserId, room: &RoomId) -> Result<Option<Value>>;

    /// The newest events of a room after `event`, oldest first, as far as `user` may see them: a
    /// homeserver tells an application service of a room only while one of its users is joined.
    async fn events_since(
        &self,
        user: &UserId,
        room: &RoomId,
        event: &EventId,
    ) -> Result<Vec<NewEvent>>;

    /// Some of a room's events, the newest first, as far as `user` may see them (Client-Server API,
    /// `GET /rooms/{roomId}/messages`): from its end, or from where the last page ended. Who has left
    /// sees what was before.
    async fn history(
        &self,
        user: &UserId,
        room: &RoomId,
        from: Option<&str>,
    ) -> Result<RoomHistory>;

    /// Sends an event as `user`'s device, which is made again where somebody deleted it.
    /// Idempotent by `txn_id`, which must be unique among all users of the application service and
    /// for ever; the homeserver remembers it for a day.
    async fn send(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<OwnedEventId>;

    /// Sets a state event as `user`.
    async fn send_state(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<OwnedEventId>;

    /// Asks the homeserver to call us, which also ends its back-off: what it holds for us comes
    /// at once. Returns how long its call took (Application Service API, "Pinging").
    async fn ping(&self, txn_id: &str) -> Result<Duration>;

    /// The bot, as the homeserver knows the owner of our token: differs from
    /// [`Homeserver::bot`] when the registration and the settings do not belong together.
    async fn whoami(&self) -> Result<OwnedUserId>;
}

/// The result of a request to a homeserver.
pub type Result<T, E = MatrixError> = std::result::Result<T, E>;

/// A room to create. Invited users share the creator's power, in every room version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRoom {
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
    /// The invites say that it is a direct chat.
    pub is_direct: bool,
    /// More state, set before anyone is invited: type, state key, content.
    pub initial_state: Vec<(String, String, Value)>,
}

/// A page of a room's events.
#[derive(Debug, Clone, Default)]
pub struct RoomHistory {
    /// The newest first.
    pub events: Vec<NewEvent>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<String>,
}

/// A room's state, as far as the gateway cares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomState {
    /// Everyone invited or joined.
    pub members: Vec<Member>,
    /// It has an `m.room.encryption` event.
    pub encrypted: bool,
    /// The room that it continues, as its `m.room.create` says. Anybody can make a room that says
    /// so: believe it where the other one's `replacement` names this one.
    pub predecessor: Option<OwnedRoomId>,
    /// The room that continues it, as its `m.room.tombstone` says.
    pub replacement: Option<OwnedRoomId>,
}

/// Why a homeserver did not do it. Names no user, no room and nothing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixError {
    kind: ErrorKind,
    status: Option<u16>,
    errcode: Option<String>,
    cause: String,
}

/// What a caller can do about a [`MatrixError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again: no answer, a server error, a rate limit, or an answer that no homeserver gives.
    /// Whether the request took effect is unknown.
    Retry {
        /// Not sooner than this, where the homeserver said so.
        after: Option<Duration>,
    },
    /// This user may not do it (not in the room, not registered, not enough power).
    Forbidden,
    /// There is no such user, room, event or endpoint.
    NotFound,
    /// The user has no device [`DEVICE_ID`] (`M_UNKNOWN_DEVICE`).
    UnknownDevice,
    /// The account exists (`M_USER_IN_USE`).
    UserInUse,
    /// The request itself is wrong and will never do.
    Permanent,
}

impl MatrixError {
    /// A request without an answer; `cause` must be free of private content.
    #[must_use]
    pub fn unanswered(cause: impl Into<String>) -> Self {
        let kind = ErrorKind::Retry { after: None };
        Self {
            kind,
            status: None,
            errcode: None,
            cause: cause.into(),
        }
    }

    /// A request that cannot even be made; `cause` must be free of private content.
    #[must_use]
    pub fn impossible(cause: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Permanent,
            status: None,
            errcode: None,
            cause: cause.into(),
        }
    }

    /// An answer with an HTTP status that is no success.
    #[must_use]
    pub fn refused(status: u16, errcode: Option<&str>, retry_after: Option<Duration>) -> Self {
        Self {
            kind: kind_of(status, errcode, retry_after),
            status: Some(status),
            errcode: errcode.filter(|code| is_errcode(code)).map(str::to_owned),
            cause: String::new(),
        }
    }

    /// A success whose body is not what the specification says.
    #[must_use]
    pub fn unreadable(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::unanswered("unreadable answer")
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True where the same request may do later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, ErrorKind::Retry { .. })
    }

    /// The `errcode` of the answer.
    #[must_use]
    pub fn errcode(&self) -> Option<&str> {
        self.errcode.as_deref()
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

/// An `errcode` is a short name; anything else may be private and is not kept.
fn is_errcode(code: &str) -> bool {
    let rest = |octet: u8| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.');
    code.len() <= 64
        && code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.bytes().all(rest)
}

fn kind_of(status: u16, errcode: Option<&str>, after: Option<Duration>) -> ErrorKind {
    match (status, errcode) {
        // Too many requests; or, for the operator to mend before anything is lost: our token is not
        // known yet, or the homeserver is closed.
        (401 | 429, _) | (_, Some("M_LIMIT_EXCEEDED" | "M_RESOURCE_LIMIT_EXCEEDED")) => {
            ErrorKind::Retry { after }
        }
        (_, Some("M_UNKNOWN_DEVICE")) => ErrorKind::UnknownDevice,
        (_, Some("M_USER_IN_USE")) => ErrorKind::UserInUse,
        (403, Some(_)) => ErrorKind::Forbidden,
        (404, Some(_)) => ErrorKind::NotFound,
        // A reverse proxy speaks, not a homeserver.
        (300..=399 | 403 | 404 | 405 | 408, None) | (500.., _) => ErrorKind::Retry { after },
        _ => ErrorKind::Permanent,
    }
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.errcode.as_deref()) {
            (Some(status), Some(errcode)) => write!(f, "the homeserver said {status} {errcode}"),
            (Some(status), None) if self.cause.is_empty() => {
                write!(f, "the homeserver said {status}")
            }
            (Some(status), None) => write!(f, "the homeserver said {status}: {}", self.cause),
            (None, _) if self.kind == ErrorKind::Permanent => f.write_str(&self.cause),
            (None, _) => write!(f, "no answer from the homeserver: {}", self.cause),
        }
    }
}

impl std::error::Error for MatrixError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, errcode: Option<&str>) -> ErrorKind {
        MatrixError::refused(status, errcode, None).kind()
    }

    #[test]
    fn each_refusal_says_what_can_be_done_about_it() {
        let retry = ErrorKind::Retry { after: None };
        for (status, errcode, expected) in [
            (400, Some("M_UNKNOWN_DEVICE"), ErrorKind::UnknownDevice),
            (400, Some("M_USER_IN_USE"), ErrorKind::UserInUse),
            (400, Some("M_EXCLUSIVE"), ErrorKind::Permanent),
            (400, None, ErrorKind::Permanent),
            (401, Some("M_UNKNOWN_TOKEN"), retry),
            (401, None, retry),
            (302, None, retry),
            (403, Some("M_FORBIDDEN"), ErrorKind::Forbidden),
            (403, Some("M_RESOURCE_LIMIT_EXCEEDED"), retry),
            (403, None, retry),
            (404, Some("M_NOT_FOUND"), ErrorKind::NotFound),
            (404, Some("M_UNRECOGNIZED"), ErrorKind::NotFound),
            (404, None, retry),
            (413, None, ErrorKind::Permanent),
            (500, Some("M_UNKNOWN"), retry),
            (502, None, retry),
        ] {
            assert_eq!(kind(status, errcode), expected, "{status} {errcode:?}");
        }
    }

    #[test]
    fn a_rate_limit_keeps_the_time_to_wait() {
        let after = Some(Duration::from_millis(1500));
        let error = MatrixError::refused(429, Some("M_LIMIT_EXCEEDED"), after);
        assert_eq!(error.kind(), ErrorKind::Retry { after });
        assert!(error.is_temporary());
    }

    #[test]
    fn an_errcode_that_is_no_name_is_not_shown() {
        let error = MatrixError::refused(400, Some("call +447700900123"), None);
        assert_eq!(error.errcode(), None);
        assert_eq!(error.to_string(), "the homeserver said 400");
    }

    #[test]
    fn an_error_tells_status_and_errcode() {
        let error = MatrixError::refused(403, Some("M_FORBIDDEN"), None);
        assert_eq!(error.to_string(), "the homeserver said 403 M_FORBIDDEN");
        let error = MatrixError::unanswered("timed out");
        assert_eq!(
            error.to_string(),
            "no answer from the homeserver: timed out"
        );
    }
}
