//! Rows in Redis 7 or later, or Valkey: a hash for each table, a sorted set for the timers.
//!
//! All keys of a store share one hash tag, and so one slot and one primary of a Cluster: each commit is
//! one call of one function ([`functions.lua`](../../../../src/store/redis/functions.lua)), which Redis runs without anything in between. There is
//! no step across slots that could be left half done.
//!
//! - **One owner.** Who opens the store takes it over and gets an *epoch*, a number one higher than any
//!   before. Every commit names its epoch and is refused once a newer one was given out, however late it
//!   comes. The owner's key expires by itself: that only tells others when they may try.
//! - **Exactly once.** Every commit has a number, which is kept with what it wrote. Where the answer is
//!   lost with the connection, the same commit is sent again until there is an answer, and one that has
//!   been done says so and changes nothing. Until then nobody is told anything.
//! - **Durable** as far as Redis is: see [`Durability`].

mod connect;
mod probe;
#[cfg(test)]
pub(in crate::store) mod tests;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tracing::{info, warn};

use self::connect::Connector;
pub(crate) use self::connect::Place;
pub(crate) use self::probe::Durability;
use self::probe::Facts;
use super::base::{Base, Octets, Page, Write};
use super::ownership::{self, Ownership};
use super::table::AnyRow;
use super::tables::TableId;
use super::{Result, StoreError};

/// The longest that a standby sleeps: an owner that is stopped hands over at once.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// How long whoever does not wait for other owners waits for Redis itself.
const REACH: Duration = Duration::from_secs(10);

const FUNCTIONS: &str = include_str!("functions.lua");

/// What is to be known of the Redis to use.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it is.
    pub(crate) place: Place,
    /// Begins the name of every key, as its hash tag.
    pub(crate) prefix: String,
    /// How long an owner that says nothing stays the owner.
    pub(crate) owner_ttl: Duration,
    /// What it must keep of a commit that it has answered.
    pub(crate) durability: Durability,
    /// How many replicas must have a commit before it counts.
    pub(crate) replicas: u32,
    /// Take one that may throw rows away when its memory is full.
    pub(crate) allow_eviction: bool,
    /// How long the last owner is waited for, and Redis itself if that is longer than [`REACH`]; `None`
    /// for as long as it takes.
    pub(crate) patience: Option<Duration>,
}

/// A store's rows in Redis, as their owner sees them.
#[derive(Debug)]
pub(crate) struct Redis {
    settings: Settings,
    connector: Connector,
    epoch: String,
    /// Of the last commit.
    number: u64,
    facts: Facts,
    ownership: Arc<Ownership>,
    /// When the owner last said that it is alive, on the clock of [`ownership::now`].
    alive_at: u64,
}

