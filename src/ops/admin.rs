//! The admin socket: commands of the CLI go through the running gateway, because its store has one
//! writer. One JSON object a line each way. The socket's folder is the gateway's own, so whoever
//! can open it may do what the gateway may.

mod limits;
mod socket;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::{Money, Routing};
use ruma::OwnedUserId;

pub use self::socket::{ask, listen, serve};
pub use self::words::{
    AccountLine, Answer, AsideLine, LeaseLine, LimitLine, OptOutLine, Request, utc, word,
};
use crate::clock::Clock;
use crate::flow::pools;
use crate::gateway::model::{Account, Handset};
use crate::smsc;
use crate::store::{Aside, AsideId, OptedOut, Store, StoreError};

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
        Request::OptOuts => opt_outs(store).await?,
        Request::Heed {
            handset,
            number,
            wish,
        } => match Handset::from_key(&handset) {
            Some(handset) => {
                store.heed(&handset, &number, wish, clock.now()).await?;
                Answer::Done
            }
            None => Answer::Failed(NO_HANDSET.to_owned()),
        },
        Request::Explain { id } => explain(store, &id).await?,
        Request::Limits => limits::list(store, &routing.fraud, clock.now()).await?,
        Request::ClearLimit { limit, whose } => done_if(
            store.clear_limit(limit, &whose).await?,
            "this limit has counted nothing of this Matrix ID or prefix",
        ),
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

const NO_HANDSET: &str = "this is not a handset: write its digits, country code first";

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

async fn opt_outs(store: &dyn Store) -> Result<Answer, StoreError> {
    let line = |one: OptedOut| OptOutLine {
        handset: one.handset.key(),
        number: one.number,
        holder: one.holder,
        at: one.at,
    };
    let all = store.opt_outs().await?;
    Ok(Answer::OptOuts(all.into_iter().map(line).collect()))
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
