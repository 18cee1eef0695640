//! What hand-written code can do that checks every length and every maximum of the standard and
//! nothing else: one PDU's offsets over its frame, and a cursor over a slice.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// A PDU of the three layouts that are measured, as places in a frame.
#[derive(Debug, Clone, Default)]
pub struct Places {
    pub command_id: u32,
    pub status: u32,
    pub sequence: u32,
    /// `ton`, `npi` of source and destination; `esm_class`, `protocol_id`, `priority_flag`;
    /// `registered_delivery`, `replace_if_present_flag`, `data_coding`, `sm_default_msg_id`.
    pub octets: [u8; 11],
    /// `service_type`, addresses and times of a message; `message_id` of a response.
    pub strings: [Span; 5],
    pub short_message: Span,
    pub tlvs: Span,
}

/// Octets of a frame from one place to before another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// As the standard library's type.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// A PDU that owns its frame.
#[derive(Debug, Default)]
pub struct Owned {
    pub frame: Bytes,
    pub places: Places,
}

/// The next PDU of a stream, with its frame, into a place that many go through.
#[inline(never)]
pub fn owned(buffer: &mut BytesMut, place: &mut Owned) -> Option<()> {
    let length = length(buffer)?;
    place.frame = buffer.split_to(length).freeze();
    find_places(&place.frame, &mut place.places)
}

/// The next PDU of a stream, its frame left where it is.
#[inline(never)]
pub fn borrowed(buffer: &mut BytesMut, places: &mut Places) -> Option<()> {
    let length = length(buffer)?;
    find_places(buffer.get(..length)?, places)?;
    buffer.advance(length);
    Some(())
}

/// The length of the PDU at the front of a stream, where it is a fair one and has all come.
#[inline]
#[must_use]
pub fn length(buffer: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*buffer.first_chunk()?) as usize;
    (16..=buffer.len().min(65_535))
        .contains(&length)
        .then_some(length)
}

/// Reads from a frame, knowing how far it has come.
struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    #[inline]
    fn octets<const N: usize>(&mut self) -> Option<[u8; N]> {
        let octets = *self.frame.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(octets)
    }

    #[inline]
    fn span(&mut self, length: usize) -> Option<Span> {
        let end = self.at + length;
        let span = (end <= self.frame.len()).then_some(Span {
            start: self.at as u16,
            end: end as u16,
        })?;
        self.at = end;
        Some(span)
    }

    #[inline]
    fn c_octets(&mut self, max: usize) -> Option<Span> {
        let length = length_to_nul(self.frame.get(self.at..)?, max)?;
        let span = self.span(length)?;
        self.at += 1;
        Some(span)
    }

    #[inline]
    fn tlvs(&mut self) -> Option<Span> {
        let start = self.at;
        while self.at < self.frame.len() {
            let [_, _, high, low] = self.octets()?;
            self.span(usize::from(u16::from_be_bytes([high, low])))?;
        }
        self.at = start;
        self.span(self.frame.len() - start)
    }
}

/// How many octets are before the first NUL, which is among the first `max`; eight at a time.
#[inline]
fn length_to_nul(octets: &[u8], max: usize) -> Option<usize> {
    let (words, rest) = octets.as_chunks();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let nuls = word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
        if nuls != 0 {
            length += (nuls.trailing_zeros() / 8) as usize;
            return (length < max).then_some(length);
        }
        length += 8;
        if length >= max {
            return None;
        }
    }
    let more = rest.iter().position(|octet| *octet == 0)?;
    length += more;
    (length < max).then_some(length)
}

#[inline]
fn find_places(frame: &[u8], places: &mut Places) -> Option<()> {
    let mut from = Reader { frame, at: 4 };
    *places = Places {
        command_id: u32::from_be_bytes(from.octets()?),
        status: u32::from_be_bytes(from.octets()?),
        sequence: u32::from_be_bytes(from.octets()?),
        ..Places::default()
    };
    match places.command_id {
        4 | 5 => read_message(&mut from, places)?,
        0x8000_0004 => {
            places.strings[0] = from.c_octets(65)?;
            places.tlvs = from.tlvs()?;
        }
        _ => {}
    }
    Some(())
}

#[inline]
fn read_message(from: &mut Reader<'_>, places: &mut Places) -> Option<()> {
    places.strings[0] = from.c_octets(6)?;
    [places.octets[0], places.octets[1]] = from.octets()?;
    places.strings[1] = from.c_octets(21)?;
    [places.octets[2], places.octets[3]] = from.octets()?;
    places.strings[2] = from.c_octets(21)?;
    [places.octets[4], places.octets[5], places.octets[6]] = from.octets()?;
    places.strings[3] = from.c_octets(17)?;
    places.strings[4] = from.c_octets(17)?;
    [
        places.octets[7],
        places.octets[8],
        places.octets[9],
        places.octets[10],
    ] = from.octets()?;
    let [length] = from.octets()?;
    places.short_message = from.span(usize::from(length))?;
    places.tlvs = from.tlvs()?;
    Some(())
}

