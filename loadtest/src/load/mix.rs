//! What the messages of a run are: texts, numbers, flags. The same seed gives the same messages.

use std::num::NonZeroU64;

use matrix_smpp_codec::segment::{self, SplitError};
use matrix_smpp_codec::{
    Address, Body, DataCoding, DeliverSm, EsmClass, MessageState, Npi, Part, Receipt,
    ReferenceWidth, RegisteredDelivery, Segments, ShortMessage, SubmitSm, Ton,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The most generated texts that are held; messages take them in turn.
const POOL: usize = 1_024;

/// What stands in a fixed text where the number of the message goes.
const NUMBER: &str = "{n}";

/// The texts, numbers and flags of a run.
#[derive(Debug, Clone)]
pub struct Mix {
    /// The sender: digits, or up to 11 other characters as an alphanumeric name.
    pub from: String,
    /// The first destination, digits only.
    pub to: String,
    /// How many consecutive numbers from `to` on are written to, in turn.
    pub to_count: NonZeroU64,
    /// Texts that are sent in turn; `{n}` becomes the number of the message, from 0. Empty: texts are
    /// generated, as `lengths` and `ucs2_percent` say.
    pub texts: Vec<String>,
    /// How long generated texts are.
    pub lengths: Vec<Lengths>,
    /// How many of 100 generated texts need UCS-2.
    pub ucs2_percent: u32,
    /// Whether receipts are asked for (`submit_sm` only).
    pub receipts: bool,
    /// Decides generated texts and reference numbers.
    pub seed: u64,
}

/// Lengths in characters, drawn evenly from `from` to `to`, in proportion to `weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub from: u32,
    /// The longest.
    pub to: u32,
    /// How often, in proportion to the other ranges.
    pub weight: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            from: "447700900001".to_owned(),
            to: "447700900100".to_owned(),
            to_count: NonZeroU64::MIN,
            texts: Vec::new(),
            lengths: vec![Lengths {
                from: 20,
                to: 160,
                weight: 1,
            }],
            ucs2_percent: 0,
            receipts: false,
            seed: 1,
        }
    }
}

/// Why a mix cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MixError {
    /// The sender fits no address.
    #[error("the sender {0:?} is neither 1 to 20 digits nor 1 to 11 other characters")]
    From(String),
    /// A destination is no number.
    #[error("the destinations are no numbers of at most 15 digits")]
    To,
    /// There is nothing to draw a length from.
    #[error("a range of lengths is empty or has no weight")]
    Lengths,
    /// A text is too long.
    #[error(transparent)]
    TooLong(#[from] SplitError),
}

/// A mix that was checked and made ready to send from.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    template: SubmitSm,
    to: u64,
    to_digits: usize,
    to_count: NonZeroU64,
    texts: Vec<Text>,
}

#[derive(Debug, Clone)]
enum Text {
    Ready(Segments),
    Numbered(String),
}

impl Messages {
    pub(crate) fn new(mix: &Mix) -> Result<Self, MixError> {
        let last = mix.to.parse::<u64>().map_err(|_| MixError::To)?;
        let last = last.checked_add(mix.to_count.get() - 1);
        let last = last.ok_or(MixError::To)?.to_string();
        if mix.to.len() > 15 || last.len() > mix.to.len().max(1) {
            return Err(MixError::To);
        }
        let (source_addr_ton, source_addr_npi, source_addr) = sender(&mix.from)?;
        let registered_delivery = if mix.receipts {
            RegisteredDelivery::RECEIPT
        } else {
            RegisteredDelivery::NONE
        };
        Ok(Self {
            template: SubmitSm {
                source_addr_ton,
                source_addr_npi,
                source_addr,
                dest_addr_ton: Ton::INTERNATIONAL,
                dest_addr_npi: Npi::ISDN,
                registered_delivery,
                ..SubmitSm::default()
            },
            to: mix.to.parse().map_err(|_| MixError::To)?,
            to_digits: mix.to.len(),
            to_count: mix.to_count,
            texts: texts(mix)?,
        })
    }

    /// Message `number`, as the `submit_sm` that carry it.
    pub(crate) fn segments(&self, number: u64) -> Vec<SubmitSm> {
        let digits = self.to_digits;
        let to = format!("{:0digits$}", self.to + number % self.to_count);
        let destination_addr = Address::try_from(to.as_str()).unwrap_or_default();
        let place = usize::try_from(number).unwrap_or(usize::MAX) % self.texts.len().max(1);
        let numbered;
        let segments = match self.texts.get(place) {
            Some(Text::Ready(segments)) => segments,
            Some(Text::Numbered(text)) => {
                let text = text.replace(NUMBER, &number.to_string());
                match segment::split(&text, ReferenceWidth::Sixteen) {
                    Ok(split) => numbered = split,
                    // It has been tried with the longest number.
                    Err(_) => return Vec::new(),
                }
                &numbered
            }
            None => return Vec::new(),
        };
        // Messages to one destination come one full round of destinations apart.
        let [.., high, low] = (number / self.to_count).to_be_bytes();
        let reference = u16::from_be_bytes([high, low]);
        let pdu = |part: &Part| SubmitSm {
            destination_addr,
            ..self.pdu(part, segments.data_coding, reference)
        };
        segments.parts.iter().map(pdu).collect()
    }

