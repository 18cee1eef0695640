//! `quirks.*`: what a peer does otherwise than SMPP 3.4 says, one key for each quirk of the codec.

#![expect(
    unreachable_pub,
    reason = "the keys become a set of the codec's quirks; the macro gives a public type to all"
)]

use matrix_smpp_codec::{Quirk, Quirks};

use crate::read::{FromToml, Node};
use crate::section::{Section, section};

section! {
    /// What a peer does otherwise than SMPP 3.4 says.
    pub struct QuirkKeys, raw RawQuirkKeys {
        /// Its names and addresses may be longer than their fields: they are cut.
        long_strings: bool = default("false");
        /// Its names and addresses that fill their fields come without the NUL.
        unterminated_strings: bool = default("false");
        /// Its `sm_length` is not the length of the text: all that follows is text where it makes no
        /// sense otherwise.
        wrong_text_length: bool = default("false");
        /// Its optional parameters may be cut off or run past the end: the whole ones count.
        broken_tlvs: bool = default("false");
        /// NULs fill the gaps between its optional parameters.
        padded_tlvs: bool = default("false");
        /// It means ISO-8859-1 by `data_coding` 0, not GSM 03.38.
        default_is_latin1: bool = default("false");
        /// It means UTF-8 or ASCII by `data_coding` 0.
        default_is_utf8: bool = default("false");
        /// What it announces as ISO-8859-1 is Windows-1252.
        windows_1252: bool = default("false");
        /// It sends septets packed, 8 in 7 octets.
        packed_septets: bool = default("false");
        /// It sends UCS-2 with the low octet first.
        little_endian_ucs2: bool = default("false");
        /// Its segments have a user data header that `esm_class` does not announce.
        unannounced_header: bool = default("false");
        /// Its receipts come without their bit in `esm_class`.
        unmarked_receipts: bool = default("false");
    }
}

impl QuirkKeys {
    fn set(&self) -> Quirks {
        let keys = [
            (self.long_strings, Quirk::LongStrings),
            (self.unterminated_strings, Quirk::UnterminatedStrings),
            (self.wrong_text_length, Quirk::WrongTextLength),
            (self.broken_tlvs, Quirk::BrokenTlvs),
            (self.padded_tlvs, Quirk::PaddedTlvs),
            (self.default_is_latin1, Quirk::DefaultIsLatin1),
            (self.default_is_utf8, Quirk::DefaultIsUtf8),
            (self.windows_1252, Quirk::Windows1252),
            (self.packed_septets, Quirk::PackedSeptets),
            (self.little_endian_ucs2, Quirk::LittleEndianUcs2),
            (self.unannounced_header, Quirk::UnannouncedHeader),
            (self.unmarked_receipts, Quirk::UnmarkedReceipts),
        ];
        keys.into_iter()
            .filter_map(|(set, quirk)| set.then_some(quirk))
            .collect()
    }
}

impl FromToml for Quirks {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let keys = node.table("a table of quirks")?;
        let keys = keys.section::<RawQuirkKeys>().checked()?;
        if keys.default_is_latin1 && keys.default_is_utf8 {
            return node.wrong(
                "has both default_is_latin1 and default_is_utf8; remove the one that is not so",
            );
        }
        Some(keys.set())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_of_the_codec_has_its_key() {
        let keys = RawQuirkKeys::FIELDS.iter().map(|field| field.name);
        let quirks = Quirk::ALL.iter().map(|quirk| quirk.name());
        assert_eq!(keys.collect::<Vec<_>>(), quirks.collect::<Vec<_>>());
    }
}