/// Writes to a slice, front to back.
struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Octets whose number is known when this is compiled.
    #[inline]
    fn put<const N: usize>(&mut self, octets: [u8; N]) -> Option<()> {
        *self.out.get_mut(self.at..)?.first_chunk_mut()? = octets;
        self.at += N;
        Some(())
    }

    #[inline]
    fn put_slice(&mut self, octets: &[u8]) -> Option<()> {
        if octets.is_empty() {
            return Some(());
        }
        let place = self.out.get_mut(self.at..)?.get_mut(..octets.len())?;
        place.copy_from_slice(octets);
        self.at += octets.len();
        Some(())
    }

    /// A string and its NUL: the room of the longest is written, and what follows overwrites it.
    #[inline]
    fn c_octets<const N: usize>(&mut self, string: &COctets<N>, max: usize) -> Option<()> {
        (string.length < max.min(N)).then_some(())?;
        *self.out.get_mut(self.at..)?.first_chunk_mut()? = string.octets;
        self.at += string.length + 1;
        Some(())
    }
}

/// A string in an array, NUL octets behind it.
#[derive(Debug, Clone, Copy)]
struct COctets<const N: usize> {
    octets: [u8; N],
    length: usize,
}

impl<const N: usize> COctets<N> {
    fn of(string: &[u8]) -> Option<Self> {
        let mut octets = [0; N];
        octets.get_mut(..string.len())?.copy_from_slice(string);
        let length = string.len();
        Some(Self { octets, length })
    }
}

/// A PDU of the three layouts: its strings in arrays, the rest as slices of its frame.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    command_id: u32,
    status: u32,
    sequence: u32,
    octets: [u8; 11],
    /// Of a message.
    strings: [COctets<24>; 5],
    /// Of a response.
    message_id: COctets<72>,
    short_message: &'a [u8],
    tlvs: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those of one whole PDU.
    #[must_use]
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let mut places = Places::default();
        find_places(frame, &mut places)?;
        let octets = |span: Span| &frame[span.range()];
        let mut strings = [COctets::of(&[])?; 5];
        let mut message_id = COctets::of(&[])?;
        if places.command_id == 0x8000_0004 {
            message_id = COctets::of(octets(places.strings[0]))?;
        } else {
            for (string, span) in strings.iter_mut().zip(places.strings) {
                *string = COctets::of(octets(span))?;
            }
        }
        Some(Self {
            command_id: places.command_id,
            status: places.status,
            sequence: places.sequence,
            octets: places.octets,
            strings,
            message_id,
            short_message: octets(places.short_message),
            tlvs: octets(places.tlvs),
        })
    }
}

/// Writes the PDU to the front of `out`; gives its length.
#[inline(never)]
pub fn encode(pdu: &Fields<'_>, out: &mut [u8]) -> Option<usize> {
    let mut to = Cursor { out, at: 16 };
    match pdu.command_id {
        4 | 5 => message(pdu, &mut to)?,
        0x8000_0004 => {
            to.c_octets(&pdu.message_id, 65)?;
            to.put_slice(pdu.tlvs)?;
        }
        _ => {}
    }
    let length = to.at;
    let words = [
        u32::try_from(length).ok()?,
        pdu.command_id,
        pdu.status,
        pdu.sequence,
    ];
    let header: &mut [u8; 16] = out.first_chunk_mut()?;
    for (place, word) in header.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
    Some(length)
}

#[inline]
fn message(pdu: &Fields<'_>, to: &mut Cursor<'_>) -> Option<()> {
    let [a, b, c, d, e, f, g, h, i, j, k] = pdu.octets;
    let [service, source, destination, schedule, validity] = &pdu.strings;
    to.c_octets(service, 6)?;
    to.put([a, b])?;
    to.c_octets(source, 21)?;
    to.put([c, d])?;
    to.c_octets(destination, 21)?;
    to.put([e, f, g])?;
    to.c_octets(schedule, 17)?;
    to.c_octets(validity, 17)?;
    let length = u8::try_from(pdu.short_message.len()).ok()?;
    to.put([h, i, j, k, length])?;
    to.put_slice(pdu.short_message)?;
    to.put_slice(pdu.tlvs)
}
