//! [`Homeserver`] over HTTP: the Client-Server API, spoken by an application service that acts as
//! its ghosts ("Identity assertion" of the Application Service API).

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use axum::http;
use bytes::{Bytes, BytesMut};
use ruma::api::auth_scheme::{AuthScheme, SendAccessToken};
use ruma::api::client::{
    account::{register, whoami},
    appservice::request_ping,
    device::update_device,
    membership::{invite_user, join_room_by_id, joined_rooms, leave_room},
    message::send_message_event,
    profile::set_display_name,
    room::create_room,
    state::{get_state_event_for_key, get_state_events, send_state_event},
};
use ruma::api::path_builder::PathBuilder;
use ruma::api::{
    AppserviceUserIdentity, IncomingResponse, MatrixVersion, OutgoingRequest,
    OutgoingRequestAppserviceExt, SupportedVersions,
};
use ruma::serde::Raw;
use ruma::{
    DeviceId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName,
    TransactionId, UserId,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::homeserver::{
    DEVICE_ID, ErrorKind, Homeserver, MARKER_TYPE, MatrixError, NewRoom, Result, RoomState,
};
use crate::store::{Member, Membership};

/// No answer of a homeserver that we can use is longer; a state of ten thousand members is 5 MB.
const MAX_ANSWER: usize = 32 << 20;

/// Bounds of the HTTP client that all homeservers share.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// To open a connection.
    pub connect_timeout: Duration,
    /// From the first byte of a request to the last of its answer.
    pub request_timeout: Duration,
    /// Connections kept open per homeserver.
    pub idle_connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            idle_connections: 32,
        }
    }
}

/// The HTTP client that all homeservers share. Follows no redirect: it would carry the token along.
pub fn http_client(
    mut tls: rustls::ClientConfig,
    limits: HttpLimits,
) -> reqwest::Result<reqwest::Client> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.request_timeout)
        .pool_max_idle_per_host(limits.idle_connections)
        .tcp_nodelay(true)
        .no_proxy()
        .build()
}

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

    /// Makes one request as the bot, without asserting an identity.
    async fn call<R>(&self, request: R) -> Result<R::IncomingResponse>
    where
        R: OutgoingRequest + Send,
        for<'a> R::Authentication: AuthScheme<Input<'a> = SendAccessToken<'a>>,
        for<'a> R::PathBuilder: PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        self.call_with(request, AppserviceUserIdentity::default())
            .await
    }

    /// Makes one request as `user` on its device.
    async fn call_as<R>(&self, user: &UserId, request: R) -> Result<R::IncomingResponse>
    where
        R: OutgoingRequest + Send,
        for<'a> R::Authentication: AuthScheme<Input<'a> = SendAccessToken<'a>>,
        for<'a> R::PathBuilder: PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        self.call_with(request, AppserviceUserIdentity::new(user))
            .await
    }

    async fn call_with<R>(
        &self,
        request: R,
        identity: AppserviceUserIdentity<'_>,
    ) -> Result<R::IncomingResponse>
    where
        R: OutgoingRequest + Send,
        for<'a> R::Authentication: AuthScheme<Input<'a> = SendAccessToken<'a>>,
        for<'a> R::PathBuilder: PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        let token = SendAccessToken::Appservice(self.access.as_token.expose_secret());
        let versions = Cow::Owned(spoken_versions());
        let request: http::Request<Vec<u8>> = request
            .try_into_http_request_with_identity(&self.access.url, token, identity, versions)
            .map_err(|_| MatrixError::impossible("the request cannot be written"))?;
        let answer = self.exchange(request).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(refusal(&answer));
        }
        R::IncomingResponse::try_from_http_response(answer)
            .map_err(|_| MatrixError::unreadable(status.as_u16()))
    }

    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>> {
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
            .map_err(|error| unanswered(&error))?;
        whole(response).await
    }

    /// Tells whether `member` is invited to or joined in the room, as `user` sees it.
    async fn is_member(&self, user: &UserId, room: &RoomId, member: &UserId) -> Result<bool> {
        let request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            "m.room.member".into(),
            member.to_string(),
        );
        let response = self.call_as(user, request).await?;
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
        match self.call(request).await {
            Err(error) if error.kind() == ErrorKind::UserInUse => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn create_device(&self, user: &UserId) -> Result<()> {
        self.call_as(user, update_device::v3::Request::new(DEVICE_ID.into()))
            .await
            .map(drop)
    }

    async fn set_display_name(&self, user: &UserId, name: &str) -> Result<()> {
        #[expect(
            deprecated,
            reason = "its replacement is of Matrix 1.16; homeservers in use stop at 1.15"
        )]
        let request = set_display_name::v3::Request::new(user.to_owned(), Some(name.to_owned()));
        self.call_as(user, request).await.map(drop)
    }

    async fn join(&self, user: &UserId, room: &RoomId) -> Result<()> {
        self.call_as(user, join_room_by_id::v3::Request::new(room.to_owned()))
            .await
            .map(drop)
    }

    async fn leave(&self, user: &UserId, room: &RoomId, reason: Option<&str>) -> Result<()> {
        let mut request = leave_room::v3::Request::new(room.to_owned());
        request.reason = reason.map(str::to_owned);
        self.call_as(user, request).await.map(drop)
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
        request.name = room.name;
        request.topic = room.topic;
        for state in room.initial_state {
            let event = json!({
                "type": state.event_type, "state_key": state.state_key, "content": state.content,
            });
            request.initial_state.push(raw(&event)?);
        }
        self.call_as(user, request)
            .await
            .map(|response| response.room_id)
    }

    async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>> {
        let response = self.call_as(user, joined_rooms::v3::Request::new()).await?;
        Ok(response.joined_rooms)
    }

    async fn room_state(&self, user: &UserId, room: &RoomId) -> Result<RoomState> {
        let request = get_state_events::v3::Request::new(room.to_owned());
        let response = self.call_as(user, request).await?;
        let mut state = RoomState::default();
        for event in &response.room_state {
            if let Ok(event) = serde_json::from_str(event.json().get()) {
                note(&mut state, event);
            }
        }
        Ok(state)
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
        let device: &DeviceId = DEVICE_ID.into();
        let mut identity = AppserviceUserIdentity::new(user);
        identity.device_id = Some(device);
        self.call_with(request, identity)
            .await
            .map(|response| response.event_id)
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
        self.call_as(user, request)
            .await
            .map(|response| response.event_id)
    }

    async fn ping(&self, txn_id: &str) -> Result<Duration> {
        let mut request = request_ping::v1::Request::new(self.access.appservice_id.clone());
        request.transaction_id = Some(txn_id.into());
        self.call(request).await.map(|response| response.duration)
    }

    async fn whoami(&self) -> Result<OwnedUserId> {
        self.call(whoami::v3::Request::new())
            .await
            .map(|response| response.user_id)
    }
}

