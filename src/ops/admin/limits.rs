//! What the limits against pumped traffic refuse, for operators.

use matrix_smpp_config::{Fraud, Money};

use super::words::{Answer, LimitLine};
use crate::gateway::limits::Limit;
use crate::gateway::model::Timestamp;
use crate::store::{Counter, Store, StoreError};

pub(super) async fn list(
    store: &dyn Store,
    fraud: &Fraud,
    now: Timestamp,
) -> Result<Answer, StoreError> {
    let line = |counter: Counter| LimitLine {
        most: most(fraud, counter.limit),
        limit: counter.limit,
        whose: counter.whose,
        used: counter.used,
        since: counter.hit,
    };
    let hit = store.limits_hit(now).await?.into_iter();
    Ok(Answer::Limits(hit.map(line).collect()))
}

fn most(fraud: &Fraud, limit: Limit) -> Option<i64> {
    match limit {
        Limit::SpendPerDay => fraud.spend_per_day.map(Money::micros),
        Limit::NewPhonesPerDay => fraud.new_phones_per_day.map(i64::from),
        Limit::NewPhonesPerPrefix => fraud.new_phones_per_prefix.map(i64::from),
    }
}
