//! The admin socket: commands of the CLI go through the running gateway, because its store has one
//! writer. One JSON object a line each way. The socket's folder is the gateway's own, so whoever
//! can open it may do what the gateway may.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::{Money, Routing};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::flow::{Gateway, pools};
use crate::gateway::model::{Account, Handset, MessageState, Timestamp};
use crate::gateway::pools::PoolUse;
use crate::smsc;
use crate::store::{Aside, AsideId, History, Store, StoreError, SubmissionHistory};

/// The longest request, in octets.
const MAX_REQUEST: u64 = 64 * 1024;

/// What the CLI asks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Pay in.
    TopUp {
        /// Whose account.
        owner: OwnedUserId,
        /// How much, in micro-units; negative takes out.
        micros: i64,
        /// The same key pays once.
        key: String,
    },
    /// One account.
    Account {
        /// Whose account.
        owner: OwnedUserId,
    },
    /// How far below zero a balance may go.
    SetLimit {
        /// Whose account.
        owner: OwnedUserId,
        /// In micro-units.
        micros: i64,
    },
    /// Every account.
    Accounts,
    /// Compare with the ledger.
    Audit,
    /// Every lease.
    Leases,
    /// How full the pools are.
    Pools,
    /// Free a lease.
    ReleaseLease {
        /// The VMN.
        number: String,
        /// The handset's key.
        handset: String,
    },
    /// Give a number to a Matrix ID.
    Dedicate {
        /// Digits.
        number: String,
        /// Whose.
        owner: OwnedUserId,
    },
    /// Take it back.
    Undedicate {
        /// Digits.
        number: String,
    },
    /// The numbers given so.
    Dedicated,
    /// The history of a message.
    Explain {
        /// A message id or an event id.
        id: String,
    },
    /// What was set aside.
    Queue,
    /// Try something again that was set aside.
    Retry {
        /// An [`AsideId`].
        id: String,
    },
    /// End something for good that was set aside.
    Drop {
        /// An [`AsideId`].
        id: String,
    },
}

/// What the CLI hears.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It could not be done; why.
    Failed(String),
    /// It is done.
    Done,
    /// Accounts.
    Accounts(Vec<AccountLine>),
    /// Accounts that the ledger contradicts and what could not be compared, for people.
    Audit(Vec<String>),
    /// Leases.
    Leases(Vec<LeaseLine>),
    /// How full each pool is.
    Pools(Vec<PoolUse>),
    /// Dedicated numbers and their owners.
    Dedicated(Vec<(String, OwnedUserId)>),
    /// Histories.
    Histories(Vec<History>),
    /// The same of what accounts submitted.
    Submissions(Vec<SubmissionHistory>),
    /// What was set aside.
    Queue(Vec<AsideLine>),
}

/// Something that was set aside; nothing that anybody said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AsideLine {
    /// An [`AsideId`].
    pub id: String,
    /// How long ago it was set aside, in seconds.
    pub age: i64,
    /// [`Aside::about`].
    pub about: String,
    /// [`Aside::reason`].
    pub reason: String,
}

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountLine {
    /// Whose.
    pub owner: OwnedUserId,
    /// [`Account::balance`].
    pub balance: Money,
    /// [`Account::reserved`].
    pub reserved: Money,
    /// [`Account::settled`].
    pub settled: Money,
    /// [`Account::top_ups`].
    pub top_ups: Money,
    /// [`Account::limit`].
    pub limit: Money,
}

impl AccountLine {
    fn new(owner: OwnedUserId, account: Account) -> Self {
        let Account {
            balance,
            reserved,
            settled,
            top_ups,
            limit,
        } = account;
        Self {
            owner,
            balance,
            reserved,
            settled,
            top_ups,
            limit,
        }
    }
}

/// One lease.
#[derive(Clone, Serialize, Deserialize)]
pub struct LeaseLine {
    /// The VMN.
    pub number: String,
    /// The handset's key.
    pub handset: String,
    /// The conversation.
    pub conversation: i64,
    /// Set while it cools off.
    pub cooling_until: Option<Timestamp>,
}