impl HttpHomeserver {
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
        self.call_as(user, request).await.map(drop)
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
struct MemberContent {
    membership: String,
    #[serde(default)]
    displayname: Option<String>,
}

/// Takes one state event in; what cannot be read says nothing.
fn note(state: &mut RoomState, event: StateEvent) {
    match (event.event_type.as_str(), event.state_key.as_str()) {
        ("m.room.member", user) => state.members.extend(member(user, event.content)),
        ("m.room.encryption", "") => state.encrypted = true,
        ("m.room.name", "") => {
            state.name = event
                .content
                .get("name")
                .and_then(Value::as_str)
                .map(str::to_owned);
        }
        (MARKER_TYPE, "") => state.marker = Some(event.content),
        _ => {}
    }
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

/// Reads an answer to its end, but no more than [`MAX_ANSWER`].
async fn whole(mut response: reqwest::Response) -> Result<http::Response<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(MatrixError::impossible(
                "the homeserver's answer is too long",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = http::Response::new(body.freeze());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

fn refusal(answer: &http::Response<Bytes>) -> MatrixError {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let seconds = answer.headers().get(http::header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = body
        .get("retry_after_ms")
        .and_then(Value::as_u64)
        .map(Duration::from_millis);
    let after = after.or_else(|| seconds.map(Duration::from_secs));
    let errcode = body.get("errcode").and_then(Value::as_str);
    MatrixError::refused(answer.status().as_u16(), errcode, after)
}

/// Only the kind of trouble: the text of a [`reqwest::Error`] holds the URL, and so phone numbers.
fn unanswered(error: &reqwest::Error) -> MatrixError {
    let trouble = match error {
        error if error.is_timeout() => "timed out",
        error if error.is_connect() => "cannot connect",
        _ => "the connection broke",
    };
    match io_error(error) {
        Some(kind) => MatrixError::unanswered(format!("{trouble} ({kind})")),
        None => MatrixError::unanswered(trouble),
    }
}

fn io_error(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}
