//! What a phone writes, as the `deliver_sm` of its segments.

use bytes::Bytes;
use matrix_smpp_codec::segment::{self, MAX_SEGMENTS, Part, ReferenceWidth};
use matrix_smpp_codec::text::{gsm7, ucs2};
use matrix_smpp_codec::{
    Address, Body, Concat, DataCoding, DataSm, DeliverSm, EsmClass, Npi, Reference, ShortMessage,
    TlvTag, Tlvs, Ton,
};
use serde::{Deserialize, Serialize};

use crate::sim::handsets::{Words, digits};
use crate::sim::ids::Ids;
use crate::sim::inject::Fields;
use crate::sim::span::Span;

/// The longest sender in letters that a phone network carries (3GPP TS 23.040 §9.1.2.5).
const MAX_NAME: usize = 11;

/// From this many digits on, a number is taken for an international one, else for a shortcode.
const MIN_INTERNATIONAL: usize = 7;

/// In which order the segments of one text go out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Order {
    /// The first segment first.
    #[default]
    Unsaid,
    /// One of the common orders.
    Named(NamedOrder),
    /// These segments, counted from 1; those left out never come, those named twice come twice.
    Listed(Vec<usize>),
}

/// The common orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NamedOrder {
    /// The first segment first.
    Natural,
    /// As the seed has it.
    Shuffled,
    /// The last segment first.
    Reversed,
}

/// How a long text is cut and how its segments find together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Segmentation {
    /// User data headers with references of 8 bits.
    Udh8,
    /// User data headers with references of 16 bits.
    #[default]
    Udh16,
    /// The three `sar_*` TLVs.
    Sar,
    /// One PDU with the text in `message_payload`.
    Payload,
}

/// The PDU that carries it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carrier {
    #[default]
    DeliverSm,
    DataSm,
}

/// What a phone is to write, as `POST /handsets/{number}/send` takes it.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Writing {
    /// The number or shortcode that is written to.
    pub(crate) to: String,
    pub(crate) text: Words,
    #[serde(default)]
    pub(crate) order: Order,
    /// Whose binds it goes over; otherwise the account that last sent from `to`, else any.
    pub(crate) account: Option<String>,
    /// The bind that it goes over, as in `GET /binds`; otherwise the segments take turns over all
    /// binds of the account.
    pub(crate) bind: Option<u64>,
    /// A segment that nobody answered, or that was refused for the time being, goes out again, as
    /// an SMSC does.
    #[serde(default)]
    pub(crate) redeliver: bool,
    /// The type of number of the phone; otherwise what its number looks like.
    pub(crate) source_ton: Option<u8>,
    #[serde(default)]
    pub(crate) segmentation: Segmentation,
    #[serde(default)]
    pub(crate) carrier: Carrier,
    /// The reference of the segments; otherwise the seed decides.
    pub(crate) reference: Option<u16>,
    /// The text goes in this coding: 0 GSM 03.38, 8 UCS-2, any other one octet a character.
    /// Otherwise the cheapest that loses nothing.
    pub(crate) data_coding: Option<u8>,
    /// What else is to stand in the PDU.
    #[serde(skip)]
    pub(crate) fields: Option<Box<Fields>>,
}

/// What a phone writes by itself, as `[[mo]]` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoPlan {
    /// The phone.
    pub(crate) from: String,
    /// The number or shortcode that is written to.
    pub(crate) to: String,
    pub(crate) text: Words,
    /// Whose binds it goes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// From one message to the next.
    pub(crate) every: Span,
    /// How many; otherwise for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
}

impl MoPlan {
    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.every.0.is_zero() {
            return Err("`every` is more than 0".to_owned());
        }
        let parties = [&self.from, &self.to];
        if parties.iter().any(|party| Party::parse(party).is_none()) {
            return Err(MoError::BadNumber.to_string());
        }
        Ok(())
    }
}