impl Redis {
    /// Connects, looks whether this Redis keeps what it is given, and takes the store over; waits
    /// while another owner is alive. Blocks.
    ///
    /// Fails with [`StoreError::Conflict`] where this Redis would lose what the settings want kept, and
    /// with [`StoreError::Unavailable`] when its patience with another owner, or with a Redis that does not
    /// answer, is at its end.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let ownership = Ownership::not_yet();
        let patience = settings.patience.map(|patience| patience.max(REACH));
        let mut connector =
            Connector::new(settings.place.clone(), Arc::clone(&ownership), patience);
        let facts = connector.until_answered(|connection| probe::look(connection))?;
        facts.judge(&settings)?;
        connector.until_answered(load_functions)?;
        let mut redis = Self {
            settings,
            connector,
            epoch: String::new(),
            number: 0,
            facts,
            ownership,
            alive_at: 0,
        };
        redis.take_over()?;
        Ok(redis)
    }

    /// What it keeps of what it has answered.
    pub(crate) fn durability(&self) -> Durability {
        self.facts.durability
    }

    fn take_over(&mut self) -> Result<()> {
        let mut command = Self::call("take_over", &[&self.key("owner"), &self.key("epoch")]);
        command.arg(millis(self.settings.owner_ttl));
        let pause = MAX_PAUSE.min(self.settings.owner_ttl / 10);
        let mut waited = Duration::ZERO;
        loop {
            let asked = ownership::now();
            let epoch: String = self.connector.query(&command)?;
            if epoch != "0" {
                self.epoch = epoch;
                self.is_alive(asked);
                return Ok(());
            }
            if self
                .settings
                .patience
                .is_some_and(|patience| waited >= patience)
            {
                let reason = "another gateway works with this store; ask it instead";
                return Err(StoreError::Unavailable(reason.to_owned()));
            }
            if waited.is_zero() {
                info!("another gateway works with this store; waiting until it ends");
            }
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    /// What was asked for then has been done in this owner's name.
    fn is_alive(&mut self, asked: u64) {
        self.alive_at = asked;
        self.ownership.renew(asked, self.settings.owner_ttl);
    }

    /// Says that the owner is alive where it has not done so for a while. An operation that reads for
    /// long, such as the first one, would be taken for a dead owner's.
    fn keep_in_time(&mut self) -> Result<()> {
        let silent_for = ownership::now().saturating_sub(self.alive_at);
        if silent_for < millis(self.settings.owner_ttl) / 3 {
            return Ok(());
        }
        self.keep()
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.settings.prefix)
    }

    fn table(&self, table: TableId) -> String {
        self.key(table.kind().name)
    }

    /// A call of one of the functions with its keys; the arguments are to follow.
    fn call(function: &str, keys: &[&String]) -> Cmd {
        let mut command = redis::cmd("FCALL");
        command
            .arg(format!("matrix_smpp_{function}_1"))
            .arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        command
    }

    /// The call that writes these rows under a number.
    fn commit_command(&self, writes: &[Write], number: u64) -> Cmd {
        let of_tables: Vec<&[Write]> = writes.chunk_by(|a, b| a.table == b.table).collect();
        let mut keys = vec![self.key("owner"), self.key("epoch"), self.key("commit")];
        keys.extend(
            of_tables
                .iter()
                .filter_map(|rows| rows.first())
                .map(|row| self.table(row.table)),
        );
        let mut command = Self::call("commit", &keys.iter().collect::<Vec<_>>());
        command
            .arg(&self.epoch)
            .arg(millis(self.settings.owner_ttl))
            .arg(format!("{}:{number}", self.epoch));
        for rows in of_tables {
            add_rows(&mut command, rows);
        }
        command
    }

    /// A page of the timers, in order.
    fn scan_timers(&mut self, from: Option<&str>, limit: usize) -> Result<Page> {
        let mut command = redis::cmd("ZRANGEBYLEX");
        command
            .arg(self.table(TableId::Timers))
            .arg(from.map_or_else(|| "-".to_owned(), |from| format!("({from}")))
            .arg("+")
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        let keys: Vec<String> = self.connector.query(&command)?;
        let next = keys.last().filter(|_| keys.len() == limit).cloned();
        let row: AnyRow = Arc::new(());
        let octets = (TableId::Timers.kind().encode)(&row)?;
        let rows = keys.into_iter().map(|key| (key, octets.clone())).collect();
        Ok(Page { rows, next })
    }

    /// Waits until enough replicas have what was committed.
    fn replicated(&mut self) -> Result<()> {
        if self.settings.replicas == 0 {
            return Ok(());
        }
        let command = self.facts.wait_command(&self.settings);
        loop {
            let reached = self.connector.query::<Value>(&command)?;
            if probe::reached(&reached) >= i64::from(self.settings.replicas) {
                return Ok(());
            }
            if self.ownership.is_closing() {
                let reason = "too few replicas have the last commit".to_owned();
                return Err(StoreError::Unavailable(reason));
            }
            warn!("too few replicas have the last commit; waiting for them");
        }
    }
}

