//! What this Redis is, and whether it keeps what it is given.

use redis::{Cmd, ConnectionLike, RedisResult, Value};
use tracing::{info, warn};

use super::Settings;
use crate::store::{Result, StoreError};

/// The first version with functions.
const MIN_VERSION: (u32, u32) = (7, 0);
/// How long replicas are waited for at a time, in milliseconds.
const WAIT: u32 = 1_000;

/// What a Redis keeps of what it has answered, when its machine loses power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// Not known: it does not tell.
    Unknown,
    /// Nothing since its last snapshot, if there is one.
    None,
    /// All but the last second or two (`appendfsync everysec`).
    Everysec,
    /// All (`appendfsync always`).
    Always,
}

/// What was found out.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) version: (u32, u32),
    pub(crate) durability: Durability,
    /// Whether it may throw rows away; `None` where it does not tell.
    pub(crate) evicts: Option<bool>,
}

/// Asks.
pub(super) fn look(connection: &mut dyn ConnectionLike) -> RedisResult<Facts> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let text = texts(&info.query::<Value>(connection)?);
    let version = text
        .iter()
        .flat_map(|text| text.lines())
        .find_map(version)
        .unwrap_or_default();
    Ok(Facts {
        version,
        durability: durability(
            config(connection, "appendonly").as_deref(),
            config(connection, "appendfsync").as_deref(),
        ),
        evicts: config(connection, "maxmemory-policy").map(|policy| policy != "noeviction"),
    })
}

/// Every text in an answer: a Cluster gives one for each node.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(octets) => vec![String::from_utf8_lossy(octets).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs
            .iter()
            .flat_map(|(key, value)| [texts(key), texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

/// Valkey says in `redis_version` what it is compatible with: 7.2.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("redis_version:")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.trim().parse().ok()?;
    Some((major, minor))
}

/// A setting; `None` where this Redis does not tell, as those that others run often do not.
fn config(connection: &mut dyn ConnectionLike, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let answer = command.query::<Value>(connection).ok()?;
    let texts = texts(&answer);
    let at = texts.iter().position(|text| text == name)?;
    texts.get(at + 1).cloned()
}

fn durability(appendonly: Option<&str>, appendfsync: Option<&str>) -> Durability {
    match (appendonly, appendfsync) {
        (Some("yes"), Some("always")) => Durability::Always,
        (Some("yes"), Some("everysec")) => Durability::Everysec,
        (Some(_), Some(_)) => Durability::None,
        _ => Durability::Unknown,
    }
}

impl Durability {
    /// As it stands in settings and metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }
}

impl Facts {
    /// Says what is in force, and refuses what would lose more than the settings allow.
    pub(super) fn judge(&self, wanted: &Settings) -> Result<()> {
        if self.version < MIN_VERSION {
            let (major, minor) = self.version;
            return refuse(format!("Redis is {major}.{minor}; 7.0 or later is needed"));
        }
        match self.evicts {
            Some(true) if !wanted.allow_eviction => {
                return refuse(
                    "Redis throws rows away when its memory is full; set maxmemory-policy to \
                     noeviction, or store.redis.allow_eviction = true"
                        .to_owned(),
                );
            }
            Some(true) => warn!("this Redis throws rows away when its memory is full"),
            None => warn!("this Redis does not tell its maxmemory-policy; it must be noeviction"),
            Some(false) => {}
        }
        match self.durability {
            Durability::Unknown => {
                warn!("this Redis does not tell how it persists; the store is as durable as that");
            }
            found if found < wanted.durability => {
                return refuse(format!(
                    "Redis keeps less than store.redis.durability asks for ({found:?}, not {:?}); \
                     set appendonly yes and appendfsync, or ask for less",
                    wanted.durability
                ));
            }
            found => info!(durability = ?found, "what Redis keeps when its machine loses power"),
        }
        Ok(())
    }

    /// What waits for replicas, where any are wanted: until they have synced, where Redis knows how to
    /// ask that.
    pub(super) fn wait_command(&self, settings: &Settings) -> Option<Cmd> {
        if settings.replicas == 0 {
            return None;
        }
        if self.version >= (7, 2) && settings.durability >= Durability::Everysec {
            let mut command = redis::cmd("WAITAOF");
            command.arg(0).arg(settings.replicas).arg(WAIT);
            return Some(command);
        }
        let mut command = redis::cmd("WAIT");
        command.arg(settings.replicas).arg(WAIT);
        Some(command)
    }
}

/// How many replicas an answer to [`Facts::wait_command`] counts.
pub(super) fn reached(answer: &Value) -> i64 {
    match answer {
        Value::Int(replicas) => *replicas,
        Value::Array(both) => both.last().map_or(0, reached),
        _ => 0,
    }
}

fn refuse(reason: String) -> Result<()> {
    Err(StoreError::Conflict(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_says() {
        assert_eq!(version("redis_version:7.0.15"), Some((7, 0)));
        assert_eq!(version("os:Linux 6"), None);
    }

    #[test]
    fn what_is_not_told_is_not_taken_for_durable() {
        assert_eq!(durability(Some("yes"), Some("always")), Durability::Always);
        assert_eq!(durability(Some("no"), Some("always")), Durability::None);
        assert_eq!(durability(Some("yes"), Some("no")), Durability::None);
        assert_eq!(durability(None, None), Durability::Unknown);
    }
}
