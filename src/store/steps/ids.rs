//! Whose id a receipt names. A peer may write the ids of its answers in another way in its receipts:
//! in another case, with other padding, or in another base.
//!
//! Segments are kept by the canonical id of their answer, and a receipt's id is looked up as each form
//! would have had it in the answer, so exact keys find them all. In one form ids mean one segment; in
//! several a number such as 10 may mean two. Then the form counts that the peer's receipts have shown,
//! from ids that could be meant in one way alone; until that is known such a receipt waits, and never
//! means either.

use std::cmp::Reverse;

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::message_id::canonical;

use super::receipts::Place;
use crate::store::tables::{
    IdFormRow, IdForms, ParkedRow, Sent, SentRow, form_number, form_of, sent_key,
};
use crate::store::tx::Tx;
use crate::store::{ReceiptIn, Result};

/// Proofs of a form, less those of others, from which on it is believed.
const KNOWN: i64 = 3;
/// Proofs that are counted, and so those that another form needs when a peer changes its ways. From
/// there on other forms are looked for only where this one finds nothing.
const SURE: i64 = 16;

/// An id in a receipt.
#[derive(Clone, Copy)]
pub(in crate::store) struct Named<'a> {
    pub(in crate::store) link_group: &'a str,
    pub(in crate::store) smsc_id: &'a str,
    /// The phone, where the receipt says it.
    pub(in crate::store) destination: Option<E164>,
    /// The form, where it is set.
    pub(in crate::store) form: Option<IdForm>,
}

impl<'a> Named<'a> {
    pub(in crate::store) fn by(receipt: &'a ReceiptIn) -> Self {
        Self {
            link_group: &receipt.link_group,
            smsc_id: &receipt.message_id,
            destination: receipt.handset,
            form: receipt.id_form,
        }
    }

    pub(in crate::store) fn waiting(row: &'a ParkedRow) -> Self {
        Self {
            link_group: &row.link_group,
            smsc_id: &row.smsc_id,
            destination: row.destination.map(|phone| phone.0),
            form: row.form.and_then(form_of),
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
pub(in crate::store) fn meant(tx: &mut Tx<'_>, named: Named<'_>) -> Result<Option<Meant>> {
    if let Some(form) = named.form {
        return Ok(candidate(tx, named, form)?.map(without_proof));
    }
    let known = known(&forms(tx, named.link_group)?);
    if let Some((form, SURE..)) = known
        && let Some(candidate) = candidate(tx, named, form)?
    {
        return Ok(Some(without_proof(candidate)));
    }
    let found = IdForm::ALL.map(|form| candidate(tx, named, form));
    let mut candidates = Vec::new();
    for candidate in found {
        candidates.extend(candidate?);
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
fn choose(mut all: Vec<Candidate>, known: Option<IdForm>, named: Named<'_>) -> Option<Meant> {
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
fn candidate(tx: &mut Tx<'_>, named: Named<'_>, form: IdForm) -> Result<Option<Candidate>> {
    let Some(canonical) = form.of_receipt(named.smsc_id) else {
        return Ok(None);
    };
    let Some(sent) = tx.get::<Sent>(&sent_key(named.link_group, &canonical))? else {
        return Ok(None);
    };
    let same_phone = |row: &SentRow| {
        named
            .destination
            .is_none_or(|phone| phone == row.destination.0)
    };
    let exact = |row: &SentRow| row.smsc_id == named.smsc_id;
    let best = sent
        .iter()
        .filter(|row| exact(row) || same_phone(row))
        .min_by_key(|row| Reverse((same_phone(row), exact(row), row.message)));
    Ok(best.map(|row| Candidate {
        form,
        place: (row.message, row.number),
        same_phone: same_phone(row),
        answered: !row.by_receipt,
    }))
}

fn forms(tx: &mut Tx<'_>, link_group: &str) -> Result<Vec<IdFormRow>> {
    let forms = tx.get::<IdForms>(link_group)?;
    Ok(forms.map_or_else(Vec::new, |forms| forms.to_vec()))
}

/// The form that the peer's receipts have shown, and by how many.
fn known(forms: &[IdFormRow]) -> Option<(IdForm, i64)> {
    let shown = forms.iter().filter(|row| row.seen >= KNOWN);
    let best = shown.min_by_key(|row| (Reverse(row.seen), row.form))?;
    Some((form_of(best.form)?, best.seen))
}

/// Counts a proof; whether by it another form is known than before.
pub(in crate::store) fn learn(tx: &mut Tx<'_>, link_group: &str, proof: IdForm) -> Result<bool> {
    let before = forms(tx, link_group)?;
    let mut after = before.clone();
    count(&mut after, form_number(proof));
    let is_new = known(&after).map(|(form, _)| form) != known(&before).map(|(form, _)| form);
    if after != before {
        tx.put::<IdForms>(link_group, after)?;
    }
    Ok(is_new)
}

/// One more for a form, one less for the others.
fn count(forms: &mut Vec<IdFormRow>, proof: u8) {
    for row in forms.iter_mut() {
        row.seen = if row.form == proof {
            SURE.min(row.seen + 1)
        } else {
            0.max(row.seen - 1)
        };
    }
    if !forms.iter().any(|row| row.form == proof) {
        forms.push(IdFormRow {
            form: proof,
            seen: 1,
        });
    }
}

/// The ids in receipts that may mean an answer with this one.
pub(in crate::store) fn in_receipts(smsc_id: &str) -> [String; 3] {
    IdForm::ALL.map(|form| {
        form.of_answer(smsc_id)
            .unwrap_or_else(|| canonical(smsc_id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIMAL: IdForm = IdForm::DecimalOfHex;
    const HEX: IdForm = IdForm::HexOfDecimal;

    fn after(proofs: &[(IdForm, usize)]) -> Option<(IdForm, i64)> {
        let mut forms = Vec::new();
        for (form, times) in proofs {
            (0..*times).for_each(|_| count(&mut forms, form_number(*form)));
        }
        known(&forms)
    }

    #[test]
    fn a_form_is_known_after_three_proofs_and_sure_after_sixteen() {
        assert_eq!(after(&[(DECIMAL, 2)]), None);
        assert_eq!(after(&[(DECIMAL, 3)]), Some((DECIMAL, KNOWN)));
        assert_eq!(after(&[(DECIMAL, 100)]), Some((DECIMAL, SURE)));
    }

    #[test]
    fn proofs_of_another_form_speak_against_it() {
        assert_eq!(after(&[(DECIMAL, 5), (HEX, 2)]), Some((DECIMAL, 3)));
        assert_eq!(after(&[(DECIMAL, 5), (HEX, 3)]), Some((HEX, 3)));
        assert_eq!(after(&[(DECIMAL, 100), (HEX, 16)]), Some((HEX, SURE)));
    }

    #[test]
    fn an_id_without_digits_of_two_bases_tells_no_form() {
        assert!(is_telling("10"));
        assert!(!is_telling("7"));
    }
}
