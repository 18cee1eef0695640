//! UTF-16, big-endian, which SMPP calls UCS-2: surrogate pairs pass in practice.

const BIG_ENDIAN_MARK: [u8; 2] = [0xfe, 0xff];
const LITTLE_ENDIAN_MARK: [u8; 2] = [0xff, 0xfe];

/// The text as UTF-16, big-endian, without a byte order mark. U+FFFE, which is no character, is U+FFFD
/// at the start, where it would turn the text round for a reader that knows the marks.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    if let Some((first, _)) = octets.split_first_chunk_mut()
        && *first == LITTLE_ENDIAN_MARK
    {
        *first = [0xff, 0xfd];
    }
    octets
}

/// The text of the octets, U+FFFD for half a surrogate pair. A byte order mark at the start is
/// obeyed. An odd octet at the end is dropped when it is a NUL and is U+FFFD else.
#[must_use]
pub fn decode(octets: &[u8]) -> String {
    let (unit, octets): (fn([u8; 2]) -> u16, _) = match octets.split_first_chunk() {
        Some((&BIG_ENDIAN_MARK, rest)) => (u16::from_be_bytes, rest),
        Some((&LITTLE_ENDIAN_MARK, rest)) => (u16::from_le_bytes, rest),
        _ => (u16::from_be_bytes, octets),
    };
    let (pairs, odd) = octets.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut text: String = char::decode_utf16(units)
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if odd.first().is_some_and(|octet| *octet != 0) {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

/// The octets of what follows `first`, without the byte order mark that it repeats.
pub(crate) fn continued<'a>(first: &[u8], octets: &'a [u8]) -> &'a [u8] {
    match (first.first_chunk(), octets.split_first_chunk()) {
        (Some(&mark @ (BIG_ENDIAN_MARK | LITTLE_ENDIAN_MARK)), Some((again, rest)))
            if *again == mark =>
        {
            rest
        }
        _ => octets,
    }
}

/// Whether the octets begin with a byte order mark.
pub(crate) fn is_marked(octets: &[u8]) -> bool {
    matches!(
        octets.first_chunk(),
        Some(&(BIG_ENDIAN_MARK | LITTLE_ENDIAN_MARK))
    )
}

/// Little-endian octets behind the mark that says so.
pub(crate) fn marked_little_endian(octets: &[u8]) -> Vec<u8> {
    [&LITTLE_ENDIAN_MARK, octets].concat()
}

/// The octets with each pair turned round; an odd one at the end is dropped.
#[must_use]
pub fn swapped(octets: &[u8]) -> Vec<u8> {
    let (pairs, _odd) = octets.as_chunks::<2>();
    pairs.iter().flat_map(|[high, low]| [*low, *high]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn astral_characters_are_surrogate_pairs() {
        assert_eq!(encode("👍"), [0xd8, 0x3d, 0xdc, 0x4d]);
        assert_eq!(decode(&[0xd8, 0x3d, 0xdc, 0x4d]), "👍");
    }

    #[test]
    fn half_a_pair_and_an_odd_octet_do_not_spoil_the_rest() {
        assert_eq!(decode(&[0xd8, 0x3d, 0x00, 0x41]), "\u{fffd}A");
        assert_eq!(decode(&[0x00, 0x41, 0x00]), "A");
        assert_eq!(decode(&[0x00, 0x41, 0x42]), "A\u{fffd}");
    }

    #[test]
    fn a_text_that_begins_with_what_is_no_character_is_not_turned_round() {
        assert_eq!(decode(&encode("\u{fffe}A\u{fffe}")), "\u{fffd}A\u{fffe}");
    }

    #[test]
    fn a_byte_order_mark_is_obeyed_and_not_shown() {
        assert_eq!(decode(&[0xfe, 0xff, 0x00, 0x41]), "A");
        assert_eq!(decode(&[0xff, 0xfe, 0x41, 0x00]), "A");
    }
}
