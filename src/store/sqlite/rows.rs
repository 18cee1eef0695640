//! Between rows and values: the one place that knows how a value stands in a column.

#[cfg(test)]
use std::collections::BTreeSet;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::gateway::model::{
    ConversationId, E164Text, Handset, InboxSeq, MessageId, MessageState, Originator, OutboxId,
    SmsId, TakenId, Timestamp,
};
use crate::store::{Ending, Result, SmsRecipient, StoreError};

/// Statements as the operations write them: prepared once, errors as the contract's.
pub(super) trait Sql {
    /// Changes rows; tells how many.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize>;

    /// The first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>>;

    /// Every row.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>>;

    /// True if there is a row.
    fn any(&self, sql: &str, params: impl Params) -> Result<bool> {
        Ok(self.one(sql, params, |_| Ok(()))?.is_some())
    }

    /// The number in the first column of the first row; 0 without a row.
    fn number(&self, sql: &str, params: impl Params) -> Result<i64> {
        let number = self.one(sql, params, |row| Ok(row.get::<_, Option<i64>>(0)?))?;
        Ok(number.flatten().unwrap_or(0))
    }
}

impl Sql for Connection {
    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(cached(self, sql)?.execute(params)?)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = cached(self, sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        cached(self, sql)?.query_and_then(params, read)?.collect()
    }
}

fn cached<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>> {
    #[cfg(test)]
    lock_seen().insert(sql.to_owned());
    Ok(connection.prepare_cached(sql)?)
}

/// Every statement that was run in this process.
#[cfg(test)]
pub(super) fn statements_seen() -> BTreeSet<String> {
    lock_seen().clone()
}

#[cfg(test)]
fn lock_seen() -> std::sync::MutexGuard<'static, BTreeSet<String>> {
    static SEEN: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());
    SEEN.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqliteFailure,
            Utf8Error,
        };
        match &error {
            FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..) => Self::Corrupt(error.to_string()),
            SqliteFailure(cause, _) => match cause.code {
                rusqlite::ErrorCode::ConstraintViolation => Self::Conflict(error.to_string()),
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                    Self::Corrupt(error.to_string())
                }
                _ => Self::Unavailable(error.to_string()),
            },
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

macro_rules! number_column {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }
    )*};
}

number_column!(
    Timestamp,
    ConversationId,
    InboxSeq,
    SmsId,
    TakenId,
    OutboxId
);

impl ToSql for MessageId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for MessageId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let octets = <[u8; 16]>::column_result(value)?;
        Ok(Self(Uuid::from_bytes(octets)))
    }
}

/// The states by their numbers in the database.
const STATES: [MessageState; 11] = [
    MessageState::Queued,
    MessageState::Intent,
    MessageState::Uncertain,
    MessageState::Submitted,
    MessageState::Delivered,
    MessageState::Undeliverable,
    MessageState::Expired,
    MessageState::Rejected,
    MessageState::Lost,
    MessageState::Cancelled,
    MessageState::NoReceipt,
];

impl ToSql for MessageState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = STATES
            .iter()
            .position(|state| state == self)
            .and_then(|at| i64::try_from(at).ok());
        Ok(ToSqlOutput::Owned(Value::from(number)))
    }
}

impl FromSql for MessageState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = i64::column_result(value)?;
        let state = usize::try_from(number).ok().and_then(|at| STATES.get(at));
        state.copied().ok_or(FromSqlError::OutOfRange(number))
    }
}

impl ToSql for Handset {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.key().into())
    }
}

