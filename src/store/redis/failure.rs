//! What an error of Redis means.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.code() == Some("NOTOWNER") || knows_nothing_of_us(&error) {
            return Self::Lost;
        }
        match error.kind() {
            ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// A server that lost its functions has lost everything; they are loaded at the start, and kept like
/// rows.
fn knows_nothing_of_us(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("Function not found"))
}

/// Whether the same command may be answered otherwise later.
pub(super) fn is_passing(error: &RedisError) -> bool {
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