/// Why a phone cannot write this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MoError {
    #[error("a number has 1 to 20 digits; a name has 1 to 11 letters, digits and signs")]
    BadNumber,
    #[error("the text needs more than {MAX_SEGMENTS} segments, or more than 65,535 octets")]
    TooLong,
    #[error("the text has no segment with one of these numbers")]
    NoSuchSegment,
}

/// One end of a message: address, type of number, numbering plan.
#[derive(Clone, Copy)]
pub(crate) struct Party {
    pub(crate) address: Address<21>,
    pub(crate) ton: Ton,
    pub(crate) npi: Npi,
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

/// The segments of a text in the order in which they are to go out.
pub(crate) fn segments(
    from: &str,
    writing: &Writing,
    ids: &mut Ids,
) -> Result<Vec<DeliverSm>, MoError> {
    let from = Party::parse(from).ok_or(MoError::BadNumber)?;
    let from = Party {
        ton: writing.source_ton.map_or(from.ton, Ton),
        ..from
    };
    let to = Party::parse(&writing.to).ok_or(MoError::BadNumber)?;
    let reference = writing.reference.unwrap_or_else(|| ids.reference());
    let mut segments = match writing.segmentation {
        Segmentation::Payload => vec![whole(writing)?],
        _ => cut(writing, reference)?,
    };
    for segment in &mut segments {
        address(segment, (from, to));
        if let Some(fields) = &writing.fields {
            fields.dress(segment);
        }
    }
    let order = order(segments.len(), &writing.order, ids);
    let chosen = order.into_iter().map(|place| segments.get(place).cloned());
    let chosen: Option<Vec<_>> = chosen.collect();
    chosen.ok_or(MoError::NoSuchSegment)
}

/// A text cut into pieces, all in one coding.
struct Pieces {
    data_coding: DataCoding,
    octets: Vec<Bytes>,
}

fn cut(writing: &Writing, reference: u16) -> Result<Vec<DeliverSm>, MoError> {
    let pieces = match writing.data_coding {
        Some(coding) => in_coding(&writing.text.0, DataCoding(coding)),
        None => cheapest(writing)?,
    };
    let total = u8::try_from(pieces.octets.len()).map_err(|_| MoError::TooLong)?;
    let carry = |(index, octets): (u8, Bytes)| DeliverSm {
        data_coding: pieces.data_coding,
        ..carry(writing.segmentation, octets, (reference, total, index))
    };
    Ok((1..).zip(pieces.octets.clone()).map(carry).collect())
}

fn cheapest(writing: &Writing) -> Result<Pieces, MoError> {
    let width = match writing.segmentation {
        Segmentation::Udh8 => ReferenceWidth::Eight,
        _ => ReferenceWidth::Sixteen,
    };
    let segments = segment::split(&writing.text.0, width).map_err(|_| MoError::TooLong)?;
    Ok(Pieces {
        data_coding: segments.data_coding,
        octets: segments.parts.iter().map(Part::payload).collect(),
    })
}

/// The text in the coding that was asked for. What that has no sign for is a question mark.
fn in_coding(text: &str, data_coding: DataCoding) -> Pieces {
    let octets: Bytes = match data_coding {
        DataCoding::GSM_DEFAULT => gsm7::encode(text).into(),
        DataCoding::UCS2 => ucs2::encode(text).into(),
        _ => text
            .chars()
            .map(|char| u8::try_from(char).unwrap_or(b'?'))
            .collect(),
    };
    let whole = if data_coding == DataCoding::GSM_DEFAULT {
        160
    } else {
        140
    };
    let size = if octets.len() <= whole { whole } else { PIECE };
    let mut pieces: Vec<Bytes> = octets.chunks(size).map(Bytes::copy_from_slice).collect();
    if pieces.is_empty() {
        pieces.push(Bytes::new());
    }
    Pieces {
        data_coding,
        octets: pieces,
    }
}

/// The octets of one of several pieces in a coding that was asked for: an even number that fits
/// beside any header.
const PIECE: usize = 132;

fn carry(
    segmentation: Segmentation,
    octets: Bytes,
    (reference, total, index): (u16, u8, u8),
) -> DeliverSm {
    let mut segment = DeliverSm::default();
    let octets = if total < 2 {
        octets
    } else if segmentation == Segmentation::Sar {
        segment.tlvs.set_sar(reference, total, index);
        octets
    } else {
        let [_high, low] = reference.to_be_bytes();
        let reference = match segmentation {
            Segmentation::Udh8 => Reference::Eight(low),
            _ => Reference::Sixteen(reference),
        };
        segment.esm_class = EsmClass::UDHI;
        let place = Concat {
            reference,
            total,
            index,
        };
        [&place.header()[..], &octets].concat().into()
    };
    segment.short_message = ShortMessage::try_from(octets).unwrap_or_default();
    segment
}

/// The whole text in `message_payload`.
fn whole(writing: &Writing) -> Result<DeliverSm, MoError> {
    let cheapest = segment::count(&writing.text.0, ReferenceWidth::Sixteen).alphabet;
    let pieces = match writing.data_coding {
        Some(coding) => in_coding(&writing.text.0, DataCoding(coding)),
        None => Pieces {
            data_coding: cheapest.data_coding(),
            octets: vec![cheapest.encode(&writing.text.0).into()],
        },
    };
    let octets = pieces.octets.concat();
    let mut tlvs = Tlvs::default();
    tlvs.push(TlvTag::MESSAGE_PAYLOAD, &octets)
        .map_err(|_| MoError::TooLong)?;
    Ok(DeliverSm {
        data_coding: pieces.data_coding,
        tlvs,
        ..DeliverSm::default()
    })
}

fn address(segment: &mut DeliverSm, (from, to): (Party, Party)) {
    segment.source_addr_ton = from.ton;
    segment.source_addr_npi = from.npi;
    segment.source_addr = from.address;
    segment.dest_addr_ton = to.ton;
    segment.dest_addr_npi = to.npi;
    segment.destination_addr = to.address;
}

/// The PDU that carries a message: itself, or a `data_sm` with the text in `message_payload`.
pub(crate) fn carried(segment: DeliverSm, carrier: Carrier) -> Body {
    if carrier == Carrier::DeliverSm {
        return Body::DeliverSm(segment);
    }
    let mut tlvs = segment.tlvs.clone();
    if !segment.short_message.is_empty() {
        let pushed = tlvs.push(TlvTag::MESSAGE_PAYLOAD, &segment.short_message);
        debug_assert!(pushed.is_ok(), "at most 254 octets fit");
    }
    let wide = |address: Address<21>| Address::try_from(address.as_bytes()).unwrap_or_default();
    Body::DataSm(DataSm {
        service_type: segment.service_type,
        source_addr_ton: segment.source_addr_ton,
        source_addr_npi: segment.source_addr_npi,
        source_addr: wide(segment.source_addr),
        dest_addr_ton: segment.dest_addr_ton,
        dest_addr_npi: segment.dest_addr_npi,
        destination_addr: wide(segment.destination_addr),
        esm_class: segment.esm_class,
        registered_delivery: segment.registered_delivery,
        data_coding: segment.data_coding,
        tlvs,
    })
}

fn order(count: usize, order: &Order, ids: &mut Ids) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    match order {
        Order::Unsaid | Order::Named(NamedOrder::Natural) => {}
        Order::Named(NamedOrder::Shuffled) => ids.dice().shuffle(&mut places),
        Order::Named(NamedOrder::Reversed) => places.reverse(),
        // From 1; 0 is no place at all.
        Order::Listed(listed) => {
            return listed.iter().map(|place| place.wrapping_sub(1)).collect();
        }
    }
    places
}

#[cfg(test)]
#[path = "mo_tests.rs"]
mod tests;
