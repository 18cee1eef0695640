//! [`Homeserver`] over HTTP: the Client-Server API, spoken by an application service that acts as
//! its ghosts ("Identity assertion" of the Application Service API).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use ruma::api::auth_scheme::{AuthScheme, SendAccessToken};
use ruma::api::client::{
    account::{register, whoami},
    appservice::request_ping,
    device::update_device,
    membership::{invite_user, join_room_by_id, joined_rooms, leave_room},
    message::{get_message_events, send_message_event},
    profile::set_display_name,
    room::create_room,
    state::{get_state_event_for_key, get_state_events, send_state_event},
};
use ruma::api::path_builder::PathBuilder;
use ruma::api::{
    AppserviceUserIdentity as Identity, IncomingResponse, MatrixVersion, OutgoingRequest,
    OutgoingRequestAppserviceExt, SupportedVersions,
};
use ruma::serde::Raw;
use ruma::{
    DeviceId, EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName,
    TransactionId, UInt, UserId,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::homeserver::{
    DEVICE_ID, ErrorKind, Homeserver, MARKER_TYPE, MatrixError, NewRoom, Result, RoomHistory,
    RoomState,
};
use super::http;
use crate::store::{Member, Membership, NewEvent};

/// How many events of a room are read at most when one of ours has joined it.
const MOST_MISSED: u8 = 100;

/// How many events of a room are read at once when it is read back.
const HISTORY_PAGE: u8 = 50;

/// How to reach a homeserver, from its registration.
#[derive(Debug, Clone)]
pub struct HomeserverAccess {
    /// The domain of the Matrix IDs that live there.
    pub name: OwnedServerName,
    /// The base of its Client-Server API, `https://matrix.example.org`.
    pub url: String,
    /// `id` of the registration.
    pub appservice_id: String,
    /// The bot's Matrix ID: `sender_localpart` of the registration.
    pub bot: OwnedUserId,
    /// `as_token` of the registration.
    pub as_token: SecretString,
    /// Requests under way at once; more wait for their turn. At least 1.
    pub max_in_flight: usize,
}

/// A [`Homeserver`] spoken to over HTTP.
pub struct HttpHomeserver {
    access: HomeserverAccess,
    http: reqwest::Client,
    turns: Semaphore,
}

impl HttpHomeserver {
    /// The homeserver that `access` describes.
    #[must_use]
    pub fn new(access: HomeserverAccess, http: reqwest::Client) -> Self {
        let turns = Semaphore::new(access.max_in_flight.max(1));
        Self {
            access,
            http,
            turns,
        }
    }

    /// Makes one request. Without an identity it is the bot's.
    async fn call<R>(&self, identity: Identity<'_>, request: R) -> Result<R::IncomingResponse>
    where
        R: OutgoingRequest + Send,
        for<'a> R::Authentication: AuthScheme<Input<'a> = SendAccessToken<'a>>,
        for<'a> R::PathBuilder: PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        let token = SendAccessToken::Appservice(self.access.as_token.expose_secret());
        let versions = Cow::Owned(spoken_versions());
        let request: Request<Vec<u8>> = request
            .try_into_http_request_with_identity(&self.access.url, token, identity, versions)
            .map_err(|_| MatrixError::impossible("the request cannot be written"))?;
        let answer = self.exchange(request).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(http::refusal(&answer));
        }
        R::IncomingResponse::try_from_http_response(answer)
            .map_err(|_| MatrixError::unreadable(status.as_u16()))
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>> {
        let request = reqwest::Request::try_from(request)
            .map_err(|_| MatrixError::impossible("the homeserver's URL is no URL"))?;
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| MatrixError::unanswered("closing"))?;
        let response = self
            .http
            .execute(request)
            .await
            .map_err(|error| http::unanswered(&error))?;
        http::whole(response).await
    }

    /// Tells whether `member` is invited to or joined in the room, as `user` sees it.
    async fn is_member(&self, user: &UserId, room: &RoomId, member: &UserId) -> Result<bool> {
        let request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            "m.room.member".into(),
            member.to_string(),
        );
        let response = self.call(Identity::new(user), request).await?;
        let content: MemberContent = serde_json::from_str(response.event_or_content.get())
            .map_err(|_| MatrixError::unreadable(200))?;
        Ok(matches!(content.membership.as_str(), "invite" | "join"))
    }
}

// === impl Homeserver ===

