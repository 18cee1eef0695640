//! A person with a Matrix client: what such a client does, over the homeserver's client API.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use super::http::Api;
use super::room::{Timeline, id, text};
use super::wait::{PATIENCE, until};

const ROOMS: &str = "/_matrix/client/v3/rooms";

/// How long one sync waits for news; short enough that a deadline is noticed.
const LONG_POLL: &str = "5000";

/// A logged-in user.
#[derive(Debug)]
pub(crate) struct User {
    /// The full Matrix id.
    pub(crate) id: String,
    api: Api,
    transactions: AtomicU64,
}

impl User {
    /// The owner of an access token, which `api` bears.
    pub(crate) fn new(api: Api, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            api,
            transactions: AtomicU64::new(0),
        }
    }

    /// Registers an ordinary user at a homeserver and logs in.
    pub(crate) async fn register(api: &Api, name: &str) -> Self {
        let body = json!({
            "username": name,
            "password": format!("password of {name}"),
            "auth": { "type": "m.login.dummy" },
        });
        let answer = api
            .send(Method::POST, &["/_matrix/client/v3/register"], &body)
            .await;
        let token = text(&answer["access_token"]);
        Self::new(api.with_token(token), text(&answer["user_id"]))
    }

    // --- rooms -----------------------------------------------------------------------------------

    /// Opens a direct room with somebody, as a client's "start chat" does.
    pub(crate) async fn direct_room(&self, with: &str) -> String {
        let invite = [with];
        self.create_room(&json!({
            "preset": "trusted_private_chat", "is_direct": true, "invite": invite
        }))
        .await
    }

    /// Opens a group with these people and phones.
    pub(crate) async fn group(&self, name: &str, invite: &[&str]) -> String {
        self.create_room(&json!({ "preset": "private_chat", "name": name, "invite": invite }))
            .await
    }

    /// Creates a room. Returns its id.
    pub(crate) async fn create_room(&self, room: &Value) -> String {
        let path = ["/_matrix/client/v3/createRoom"];
        text(&self.api.send(Method::POST, &path, room).await["room_id"]).to_owned()
    }

    /// Accepts an invitation.
    pub(crate) async fn join(&self, room: &str) {
        self.api
            .send(Method::POST, &[ROOMS, room, "join"], &json!({}))
            .await;
    }

    /// Leaves a room.
    pub(crate) async fn leave(&self, room: &str) {
        self.api
            .send(Method::POST, &[ROOMS, room, "leave"], &json!({}))
            .await;
    }

    /// Invites a user.
    pub(crate) async fn invite(&self, room: &str, user: &str) {
        self.api
            .send(
                Method::POST,
                &[ROOMS, room, "invite"],
                &json!({ "user_id": user }),
            )
            .await;
    }

    /// Removes a user from a room.
    pub(crate) async fn kick(&self, room: &str, user: &str) {
        self.api
            .send(
                Method::POST,
                &[ROOMS, room, "kick"],
                &json!({ "user_id": user }),
            )
            .await;
    }

    /// Replaces a room by a new one. Returns the new one.
    pub(crate) async fn upgrade(&self, room: &str) -> String {
        let path = [ROOMS, room, "upgrade"];
        let version = json!({ "new_version": "12" });
        let answer = self.api.send(Method::POST, &path, &version).await;
        text(&answer["replacement_room"]).to_owned()
    }

    /// Turns encryption on, as clients that encrypt do when they make a room.
    pub(crate) async fn encrypt(&self, room: &str) {
        let path = [ROOMS, room, "state", "m.room.encryption", ""];
        let content = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
        self.api.send(Method::PUT, &path, &content).await;
    }

    // --- messages --------------------------------------------------------------------------------

    /// Writes a text. Returns its event id.
    pub(crate) async fn write(&self, room: &str, body: &str) -> String {
        self.send(room, &json!({ "msgtype": "m.text", "body": body }))
            .await
    }

    /// Writes a text to a homeserver that may be away: as often as it takes, with one transaction
    /// id, as clients do. Returns its event id.
    pub(crate) async fn insists(&self, room: &str, body: &str) -> String {
        let path = [ROOMS, room, "send", "m.room.message", &self.transaction()];
        let content = json!({ "msgtype": "m.text", "body": body });
        until("the homeserver takes a text", async || {
            let answer = self.api.attempt(Method::PUT, &path, &[], Some(&content));
            let answer = answer.await.ok()?;
            answer
                .status
                .is_success()
                .then(|| id(&answer.body).to_owned())
        })
        .await
    }

    /// Writes a text as the answer to an event, with the fallback that older clients add.
    pub(crate) async fn reply(&self, room: &str, to: &str, body: &str) -> String {
        self.send(
            room,
            &json!({
                "msgtype": "m.text",
                "body": format!("> <@somebody:{}> what was said\n\n{body}", super::synapse::SERVER),
                "format": "org.matrix.custom.html",
                "formatted_body": format!("<mx-reply>what was said</mx-reply>{body}"),
                "m.relates_to": { "m.in_reply_to": { "event_id": to } },
            }),
        )
        .await
    }

    /// Replaces the text of an event.
    pub(crate) async fn edit(&self, room: &str, event: &str, body: &str) -> String {
        self.send(
            room,
            &json!({
                "msgtype": "m.text",
                "body": format!("* {body}"),
                "m.new_content": { "msgtype": "m.text", "body": body },
                "m.relates_to": { "rel_type": "m.replace", "event_id": event },
            }),
        )
        .await
    }

    /// Reacts to an event.
    pub(crate) async fn react(&self, room: &str, event: &str, key: &str) -> String {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
        self.send_as(room, "m.reaction", &json!({ "m.relates_to": relation }))
            .await
    }

    /// Takes an event back.
    pub(crate) async fn redact(&self, room: &str, event: &str) {
        let path = [ROOMS, room, "redact", event, &self.transaction()];
        self.api.send(Method::PUT, &path, &json!({})).await;
    }

    /// Sends the content of a message.
    pub(crate) async fn send(&self, room: &str, content: &Value) -> String {
        self.send_as(room, "m.room.message", content).await
    }

    /// Sends an event of any type. Returns its id.
    pub(crate) async fn send_as(&self, room: &str, kind: &str, content: &Value) -> String {
        let path = [ROOMS, room, "send", kind, &self.transaction()];
        id(&self.api.send(Method::PUT, &path, content).await).to_owned()
    }

    fn transaction(&self) -> String {
        self.transactions
            .fetch_add(1, Ordering::Relaxed)
            .to_string()
    }

    // --- reading ---------------------------------------------------------------------------------

    /// All of a room that this user can see now, page by page from its newest event.
    pub(crate) async fn read(&self, room: &str) -> Timeline {
        let mut events: Vec<Value> = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let mut query = vec![("dir", "b"), ("limit", "500")];
            query.extend(from.as_deref().map(|from| ("from", from)));
            let page = self.api.get(&[ROOMS, room, "messages"], &query).await;
            events.extend(page["chunk"].as_array().into_iter().flatten().cloned());
            match page["end"].as_str() {
                Some(end)
                    if page["chunk"]
                        .as_array()
                        .is_some_and(|chunk| !chunk.is_empty()) =>
                {
                    from = Some(end.to_owned());
                }
                _ => break,
            }
        }
        events.reverse();
        Timeline(events)
    }

    /// Reads the room again whenever anything happens, until `seen` finds what it looks for. Fails
    /// with the room's content after [`PATIENCE`].
    pub(crate) async fn until<T>(
        &self,
        room: &str,
        what: &str,
        mut seen: impl FnMut(&Timeline) -> Option<T>,
    ) -> T {
        let mut latest = Timeline::default();
        let looking = async {
            let mut since = self.position().await;
            loop {
                latest = self.read(room).await;
                if let Some(found) = seen(&latest) {
                    return found;
                }
                since = self.sync(&since).await.0;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("{} did not see: {what}. The room:\n{latest}", self.id))
    }

    /// Waits until the room is as `is_so` says.
    pub(crate) async fn sees(
        &self,
        room: &str,
        what: &str,
        mut is_so: impl FnMut(&Timeline) -> bool,
    ) {
        self.until(room, what, |timeline| is_so(timeline).then_some(()))
            .await;
    }

    /// Waits for a text of a sender with exactly this body. Returns the event's id.
    pub(crate) async fn hears(&self, room: &str, sender: &str, body: &str) -> String {
        let is_it = |event: &&Value| event["sender"] == sender && event["content"]["body"] == body;
        self.until(room, &format!("{sender} says {body:?}"), |timeline| {
            timeline
                .messages()
                .find(is_it)
                .map(|event| id(event).to_owned())
        })
        .await
    }

    /// Waits until a user has joined. Returns the display name.
    pub(crate) async fn sees_join(&self, room: &str, user: &str) -> String {
        self.until(room, &format!("{user} joins"), |timeline| {
            let member = timeline.membership(user)?;
            (member["membership"] == "join").then(|| text(&member["displayname"]).to_owned())
        })
        .await
    }

    /// Waits for an invitation by a user. Returns the room.
    pub(crate) async fn is_invited(&self, by: &str) -> String {
        let looking = async {
            let (mut since, mut news) = self.sync("").await;
            loop {
                if let Some(room) = invitation(&news, by) {
                    return room;
                }
                (since, news) = self.sync(&since).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("{by} did not invite {}", self.id))
    }

    /// Where the stream of news is now.
    async fn position(&self) -> String {
        let query = [("filter", r#"{"room":{"timeline":{"limit":1}}}"#)];
        let answer = self.api.get(&["/_matrix/client/v3/sync"], &query).await;
        text(&answer["next_batch"]).to_owned()
    }

    /// News since a position, after waiting for some; all that is, where `since` is empty.
    async fn sync(&self, since: &str) -> (String, Value) {
        let mut query = vec![("timeout", LONG_POLL)];
        if !since.is_empty() {
            query.push(("since", since));
        }
        let news = self.api.get(&["/_matrix/client/v3/sync"], &query).await;
        (text(&news["next_batch"]).to_owned(), news)
    }
}

fn invitation(news: &Value, by: &str) -> Option<String> {
    let rooms = news["rooms"]["invite"].as_object()?;
    let invites = |room: &Value| {
        let state = room["invite_state"]["events"].as_array();
        state
            .into_iter()
            .flatten()
            .any(|event| event["sender"] == by && event["content"]["membership"] == "invite")
    };
    rooms
        .iter()
        .find(|(_, room)| invites(room))
        .map(|(id, _)| id.clone())
}
