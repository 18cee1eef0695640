//! Rows in Redis 7 or later, or Valkey: a hash for each table, a sorted set for the timers.
//!
//! All keys of a store share one hash tag, and so one slot and one primary of a Cluster: each commit is
//! one call of one function ([`functions.lua`](../../../../src/store/redis/functions.lua)), which Redis runs without anything in between. There is
//! no step across slots that could be left half done.
//!
//! - **One owner.** Who opens the store takes it over and gets an *epoch*, a number one higher than any
//!   before. Every commit names its epoch and is refused once a newer one was given out, however late it
//!   comes. The owner's key expires by itself: that only tells others when they may try. Beside it
//!   stands how they reach the owner ([`Standing`]), under the same epoch, and counts only with it.
//! - **Exactly once.** Every commit has a number, which is kept with what it wrote. Where the answer is
//!   lost with the connection, the same commit is sent again until there is an answer, and one that has
//!   been done says so and changes nothing. Until then nobody is told anything.
//! - **Without gaps.** Every commit and every reading names the commit before it. A Redis that fell back
//!   to an older state, as a replica does that takes over before it has everything, says so, and the
//!   owner sends again what is missing, from its [`Journal`].
//! - **Durable** as far as Redis is: see [`Durability`].

mod call;
mod connect;
mod failure;
mod journal;
mod probe;
mod read;
#[cfg(test)]
pub(in crate::store) mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use tracing::{info, warn};
use uuid::Uuid;

pub(crate) use self::connect::Place;
use self::connect::{Connector, Wire};
use self::journal::{Commit, Journal};
pub(crate) use self::probe::Durability;
use self::probe::Facts;
use super::base::{Base, Octets, Page, Write};
use super::ownership::{self, Ownership};
use super::standing::{Reach, Sight, Standing};
use super::tables::TableId;
use super::{Result, StoreError};

/// The longest that a standby sleeps: an owner that is stopped hands over at once.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// How long an owner may take at most to find a Redis again that was away.
const GRACE: Duration = Duration::from_secs(5);

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
    /// What the others are told of this one, and what it sees of them.
    pub(crate) standing: Standing,
}

