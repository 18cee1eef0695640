//! How the message ids of receipts are written, beside those of the answers: SMSCs write one in
//! hexadecimal and the other in decimal digits, in another case, or filled up with zeros.

use std::collections::HashSet;

/// What relates the id of a receipt to that of the answer to its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdForm {
    /// The same octets.
    Same,
    /// The same but for case and leading zeros.
    Loose,
    /// Hexadecimal in the answer, decimal in the receipt.
    HexToDecimal,
    /// Decimal in the answer, hexadecimal in the receipt.
    DecimalToHex,
}

/// What two ids of one message have in common.
pub(crate) type Key = Box<[u8]>;

impl IdForm {
    const OTHERS: [Self; 3] = [Self::Loose, Self::HexToDecimal, Self::DecimalToHex];

    /// The key of an id in an answer.
    pub(crate) fn of_answer(self, id: &[u8]) -> Key {
        match self {
            Self::Same => id.into(),
            Self::Loose => loose(id),
            Self::HexToDecimal => number(id, 16),
            Self::DecimalToHex => number(id, 10),
        }
    }

    /// The key of an id in a receipt.
    pub(crate) fn of_receipt(self, id: &[u8]) -> Key {
        match self {
            Self::Same => id.into(),
            Self::Loose => loose(id),
            Self::HexToDecimal => number(id, 10),
            Self::DecimalToHex => number(id, 16),
        }
    }

    /// The form in which most of these receipts find their answers, and more of them than have
    /// found theirs by the same octets; none where there is no such form.
    pub(crate) fn learnt(answers: &[&[u8]], receipts: &[&[u8]], known: usize) -> Option<Self> {
        let finds = |form: &Self| {
            let keys: HashSet<Key> = answers.iter().map(|id| form.of_answer(id)).collect();
            let found = receipts
                .iter()
                .filter(|id| keys.contains(&form.of_receipt(id)));
            let found = found.count();
            found > known && found * 2 > receipts.len()
        };
        Self::OTHERS.into_iter().find(finds)
    }
}

fn loose(id: &[u8]) -> Key {
    let zeros = id.iter().take_while(|octet| **octet == b'0').count();
    id.get(zeros..)
        .unwrap_or_default()
        .to_ascii_lowercase()
        .into()
}

/// The value of an id in this base; one that is no number stays as it is.
fn number(id: &[u8], base: u32) -> Key {
    let text = str::from_utf8(id).ok();
    let value = text.and_then(|text| u128::from_str_radix(text, base).ok());
    value.map_or_else(|| loose(id), |value| value.to_string().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(answers: &[&str], receipts: &[&str]) -> Option<IdForm> {
        let answers: Vec<_> = answers.iter().map(|id| id.as_bytes()).collect();
        let receipts: Vec<_> = receipts.iter().map(|id| id.as_bytes()).collect();
        IdForm::learnt(&answers, &receipts, 0)
    }

    #[test]
    fn a_form_is_learnt_from_most_of_what_waits() {
        assert_eq!(
            learnt(&["499602d2", "ff"], &["1234567890", "255"]),
            Some(IdForm::HexToDecimal)
        );
        assert_eq!(
            learnt(&["1234567890", "255"], &["499602D2", "00FF"]),
            Some(IdForm::DecimalToHex)
        );
        assert_eq!(learnt(&["00aF1"], &["AF1"]), Some(IdForm::Loose));
        assert_eq!(
            learnt(&["1234567890"], &["0001234567890"]),
            Some(IdForm::Loose)
        );
        assert_eq!(learnt(&["a", "b", "c"], &["x", "y", "C"]), None);
    }

    #[test]
    fn a_chance_meeting_teaches_nothing_where_the_same_octets_have_met_more_often() {
        let (answer, receipt): (&[u8], &[u8]) = (b"10", b"16");
        assert!(IdForm::learnt(&[answer], &[receipt], 0).is_some());
        assert_eq!(IdForm::learnt(&[answer], &[receipt], 1), None);
    }
}
