//! Whose id a receipt names. A peer may write the ids of its answers in another way in its receipts:
//! in another case, with other padding, or in another base.
//!
//! Segments are kept by the canonical id of their answer, and a receipt's id is looked up as each form
//! would have had it in the answer, so an exact index finds them all. In one form ids mean one
//! segment; in several a number such as 10 may mean two. Then the form counts that the peer's receipts
//! have shown, from ids that could be meant in one way alone; until that is known such a receipt
//! waits, and never means either.

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::message_id::canonical;
use rusqlite::{Connection, params};

use super::receipts::Place;
use super::rows::Sql as _;
use crate::store::{ReceiptIn, Result, StoreError};

/// Proofs of a form, less those of others, from which on it is believed.
const KNOWN: i64 = 3;
/// Proofs that are counted, and so those that another form needs when a peer changes its ways. From
/// there on other forms are looked for only where this one finds nothing.
const SURE: i64 = 16;

/// An id in a receipt.
pub(super) struct Named<'a> {
    pub(super) link_group: &'a str,
    pub(super) smsc_id: &'a str,
    /// The phone, where the receipt says it.
    pub(super) destination: Option<&'a str>,
    /// The form, where it is set.
    pub(super) form: Option<IdForm>,
}

impl<'a> Named<'a> {
    pub(super) fn by(receipt: &'a ReceiptIn) -> Self {
        Self {
            link_group: &receipt.link_group,
            smsc_id: &receipt.message_id,
            destination: receipt.handset.as_ref().map(E164::as_str),
            form: receipt.id_form,
        }
    }
}

/// The segment that a receipt means.
pub(super) struct Meant {
    pub(super) place: Place,
    /// The form, where this receipt proves it.
    pub(super) proof: Option<IdForm>,
}

#[derive(Clone, Copy)]
struct Candidate {
    form: IdForm,
    place: Place,
    same_phone: bool,
    answered: bool,
}

/// The one segment that the id can mean.
pub(super) fn meant(tx: &Connection, named: &Named<'_>) -> Result<Option<Meant>> {
    if let Some(form) = named.form {
        return Ok(candidate(tx, named, form)?.map(without_proof));
    }
    let known = known(tx, named.link_group)?;
    if let Some((form, SURE..)) = known
        && let Some(candidate) = candidate(tx, named, form)?
    {
        return Ok(Some(without_proof(candidate)));
    }
    let mut candidates = Vec::new();
    for form in IdForm::ALL {
        candidates.extend(candidate(tx, named, form)?);
    }
    Ok(choose(candidates, known.map(|(form, _)| form), named))
}

const fn without_proof(candidate: Candidate) -> Meant {
    Meant {
        place: candidate.place,
        proof: None,
    }
}

/// The candidate of the known form, or the only one.
fn choose(mut all: Vec<Candidate>, known: Option<IdForm>, named: &Named<'_>) -> Option<Meant> {
    if all.iter().any(|candidate| candidate.same_phone) {
        all.retain(|candidate| candidate.same_phone);
    }
    // In a form that nothing speaks for, the phone must.
    all.retain(|candidate| {
        let believed = candidate.form == known.unwrap_or(IdForm::Same);
        believed || (candidate.same_phone && named.destination.is_some())
    });
    let of_known = all
        .iter()
        .find(|candidate| Some(candidate.form) == known)
        .map(|candidate| candidate.place);
    let first = all.first()?;
    let only = all.iter().all(|other| other.place == first.place);
    let place = of_known.or_else(|| only.then_some(first.place))?;
    let proves = all.len() == 1
        && first.same_phone
        && first.answered
        && named.destination.is_some()
        && is_telling(named.smsc_id);
    Some(Meant {
        place,
        proof: proves.then_some(first.form),
    })
}

/// Whether the id differs from form to form.
fn is_telling(smsc_id: &str) -> bool {
    let ids = IdForm::ALL.map(|form| form.of_receipt(smsc_id));
    ids.iter().skip(1).all(|id| *id != ids[0])
}

/// The newest segment whose id a receipt of this form would write so, the very same spelling first.
/// Where the receipt names a phone, a segment to another phone is meant by the very same id alone, and
/// only where there is no other.
fn candidate(tx: &Connection, named: &Named<'_>, form: IdForm) -> Result<Option<Candidate>> {
    let Some(canonical) = form.of_receipt(named.smsc_id) else {
        return Ok(None);
    };
    tx.one(
        "SELECT sent.message, sent.number, sent.by_receipt, sent.smsc_id = ?3 AS exact,
             ?4 IS NULL OR message.destination = ?4 AS same_phone
         FROM sent JOIN message ON message.key = sent.message
         WHERE sent.link_group = ?1 AND sent.canonical = ?2 AND (exact OR same_phone)
         ORDER BY same_phone DESC, exact DESC, sent.message DESC LIMIT 1",
        params![
            named.link_group,
            canonical,
            named.smsc_id,
            named.destination
        ],
        |row| {
            Ok(Candidate {
                form,
                place: (row.get("message")?, row.get("number")?),
                same_phone: row.get("same_phone")?,
                answered: !row.get::<_, bool>("by_receipt")?,
            })
        },
    )
}

/// The form that the peer's receipts have shown, and by how many.
fn known(tx: &Connection, link_group: &str) -> Result<Option<(IdForm, i64)>> {
    tx.one(
        "SELECT form, seen FROM id_form WHERE link_group = ?1 AND seen >= ?2
         ORDER BY seen DESC, form LIMIT 1",
        params![link_group, KNOWN],
        |row| Ok((form(row.get("form")?)?, row.get("seen")?)),
    )
}

/// Counts a proof; whether by it another form is known than before.
pub(super) fn learn(tx: &Connection, link_group: &str, proof: IdForm) -> Result<bool> {
    let before = known(tx, link_group)?;
    tx.run(
        "UPDATE id_form SET seen = seen - 1 WHERE link_group = ?1 AND form <> ?2 AND seen > 0",
        params![link_group, number(proof)],
    )?;
    tx.run(
        "INSERT INTO id_form (link_group, form, seen) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET seen = min(seen + 1, ?3)",
        params![link_group, number(proof), SURE],
    )?;
    let after = known(tx, link_group)?;
    Ok(after.map(|(form, _)| form) != before.map(|(form, _)| form))
}

/// The ids in receipts that may mean an answer with this one.
pub(super) fn in_receipts(smsc_id: &str) -> [String; 3] {
    IdForm::ALL.map(|form| {
        form.of_answer(smsc_id)
            .unwrap_or_else(|| canonical(smsc_id))
    })
}

/// The number of a form in the store.
pub(super) const fn number(form: IdForm) -> u8 {
    match form {
        IdForm::Same => 0,
        IdForm::DecimalOfHex => 1,
        IdForm::HexOfDecimal => 2,
    }
}

/// The form of a number in the store.
pub(super) fn form(stored: u8) -> Result<IdForm> {
    let mut all = IdForm::ALL.into_iter();
    all.find(|form| number(*form) == stored)
        .ok_or_else(|| StoreError::Corrupt(format!("no form of ids: {stored}")))
}