/// These hold full numbers, which only the CLI shows.
macro_rules! debug_by_name_alone {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name_alone!(Request, Answer, LeaseLine);

/// Does what a request asks, on any store.
pub async fn answer(
    store: &dyn Store,
    routing: &Routing,
    clock: &Clock,
    request: Request,
) -> Answer {
    match try_answer(store, routing, clock, request).await {
        Ok(answer) => answer,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn try_answer(
    store: &dyn Store,
    routing: &Routing,
    clock: &Clock,
    request: Request,
) -> Result<Answer, StoreError> {
    Ok(match request {
        Request::TopUp { owner, micros, key } => {
            let Some(amount) = Money::from_micros(micros) else {
                return Ok(too_much());
            };
            one(
                store.top_up(&owner, amount, &key, clock.now()).await?,
                owner,
            )
        }
        Request::Account { owner } => one(store.account(&owner).await?, owner),
        Request::SetLimit { owner, micros } => {
            let Some(limit) = Money::from_micros(micros) else {
                return Ok(too_much());
            };
            one(store.set_limit(&owner, limit).await?, owner)
        }
        Request::Accounts => {
            let accounts = store.accounts().await?.into_iter();
            Answer::Accounts(
                accounts
                    .map(|(who, what)| AccountLine::new(who, what))
                    .collect(),
            )
        }
        Request::Audit => audit(store).await?,
        Request::Leases => leases(store).await?,
        Request::Pools => {
            let (pools, pause) = (&routing.pools, Duration::ZERO);
            Answer::Pools(pools::count(store, pools, clock.now(), pause).await?)
        }
        Request::ReleaseLease { number, handset } => release(store, &number, &handset).await?,
        Request::Dedicate { number, owner } => dedicate(store, routing, &number, &owner).await?,
        Request::Undedicate { number } => done_if(
            store.undedicate(&number).await?,
            "this number is not dedicated by command",
        ),
        Request::Dedicated => Answer::Dedicated(store.dedicated().await?),
        Request::Explain { id } => explain(store, &id).await?,
        Request::Queue => queue(store, clock).await?,
        Request::Retry { id } => match id.parse() {
            Ok(id) => done_if(store.retry_aside(id, clock.now()).await?, NOT_ASIDE),
            Err(why) => Answer::Failed(why.to_owned()),
        },
        Request::Drop { id } => match id.parse::<AsideId>() {
            Ok(id) => done_if(store.drop_aside(id, clock.now()).await?, NOT_ASIDE),
            Err(why) => Answer::Failed(why.to_owned()),
        },
    })
}

/// A `message_id` that we gave to an account looks like no id of a message or an event.
async fn explain(store: &dyn Store, id: &str) -> Result<Answer, StoreError> {
    let mut submissions = Vec::new();
    for (name, taken) in smsc::submissions_named(store.instance(), id) {
        submissions.extend(store.explain_submission(taken, &name).await?);
    }
    if submissions.is_empty() {
        return Ok(Answer::Histories(store.explain(id).await?));
    }
    Ok(Answer::Submissions(submissions))
}

fn one(account: Account, owner: OwnedUserId) -> Answer {
    Answer::Accounts(vec![AccountLine::new(owner, account)])
}

fn too_much() -> Answer {
    Answer::Failed(format!(
        "the amount is outside of {} to {}",
        Money::MIN,
        Money::MAX
    ))
}

fn done_if(done: bool, otherwise: &str) -> Answer {
    if done {
        Answer::Done
    } else {
        Answer::Failed(otherwise.to_owned())
    }
}

async fn audit(store: &dyn Store) -> Result<Answer, StoreError> {
    let audit = store.audit().await?;
    let line = |one: &crate::store::AuditDifference| {
        format!(
            "{}: stored {:?}, the ledger says {:?}",
            one.owner, one.stored, one.ledger
        )
    };
    let mut lines: Vec<String> = audit.differences.iter().map(line).collect();
    if audit.unreadable > 0 {
        lines.push(format!(
            "{} rows of the ledger or of accounts cannot be read: of those this says nothing",
            audit.unreadable
        ));
    }
    Ok(Answer::Audit(lines))
}

/// The most of each kind that is listed at once, oldest first.
const MAX_LISTED: usize = 1_000;

const NOT_ASIDE: &str = "nothing of this id is set aside";

async fn queue(store: &dyn Store, clock: &Clock) -> Result<Answer, StoreError> {
    let now = clock.now();
    let line = |one: Aside| AsideLine {
        id: one.id.to_string(),
        age: now.0.saturating_sub(one.at.0) / 1_000,
        about: one.about,
        reason: one.reason,
    };
    let unreadable = store.unreadable().into_iter();
    let left_out = unreadable.map(|(table, count)| AsideLine {
        id: "-".to_owned(),
        age: 0,
        about: format!("table {table}"),
        reason: format!("{count} rows could not be read at the start; the log names them"),
    });
    let aside = store.aside(MAX_LISTED).await?;
    Ok(Answer::Queue(
        left_out.chain(aside.into_iter().map(line)).collect(),
    ))
}

async fn leases(store: &dyn Store) -> Result<Answer, StoreError> {
    let leases = store.leases().await?;
    let line = |lease: &crate::store::Lease| LeaseLine {
        number: lease.vmn.to_string(),
        handset: lease.handset.key(),
        conversation: lease.conversation.0,
        cooling_until: lease.cooling_until,
    };
    Ok(Answer::Leases(leases.iter().map(line).collect()))
}

async fn release(store: &dyn Store, number: &str, handset: &str) -> Result<Answer, StoreError> {
    let (Ok(vmn), Some(handset)) = (number.parse::<E164>(), Handset::from_key(handset)) else {
        return Ok(Answer::Failed(
            "these are not a number and a handset".to_owned(),
        ));
    };
    Ok(done_if(
        store.release_lease(vmn, &handset).await?,
        "there is no such lease",
    ))
}

async fn dedicate(
    store: &dyn Store,
    routing: &Routing,
    number: &str,
    owner: &OwnedUserId,
) -> Result<Answer, StoreError> {
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return Ok(Answer::Failed("write the number as digits only".to_owned()));
    }
    if let Some(pool) = routing.pool_of(number) {
        let why = format!(
            "this number is in the pool {}; take it out of there first",
            pool.name
        );
        return Ok(Answer::Failed(why));
    }
    if routing.dedicated_owner(number).is_some() {
        return Ok(Answer::Failed(
            "this number is dedicated in the configuration".to_owned(),
        ));
    }
    store.dedicate(number, owner).await?;
    Ok(Answer::Done)
}

/// Asks the running gateway. `None` where none runs.
pub async fn ask(socket: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).await?;
    Ok(Some(serde_json::from_str(&reply)?))
}

/// No socket, or one that a dead gateway left behind.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Listens on the socket, in place of the one that a dead gateway left there.
pub fn listen(socket: &Path) -> io::Result<UnixListener> {
    remove_socket(socket)?;
    let listener = UnixListener::bind(socket)?;
    restrict(socket)?;
    Ok(listener)
}

/// Removes a socket where there is one, and nothing else.
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of this name that is no socket; move it or choose another path",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Only the gateway's own user may speak to it.
fn restrict(socket: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
}

/// Answers commands until `stop`.
pub async fn serve(gateway: Gateway, listener: UnixListener, stop: CancellationToken) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = calls.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    calls.spawn(call(gateway.clone(), stream));
                }
                Err(error) => warn!(%error, "the admin socket cannot accept"),
            },
        }
    }
}

async fn call(gateway: Gateway, stream: UnixStream) {
    if let Err(error) = try_call(&gateway, stream).await {
        warn!(%error, "an admin command was not answered");
    }
}

async fn try_call(gateway: &Gateway, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_REQUEST))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            info!("an admin command came");
            let answer = answer(&*gateway.store, &gateway.routing(), &gateway.clock, request).await;
            // Whatever it was, there may be work now.
            gateway.wakes.again();
            answer
        }
        Err(error) => Answer::Failed(format!("not a request: {error}")),
    };
    let mut reply = serde_json::to_string(&answer)?;
    reply.push('\n');
    write.write_all(reply.as_bytes()).await
}

/// A time as people and machines read it (RFC 3339, UTC).
#[must_use]
pub fn utc(at: Timestamp) -> String {
    let nanos = i128::from(at.0).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}

/// A state as one word.
#[must_use]
pub fn word(state: MessageState) -> String {
    serde_json::to_value(state)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
