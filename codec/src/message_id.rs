//! One message id in its different spellings. An SMSC may answer in hexadecimal and write its
//! receipts in decimal, or the other way round, in another case and with other padding; `message_id`
//! itself stays as it came.

/// How a receipt writes the id of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdForm {
    /// The same but for case, leading zeros and `0x`.
    Same,
    /// The answer's decimal number in hexadecimal.
    HexOfDecimal,
    /// The answer's hexadecimal number in decimal.
    DecimalOfHex,
}

impl IdForm {
    /// All of them, the likeliest first.
    pub const ALL: [Self; 3] = [Self::Same, Self::DecimalOfHex, Self::HexOfDecimal];

    /// The id of an answer as a receipt of this form writes it, in its [`canonical`] spelling;
    /// `None` where it is no number of that base.
    #[must_use]
    pub fn of_answer(self, id: &str) -> Option<String> {
        match self {
            Self::Same => Some(canonical(id)),
            Self::HexOfDecimal => number(id, 10).map(|number| format!("{number:x}")),
            Self::DecimalOfHex => number(id, 16).map(|number| number.to_string()),
        }
    }

    /// The id of the answer that a receipt of this form writes so, in its [`canonical`] spelling;
    /// `None` where it is no number of that base.
    #[must_use]
    pub fn of_receipt(self, id: &str) -> Option<String> {
        let back = match self {
            Self::Same => Self::Same,
            Self::HexOfDecimal => Self::DecimalOfHex,
            Self::DecimalOfHex => Self::HexOfDecimal,
        };
        back.of_answer(id)
    }

    /// The form by which a receipt's id means the one of an answer; `None` where it means another
    /// message. An id of digits alone may mean two messages in two forms: a peer keeps to one, which
    /// is to be learnt from ids that can only be read in one way.
    #[must_use]
    pub fn between(answer: &str, receipt: &str) -> Option<Self> {
        let receipt = canonical(receipt);
        Self::ALL
            .into_iter()
            .find(|form| form.of_answer(answer).as_ref() == Some(&receipt))
    }
}

/// The id in lower case, without blanks, `0x` and leading zeros: the same however a peer pads and
/// spells one number or name.
#[must_use]
pub fn canonical(id: &str) -> String {
    let lower = id.trim().to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    match digits.trim_start_matches('0') {
        "" if lower.is_empty() => lower,
        "" => "0".to_owned(),
        kept => kept.to_owned(),
    }
}

/// The id as a number, where it has no other characters and fits 128 bits.
fn number(id: &str, radix: u32) -> Option<u128> {
    let digits = canonical(id);
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    all_digits
        .then(|| u128::from_str_radix(&digits, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_padding_and_prefix_do_not_change_an_id() {
        for id in ["00a1B2", "A1B2", "0xa1b2", " a1b2 ", "0X00A1B2"] {
            assert_eq!(canonical(id), "a1b2", "{id}");
        }
        assert_eq!(canonical("0000"), "0");
        assert_eq!(canonical(""), "");
        assert_eq!(canonical("9D5E0B0C-2b2a"), "9d5e0b0c-2b2a");
    }

    #[test]
    fn a_receipt_in_another_base_means_the_same_message() {
        assert_eq!(
            IdForm::between("000000ff", "255"),
            Some(IdForm::DecimalOfHex)
        );
        assert_eq!(IdForm::between("255", "00FF"), Some(IdForm::HexOfDecimal));
        assert_eq!(IdForm::between("0012", "12"), Some(IdForm::Same));
        assert_eq!(IdForm::between("12", "13"), None);
        assert_eq!(IdForm::between("", ""), Some(IdForm::Same));
    }

    #[test]
    fn ids_of_64_bits_and_more_are_numbers_too() {
        let (decimal, hex) = ("18446744073709551615", "ffffffffffffffff");
        assert_eq!(IdForm::between(hex, decimal), Some(IdForm::DecimalOfHex));
        assert_eq!(IdForm::between(decimal, hex), Some(IdForm::HexOfDecimal));
        let longer_than_any_number = "9".repeat(64);
        assert_eq!(
            IdForm::HexOfDecimal.of_answer(&longer_than_any_number),
            None
        );
        assert_eq!(
            IdForm::between(&longer_than_any_number, &longer_than_any_number),
            Some(IdForm::Same)
        );
    }

    #[test]
    fn names_are_no_numbers() {
        assert_eq!(IdForm::DecimalOfHex.of_answer("9d5e0b0c-2b2a"), None);
        assert_eq!(IdForm::HexOfDecimal.of_answer("12a"), None);
        assert_eq!(IdForm::HexOfDecimal.of_answer(""), None);
        assert_eq!(IdForm::DecimalOfHex.of_answer("+12"), None);
    }

    proptest! {
        #[test]
        fn every_number_is_found_in_both_bases(number: u64, width in 0_usize..20) {
            let (decimal, hex) = (format!("{number:0width$}"), format!("{number:0width$X}"));
            prop_assert!(IdForm::between(&decimal, &hex).is_some());
            prop_assert!(IdForm::between(&hex, &decimal).is_some());
        }

        #[test]
        fn a_receipt_leads_back_to_its_answer(
            answer in "[0-9a-fA-F]{1,20}",
            form in proptest::sample::select(&IdForm::ALL[..]),
        ) {
            if let Some(receipt) = form.of_answer(&answer) {
                prop_assert_eq!(form.of_receipt(&receipt), Some(canonical(&answer)));
            }
        }

        #[test]
        fn a_canonical_id_is_its_own_canonical_id(id in "[0x]{0,3}[0-9a-zA-Z-]{0,20}") {
            let once = canonical(&id);
            prop_assume!(!once.starts_with("0x"));
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
