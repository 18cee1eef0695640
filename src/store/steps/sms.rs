//! SMS from phones: told from redeliveries, joined from their parts, then pending.
//!
//! An SMS stands in [`Sms`](Pending) while it is pending or set aside, and in [`EndedSms`] from the
//! moment on in which everything that follows from it is queued.

use std::sync::Arc;

use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::values::MessageState;

use super::copies::{self, Alike, Judgement};
use super::parts::{place, take_part};
use super::{aside, leases, limits, opt_outs, scheduled, submissions};
use crate::gateway::model::{SmsId, TakenId};
use crate::store::tables::{
    AsideRow, EndedSms, HomeRow, RecipientRow, Sms as Pending, SmsRow, number,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Ending, Result, Sms, SmsIn, SmsTaken, StoreError};

/// What `message_payload` can carry, and so the most that one PDU brings.
const MAX_PAYLOAD: usize = 65_535;

pub(in crate::store) fn take(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<SmsTaken> {
    if sms.payload.len() > MAX_PAYLOAD {
        return Err(StoreError::Conflict(
            "an SMS has at most 65535 octets".to_owned(),
        ));
    }
    let (judgement, alike) = copies::judge(tx, sms)?;
    match judgement {
        Judgement::Copy(id) => return Ok(SmsTaken::Repeated { id }),
        Judgement::Undecided(session) => return Ok(SmsTaken::Undecided { session }),
        Judgement::New => {}
    }
    if waiting(tx) >= sms.most_waiting {
        return Ok(SmsTaken::Full);
    }
    let placed = match place(sms) {
        Some(concat) => take_part(tx, sms, concat)?,
        None => take_whole(tx, sms)?,
    };
    if let Some(wish) = sms.wish {
        opt_outs::heed(tx, (&sms.from, &sms.to), wish, sms.at)?;
    }
    Ok(match placed {
        Placed::NotLeased => not_leased(tx, sms, alike)?,
        Placed::Held { home } => SmsTaken::Repeated {
            id: remember(tx, sms, alike, home)?,
        },
        Placed::Stored { home } => {
            limits::note_heard(tx, sms)?;
            SmsTaken::Stored {
                complete: matches!(home, HomeRow::Sms(_)),
                id: remember(tx, sms, alike, home)?,
            }
        }
    })
}

/// How many SMS wait for their rooms, or are about to be said there.
fn waiting(tx: &Tx<'_>) -> usize {
    let indexes = tx.indexes();
    let to_be_said = usize::try_from(indexes.outbox.pending).unwrap_or(usize::MAX);
    indexes.sms.pending.len().saturating_add(to_be_said)
}

fn remember(tx: &mut Tx<'_>, sms: &SmsIn, alike: Alike, home: HomeRow) -> Result<TakenId> {
    let id = copies::remember(tx, sms, alike)?;
    submissions::begin(tx, sms, id, home)?;
    Ok(id)
}

fn not_leased(tx: &mut Tx<'_>, sms: &SmsIn, alike: Alike) -> Result<SmsTaken> {
    let told_by_id = sms.submitted.as_ref().is_some_and(|one| one.to_nobody);
    Ok(if told_by_id {
        SmsTaken::Undeliverable {
            id: remember(tx, sms, alike, HomeRow::Nowhere)?,
        }
    } else if sms.wish.is_some() {
        SmsTaken::Heeded
    } else {
        SmsTaken::NotLeased
    })
}

/// Where an SMS or a part that is no copy goes.
pub(super) enum Placed {
    Stored {
        home: HomeRow,
    },
    /// The part is there already.
    Held {
        home: HomeRow,
    },
    NotLeased,
}

fn take_whole(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<Placed> {
    let Some(recipient) = recipient(tx, sms)? else {
        return Ok(Placed::NotLeased);
    };
    let id = tx.next(Sequence::Sms)?;
    let row = SmsRow {
        id,
        link_group: sms.link_group.clone(),
        handset: sms.from.clone(),
        number: sms.to.clone(),
        text: join(&[(sms.data_coding, sms.payload.clone())]),
        missing: 0,
        recipient,
        at: sms.at,
        aside: None,
        due_at: scheduled::due_at(sms),
        withdrawn: false,
        submissions: Vec::new(),
        wish: sms.wish,
    };
    scheduled::stand(tx, row);
    let home = HomeRow::Sms(id);
    Ok(Placed::Stored { home })
}

/// Whom an SMS is for, as the leases stand now.
pub(super) fn recipient(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<Option<RecipientRow>> {
    if let Some(lease) = leases::of_pair(tx, &sms.to, &sms.from, sms.at)? {
        return Ok(Some(match lease.cooling_until {
            None => RecipientRow::Conversation(lease.conversation),
            Some(_) => RecipientRow::Former(lease.conversation),
        }));
    }
    let owner = match leases::dedicated_to(tx, &sms.to)? {
        Some(owner) => Some(owner),
        None => sms.dedicated_to.clone(),
    };
    Ok(owner.map(RecipientRow::Owner))
}

fn view(row: &SmsRow) -> Sms {
    Sms {
        id: SmsId(row.id),
        link_group: row.link_group.clone(),
        from: row.handset.clone(),
        to: row.number.clone(),
        text: row.text.clone(),
        missing_parts: row.missing,
        recipient: (&row.recipient).into(),
        wish: row.wish,
        at: row.at,
    }
}

pub(in crate::store) fn pending(tx: &mut Tx<'_>, after: SmsId, limit: usize) -> Result<Vec<Sms>> {
    let waiting = &tx.indexes().sms.pending;
    let page = waiting.range(after.0.saturating_add(1)..).take(limit);
    let keys: Vec<String> = page.map(|id| number(*id)).collect();
    tx.fetch::<Pending>(keys.iter().map(String::as_str));
    let mut sms = Vec::with_capacity(keys.len());
    for key in keys {
        sms.extend(tx.get::<Pending>(&key)?.as_deref().map(view));
    }
    Ok(sms)
}

pub(in crate::store) fn get(tx: &mut Tx<'_>, id: SmsId) -> Result<Option<Sms>> {
    let row = find(tx, id.0)?;
    Ok(row.as_deref().and_then(said_or_to_be))
}

/// An SMS, unless it was withdrawn.
pub(super) fn said_or_to_be(row: &SmsRow) -> Option<Sms> {
    (!row.withdrawn).then(|| view(row))
}

/// An SMS, finished or not.
pub(super) fn find(tx: &mut Tx<'_>, id: i64) -> Result<Option<Arc<SmsRow>>> {
    let key = number(id);
    if !tx.indexes().sms.pending.contains(&id)
        && let Some(ended) = tx.get::<EndedSms>(&key)?
    {
        return Ok(Some(ended));
    }
    tx.get::<Pending>(&key)
}

/// An SMS that no account has submitted, so that nobody can withdraw it.
pub(super) fn nobodys(tx: &mut Tx<'_>, id: SmsId) -> Result<Option<Sms>> {
    let found = find(tx, id.0)?.filter(|row| row.submissions.is_empty());
    Ok(found.and_then(|row| said_or_to_be(&row)))
}

/// Changes an SMS, finished or not.
pub(super) fn change(tx: &mut Tx<'_>, id: i64, change: impl FnOnce(&mut SmsRow)) -> Result<()> {
    let key = number(id);
    if tx.indexes().sms.pending.contains(&id) || !tx.has::<EndedSms>(&key)? {
        tx.update::<Pending>(&key, change)?;
    } else {
        tx.update::<EndedSms>(&key, change)?;
    }
    Ok(())
}

/// Takes the words out of an SMS, finished or not: nobody will say them.
pub(super) fn withdraw(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    let Some(row) = find(tx, id)? else {
        return Ok(());
    };
    let key = number(id);
    let ended = SmsRow {
        text: String::new(),
        aside: None,
        due_at: None,
        withdrawn: true,
        ..SmsRow::clone(&row)
    };
    if tx.delete::<Pending>(&key)? {
        tx.insert::<EndedSms>(&key, ended);
        return Ok(());
    }
    tx.put::<EndedSms>(&key, ended)
}

pub(in crate::store) fn finish(tx: &mut Tx<'_>, id: SmsId, ending: &Ending) -> Result<()> {
    let key = number(id.0);
    if !tx.indexes().sms.pending.contains(&id.0) {
        return Ok(());
    }
    match ending {
        Ending::Done => {
            if let Some(row) = tx.get::<Pending>(&key)? {
                tx.delete::<Pending>(&key)?;
                tx.insert::<EndedSms>(&key, SmsRow::clone(&row));
            }
        }
        Ending::SetAside { reason, at, .. } => {
            tx.update::<Pending>(&key, |row| {
                row.aside = Some(AsideRow {
                    reason: reason.clone(),
                    at: row.at.max(*at),
                });
            })?;
            end_submissions(tx, id, ending)?;
        }
    }
    aside::tell(tx, ending, true)
}

/// The words of an SMS were said or will not be: what was submitted of it has reached its end.
pub(super) fn end_submissions(tx: &mut Tx<'_>, id: SmsId, ending: &Ending) -> Result<()> {
    let (state, at) = match ending {
        Ending::Done => (MessageState::DELIVERED, None),
        Ending::SetAside { at, .. } => (MessageState::UNDELIVERABLE, Some(*at)),
    };
    submissions::end_sms(tx, id, state, at)
}
