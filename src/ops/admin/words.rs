//! What the CLI asks and hears.

use std::fmt;

use matrix_smpp_config::Money;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::gateway::limits::Limit;
use crate::gateway::model::{Account, MessageState, Timestamp};
use crate::gateway::opt_out::Wish;
use crate::gateway::pools::PoolUse;
use crate::store::{History, SubmissionHistory};

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
    /// The phones that want no more texts.
    OptOuts,
    /// Heed a wish of a phone.
    Heed {
        /// The handset's key.
        handset: String,
        /// Our number.
        number: String,
        /// What it wants.
        wish: Wish,
    },
    /// The history of a message.
    Explain {
        /// A message id or an event id.
        id: String,
    },
    /// What the limits against pumped traffic refuse.
    Limits,
    /// Have one of them start anew.
    ClearLimit {
        /// Which.
        limit: Limit,
        /// A Matrix ID, or the prefix of the numbers.
        whose: String,
    },
    /// What was set aside.
    Queue,
    /// Try something again that was set aside.
    Retry {
        /// An [`AsideId`](crate::store::AsideId).
        id: String,
    },
    /// End something for good that was set aside.
    Drop {
        /// An [`AsideId`](crate::store::AsideId).
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
    /// Phones that want no more texts.
    OptOuts(Vec<OptOutLine>),
    /// Histories.
    Histories(Vec<History>),
    /// The same of what accounts submitted.
    Submissions(Vec<SubmissionHistory>),
    /// What the limits against pumped traffic refuse.
    Limits(Vec<LimitLine>),
    /// What was set aside.
    Queue(Vec<AsideLine>),
}

/// That a phone wants no more texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OptOutLine {
    /// The handset's key.
    pub handset: String,
    /// From which number of ours; `None` for all.
    pub number: Option<String>,
    /// Who held that number for the phone.
    pub holder: Option<OwnedUserId>,
    /// When it said so.
    pub at: Timestamp,
}

/// Something that was set aside; nothing that anybody said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AsideLine {
    /// An [`AsideId`](crate::store::AsideId).
    pub id: String,
    /// How long ago it was set aside, in seconds.
    pub age: i64,
    /// [`Aside::about`](crate::store::Aside::about).
    pub about: String,
    /// [`Aside::reason`](crate::store::Aside::reason).
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
    pub(super) fn new(owner: OwnedUserId, account: Account) -> Self {
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

/// A limit that refuses messages.
#[derive(Clone, Serialize, Deserialize)]
pub struct LimitLine {
    /// Which.
    pub limit: Limit,
    /// A Matrix ID, or the prefix of the numbers.
    pub whose: String,
    /// What counts now: micro-units of money, or phones.
    pub used: i64,
    /// What is allowed, by the configuration; `None` where that has no such limit any more.
    pub most: Option<i64>,
    /// Since when.
    pub since: Timestamp,
}

/// These hold full numbers or prefixes of some, which only the CLI shows.
macro_rules! debug_by_name_alone {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name_alone!(Request, Answer, LeaseLine, LimitLine);

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