/// A store's rows in Redis, as their owner sees them.
#[derive(Debug)]
pub(crate) struct Redis {
    settings: Settings,
    connector: Connector,
    epoch: String,
    /// The number of the last commit before this owner's first one; empty where there was none.
    found: String,
    /// How many commits this owner has made that are surely done.
    done: Arc<AtomicU64>,
    /// Held while a commit is under way.
    journal: Arc<Mutex<Journal>>,
    facts: Facts,
    ownership: Arc<Ownership>,
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
        let (place, key) = (
            settings.place.clone(),
            call::key(&settings.prefix, "commit"),
        );
        let mut connector = Connector::new(place, key, Arc::clone(&ownership), patience);
        let facts = connector.until_answered(|connection| probe::look(connection))?;
        facts.judge(&settings)?;
        connector.until_answered(load_functions)?;
        let mut redis = Self {
            settings,
            connector,
            epoch: String::new(),
            found: String::new(),
            done: Arc::default(),
            journal: Arc::default(),
            facts,
            ownership,
        };
        redis.take_over()?;
        Ok(redis)
    }

    /// What it keeps of what it has answered.
    pub(crate) fn durability(&self) -> Durability {
        self.facts.durability
    }

    fn take_over(&mut self) -> Result<()> {
        let mut command = self.call("take_over", &["owner", "epoch", "door", "commit"]);
        let name = Uuid::new_v4().simple().to_string();
        command.arg(millis(self.settings.owner_ttl));
        command.arg(self.settings.standing.reach()).arg(name);
        let pause = MAX_PAUSE.min(self.settings.owner_ttl / 10);
        let mut waited = Duration::ZERO;
        loop {
            let asked = ownership::now();
            let (epoch, told) = self.ask_for_it(&command)?;
            if epoch != "0" {
                self.journal().latest.clone_from(&told);
                (self.epoch, self.found) = (epoch, told);
                self.is_alive(asked);
                self.settings.standing.see(Sight::Ours);
                return Ok(());
            }
            let owner = Reach::from_text(&told);
            let sight = owner.map_or(Sight::Nobody, Sight::Other);
            self.settings.standing.see(sight);
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

    /// Asks to become the owner. Where Redis was away meanwhile the last owner goes first: what a replica
    /// lacks only it can send again, and it could not say that it lives.
    fn ask_for_it(&mut self, command: &Cmd) -> Result<(String, String)> {
        let grace = GRACE.min(self.settings.owner_ttl);
        let mut was_away = false;
        self.connector.until_answered(|connection| {
            if was_away {
                std::thread::sleep(grace);
            }
            was_away = true;
            command.query(connection)
        })
    }

    /// What was asked for then has been done in this owner's name.
    fn is_alive(&self, asked: u64) {
        self.ownership.renew(asked, self.settings.owner_ttl);
    }

    /// Says that the owner is alive where it has not done so for a while. An operation that reads for
    /// long, such as the first one, would be taken for a dead owner's.
    fn keep_in_time(&mut self) -> Result<()> {
        if self.ownership.next_sign().is_some_and(|at| at.is_zero()) {
            self.keep()?;
        }
        Ok(())
    }

    fn table(&self, table: TableId) -> String {
        call::key(&self.settings.prefix, table.kind().name)
    }

    fn call(&self, function: &str, keys: &[&str]) -> Cmd {
        call::function(&self.settings.prefix, function, keys)
    }

    /// The call that writes these rows under a number.
    fn commit_command(&self, writes: &[Write], before: &str, number: &str) -> Cmd {
        let of_tables = call::by_table(writes);
        let mut keys = vec!["owner", "epoch", "commit"];
        keys.extend(of_tables.iter().map(|(table, _)| *table));
        let mut command = self.call("commit", &keys);
        command
            .arg(&self.epoch)
            .arg(millis(self.settings.owner_ttl))
            .arg(number)
            .arg(before);
        for (_, rows) in of_tables {
            call::add_rows(&mut command, rows);
        }
        command
    }

    /// Sends the commits of the journal from this place on, and waits until enough replicas have them;
    /// goes back where Redis has lost some.
    fn send(&mut self, journal: &Journal, mut place: usize) -> Result<()> {
        let wait = self.facts.wait_command(&self.settings);
        while let Some(commit) = journal.at(place) {
            let answer = self
                .connector
                .query_until_known(&commit.command, wait.as_ref())?;
            match answer {
                (Value::BulkString(latest), _) => {
                    place = journal.after(&String::from_utf8_lossy(&latest))?;
                }
                (_, replicas) if self.is_enough(&replicas) => place += 1,
                _ if self.ownership.is_closing() => {
                    let reason = "too few replicas have the last commit".to_owned();
                    return Err(StoreError::Unavailable(reason));
                }
                _ => warn!("too few replicas have the last commit; waiting for them"),
            }
        }
        Ok(())
    }

    fn is_enough(&self, replicas: &Value) -> bool {
        probe::reached(replicas) >= i64::from(self.settings.replicas)
    }

    /// Sends again what Redis lacks, unless the one who commits has done so already.
    fn mend(&mut self) -> Result<()> {
        let journal = Arc::clone(&self.journal);
        let journal = lock(&journal);
        let mut command = redis::cmd("GET");
        command.arg(call::key(&self.settings.prefix, "commit"));
        let latest: Option<String> = self.connector.query(&command)?;
        let latest = latest.unwrap_or_default();
        if latest == journal.latest {
            return Ok(());
        }
        let place = journal.after(&latest)?;
        self.send(&journal, place)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Loads the functions where they are missing. Their names carry a version, so that instances of two
/// versions can meet.
fn load_functions(connection: &mut dyn Wire) -> redis::RedisResult<()> {
    let mut command = redis::cmd("FUNCTION");
    command.arg("LOAD").arg("REPLACE").arg(FUNCTIONS);
    command.query::<Value>(connection).map(drop)
}

impl Base for Redis {
    fn twin(&self) -> Result<Box<dyn Base>> {
        Ok(Box::new(Self {
            settings: self.settings.clone(),
            connector: self.connector.twin(),
            epoch: self.epoch.clone(),
            found: self.found.clone(),
            done: Arc::clone(&self.done),
            journal: Arc::clone(&self.journal),
            facts: self.facts.clone(),
            ownership: Arc::clone(&self.ownership),
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
            found.extend(self.read(keys)?);
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
        let journal = Arc::clone(&self.journal);
        let mut journal = lock(&journal);
        journal.count += 1;
        let count = journal.count;
        let number = format!("{}:{count}", self.epoch);
        let octets = |write: &Write| write.key.len() + write.value.as_ref().map_or(0, Vec::len);
        let commit = Commit {
            before: journal.latest.clone(),
            command: self.commit_command(writes, &journal.latest, &number),
            octets: writes.iter().map(octets).sum(),
        };
        let place = journal.add(commit);
        let asked = ownership::now();
        if let Err(error) = self.send(&journal, place) {
            journal.take_back();
            return Err(error);
        }
        journal.latest = number;
        self.done.store(count, Ordering::Release);
        self.is_alive(asked);
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let mut command = self.call("keep", &["owner", "epoch", "door"]);
        command
            .arg(&self.epoch)
            .arg(millis(self.settings.owner_ttl))
            .arg(self.settings.standing.reach());
        let asked = ownership::now();
        self.connector.query::<Value>(&command)?;
        self.is_alive(asked);
        Ok(())
    }

    fn ownership(&self) -> Arc<Ownership> {
        Arc::clone(&self.ownership)
    }

    fn close(&mut self) {
        let mut command = self.call("give_up", &["owner", "epoch"]);
        command.arg(&self.epoch);
        self.ownership.end();
        if let Err(error) = self.connector.query_once::<Value>(&command) {
            let ttl = self.settings.owner_ttl;
            warn!(%error, ?ttl, "cannot give the store up; others may take it over after this time");
        }
    }
}