#[async_trait]
impl Homeserver for HttpHomeserver {
    fn name(&self) -> &ServerName {
        &self.access.name
    }

    fn bot(&self) -> &UserId {
        &self.access.bot
    }

    async fn register(&self, user: &UserId) -> Result<()> {
        let mut request = register::v3::Request::new();
        request.username = Some(user.localpart().to_owned());
        request.login_type = Some(register::LoginType::ApplicationService);
        request.inhibit_login = true;
        match self.call(Identity::default(), request).await {
            Err(error) if error.kind() == ErrorKind::UserInUse => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn create_device(&self, user: &UserId) -> Result<()> {
        self.call(
            Identity::new(user),
            update_device::v3::Request::new(DEVICE_ID.into()),
        )
        .await
        .map(drop)
    }

    async fn set_display_name(&self, user: &UserId, name: &str) -> Result<()> {
        #[expect(
            deprecated,
            reason = "its replacement is of Matrix 1.16; homeservers in use stop at 1.15"
        )]
        let request = set_display_name::v3::Request::new(user.to_owned(), Some(name.to_owned()));
        self.call(Identity::new(user), request).await.map(drop)
    }

    async fn join(&self, user: &UserId, room: &RoomId) -> Result<()> {
        self.call(
            Identity::new(user),
            join_room_by_id::v3::Request::new(room.to_owned()),
        )
        .await
        .map(drop)
    }

    async fn leave(&self, user: &UserId, room: &RoomId, reason: Option<&str>) -> Result<()> {
        let mut request = leave_room::v3::Request::new(room.to_owned());
        request.reason = reason.map(str::to_owned);
        self.call(Identity::new(user), request).await.map(drop)
    }

    async fn invite(
        &self,
        user: &UserId,
        room: &RoomId,
        invitee: &UserId,
        is_direct: bool,
    ) -> Result<()> {
        let refused = match self.try_invite(user, room, invitee, is_direct).await {
            Err(error) if error.kind() == ErrorKind::Forbidden => error,
            answer => return answer,
        };
        // "Already in the room" has no errcode of its own.
        match self.is_member(user, room, invitee).await {
            Ok(true) => Ok(()),
            Err(error) if error.is_temporary() => Err(error),
            _ => Err(refused),
        }
    }

    async fn create_room(&self, user: &UserId, room: NewRoom) -> Result<OwnedRoomId> {
        let mut request = create_room::v3::Request::new();
        request.preset = Some(create_room::v3::RoomPreset::TrustedPrivateChat);
        request.invite = room.invite;
        request.is_direct = room.is_direct;
        for (event_type, state_key, content) in room.initial_state {
            let event = json!({ "type": event_type, "state_key": state_key, "content": content });
            request.initial_state.push(raw(&event)?);
        }
        self.call(Identity::new(user), request)
            .await
            .map(|response| response.room_id)
    }

    async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>> {
        let response = self
            .call(Identity::new(user), joined_rooms::v3::Request::new())
            .await?;
        Ok(response.joined_rooms)
    }

    async fn room_state(&self, user: &UserId, room: &RoomId) -> Result<RoomState> {
        let request = get_state_events::v3::Request::new(room.to_owned());
        let response = self.call(Identity::new(user), request).await?;
        let mut state = RoomState::default();
        for event in &response.room_state {
            if let Ok(event) = serde_json::from_str(event.json().get()) {
                note(&mut state, event);
            }
        }
        Ok(state)
    }

