//! What a peer's PDU says: between whom, and a text or a receipt.

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::udh::InboundText;
use matrix_smpp_codec::values::Ton;
use matrix_smpp_codec::{DataSm, DeliverSm, E164, Quirks, SubmitSm, Tlvs};

use crate::gateway::model::{E164Text, Handset};
use crate::gateway::number;
use crate::store::SubmissionIn;

/// The name of a sender whose address is empty: no ghost goes without one.
const NAMELESS: &str = "unknown";

/// Fewest digits of a sender that is a phone's number; what has fewer is a short code.
const MIN_DIGITS: usize = 7;

/// What a `deliver_sm` or a `data_sm` says. SMPP 3.4 §4.6.1, §4.7.1.
pub(super) struct Said {
    pub(super) parties: Parties,
    pub(super) what: What,
    /// What an account wants for it.
    pub(super) submitted: Option<SubmissionIn>,
}

/// Between whom, as the PDU has it.
pub(super) struct Parties {
    source_ton: Ton,
    source: String,
    destination_ton: Ton,
    destination: String,
}

impl Parties {
    /// Who texts. A sender that is no number in the world has a ghost class of its own.
    pub(super) fn sender(&self, country_code: Option<&str>) -> Handset {
        if self.source.trim().is_empty() {
            return Handset::Alphanumeric(NAMELESS.to_owned());
        }
        if !is_numeric(self.source_ton, &self.source) {
            return Handset::Alphanumeric(self.source.clone());
        }
        match number_of(self.source_ton, &self.source, country_code) {
            Some(number) if number.as_str().len() >= MIN_DIGITS => {
                Handset::Number(E164Text(number))
            }
            _ => Handset::Shortcode(bare(&self.source).to_owned()),
        }
    }

    /// The phone that a receipt is about, where it can be told: an address of any odd type is read as
    /// an international number, as that is what was sent to.
    pub(super) fn handset(&self, country_code: Option<&str>) -> Option<E164> {
        let is_national = self.source_ton == Ton::NATIONAL;
        let as_it_stands = || bare(&self.source).parse().ok().filter(|_| !is_national);
        number_of(self.source_ton, &self.source, country_code).or_else(as_it_stands)
    }

    /// The number of ours: digits, international where it is one in the world.
    pub(super) fn own_number(&self, country_code: Option<&str>) -> String {
        number_of(self.destination_ton, &self.destination, country_code).map_or_else(
            || bare(&self.destination).to_owned(),
            |number| number.to_string(),
        )
    }
}

pub(super) enum What {
    Receipt(Receipt),
    UnreadableReceipt,
    Text(InboundText, Identity),
}

/// What the peer says of a text's identity beside its words.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) user_message_reference: Option<u16>,
    pub(super) peer_id: Option<String>,
}

impl Identity {
    fn of(tlvs: &Tlvs) -> Self {
        let id = tlvs.receipted_message_id().map(|id| id.to_text());
        Self {
            user_message_reference: tlvs.user_message_reference(),
            peer_id: id.filter(|id| !id.is_empty()),
        }
    }
}

macro_rules! said_by {
    ($($pdu:ty, $receipt:expr;)*) => {$(
        impl FromPeer<&$pdu> for Said {
            fn from_peer(sm: &$pdu, quirks: Quirks) -> Self {
                let parties = Parties {
                    source_ton: sm.source_addr_ton,
                    source: sm.source_addr.to_text(),
                    destination_ton: sm.dest_addr_ton,
                    destination: sm.destination_addr.to_text(),
                };
                let what = match $receipt(sm, quirks) {
                    Some(receipt) => What::Receipt(receipt),
                    None if sm.esm_class.is_receipt() => What::UnreadableReceipt,
                    None => What::Text(InboundText::with(sm, quirks), Identity::of(&sm.tlvs)),
                };
                Self {
                    parties,
                    what,
                    submitted: None,
                }
            }
        }
    )*};
}

said_by! {
    DeliverSm, Receipt::with;
    DataSm, Receipt::with;
    SubmitSm, no_receipt;
}

/// One that says it is a receipt was refused before.
fn no_receipt(_: &SubmitSm, _: Quirks) -> Option<Receipt> {
    None
}

