//! Phones that want no more texts: noted, and asked for whatever is about to be sent.

use std::sync::Arc;

use ruma::{OwnedUserId, UserId};

use super::{conversations, leases, life};
use crate::gateway::model::{ConversationId, Handset, MessageState, Originator, Timestamp};
use crate::gateway::opt_out::Wish;
use crate::store::tables::{MessageRow, OptOutRow, OptOuts};
use crate::store::tx::Tx;
use crate::store::{Failure, OptedOut, OriginatorPlan, Result, StoreError};

/// A phone that has opted out of so many numbers wants none of them.
const MAX_NUMBERS: usize = 64;

/// What one phone does not want.
#[derive(Debug, Default)]
pub(super) struct Unwanted(Option<Arc<Vec<OptOutRow>>>);

/// What a phone does not want: nothing, for most.
pub(super) fn of(tx: &mut Tx<'_>, handset: &Handset) -> Result<Unwanted> {
    Ok(Unwanted(tx.get::<OptOuts>(&handset.key())?))
}

impl Unwanted {
    fn any(&self, which: impl Fn(&OptOutRow) -> bool) -> bool {
        self.0.iter().flat_map(|rows| rows.iter()).any(which)
    }

    fn is_everything(&self) -> bool {
        self.any(|row| row.number.is_none())
    }

    /// True where a number may not text the phone.
    pub(super) fn is_number(&self, number: &str) -> bool {
        self.is_everything() || self.any(|row| row.number.as_deref() == Some(number))
    }

    /// True where somebody may not text the phone, from whichever number.
    fn is_holder(&self, holder: &UserId) -> bool {
        self.is_everything() || self.any(|row| row.holder.as_deref() == Some(holder))
    }

    /// True where nothing of what a conversation may be sent from is wanted. A pool has other numbers.
    pub(super) fn is_plan(
        &self,
        holder: &UserId,
        chosen: Option<&Originator>,
        plan: &OriginatorPlan,
    ) -> bool {
        if self.0.is_none() {
            return false;
        }
        let from = match (chosen, plan) {
            (Some(chosen), _) => self.is_number(&chosen.digits()),
            (None, OriginatorPlan::Shortcode(code)) => self.is_number(code),
            (None, OriginatorPlan::Vmns { .. }) => false,
        };
        from || self.is_holder(holder)
    }
}

/// Whether a phone wants a message no more that waits for it.
pub(super) fn is_unwanted(tx: &mut Tx<'_>, row: &MessageRow) -> Result<bool> {
    let unwanted = of(tx, &Handset::Number(row.destination))?;
    if unwanted.0.is_none() {
        return Ok(false);
    }
    let conversation = conversations::find(tx, row.conversation)?;
    let holder = conversation.map(|found| found.owner.clone());
    Ok(unwanted.is_number(&row.originator.digits())
        || holder.is_some_and(|holder| unwanted.is_holder(&holder)))
}

/// Takes back what of a message waits for a phone that wants it no more.
pub(super) fn take_back(tx: &mut Tx<'_>, key: i64, now: Timestamp) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    row.set_failure(Failure::OptedOut);
    let why = (now, "the phone wants no more texts");
    life::take_off(tx, row, MessageState::Cancelled, why)
}

/// Does what a phone wants of one of our numbers.
pub(in crate::store) fn heed(
    tx: &mut Tx<'_>,
    (handset, number): (&Handset, &str),
    wish: Wish,
    now: Timestamp,
) -> Result<()> {
    let lease = leases::of_pair(tx, number, handset, now)?;
    let texted = lease.map(|lease| lease.conversation);
    let holder = match texted {
        Some(id) => conversations::find(tx, id)?.map(|found| found.owner.clone()),
        None => leases::dedicated_to(tx, number)?,
    };
    let key = handset.key();
    let before = tx.get::<OptOuts>(&key)?;
    let rows = before.as_deref().cloned().unwrap_or_default();
    let after = changed(rows.clone(), (number, holder), wish, now);
    if after != rows {
        if after.is_empty() {
            tx.delete::<OptOuts>(&key)?;
        } else {
            tx.put::<OptOuts>(&key, after)?;
        }
    }
    match texted.filter(|_| wish.is_stop()) {
        Some(id) => clear(tx, id, now),
        None => Ok(()),
    }
}

fn changed(
    mut rows: Vec<OptOutRow>,
    (number, holder): (&str, Option<OwnedUserId>),
    wish: Wish,
    at: Timestamp,
) -> Vec<OptOutRow> {
    let about = match wish {
        Wish::StartAll => return Vec::new(),
        Wish::Start => {
            rows.retain(|row| row.number.as_deref().is_some_and(|known| known != number));
            return rows;
        }
        Wish::Stop if rows.len() < MAX_NUMBERS => Some(number.to_owned()),
        Wish::Stop | Wish::StopAll => None,
    };
    if !rows
        .iter()
        .any(|row| row.number == about && row.holder == holder)
    {
        rows.retain(|row| row.number != about);
        rows.push(OptOutRow {
            number: about,
            holder,
            at,
        });
    }
    rows
}

/// Takes back what waits in the conversation that the phone has texted; what waits in others is taken back when
/// it is its turn.
fn clear(tx: &mut Tx<'_>, conversation: ConversationId, now: Timestamp) -> Result<()> {
    // From the last to the first, so that no message comes forward only to be taken back.
    let mut keys: Vec<i64> = tx
        .indexes()
        .messages
        .of_conversation(conversation)
        .collect();
    keys.sort_unstable_by(|one, other| other.cmp(one));
    super::sweep::each(keys, |key| take_back(tx, key, now))
}

/// All phones that want no more texts. Runs alone.
pub(in crate::store) fn all(tx: &mut Tx<'_>) -> Result<Vec<OptedOut>> {
    let mut all = Vec::new();
    for (key, rows) in tx.all::<OptOuts>()? {
        let handset = Handset::from_key(&key)
            .ok_or_else(|| StoreError::Corrupt("an opt-out of no handset".to_owned()))?;
        all.extend(rows.iter().map(|row| OptedOut {
            handset: handset.clone(),
            number: row.number.clone(),
            holder: row.holder.clone(),
            at: row.at,
        }));
    }
    Ok(all)
}
