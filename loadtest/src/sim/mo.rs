//! What a phone writes, as the `deliver_sm` of its segments.

use matrix_smpp_codec::segment::{self, MAX_SEGMENTS, Part, ReferenceWidth};
use matrix_smpp_codec::{Address, DataCoding, DeliverSm, EsmClass, Npi, ShortMessage, Ton};
use serde::Deserialize;

use crate::sim::handsets::{Words, digits};
use crate::sim::ids::Ids;

/// The longest sender in letters that a phone network carries (3GPP TS 23.040 §9.1.2.5).
const MAX_NAME: usize = 11;

/// From this many digits on, a number is taken for an international one, else for a shortcode.
const MIN_INTERNATIONAL: usize = 7;

/// In which order the segments of one text go out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// The first segment first.
    #[default]
    Natural,
    /// As the seed has it.
    Shuffled,
    /// The last segment first.
    Reversed,
}

/// What a phone is to write, as `POST /handsets/{number}/send` takes it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Writing {
    /// The number or shortcode that is written to.
    pub(crate) to: String,
    pub(crate) text: Words,
    #[serde(default)]
    pub(crate) order: Order,
    /// Whose binds it goes over; otherwise the account that last sent from `to`, else any.
    pub(crate) account: Option<String>,
    /// A segment that nobody answered, or that was refused for the time being, goes out again, as
    /// an SMSC does.
    #[serde(default)]
    pub(crate) redeliver: bool,
    /// The type of number of the phone; otherwise what its number looks like.
    pub(crate) source_ton: Option<u8>,
}

/// Why a phone cannot write this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MoError {
    #[error("a number has 1 to 20 digits; a name has 1 to 11 letters, digits and signs")]
    BadNumber,
    #[error("the text needs more than {MAX_SEGMENTS} segments")]
    TooLong,
}

/// One end of a message: address, type of number, numbering plan.
#[derive(Clone, Copy)]
pub(crate) struct Party {
    address: Address<21>,
    ton: Ton,
    npi: Npi,
}

impl Party {
    /// Reads a number, a shortcode or a name; none for what no network would carry.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        let written = digits(written);
        let address = Address::try_from(written.as_bytes()).ok()?;
        let numeric = !written.is_empty() && written.bytes().all(|octet| octet.is_ascii_digit());
        let (ton, npi) = if numeric && written.len() >= MIN_INTERNATIONAL {
            (Ton::INTERNATIONAL, Npi::ISDN)
        } else if numeric {
            (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN)
        } else if is_name(written) {
            (Ton::ALPHANUMERIC, Npi::UNKNOWN)
        } else {
            return None;
        };
        Some(Self { address, ton, npi })
    }
}

fn is_name(written: &str) -> bool {
    (1..=MAX_NAME).contains(&written.chars().count())
        && written
            .chars()
            .all(|char| char.is_ascii_graphic() || char == ' ')
}

/// The segments of a text in their natural order, and the order in which they are to go out.
pub(crate) fn segments(
    from: &str,
    writing: &Writing,
    ids: &mut Ids,
) -> Result<(Vec<DeliverSm>, Vec<usize>), MoError> {
    let from = Party::parse(from).ok_or(MoError::BadNumber)?;
    let from = Party {
        ton: writing.source_ton.map_or(from.ton, Ton),
        ..from
    };
    let to = Party::parse(&writing.to).ok_or(MoError::BadNumber)?;
    let segments = segment::split(&writing.text.0, ReferenceWidth::Sixteen);
    let segments = segments.map_err(|_| MoError::TooLong)?;
    let reference = ids.reference();
    let carry = |part| carry(part, segments.data_coding, reference, (from, to));
    let order = order(segments.parts.len(), writing.order, ids);
    Ok((segments.parts.iter().map(carry).collect(), order))
}

fn carry(
    part: &Part,
    data_coding: DataCoding,
    reference: u16,
    (from, to): (Party, Party),
) -> DeliverSm {
    DeliverSm {
        source_addr_ton: from.ton,
        source_addr_npi: from.npi,
        source_addr: from.address,
        dest_addr_ton: to.ton,
        dest_addr_npi: to.npi,
        destination_addr: to.address,
        esm_class: if part.udhi() {
            EsmClass::UDHI
        } else {
            EsmClass::DEFAULT
        },
        data_coding,
        short_message: ShortMessage::try_from(part.short_message(reference)).unwrap_or_default(),
        ..DeliverSm::default()
    }
}

fn order(count: usize, order: Order, ids: &mut Ids) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    match order {
        Order::Natural => {}
        Order::Shuffled => ids.shuffle(&mut places),
        Order::Reversed => places.reverse(),
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(to: &str, text: String, order: Order) -> Writing {
        Writing {
            to: to.to_owned(),
            text: Words(text),
            order,
            account: None,
            redeliver: false,
            source_ton: None,
        }
    }

    fn segments_of(from: &str, writing: &Writing) -> Result<(Vec<DeliverSm>, Vec<usize>), MoError> {
        segments(from, writing, &mut Ids::new(1))
    }

    #[test]
    fn a_short_text_is_one_segment_from_the_phone_to_its_partner() {
        let short = writing("+447700900001", "hi".to_owned(), Order::Natural);
        let (bodies, order) = segments_of("447700900123", &short).unwrap();
        let [body] = &bodies[..] else {
            panic!("one segment")
        };
        assert_eq!(body.source_addr.to_text(), "447700900123");
        assert_eq!(body.destination_addr.to_text(), "447700900001");
        assert_eq!(
            (body.source_addr_ton, body.source_addr_npi),
            (Ton::INTERNATIONAL, Npi::ISDN)
        );
        assert_eq!(body.esm_class, EsmClass::DEFAULT);
        assert_eq!(order, [0]);
    }

    #[test]
    fn a_long_text_has_a_header_in_each_segment_and_goes_in_the_order_asked_for() {
        let text = "x".repeat(400);
        let reversed = writing("60777", text.clone(), Order::Reversed);
        let (bodies, order) = segments_of("447700900123", &reversed).unwrap();
        assert_eq!(order, [2, 1, 0]);
        assert!(bodies.iter().all(|body| body.esm_class == EsmClass::UDHI));
        assert!(
            bodies
                .iter()
                .all(|body| body.dest_addr_ton == Ton::NETWORK_SPECIFIC)
        );
        let shuffled = writing("60777", text, Order::Shuffled);
        let mut order = segments_of("447700900123", &shuffled).unwrap().1;
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn a_name_may_write_and_what_is_no_party_may_not() {
        let body = |from| segments_of(from, &writing("60777", String::new(), Order::Natural));
        assert_eq!(
            body("MY BANK").unwrap().0[0].source_addr_ton,
            Ton::ALPHANUMERIC
        );
        for wrong in ["", "a name too long", "123456789012345678901", "Bänk"] {
            assert_eq!(body(wrong).unwrap_err(), MoError::BadNumber, "{wrong}");
        }
    }

    #[test]
    fn a_text_of_more_than_255_segments_is_refused() {
        let endless = writing("60777", "x".repeat(152 * 255 + 1), Order::Natural);
        assert_eq!(
            segments_of("447700900123", &endless).unwrap_err(),
            MoError::TooLong
        );
    }
}
