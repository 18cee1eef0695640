//! Whose id a receipt names. A peer may write the ids of its answers in another way in its receipts:
//! in another case, with other padding, or in another base.
//!
//! Segments are kept by the canonical id of their answer, and a receipt's id is looked up as each form
//! would have had it in the answer, so an exact index finds them all. In one form ids mean one
//! segment; in several a number such as 10 may mean two. Then the form counts that the peer's receipts
//! have shown, from ids that could be meant in one way alone; until that is known such a receipt
//! waits, and never means either.

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::message_id::canonical;

use super::receipts::{self, Place};
use crate::store::tables::{IdFormRow, IdForms, Sent, SentRow, form_number, form_of, sent_key};
use crate::store::tx::Tx;
use crate::store::{ReceiptIn, Result};

/// Proofs of a form, less those of others, from which on it is believed.
const KNOWN: i64 = 3;
/// Proofs that are counted, and so those that another form needs when a peer changes its ways. From
/// there on other forms are looked for only where this one finds nothing.
const SURE: i64 = 16;

/// An id in a receipt.
pub(in crate::store) struct Named<'a> {
    pub(in crate::store) link_group: &'a str,
    pub(in crate::store) smsc_id: &'a str,
    /// The phone, where the receipt says it.
    pub(in crate::store) destination: Option<&'a str>,
    /// The form, where it is set.
    pub(in crate::store) form: Option<IdForm>,
}

impl<'a> Named<'a> {
    pub(in crate::store) fn by(receipt: &'a ReceiptIn) -> Self {
        Self {
            link_group: &receipt.link_group,
            smsc_id: &receipt.message_id,
            destination: receipts::phone(receipt),
            form: receipt.id_form,
        }
    }
}

/// The segment that a receipt means.
pub(in crate::store) struct Meant {
    pub(in crate::store) place: Place,
    /// The form, where this receipt proves it.
    pub(in crate::store) proof: Option<IdForm>,
}

#[derive(Clone, Copy)]
struct Candidate {
    form: IdForm,
    place: Place,
    same_phone: bool,
    answered: bool,
}

/// The one segment that the id can mean.
pub(in crate::store) fn meant(tx: &mut Tx<'_>, named: &Named<'_>) -> Result<Option<Meant>> {
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
fn candidate(tx: &mut Tx<'_>, named: &Named<'_>, form: IdForm) -> Result<Option<Candidate>> {
    let Some(canonical) = form.of_receipt(named.smsc_id) else {
        return Ok(None);
    };
    let Some(sent) = tx.get::<Sent>(&sent_key(named.link_group, &canonical))? else {
        return Ok(None);
    };
    let rank = |one: &SentRow| {
        let exact = one.smsc_id == named.smsc_id;
        let same_phone = named
            .destination
            .is_none_or(|phone| one.destination.0.as_str() == phone);
        (exact || same_phone).then_some((same_phone, exact, one.message, one.number))
    };
    let best = sent.iter().filter_map(|one| Some((rank(one)?, one)));
    let best = best.max_by_key(|(rank, _)| (rank.0, rank.1, rank.2, std::cmp::Reverse(rank.3)));
    Ok(best.map(|((same_phone, ..), one)| Candidate {
        form,
        place: (one.message, one.number),
        same_phone,
        answered: !one.by_receipt,
    }))
}

/// The form that the peer's receipts have shown, and by how many.
fn known(tx: &mut Tx<'_>, link_group: &str) -> Result<Option<(IdForm, i64)>> {
    let forms = tx.get::<IdForms>(link_group)?;
    Ok(forms.and_then(|forms| known_of(&forms)))
}

fn known_of(forms: &[IdFormRow]) -> Option<(IdForm, i64)> {
    let known = forms.iter().filter(|one| one.seen >= KNOWN);
    let best = known.max_by_key(|one| (one.seen, std::cmp::Reverse(one.form)))?;
    Some((form_of(best.form)?, best.seen))
}

/// Counts a proof; whether by it another form is known than before.
pub(in crate::store) fn learn(tx: &mut Tx<'_>, link_group: &str, proof: IdForm) -> Result<bool> {
    let before = tx.get::<IdForms>(link_group)?;
    let mut forms: Vec<IdFormRow> = before
        .iter()
        .flat_map(|forms| forms.iter())
        .copied()
        .collect();
    let proof = form_number(proof);
    for other in forms.iter_mut().filter(|one| one.form != proof) {
        other.seen = (other.seen - 1).max(0);
    }
    match forms.iter_mut().find(|one| one.form == proof) {
        Some(same) => same.seen = SURE.min(same.seen + 1),
        None => forms.push(IdFormRow {
            form: proof,
            seen: 1,
        }),
    }
    let known_before = before.and_then(|forms| known_of(&forms));
    let known_after = known_of(&forms);
    if known_before.is_none_or(|(_, seen)| seen < SURE) || known_before != known_after {
        tx.put::<IdForms>(link_group, forms)?;
    }
    Ok(known_after.map(|(form, _)| form) != known_before.map(|(form, _)| form))
}

/// The ids in receipts that may mean an answer with this one.
pub(in crate::store) fn in_receipts(smsc_id: &str) -> [String; 3] {
    IdForm::ALL.map(|form| {
        form.of_answer(smsc_id)
            .unwrap_or_else(|| canonical(smsc_id))
    })
}