/// Reads a PDU as a peer with these quirks means it.
pub(super) trait FromPeer<P> {
    fn from_peer(pdu: P, quirks: Quirks) -> Self;
}

/// Whether an address is made of digits, as far as its type allows.
fn is_numeric(ton: Ton, address: &str) -> bool {
    let digits = bare(address);
    let all_digits = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    all_digits && ton != Ton::ALPHANUMERIC
}

/// The number in the world that an address is: of itself, or in the national form of the peer's
/// country. Without a country the digits of a national one could be another subscriber's
/// international number.
fn number_of(ton: Ton, address: &str, country_code: Option<&str>) -> Option<E164> {
    let digits = bare(address);
    let is_short = digits.len() < MIN_DIGITS;
    if !is_numeric(ton, address) || (is_short && ton != Ton::INTERNATIONAL) {
        return None;
    }
    let national = match ton {
        Ton::NATIONAL => true,
        // With a national prefix, which no international number begins with.
        Ton::UNKNOWN => digits.starts_with('0'),
        Ton::INTERNATIONAL => false,
        _ => return None,
    };
    if national {
        return number::from_national(digits, country_code?);
    }
    digits.parse().ok()
}

/// An address without the plus that some peers put before it.
fn bare(address: &str) -> &str {
    address.trim().trim_start_matches('+')
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{Address, Quirk};
    use proptest::prelude::*;

    use super::*;

    fn parties(ton: Ton, source: String) -> Parties {
        Parties {
            source_ton: ton,
            source,
            destination_ton: Ton::INTERNATIONAL,
            destination: "447700900901".to_owned(),
        }
    }

    fn sender(ton: Ton, source: String) -> Handset {
        parties(ton, source).sender(None)
    }

    #[test]
    fn a_sender_without_an_address_has_a_name() {
        for address in ["", " "] {
            let handset = sender(Ton::UNKNOWN, address.to_owned());
            assert_eq!(handset, Handset::Alphanumeric("unknown".to_owned()));
        }
    }

    #[test]
    fn only_an_international_number_is_a_number() {
        let digits = "7700900123";
        let number = Handset::Number(E164Text(digits.parse().unwrap()));
        for ton in [Ton::UNKNOWN, Ton::INTERNATIONAL] {
            assert_eq!(sender(ton, digits.to_owned()), number);
            assert_eq!(sender(ton, format!("+{digits}")), number);
            let short = Handset::Shortcode("770090".to_owned());
            assert_eq!(sender(ton, "770090".to_owned()), short);
        }
        let others = [
            Ton::NATIONAL,
            Ton::NETWORK_SPECIFIC,
            Ton::SUBSCRIBER_NUMBER,
            Ton::ABBREVIATED,
        ];
        for ton in others {
            let local = Handset::Shortcode(digits.to_owned());
            assert_eq!(sender(ton, digits.to_owned()), local, "{ton:?}");
        }
    }

    #[test]
    fn a_national_number_is_completed_by_the_country_of_the_peer() {
        for (ton, digits, country, expected) in [
            (Ton::NATIONAL, "07700900123", "44", Some("447700900123")),
            (Ton::NATIONAL, "7700900123", "44", Some("447700900123")),
            (Ton::UNKNOWN, "07700900123", "44", Some("447700900123")),
            (
                Ton::INTERNATIONAL,
                "447700900123",
                "44",
                Some("447700900123"),
            ),
            (Ton::UNKNOWN, "447700900123", "44", Some("447700900123")),
            (Ton::NATIONAL, "015112345678", "49", Some("4915112345678")),
            (Ton::NATIONAL, "2025550123", "1", Some("12025550123")),
            // No phone of the country, no country, and what is no phone's number anyway.
            (Ton::NATIONAL, "12345678901234", "44", None),
            (Ton::NATIONAL, "07700900123", "999", None),
            (Ton::NATIONAL, "12345", "44", None),
            (Ton::ALPHANUMERIC, "07700900123", "44", None),
        ] {
            let from = parties(ton, digits.to_owned());
            let number = expected.map(|digits| digits.parse().unwrap());
            assert_eq!(from.handset(Some(country)), number, "{digits} {ton:?}");
            assert_eq!(
                from.sender(Some(country)).number(),
                number,
                "{digits} {ton:?}"
            );
        }
        let odd = parties(Ton::NETWORK_SPECIFIC, "447700900123".to_owned());
        assert!(odd.handset(None).is_some() && odd.sender(None).number().is_none());
        let national = parties(Ton::NATIONAL, "07700900123".to_owned());
        assert_eq!(national.handset(None), None);
    }

    #[test]
    fn our_own_number_is_known_in_national_form() {
        let to = |ton, digits: &str, country| {
            let parties = Parties {
                destination_ton: ton,
                destination: digits.to_owned(),
                ..parties(Ton::INTERNATIONAL, String::new())
            };
            parties.own_number(country)
        };
        assert_eq!(to(Ton::NATIONAL, "07700900901", Some("44")), "447700900901");
        assert_eq!(to(Ton::UNKNOWN, "+447700900901", None), "447700900901");
        for country in [None, Some("44")] {
            assert_eq!(to(Ton::NATIONAL, "12345", country), "12345");
            assert_eq!(to(Ton::NETWORK_SPECIFIC, "12345", country), "12345");
        }
        assert_eq!(to(Ton::NATIONAL, "07700900901", None), "07700900901");
    }

    #[test]
    fn a_data_sm_keeps_its_long_addresses() {
        let name = "a".repeat(64);
        let sm = DataSm {
            source_addr: Address::try_from(name.as_str()).unwrap(),
            destination_addr: Address::try_from("447700900901").unwrap(),
            ..DataSm::default()
        };
        let said = Said::from_peer(&sm, Quirks::NONE);
        assert_eq!(said.parties.source, name);
        assert_eq!(said.parties.destination, "447700900901");
        assert!(matches!(said.what, What::Text(..)));
    }

    #[test]
    fn senders_have_the_class_that_their_address_says() {
        for (address, ton, key) in [
            ("447700900123", Ton::INTERNATIONAL, "447700900123"),
            ("+447700900123", Ton::UNKNOWN, "447700900123"),
            ("12345", Ton::UNKNOWN, "=s12345"),
            ("12345", Ton::INTERNATIONAL, "=s12345"),
            ("447700900123", Ton::NETWORK_SPECIFIC, "=s447700900123"),
            ("07700900123", Ton::NATIONAL, "=s07700900123"),
            ("MyBank", Ton::ALPHANUMERIC, "=a4d7942616e6b"),
            ("12345", Ton::ALPHANUMERIC, "=a3132333435"),
            ("My-Bank", Ton::UNKNOWN, "=a4d792d42616e6b"),
        ] {
            assert_eq!(
                sender(ton, address.to_owned()).key(),
                key,
                "{address} {ton:?}"
            );
        }
    }

    #[test]
    fn a_text_is_read_as_its_peer_means_it() {
        for (quirk, octets, words) in [
            (None, &b"\x00"[..], "@"),
            (Some(Quirk::DefaultIsLatin1), b"\xe9", "é"),
            (Some(Quirk::DefaultIsUtf8), "é€😀".as_bytes(), "é€😀"),
        ] {
            let sm = DeliverSm {
                short_message: octets.try_into().unwrap(),
                ..DeliverSm::default()
            };
            let said = Said::from_peer(&sm, quirk.into_iter().collect());
            let What::Text(text, _) = said.what else {
                panic!("{quirk:?}: no text")
            };
            assert_eq!(text.text(), words, "{quirk:?}");
        }
    }

    #[test]
    fn a_receipt_without_its_mark_is_one_from_such_a_peer_only() {
        let words = b"id:1 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000";
        let sm = DeliverSm {
            short_message: words.as_slice().try_into().unwrap(),
            ..DeliverSm::default()
        };
        let unmarked = Quirks::NONE.with(Quirk::UnmarkedReceipts);
        assert!(matches!(
            Said::from_peer(&sm, unmarked).what,
            What::Receipt(_)
        ));
        assert!(matches!(
            Said::from_peer(&sm, Quirks::NONE).what,
            What::Text(..)
        ));
    }

    proptest! {
        #[test]
        fn every_sender_survives_its_key(
            ton: u8,
            text in prop_oneof!["\\PC{0,65}", "[+ ]{0,2}[0-9]{0,64}", "[\0-\x7f]{0,20}"],
        ) {
            let handset = sender(Ton(ton % 8), text);
            prop_assert_eq!(Handset::from_key(&handset.key()), Some(handset));
        }
    }
}
