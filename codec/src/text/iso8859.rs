//! The parts of ISO 8859 that `data_coding` can name, one octet each.

/// ASCII; U+FFFD above it.
#[must_use]
pub fn ascii(octet: u8) -> char {
    if octet.is_ascii() {
        char::from(octet)
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

/// ISO-8859-5.
#[must_use]
pub fn cyrillic(octet: u8) -> char {
    match octet {
        0x00..=0xa0 | 0xad => char::from(octet),
        0xf0 => '№',
        0xfd => '§',
        0xa1..=0xff => shifted(octet, 0xa0, 0x0400),
    }
}

/// ISO-8859-8. The directional marks and signs above the letters are U+FFFD.
#[must_use]
pub fn hebrew(octet: u8) -> char {
    match octet {
        0x00..=0xa0 => char::from(octet),
        0xe0..=0xfa => shifted(octet, 0xe0, 0x05d0),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// The character as far from `first_character` as the octet is from `first_octet`.
fn shifted(octet: u8, first_octet: u8, first_character: u32) -> char {
    let offset = u32::from(octet.saturating_sub(first_octet));
    char::from_u32(first_character.saturating_add(offset)).unwrap_or(char::REPLACEMENT_CHARACTER)
}