impl FromSql for Handset {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_key(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// `v:<digits>` or `s:<digits>`.
impl ToSql for Originator {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let kind = match self {
            Self::Vmn(_) => 'v',
            Self::Shortcode(_) => 's',
        };
        Ok(format!("{kind}:{}", self.digits()).into())
    }
}

impl FromSql for Originator {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()?.split_once(':') {
            Some(("v", digits)) => {
                let number = digits.parse().map_err(FromSqlError::other)?;
                Ok(Self::Vmn(E164Text(number)))
            }
            Some(("s", digits)) => Ok(Self::Shortcode(digits.to_owned())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// `c:<conversation>`, `f:<conversation>` or `o:<owner>`.
impl ToSql for SmsRecipient {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Conversation(id) => format!("c:{id}"),
            Self::Former(id) => format!("f:{id}"),
            Self::Owner(owner) => format!("o:{owner}"),
        }
        .into())
    }
}

impl FromSql for SmsRecipient {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let conversation = |id: &str| id.parse().map(ConversationId).map_err(FromSqlError::other);
        match value.as_str()?.split_once(':') {
            Some(("c", id)) => conversation(id).map(Self::Conversation),
            Some(("f", id)) => conversation(id).map(Self::Former),
            Some(("o", owner)) => owner
                .try_into()
                .map(Self::Owner)
                .map_err(FromSqlError::other),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// A text column as a checked value, such as a Matrix id.
pub(super) fn text<T>(row: &Row<'_>, column: &str) -> Result<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    checked(column, row.get(column)?)
}

/// A text column that may be empty, as a checked value.
pub(super) fn text_or_none<T>(row: &Row<'_>, column: &str) -> Result<Option<T>>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    row.get::<_, Option<String>>(column)?
        .map(|value| checked(column, value))
        .transpose()
}

fn checked<T>(column: &str, value: String) -> Result<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    T::try_from(value).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

/// A column of digits as a number.
pub(super) fn e164(row: &Row<'_>, column: &str) -> Result<E164> {
    let digits: String = row.get(column)?;
    digits
        .parse()
        .map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

/// An amount.
pub(super) fn money(row: &Row<'_>, column: &str) -> Result<Money> {
    amount(row.get(column)?).ok_or_else(|| StoreError::Corrupt(format!("{column}: out of bounds")))
}

/// An amount, if it is within the bounds of money.
pub(super) fn amount(micros: i64) -> Option<Money> {
    Money::from_micros(micros)
}

/// A value as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A JSON column as a value.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T> {
    let text: String = row.get(column)?;
    // The error's own text could quote what is stored.
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("{column}: line {}", error.line())))
}

/// `progress`, `reason` and `ended_at` of something that ends.
pub(super) fn ending(ending: &Ending) -> (i64, Option<&str>, Option<Timestamp>) {
    match ending {
        Ending::Done => (1, None, None),
        Ending::SetAside { reason, at, .. } => (2, Some(reason), Some(*at)),
    }
}

/// Rows of which each is read on its own: what cannot be read does not keep the others away.
pub(super) struct Page<K, T> {
    /// Those that can be read.
    pub(super) rows: Vec<T>,
    /// The others, with the reason.
    pub(super) unreadable: Vec<(K, String)>,
}

/// Reads a page; the first column is the key.
pub(super) fn page<K: FromSql, T>(
    tx: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Page<K, T>> {
    let mut page = Page {
        rows: Vec::new(),
        unreadable: Vec::new(),
    };
    tx.all(sql, params, |row| {
        match read(row) {
            Ok(value) => page.rows.push(value),
            Err(error @ StoreError::Corrupt(_)) => {
                page.unreadable.push((row.get(0)?, error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(page)
}

/// A limit as SQLite takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A count as the contract gives it.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_column() {
        for (at, state) in (0_i64..).zip(STATES) {
            let Ok(ToSqlOutput::Owned(Value::Integer(number))) = state.to_sql() else {
                panic!("{state:?} is no number");
            };
            assert_eq!(number, at);
            assert_eq!(
                MessageState::column_result(ValueRef::Integer(at)).unwrap(),
                state
            );
        }
        assert!(MessageState::column_result(ValueRef::Integer(11)).is_err());
    }

    #[test]
    fn a_recipient_survives_its_column() {
        let owner = "@a:example.org".try_into().unwrap();
        for recipient in [
            SmsRecipient::Conversation(ConversationId(3)),
            SmsRecipient::Former(ConversationId(4)),
            SmsRecipient::Owner(owner),
        ] {
            let stored = recipient.to_sql().unwrap();
            let ToSqlOutput::Owned(Value::Text(text)) = stored else {
                panic!("no text")
            };
            let read = SmsRecipient::column_result(ValueRef::Text(text.as_bytes())).unwrap();
            assert_eq!(read, recipient);
        }
    }
}
