//! What the octets of a message say.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use matrix_smpp_codec::reassembly::{Limits, Taken};
use matrix_smpp_codec::text::{Charset, Language, decode};
use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::{
    Allowed, Carriage, DataCoding, DeliverSm, EsmClass, InboundText, Quirk, Quirks, Reassembler,
    Receipt, ReferenceWidth, ShortMessage, Splitter, SubmitSm,
};

#[derive(Debug, Arbitrary)]
struct Segment<'a> {
    sender: u8,
    later: u16,
    esm_class: u8,
    data_coding: u8,
    quirks: u32,
    sar: Option<(u16, u8, u8)>,
    octets: &'a [u8],
}

fn quirks(bits: u32) -> Quirks {
    let at = |place: &usize| bits & (1 << place) != 0;
    let places = Quirk::ALL.iter().enumerate();
    places
        .filter(|(place, _)| at(place))
        .map(|(_, quirk)| *quirk)
        .collect()
}

/// Segments of any senders, with any headers, in any order, into a small reassembler.
pub fn segments(octets: &[u8]) {
    let limits = Limits {
        messages: 8,
        octets: 600,
        age: Duration::from_secs(60),
    };
    let mut reassembler = Reassembler::new(limits);
    let mut input = Unstructured::new(octets);
    let (mut now, mut came, mut left) = (Duration::ZERO, 0, 0);
    while let Ok(segment) = Segment::arbitrary(&mut input) {
        now += Duration::from_millis(segment.later.into());
        let expired = reassembler.expire(now);
        left += expired.iter().map(|one| one.parts().count()).sum::<usize>();
        let (taken, given_up) = reassembler.take(now, segment.sender, &read(&segment));
        came += usize::from(taken != Taken::Duplicate);
        if let Taken::Whole(message) = taken {
            assert!(message.is_whole());
            let _ = message.text("?");
            left += message.parts().count();
        }
        for message in &given_up {
            assert!(!message.is_whole());
            let _ = message.text("?");
            left += message.parts().count();
        }
        assert!(reassembler.messages() <= limits.messages && reassembler.octets() <= limits.octets);
        if input.is_empty() {
            break;
        }
    }
    let rest = reassembler.expire(Duration::MAX);
    left += rest.iter().map(|one| one.parts().count()).sum::<usize>();
    assert_eq!(came, left, "a segment was lost or doubled");
    assert_eq!((reassembler.messages(), reassembler.octets()), (0, 0));
}

fn read(segment: &Segment<'_>) -> InboundText {
    let octets = &segment.octets[..segment.octets.len().min(ShortMessage::MAX_LEN)];
    let mut pdu = DeliverSm {
        esm_class: EsmClass(segment.esm_class),
        data_coding: DataCoding(segment.data_coding),
        short_message: ShortMessage::try_from(octets).unwrap(),
        ..DeliverSm::default()
    };
    if let Some((reference, total, index)) = segment.sar {
        pdu.tlvs.set_sar(reference, total, index);
    }
    let text = InboundText::with(&pdu, quirks(segment.quirks));
    let _ = text.text();
    if let Some(concat) = text.concat {
        assert!((1..=concat.total).contains(&concat.index));
    }
    text
}

/// The text of a receipt in any coding, and what is written of what was read.
pub fn receipt(octets: &[u8]) {
    let [data_coding, esm_class, text @ ..] = octets else {
        return;
    };
    let pdu = DeliverSm {
        esm_class: EsmClass(*esm_class),
        data_coding: DataCoding(*data_coding),
        short_message: ShortMessage::try_from(&text[..text.len().min(254)]).unwrap(),
        ..DeliverSm::default()
    };
    let Some(receipt) = Receipt::of(&pdu) else {
        return;
    };
    assert!(!receipt.message_id.is_empty());
    let _ = format!("{receipt:?}");
    let again = receipt.deliver_sm();
    assert!(
        again
            .short_message
            .iter()
            .all(|octet| (b' '..=b'~').contains(octet))
    );
    let Some(read) = Receipt::of(&again) else {
        return;
    };
    assert_eq!(read.state.receipt_name(), receipt.state.receipt_name());
    // A value with a key in it may be read as that key; what was written once else stays so.
    let written = read.write();
    if written.matches(':').count() == 8 {
        assert_eq!(
            Receipt::parse(&written).map(|read| read.write()),
            Some(written)
        );
    }
}

