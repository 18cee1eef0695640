//! The connection to Redis, made again whenever it is lost.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterConnection};
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{
    Client, Cmd, Connection, ConnectionLike, FromRedisValue, RedisError, RedisResult, Value,
};
use tracing::{info, warn};

use super::failure::is_passing;
use crate::store::ownership::{self, Ownership};
use crate::store::{Result, StoreError};

/// How long a single connection or answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Where Redis is. The addresses hold passwords, so `Debug` shows none.
#[derive(Clone)]
pub(crate) enum Place {
    /// One server.
    Standalone(String),
    /// The primary that these Sentinels name.
    Sentinel {
        /// Their addresses.
        sentinels: Vec<String>,
        /// What they call it.
        master: String,
    },
    /// A Cluster, by some of its nodes.
    Cluster(Vec<String>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone(_) => "Standalone(…)",
            Self::Sentinel { .. } => "Sentinel(…)",
            Self::Cluster(_) => "Cluster(…)",
        })
    }
}

impl Place {
    /// Connects to the server that has this key.
    fn connect(&self, key: &str) -> RedisResult<Box<dyn Wire + Send>> {
        Ok(match self {
            Self::Standalone(url) => direct(&Client::open(url.as_str())?)?,
            Self::Sentinel { sentinels, master } => {
                let mut client = SentinelClient::build(
                    sentinels.clone(),
                    master.clone(),
                    None,
                    SentinelServerType::Master,
                )?;
                let connection = client.get_connection()?;
                connection.set_read_timeout(Some(PATIENCE))?;
                connection.set_write_timeout(Some(PATIENCE))?;
                Box::new(connection)
            }
            Self::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.clone())
                    .connection_timeout(PATIENCE)
                    .response_timeout(PATIENCE)
                    .build()?;
                Box::new(Nodes::new(client.get_connection()?, key)?)
            }
        })
    }
}

fn direct(client: &Client) -> RedisResult<Box<dyn Wire + Send>> {
    let connection = client.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(connection))
}

/// A way to the server that has the store.
pub(super) trait Wire: ConnectionLike {
    /// Sends a command that names no key to that server, and in a Cluster to none beside it.
    fn query_there(&mut self, command: &Cmd) -> RedisResult<Value>;
}

impl Wire for Connection {
    fn query_there(&mut self, command: &Cmd) -> RedisResult<Value> {
        command.query(self)
    }
}

/// A way to the servers of a Cluster.
struct Nodes {
    connection: ClusterConnection,
    /// That of all keys of the store.
    slot: u16,
}

impl Nodes {
    fn new(mut connection: ClusterConnection, key: &str) -> RedisResult<Self> {
        let mut command = redis::cmd("CLUSTER");
        let slot = command.arg("KEYSLOT").arg(key).query(&mut connection)?;
        Ok(Self { connection, slot })
    }
}

impl Wire for Nodes {
    fn query_there(&mut self, command: &Cmd) -> RedisResult<Value> {
        let primary = Route::new(self.slot, SlotAddr::Master);
        let there = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(primary));
        self.connection.route_command(command, there)
    }
}

impl ConnectionLike for Nodes {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.connection.req_packed_commands(commands, offset, count)
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.connection.req_command(command)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.connection.check_connection()
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

/// The connection.
pub(super) struct Connector {
    place: Place,
    /// Any key of the store: all are at the same server.
    key: String,
    connection: Option<Box<dyn Wire + Send>>,
    /// How many connections had been lost when it was made.
    made_after: u64,
    /// How many connections to this store were lost, this one's and its twin's: where one of them has
    /// met a new primary, the other must not go on with the old one.
    lost: Arc<AtomicU64>,
    ownership: Arc<Ownership>,
    /// How long an answer is waited for, over all attempts; `None` for as long as it takes.
    patience: Option<Duration>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Connector");
        shown.field("place", &self.place).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(
        place: Place,
        key: String,
        ownership: Arc<Ownership>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            place,
            key,
            connection: None,
            made_after: 0,
            lost: Arc::default(),
            ownership,
            patience,
        }
    }

    /// One more connection to the same store.
    pub(super) fn twin(&self) -> Self {
        Self {
            place: self.place.clone(),
            key: self.key.clone(),
            connection: None,
            made_after: 0,
            lost: Arc::clone(&self.lost),
            ownership: Arc::clone(&self.ownership),
            patience: self.patience,
        }
    }

    /// Sends a command until it is answered, over as many connections as it takes: it must bear
    /// repetition. Gives up where the store is being closed, for nobody waits for it then, and at the
    /// end of its patience, which closes the store.
    pub(super) fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        self.until_answered(|connection| command.query(connection))
    }

    /// The same for a command that must not be taken for undone: once an answer to it was lost, no
    /// refusal of a repetition tells that, but that of one who is not the owner any more.
    ///
    /// `wait` goes after it on the same connection, for it asks what became of what was written there;
    /// both are sent again where either has no answer.
    pub(super) fn query_until_known(
        &mut self,
        command: &Cmd,
        wait: Option<&Cmd>,
    ) -> Result<(Value, Value)> {
        let mut is_sent = false;
        self.until_answered(|connection| {
            let answer = match command.query(connection) {
                Err(error) if is_sent && error.code() != Some("NOTOWNER") => {
                    return Err(as_passing(error));
                }
                answer => answer,
            };
            is_sent = true;
            let answer = answer?;
            let waited = wait.map(|wait| {
                let waited = connection.query_there(wait);
                waited.map_err(as_passing)
            });
            Ok((answer, waited.transpose()?.unwrap_or(Value::Nil)))
        })
    }

    /// Sends a command once.
    pub(super) fn query_once<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        self.once(&mut |connection| command.query(connection))
            .map_err(StoreError::from)
    }

    /// The same for what needs more than one command.
    pub(super) fn until_answered<T>(
        &mut self,
        mut ask: impl FnMut(&mut dyn Wire) -> RedisResult<T>,
    ) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        let begun = ownership::now();
        loop {
            let error = match self.once(&mut ask) {
                Ok(answer) => {
                    if pause > FIRST_PAUSE {
                        info!("Redis answers again");
                    }
                    return Ok(answer);
                }
                Err(error) if is_passing(&error) => error,
                Err(error) => return Err(error.into()),
            };
            let waited = Duration::from_millis(ownership::now().saturating_sub(begun));
            if self.patience.is_some_and(|patience| waited >= patience) {
                self.ownership.close();
                let waited = waited.as_secs();
                let reason = format!("no answer from Redis within {waited} s: {error}");
                return Err(StoreError::Unavailable(reason));
            }
            warn!(%error, "no answer from Redis; trying again");
            if self.ownership.is_closing() {
                return Err(error.into());
            }
            // Whatever comes on this connection later would be taken for another answer.
            self.connection = None;
            self.lost.fetch_add(1, Ordering::AcqRel);
            std::thread::sleep(pause);
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    fn once<T>(
        &mut self,
        ask: &mut impl FnMut(&mut dyn Wire) -> RedisResult<T>,
    ) -> Result<T, RedisError> {
        let lost = self.lost.load(Ordering::Acquire);
        let known = self.connection.take();
        let mut connection = match known.filter(|_| self.made_after == lost) {
            Some(connection) => connection,
            None => self.place.connect(&self.key)?,
        };
        self.made_after = lost;
        let answer = ask(connection.as_mut())?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// An error that says that no answer came, where this one tells nothing of the first attempt.
fn as_passing(error: RedisError) -> RedisError {
    if is_passing(&error) {
        return error;
    }
    RedisError::from((redis::ErrorKind::Io, "refused", error.to_string()))
}