    fn pdu(&self, part: &Part, data_coding: DataCoding, reference: u16) -> SubmitSm {
        let udhi = if part.udhi() {
            EsmClass::UDHI
        } else {
            EsmClass::default()
        };
        SubmitSm {
            esm_class: self.template.esm_class | udhi,
            data_coding,
            short_message: ShortMessage::try_from(part.short_message(reference))
                .unwrap_or_default(),
            ..self.template.clone()
        }
    }
}

/// The same message as the SMSC hands it over.
pub(crate) fn as_deliver_sm(pdu: SubmitSm) -> Body {
    Body::DeliverSm(DeliverSm {
        source_addr_ton: pdu.source_addr_ton,
        source_addr_npi: pdu.source_addr_npi,
        source_addr: pdu.source_addr,
        dest_addr_ton: pdu.dest_addr_ton,
        dest_addr_npi: pdu.dest_addr_npi,
        destination_addr: pdu.destination_addr,
        esm_class: pdu.esm_class,
        data_coding: pdu.data_coding,
        short_message: pdu.short_message,
        ..DeliverSm::default()
    })
}

/// The receipt for a message that was delivered.
pub(crate) fn receipt_for(id: &str, pdu: &SubmitSm) -> Body {
    let receipt = Receipt {
        message_id: id.to_owned(),
        state: MessageState::DELIVERED,
        error: Some("000".to_owned()),
        ..Receipt::default()
    };
    Body::DeliverSm(DeliverSm {
        source_addr_ton: pdu.dest_addr_ton,
        source_addr_npi: pdu.dest_addr_npi,
        source_addr: pdu.destination_addr,
        dest_addr_ton: pdu.source_addr_ton,
        dest_addr_npi: pdu.source_addr_npi,
        destination_addr: pdu.source_addr,
        ..receipt.deliver_sm()
    })
}

fn sender(from: &str) -> Result<(Ton, Npi, Address<21>), MixError> {
    let refused = || MixError::From(from.to_owned());
    let number = from.bytes().all(|octet| octet.is_ascii_digit());
    let most = if number { 20 } else { 11 };
    if !(1..=most).contains(&from.len()) {
        return Err(refused());
    }
    let address = Address::try_from(from).map_err(|_| refused())?;
    if number {
        return Ok((Ton::INTERNATIONAL, Npi::ISDN, address));
    }
    Ok((Ton::ALPHANUMERIC, Npi::UNKNOWN, address))
}

fn texts(mix: &Mix) -> Result<Vec<Text>, MixError> {
    if mix.texts.is_empty() {
        return generated(mix);
    }
    let one = |text: &String| {
        let longest = text.replace(NUMBER, &u64::MAX.to_string());
        segment::split(&longest, ReferenceWidth::Sixteen)?;
        if text.contains(NUMBER) {
            return Ok(Text::Numbered(text.clone()));
        }
        let segments = segment::split(text, ReferenceWidth::Sixteen)?;
        Ok(Text::Ready(segments))
    };
    mix.texts.iter().map(one).collect()
}

fn generated(mix: &Mix) -> Result<Vec<Text>, MixError> {
    let total: u64 = mix
        .lengths
        .iter()
        .map(|range| u64::from(range.weight))
        .sum();
    let usable = mix.lengths.iter().all(|range| range.from <= range.to);
    if total == 0 || !usable {
        return Err(MixError::Lengths);
    }
    let mut random = SmallRng::seed_from_u64(mix.seed);
    let mut one = |_| {
        let mut ticket = random.random_range(0..total);
        let drawn = mix.lengths.iter().find(|range| {
            let weight = u64::from(range.weight);
            let hit = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            hit
        });
        let drawn = drawn.ok_or(MixError::Lengths)?;
        let length = random.random_range(drawn.from..=drawn.to);
        let ucs2 = random.random_range(0..100) < mix.ucs2_percent;
        let text = text(&mut random, length, ucs2);
        Ok(Text::Ready(segment::split(&text, ReferenceWidth::Sixteen)?))
    };
    (0..POOL).map(&mut one).collect()
}

/// Words of random letters; one letter that GSM 03.38 lacks makes all of it UCS-2.
fn text(random: &mut SmallRng, length: u32, ucs2: bool) -> String {
    let letters: &[char] = if ucs2 {
        &['ж', 'ш', 'д', 'и', 'о', 'а', 'е', 'н', 'т', ' ']
    } else {
        &['e', 't', 'a', 'o', 'i', 'n', 's', 'h', 'r', ' ']
    };
    let mut letter = |_| letters.get(random.random_range(0..letters.len()));
    (0..length).filter_map(&mut letter).collect()
}

#[cfg(test)]
#[path = "mix_tests.rs"]
mod tests;