#[derive(Debug, Arbitrary)]
struct Sent<'a> {
    carriage: u8,
    charsets: u16,
    locking: u16,
    single: u16,
    packed: bool,
    reference: u16,
    text: &'a str,
}

/// Octets in every coding; a text through every splitter and back.
pub fn text(octets: &[u8]) {
    if let [data_coding, octets @ ..] = octets {
        let _ = decode(DataCoding(*data_coding), octets);
    }
    let Ok(sent) = Sent::arbitrary_take_rest(Unstructured::new(octets)) else {
        return;
    };
    let splitter = splitter(&sent);
    let Ok(segments) = splitter.split(sent.text) else {
        return;
    };
    let preview = splitter.preview(sent.text).unwrap();
    assert_eq!(preview.alphabet, segments.alphabet);
    let whole: String = segments
        .parts
        .iter()
        .map(|part| segments.alphabet.decode(&part.payload()))
        .collect();
    // Reading takes a byte order mark at the start of UTF-16 away.
    if !sent.text.contains(['\u{feff}', '\u{fffe}']) {
        assert_eq!(whole, sent.text);
    }
    let parts: Vec<_> = segments
        .parts
        .iter()
        .map(|part| received(&sent, &segments, part))
        .collect();
    let joined = join(&parts);
    let ends_doubtfully = sent.packed && sent.text.contains('\r');
    if !ends_doubtfully && !sent.text.contains(['\u{feff}', '\u{fffe}']) {
        assert_eq!(joined, sent.text);
    }
}

fn splitter(sent: &Sent<'_>) -> Splitter {
    let carriage = match sent.carriage % 4 {
        0 => Carriage::Header(ReferenceWidth::Eight),
        1 => Carriage::Header(ReferenceWidth::Sixteen),
        2 => Carriage::Sar,
        _ => Carriage::Payload,
    };
    let charsets = [
        Charset::Gsm7,
        Charset::Ascii,
        Charset::Latin1,
        Charset::Cyrillic,
        Charset::Hebrew,
        Charset::ShiftJis,
        Charset::Iso2022Jp,
        Charset::EucJp,
        Charset::EucKr,
        Charset::Octets,
    ];
    let mut allowed = Allowed::NONE.with(Charset::Ucs2);
    for (place, charset) in charsets.into_iter().enumerate() {
        if sent.charsets & (1 << place) != 0 {
            allowed = allowed.with(charset);
        }
    }
    let languages = |bits: u16| {
        let all = Language::ALL.into_iter();
        all.filter(|language| bits & (1 << language.id()) != 0)
            .collect()
    };
    allowed.locking = languages(sent.locking);
    allowed.single = languages(sent.single);
    Splitter {
        carriage,
        allowed,
        packed: sent.packed,
    }
}

fn received(
    sent: &Sent<'_>,
    segments: &matrix_smpp_codec::Segments,
    part: &matrix_smpp_codec::Part,
) -> (DataCoding, bytes::Bytes) {
    let carried = part.carried(sent.reference);
    let pdu = SubmitSm {
        esm_class: if carried.udhi {
            EsmClass::UDHI
        } else {
            EsmClass::DEFAULT
        },
        data_coding: segments.data_coding,
        short_message: carried.short_message,
        tlvs: carried.tlvs,
        ..SubmitSm::default()
    };
    let packed = sent.packed && segments.alphabet.charset() == Charset::Gsm7;
    let quirks = if packed {
        Quirks::NONE.with(Quirk::PackedSeptets)
    } else {
        Quirks::NONE
    };
    let read = InboundText::with(&pdu, quirks);
    assert_eq!(read.concat, part.concat(sent.reference));
    (read.data_coding, read.payload)
}