/// Adds a table's rows to a commit.
fn add_rows(command: &mut Cmd, rows: &[Write]) {
    let is_sorted = rows.first().is_some_and(|row| row.table == TableId::Timers);
    let sets = rows.iter().filter(|row| row.value.is_some()).count();
    command
        .arg(if is_sorted { "sorted" } else { "hash" })
        .arg(2 * sets)
        .arg(rows.len() - sets);
    for row in rows {
        match &row.value {
            Some(_) if is_sorted => command.arg(0).arg(&*row.key),
            Some(octets) => command.arg(&*row.key).arg(&octets[..]),
            None => continue,
        };
    }
    for row in rows.iter().filter(|row| row.value.is_none()) {
        command.arg(&*row.key);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Loads the functions where they are missing. Their names carry a version, so that instances of two
/// versions can meet.
fn load_functions(connection: &mut dyn redis::ConnectionLike) -> redis::RedisResult<()> {
    let mut command = redis::cmd("FUNCTION");
    command.arg("LOAD").arg("REPLACE").arg(FUNCTIONS);
    command.query::<Value>(connection).map(drop)
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.code() == Some("NOTOWNER") {
            return Self::Lost;
        }
        match error.kind() {
            ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Whether the same command may be answered otherwise later.
fn is_passing(error: &RedisError) -> bool {
    let by_server = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    );
    // Sentinels forget a primary for a moment while they replace it.
    let by_sentinels = matches!(
        error.kind(),
        ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel
    );
    by_server
        || by_sentinels
        || error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
}

impl Base for Redis {
    fn twin(&self) -> Result<Box<dyn Base>> {
        Ok(Box::new(Self {
            settings: self.settings.clone(),
            connector: self.connector.twin(),
            epoch: self.epoch.clone(),
            number: self.number,
            facts: self.facts.clone(),
            ownership: Arc::clone(&self.ownership),
            alive_at: self.alive_at,
        }))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        self.keep_in_time()?;
        let mut found = Vec::with_capacity(keys.len());
        // The function hands over some thousand keys of one table at most.
        for keys in keys.chunks(2_000) {
            let of_tables: Vec<_> = keys.chunk_by(|a, b| a.0 == b.0).collect();
            let tables: Vec<String> = of_tables
                .iter()
                .filter_map(|rows| rows.first())
                .map(|(table, _)| self.table(*table))
                .collect();
            let mut command = Self::call("read", &tables.iter().collect::<Vec<_>>());
            for rows in of_tables {
                command.arg(rows.len());
                for (_, key) in rows {
                    command.arg(*key);
                }
            }
            let rows: Vec<Vec<Option<Octets>>> = self.connector.query(&command)?;
            found.extend(rows.into_iter().flatten());
        }
        Ok(found)
    }

    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
        self.keep_in_time()?;
        if table == TableId::Timers {
            return self.scan_timers(from, limit);
        }
        let mut command = redis::cmd("HSCAN");
        command
            .arg(self.table(table))
            .arg(from.unwrap_or("0"))
            .arg("COUNT")
            .arg(limit);
        let (next, rows): (String, Vec<(String, Octets)>) = self.connector.query(&command)?;
        let next = (next != "0").then_some(next);
        Ok(Page { rows, next })
    }

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        let mut command = redis::cmd("ZRANGEBYLEX");
        command
            .arg(self.table(TableId::Timers))
            .arg("-")
            .arg(format!("({until}"))
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        self.connector.query(&command)
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        let count = if table == TableId::Timers {
            "ZCARD"
        } else {
            "HLEN"
        };
        let mut command = redis::cmd(count);
        command.arg(self.table(table));
        self.connector.query(&command)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        self.number += 1;
        let command = self.commit_command(writes, self.number);
        let asked = ownership::now();
        self.connector.query_until_known::<Value>(&command)?;
        self.is_alive(asked);
        self.replicated()
    }

    fn keep(&mut self) -> Result<()> {
        let mut command = Self::call("keep", &[&self.key("owner"), &self.key("epoch")]);
        command
            .arg(&self.epoch)
            .arg(millis(self.settings.owner_ttl));
        let asked = ownership::now();
        self.connector.query::<Value>(&command)?;
        self.is_alive(asked);
        Ok(())
    }

    fn ownership(&self) -> Arc<Ownership> {
        Arc::clone(&self.ownership)
    }

    fn close(&mut self) {
        let mut command = Self::call("give_up", &[&self.key("owner"), &self.key("epoch")]);
        command.arg(&self.epoch);
        self.ownership.end();
        // Where it fails, the key expires by itself.
        drop(self.connector.query_once::<Value>(&command));
    }
}
