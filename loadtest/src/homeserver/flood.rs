//! People who write at a constant rate.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use crate::homeserver::hub::Hub;
use crate::load::clock;
use crate::load::pace::Pace;

/// How many messages that are due are written at once.
const BATCH: usize = 100;

/// A room of one person and one phone.
#[derive(Debug, Clone, serde::Serialize, Deserialize)]
pub struct Pair {
    /// The room.
    pub room: String,
    /// The person.
    pub user: String,
    /// The phone's ghost.
    pub ghost: String,
}

/// How much is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// Messages per second over all rooms.
    pub rate: NonZeroU32,
    /// How many messages.
    pub count: u64,
    /// How long the rate takes to build up.
    #[serde(default)]
    pub ramp_ms: u64,
    /// What each message says before its stamp.
    #[serde(default = "word")]
    pub text: String,
    /// Where; the rooms take turns.
    pub rooms: Vec<Pair>,
}

fn word() -> String {
    "load".to_owned()
}

/// Writes until all is written: in each room `TEXT #NUMBER @MILLISECONDS`, the number counted from 0
/// over all rooms, and with the time at which the message was due (Unix time).
pub(crate) async fn flood(hub: Arc<Hub>, flood: Flood) {
    let pace = Pace::new(flood.rate, Duration::from_millis(flood.ramp_ms));
    let (start, start_ms) = (clock::now(), clock::unix_ms());
    let mut due = (0..flood.count).zip(flood.rooms.iter().cycle()).peekable();
    while let Some((next, _)) = due.peek() {
        let at = start + pace.at(*next);
        if at > clock::now() {
            sleep_until(at.into()).await;
        } else {
            // It is behind its time: others have to get their turn all the same.
            yield_now().await;
        }
        let elapsed = clock::now().saturating_duration_since(start);
        let batch = std::iter::from_fn(|| due.next_if(|(number, _)| pace.at(*number) <= elapsed));
        let said: Vec<_> = batch
            .take(BATCH)
            .map(|(number, pair)| {
                let at = pace.at(number).as_millis();
                let due_ms = start_ms + u64::try_from(at).unwrap_or(0);
                let body = format!("{} #{number} @{due_ms}", flood.text);
                (pair, json!({ "msgtype": "m.text", "body": body }))
            })
            .collect();
        let count = u64::try_from(said.len()).unwrap_or(u64::MAX);
        hub.model(|model, now| {
            for (pair, content) in said {
                model.say(now, &pair.room, &pair.user, content);
            }
        });
        hub.counts().flooded += count;
    }
}