    async fn own_marker(&self, user: &UserId, room: &RoomId) -> Result<Option<Value>> {
        let mut request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            MARKER_TYPE.into(),
            String::new(),
        );
        // Only so does the answer tell who set it.
        request.format = get_state_event_for_key::v3::StateEventFormat::Event;
        let response = match self.call(Identity::new(user), request).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            answer => answer?,
        };
        let event: SentContent = serde_json::from_str(response.event_or_content.get())
            .map_err(|_| MatrixError::unreadable(200))?;
        Ok((event.sender == user).then_some(event.content))
    }

    async fn events_since(
        &self,
        user: &UserId,
        room: &RoomId,
        event: &EventId,
    ) -> Result<Vec<NewEvent>> {
        let mut request = get_message_events::v3::Request::backward(room.to_owned());
        request.limit = UInt::from(MOST_MISSED);
        let response = self.call(Identity::new(user), request).await?;
        let newest_first = response.chunk.iter();
        let mut events: Vec<_> = newest_first
            .filter_map(|raw| said(room, raw.json().get()))
            .take_while(|said| said.event_id != event)
            .collect();
        events.reverse();
        Ok(events)
    }

    async fn history(
        &self,
        user: &UserId,
        room: &RoomId,
        from: Option<&str>,
    ) -> Result<RoomHistory> {
        let mut request = get_message_events::v3::Request::backward(room.to_owned());
        request.limit = UInt::from(HISTORY_PAGE);
        request.from = from.map(str::to_owned);
        let response = self.call(Identity::new(user), request).await?;
        let events = response.chunk.iter();
        Ok(RoomHistory {
            events: events
                .filter_map(|raw| said(room, raw.json().get()))
                .collect(),
            next: response.end,
        })
    }

    async fn send(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<OwnedEventId> {
        let request = send_message_event::v3::Request::new_raw(
            room.to_owned(),
            <&TransactionId>::from(txn_id).to_owned(),
            event_type.into(),
            raw(content)?,
        );
        // An administrator may have deleted the device since the ghost was made.
        match self.send_by_device(user, request.clone()).await {
            Err(error) if error.kind() == ErrorKind::UnknownDevice => {
                self.create_device(user).await?;
                self.send_by_device(user, request).await
            }
            answer => answer,
        }
    }

    async fn send_state(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<OwnedEventId> {
        let request = send_state_event::v3::Request::new_raw(
            room.to_owned(),
            event_type.into(),
            state_key.to_owned(),
            raw(content)?,
        );
        self.call(Identity::new(user), request)
            .await
            .map(|response| response.event_id)
    }

    async fn ping(&self, txn_id: &str) -> Result<Duration> {
        let mut request = request_ping::v1::Request::new(self.access.appservice_id.clone());
        request.transaction_id = Some(txn_id.into());
        self.call(Identity::default(), request)
            .await
            .map(|response| response.duration)
    }

    async fn whoami(&self) -> Result<OwnedUserId> {
        self.call(Identity::default(), whoami::v3::Request::new())
            .await
            .map(|response| response.user_id)
    }
}

impl HttpHomeserver {
    async fn send_by_device(
        &self,
        user: &UserId,
        request: send_message_event::v3::Request,
    ) -> Result<OwnedEventId> {
        let device: &DeviceId = DEVICE_ID.into();
        let mut identity = Identity::new(user);
        identity.device_id = Some(device);
        let response = self.call(identity, request).await?;
        Ok(response.event_id)
    }

    /// `POST /invite` cannot say that the chat is direct; setting the membership can.
    async fn try_invite(
        &self,
        user: &UserId,
        room: &RoomId,
        invitee: &UserId,
        is_direct: bool,
    ) -> Result<()> {
        if is_direct {
            let content = json!({ "membership": "invite", "is_direct": true });
            let key = invitee.as_str();
            return self
                .send_state(user, room, "m.room.member", key, &content)
                .await
                .map(drop);
        }
        let recipient = invite_user::v3::InviteUserId::new(invitee.to_owned()).into();
        let request = invite_user::v3::Request::new(room.to_owned(), recipient);
        self.call(Identity::new(user), request).await.map(drop)
    }
}

impl fmt::Debug for HttpHomeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHomeserver")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The version whose paths we use. Homeservers implement what we need without advertising it
/// (device masquerading is of 1.17), so asking them would tell nothing.
fn spoken_versions() -> SupportedVersions {
    SupportedVersions {
        versions: [MatrixVersion::V1_15].into(),
        features: [].into(),
    }
}

fn raw<T>(content: &Value) -> Result<Raw<T>> {
    let raw = serde_json::value::to_raw_value(content);
    raw.map(Raw::from_json)
        .map_err(|_| MatrixError::impossible("the content is no JSON"))
}

#[derive(Deserialize)]
struct StateEvent {
    #[serde(rename = "type")]
    event_type: String,
    state_key: String,
    content: Value,
}

#[derive(Deserialize)]
struct SentContent {
    sender: OwnedUserId,
    content: Value,
}

#[derive(Deserialize)]
struct MemberContent {
    membership: String,
    #[serde(default)]
    displayname: Option<String>,
}

/// An event as it stands in a room's timeline.
fn said(room: &RoomId, json: &str) -> Option<NewEvent> {
    #[derive(Deserialize)]
    struct Named {
        event_id: OwnedEventId,
    }
    let named: Named = serde_json::from_str(json).ok()?;
    Some(NewEvent {
        is_over: false,
        event_id: named.event_id,
        room: room.to_owned(),
        json: json.to_owned(),
    })
}

/// Takes one state event in; what cannot be read says nothing.
fn note(state: &mut RoomState, event: StateEvent) {
    match (event.event_type.as_str(), event.state_key.as_str()) {
        ("m.room.member", user) => state.members.extend(member(user, event.content)),
        ("m.room.encryption", "") => state.encrypted = true,
        ("m.room.create", "") => {
            state.predecessor = room_id(&event.content, "/predecessor/room_id");
        }
        ("m.room.tombstone", "") => {
            state.replacement = room_id(&event.content, "/replacement_room");
        }
        _ => {}
    }
}

fn room_id(content: &Value, pointer: &str) -> Option<OwnedRoomId> {
    RoomId::parse(content.pointer(pointer)?.as_str()?).ok()
}

fn member(user: &str, content: Value) -> Option<Member> {
    let content: MemberContent = serde_json::from_value(content).ok()?;
    let membership = match content.membership.as_str() {
        "invite" => Membership::Invited,
        "join" => Membership::Joined,
        _ => return None,
    };
    let user = UserId::parse(user).ok()?;
    Some(Member {
        user,
        membership,
        display_name: content.displayname,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::matrix::http::{HttpLimits, http_client, testing};
    use axum::Router;
    use axum::http::StatusCode;
    use ruma::{owned_server_name, owned_user_id, room_id, user_id};

    const ROOM: &str = "/_matrix/client/v3/rooms/!r%2F1:example.org";
    const GHOST: &str = "user_id=%40.tel.%2B447700900123%3Aexample.org";

    #[derive(Debug, PartialEq)]
    struct Seen {
        line: String,
        authorization: String,
        body: Value,
    }

    /// A homeserver that answers as told and remembers what it was asked.
    struct Server {
        homeserver: HttpHomeserver,
        seen: Arc<Mutex<Vec<Seen>>>,
        _listener: testing::Listener,
    }

    async fn server(answers: &[(u16, Value)]) -> Server {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script = Arc::new(Mutex::new(
            answers.iter().cloned().rev().collect::<Vec<_>>(),
        ));
        let remembered = seen.clone();
        let app = Router::new().fallback(async move |request: Request<axum::body::Body>| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let authorization = parts.headers.get("authorization").expect("a token");
            remembered.lock().expect("lock").push(Seen {
                line: format!("{} {}", parts.method, parts.uri),
                authorization: authorization.to_str().expect("text").to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            });
            let (status, body) = script.lock().expect("lock").pop().expect("an answer");
            (
                StatusCode::from_u16(status).expect("a status"),
                body.to_string(),
            )
        });
        let listener = testing::listen(app).await;
        let access = HomeserverAccess {
            name: owned_server_name!("example.org"),
            url: listener.url.clone(),
            appservice_id: "smsgw".to_owned(),
            bot: owned_user_id!("@.telbot:example.org"),
            as_token: SecretString::from("as-secret"),
            max_in_flight: 2,
        };
        let http = http_client(testing::tls(), HttpLimits::default()).expect("a client");
        Server {
            homeserver: HttpHomeserver::new(access, http),
            seen,
            _listener: listener,
        }
    }

    impl Server {
        /// The request lines so far, each with the body that came with it.
        fn seen(&self) -> Vec<(String, Value)> {
            let seen = std::mem::take(&mut *self.seen.lock().expect("lock"));
            assert!(
                seen.iter()
                    .all(|seen| seen.authorization == "Bearer as-secret")
            );
            seen.into_iter()
                .map(|seen| (seen.line, seen.body))
                .collect()
        }
    }

    fn ghost() -> &'static UserId {
        user_id!("@.tel.+447700900123:example.org")
    }

    fn room() -> &'static RoomId {
        room_id!("!r/1:example.org")
    }

    #[tokio::test]
    async fn a_ghost_is_registered_named_and_given_its_device() {
        let server = server(&[
            (200, json!({ "user_id": ghost() })),
            (200, json!({})),
            (200, json!({})),
        ])
        .await;
        let homeserver = &server.homeserver;
        homeserver.register(ghost()).await.expect("registered");
        homeserver.create_device(ghost()).await.expect("device");
        homeserver
            .set_display_name(ghost(), "+44 7700")
            .await
            .expect("named");
        let registration = json!({
            "type": "m.login.application_service",
            "username": ".tel.+447700900123",
            "inhibit_login": true,
        });
        let name_path = "profile/@.tel.+447700900123:example.org/displayname";
        assert_eq!(
            server.seen(),
            [
                ("POST /_matrix/client/v3/register".to_owned(), registration),
                (
                    format!("PUT /_matrix/client/v3/devices/SMSGW?{GHOST}"),
                    json!({})
                ),
                (
                    format!("PUT /_matrix/client/v3/{name_path}?{GHOST}"),
                    json!({ "displayname": "+44 7700" })
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_ghost_that_exists_counts_as_registered() {
        let server = server(&[(400, json!({ "errcode": "M_USER_IN_USE", "error": "x" }))]).await;
        assert_eq!(server.homeserver.register(ghost()).await, Ok(()));
    }

    #[tokio::test]
    async fn an_event_is_sent_by_the_ghosts_device() {
        let server = server(&[(200, json!({ "event_id": "$e" }))]).await;
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        let sent = server
            .homeserver
            .send(ghost(), room(), "m.room.message", "t/1", &content)
            .await;
        assert_eq!(sent.expect("sent"), "$e");
        let line = format!("PUT {ROOM}/send/m.room.message/t%2F1?{GHOST}&device_id=SMSGW");
        assert_eq!(server.seen(), [(line, content)]);
    }

    #[tokio::test]
    async fn a_device_that_was_deleted_is_made_again() {
        let unknown = (400, json!({ "errcode": "M_UNKNOWN_DEVICE", "error": "x" }));
        let accepted = (200, json!({ "event_id": "$e" }));
        let server = server(&[
            unknown.clone(),
            (201, json!({})),
            accepted,
            unknown.clone(),
            (201, json!({})),
            unknown,
        ])
        .await;
        let content = json!({ "body": "hello" });
        let send = || {
            server
                .homeserver
                .send(ghost(), room(), "m.room.message", "t1", &content)
        };
        assert_eq!(send().await.expect("sent"), "$e");
        let send_line = format!("PUT {ROOM}/send/m.room.message/t1?{GHOST}&device_id=SMSGW");
        let device_line = format!("PUT /_matrix/client/v3/devices/SMSGW?{GHOST}");
        let lines: Vec<_> = server.seen().into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [send_line.clone(), device_line, send_line]);
        assert_eq!(
            send().await.expect_err("twice").kind(),
            ErrorKind::UnknownDevice
        );
    }

    #[tokio::test]
    async fn a_state_event_is_set_by_the_ghost() {
        let server = server(&[(200, json!({ "event_id": "$e" }))]).await;
        let content = json!({ "name": "x" });
        let homeserver = &server.homeserver;
        homeserver
            .send_state(ghost(), room(), "a.b", "k?y", &content)
            .await
            .expect("set");
        let line = format!("PUT {ROOM}/state/a.b/k%3Fy?{GHOST}");
        assert_eq!(server.seen(), [(line, content)]);
    }

    #[tokio::test]
    async fn a_room_is_created_without_overriding_power_levels() {
        let server = server(&[(200, json!({ "room_id": "!abc" }))]).await;
        let room = NewRoom {
            invite: vec![owned_user_id!("@alice:example.org")],
            is_direct: true,
            initial_state: vec![(
                MARKER_TYPE.to_owned(),
                String::new(),
                json!({ "conversation": 1 }),
            )],
        };
        let id = server
            .homeserver
            .create_room(ghost(), room)
            .await
            .expect("created");
        assert_eq!(id, "!abc");
        let body = json!({
            "preset": "trusted_private_chat",
            "invite": ["@alice:example.org"],
            "is_direct": true,
            "initial_state": [
                { "type": MARKER_TYPE, "state_key": "", "content": { "conversation": 1 } }
            ],
        });
        let line = format!("POST /_matrix/client/v3/createRoom?{GHOST}");
        assert_eq!(server.seen(), [(line, body)]);
    }

    #[tokio::test]
    async fn a_ghost_joins_and_leaves_with_a_reason() {
        let answers = [
            (200, json!({ "room_id": "!r/1:example.org" })),
            (200, json!({})),
            (200, json!({ "joined_rooms": ["!abc"] })),
        ];
        let server = server(&answers).await;
        let homeserver = &server.homeserver;
        homeserver.join(ghost(), room()).await.expect("joined");
        homeserver
            .leave(ghost(), room(), Some("no such number"))
            .await
            .expect("left");
        assert_eq!(
            homeserver.joined_rooms(ghost()).await.expect("rooms"),
            ["!abc"]
        );
        assert_eq!(
            server.seen(),
            [
                (format!("POST {ROOM}/join?{GHOST}"), json!({})),
                (
                    format!("POST {ROOM}/leave?{GHOST}"),
                    json!({ "reason": "no such number" })
                ),
                (
                    format!("GET /_matrix/client/v3/joined_rooms?{GHOST}"),
                    Value::Null
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_direct_invite_says_so_in_the_membership() {
        let server = server(&[(200, json!({})), (200, json!({ "event_id": "$e" }))]).await;
        let alice = user_id!("@alice:example.org");
        let homeserver = &server.homeserver;
        homeserver
            .invite(ghost(), room(), alice, false)
            .await
            .expect("invited");
        homeserver
            .invite(ghost(), room(), alice, true)
            .await
            .expect("invited");
        let member = "state/m.room.member/@alice:example.org";
        assert_eq!(
            server.seen(),
            [
                (
                    format!("POST {ROOM}/invite?{GHOST}"),
                    json!({ "user_id": alice })
                ),
                (
                    format!("PUT {ROOM}/{member}?{GHOST}"),
                    json!({ "membership": "invite", "is_direct": true })
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_refused_invite_of_a_member_is_fine_and_of_anyone_else_is_not() {
        let refused = (403, json!({ "errcode": "M_FORBIDDEN", "error": "x" }));
        let server = server(&[
            refused.clone(),
            (200, json!({ "membership": "join" })),
            refused.clone(),
            (200, json!({ "membership": "ban" })),
            refused,
            (502, json!({})),
        ])
        .await;
        let alice = user_id!("@alice:example.org");
        let invite = || server.homeserver.invite(ghost(), room(), alice, false);
        assert_eq!(invite().await, Ok(()));
        assert_eq!(
            invite().await.expect_err("banned").kind(),
            ErrorKind::Forbidden
        );
        assert!(invite().await.expect_err("unknown").is_temporary());
    }

    #[tokio::test]
    async fn a_rooms_state_is_read_past_what_cannot_be_read() {
        let server = server(&[(
            200,
            json!([
                { "type": "m.room.member", "state_key": "@a:b.c",
                  "content": { "membership": "join", "displayname": "A" } },
                { "type": "m.room.member", "state_key": "@i:b.c",
                  "content": { "membership": "invite", "displayname": null } },
                { "type": "m.room.member", "state_key": "@gone:b.c",
                  "content": { "membership": "leave" } },
                { "type": "m.room.member", "state_key": "no user",
                  "content": { "membership": "join" } },
                { "type": "m.room.member", "state_key": "@odd:b.c", "content": { "membership": 1 } },
                { "type": "m.room.create", "state_key": "",
                  "content": { "predecessor": { "room_id": "!old" } } },
                { "type": "m.room.tombstone", "state_key": "",
                  "content": { "replacement_room": 5 } },
                { "type": "m.room.encryption", "state_key": "", "content": {} },
                { "type": 3 },
            ]),
        )])
        .await;
        let state = server
            .homeserver
            .room_state(ghost(), room())
            .await
            .expect("state");
        let member = |user: &str, membership, name: Option<&str>| Member {
            user: UserId::parse(user).expect("a user"),
            membership,
            display_name: name.map(str::to_owned),
        };
        let expected = RoomState {
            members: vec![
                member("@a:b.c", Membership::Joined, Some("A")),
                member("@i:b.c", Membership::Invited, None),
            ],
            encrypted: true,
            predecessor: RoomId::parse("!old").ok(),
            replacement: None,
        };
        assert_eq!(state, expected);
        assert_eq!(
            server.seen(),
            [(format!("GET {ROOM}/state?{GHOST}"), Value::Null)]
        );
    }

    #[tokio::test]
    async fn a_marker_counts_only_where_the_same_user_set_it() {
        let set_by = |sender: &str| json!({ "sender": sender, "content": { "k": 1 } });
        let server = server(&[
            (200, set_by(ghost().as_str())),
            (200, set_by("@mallory:example.org")),
            (404, json!({ "errcode": "M_NOT_FOUND", "error": "x" })),
            (403, json!({ "errcode": "M_FORBIDDEN", "error": "x" })),
        ])
        .await;
        let marker = || server.homeserver.own_marker(ghost(), room());
        assert_eq!(marker().await, Ok(Some(json!({ "k": 1 }))));
        assert_eq!(marker().await, Ok(None));
        assert_eq!(marker().await, Ok(None));
        assert!(marker().await.is_err());
        let (asked, _) = &server.seen()[0];
        assert_eq!(
            *asked,
            format!("GET {ROOM}/state/{MARKER_TYPE}/?format=event&{GHOST}")
        );
    }

    #[tokio::test]
    async fn what_was_said_since_an_event_is_read_oldest_first() {
        let event = |id: &str| json!({ "event_id": id, "type": "m.room.message" });
        let chunk = json!([event("$c"), { "type": 3 }, event("$b"), event("$a"), event("$0")]);
        let server = server(&[(200, json!({ "start": "s", "chunk": chunk }))]).await;
        let since = server
            .homeserver
            .events_since(ghost(), room(), ruma::event_id!("$a"))
            .await
            .expect("events");
        let ids: Vec<_> = since.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, ["$b", "$c"]);
        let (asked, _) = &server.seen()[0];
        assert!(
            asked.contains("dir=b") && asked.contains("limit=100"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn a_room_is_read_back_page_by_page_newest_first() {
        let event = |id: &str| json!({ "event_id": id, "type": "m.room.message" });
        let first = json!({ "start": "s", "end": "t1", "chunk": [event("$b"), { "type": 3 }] });
        let last = json!({ "start": "t1", "chunk": [event("$a")] });
        let server = server(&[(200, first), (200, last)]).await;
        let read = |from| server.homeserver.history(ghost(), room(), from);
        let page = read(None).await.expect("events");
        assert_eq!(page.events[0].event_id, "$b");
        assert_eq!(page.next.as_deref(), Some("t1"));
        let page = read(Some("t1")).await.expect("events");
        assert_eq!(page.events[0].event_id, "$a");
        assert_eq!(page.next, None);
        let (asked, _) = &server.seen()[1];
        for part in ["dir=b", "from=t1", "limit=50", GHOST] {
            assert!(asked.contains(part), "{asked}");
        }
    }

    #[tokio::test]
    async fn the_bot_pings_without_asserting_an_identity() {
        let answers = [
            (200, json!({ "duration_ms": 12 })),
            (200, json!({ "user_id": "@b:c.d" })),
        ];
        let server = server(&answers).await;
        let took = server.homeserver.ping("p1").await.expect("answered");
        assert_eq!(took, Duration::from_millis(12));
        assert_eq!(server.homeserver.whoami().await.expect("known"), "@b:c.d");
        let ping = "POST /_matrix/client/v1/appservice/smsgw/ping".to_owned();
        let whoami = "GET /_matrix/client/v3/account/whoami".to_owned();
        let id = json!({ "transaction_id": "p1" });
        assert_eq!(server.seen(), [(ping, id), (whoami, Value::Null)]);
    }

    #[tokio::test]
    async fn a_rate_limit_tells_how_long_to_wait() {
        let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "x", "retry_after_ms": 900 });
        let server = server(&[(429, limited)]).await;
        let error = server
            .homeserver
            .join(ghost(), room())
            .await
            .expect_err("limited");
        let after = Some(Duration::from_millis(900));
        assert_eq!(error.kind(), ErrorKind::Retry { after });
    }

    #[tokio::test]
    async fn a_success_that_cannot_be_read_is_asked_again() {
        let server = server(&[(200, json!("<html>"))]).await;
        let error = server
            .homeserver
            .joined_rooms(ghost())
            .await
            .expect_err("unreadable");
        assert!(error.is_temporary());
        assert_eq!(error.status(), Some(200));
    }

    #[tokio::test]
    async fn neither_errors_nor_debug_tell_the_token_or_the_number() {
        let server = server(&[]).await;
        let access = HomeserverAccess {
            url: "http://127.0.0.1:1".to_owned(),
            ..server.homeserver.access.clone()
        };
        let homeserver = HttpHomeserver::new(access, server.homeserver.http.clone());
        let error = homeserver
            .join(ghost(), room())
            .await
            .expect_err("nobody there");
        let told = format!("{error} {error:?} {homeserver:?}");
        assert!(error.to_string().contains("cannot connect"), "{told}");
        assert!(
            !told.contains("as-secret") && !told.contains("447700900123"),
            "{told}"
        );
    }
}
