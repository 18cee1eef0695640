//! Captured octets as a pcapng file (IETF draft-ietf-opsawg-pcapng): each piece becomes TCP segments
//! over IP, with the handshake where the beginning of the connection is still there.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::sim::wire::capture::{Direction, Piece};

/// The longest TCP payload put into one packet: all loopback frames may be so long.
const SEGMENT: usize = 16_384;

/// IP packets without a link layer.
const LINKTYPE_RAW: u16 = 101;

/// The sequence number of the SYN of either end.
const FIRST: u32 = 1_000;

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;

/// The whole file.
pub(crate) fn file(pieces: &[Piece]) -> Vec<u8> {
    let mut writer = Writer {
        out: Vec::new(),
        sequences: HashMap::new(),
        begun: HashSet::new(),
    };
    writer.head();
    for piece in pieces {
        writer.piece(piece);
    }
    writer.out
}

struct Writer {
    out: Vec<u8>,
    /// By connection: the next sequence number of the peer and of the simulator.
    sequences: HashMap<u64, [u32; 2]>,
    /// The streams whose beginning was seen, or that were picked up at a PDU.
    begun: HashSet<(u64, bool)>,
}

/// One TCP segment.
struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: &'a [u8],
}

impl Writer {
    /// Section header, and the one interface.
    fn head(&mut self) {
        let mut section = Vec::new();
        section.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        section.extend_from_slice(&1_u16.to_le_bytes());
        section.extend_from_slice(&0_u16.to_le_bytes());
        section.extend_from_slice(&u64::MAX.to_le_bytes());
        self.block(0x0a0d_0d0a, &section);
        let mut interface = Vec::new();
        interface.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        interface.extend_from_slice(&0_u16.to_le_bytes());
        interface.extend_from_slice(&0_u32.to_le_bytes());
        self.block(1, &interface);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(body);
        self.out.resize(self.out.len() + padded - body.len(), 0);
        self.out.extend_from_slice(&length.to_le_bytes());
    }

    fn piece(&mut self, piece: &Piece) {
        let connection = piece.ends.number;
        if piece.fin {
            if self.sequences.contains_key(&connection) {
                self.flagged(piece, Direction::Out, FIN | ACK);
                self.flagged(piece, Direction::In, FIN | ACK);
            }
            return;
        }
        if piece.offset == 0 && !self.sequences.contains_key(&connection) {
            self.handshake(piece);
        }
        let first = self
            .begun
            .insert((connection, piece.direction == Direction::Out));
        let skip = if first && piece.offset > 0 {
            // The beginning of the stream is forgotten: dissecting starts with a whole PDU.
            let Some(boundary) = piece.boundary else {
                self.begun
                    .remove(&(connection, piece.direction == Direction::Out));
                return;
            };
            boundary
        } else {
            0
        };
        let offset = u32::try_from(piece.offset & u64::from(u32::MAX)).unwrap_or(0);
        let skipped = u32::try_from(skip).unwrap_or(0);
        let sequence = (FIRST + 1).wrapping_add(offset).wrapping_add(skipped);
        *self.sequence(connection, piece.direction) = sequence;
        for part in piece.octets.get(skip..).unwrap_or_default().chunks(SEGMENT) {
            self.data(piece, part);
        }
    }

    fn sequence(&mut self, connection: u64, direction: Direction) -> &mut u32 {
        let both = self.sequences.entry(connection);
        let [inbound, outbound] = both.or_insert([FIRST + 1; 2]);
        match direction {
            Direction::In => inbound,
            Direction::Out => outbound,
        }
    }

    fn handshake(&mut self, piece: &Piece) {
        let (client, server) = if piece.ends.made {
            (Direction::Out, Direction::In)
        } else {
            (Direction::In, Direction::Out)
        };
        self.sequences.insert(piece.ends.number, [FIRST; 2]);
        self.flagged(piece, client, SYN);
        self.flagged(piece, server, SYN | ACK);
        self.send(piece, client, ACK, &[]);
    }

    /// SYN and FIN count as one octet.
    fn flagged(&mut self, piece: &Piece, direction: Direction, flags: u8) {
        self.send(piece, direction, flags, &[]);
        let next = self.sequence(piece.ends.number, direction);
        *next = next.wrapping_add(1);
    }

    fn data(&mut self, piece: &Piece, payload: &[u8]) {
        self.send(piece, piece.direction, ACK | PUSH, payload);
        let length = u32::try_from(payload.len()).unwrap_or(0);
        let next = self.sequence(piece.ends.number, piece.direction);
        *next = next.wrapping_add(length);
    }

    fn send(&mut self, piece: &Piece, direction: Direction, flags: u8, payload: &[u8]) {
        let connection = piece.ends.number;
        let inbound = *self.sequence(connection, Direction::In);
        let outbound = *self.sequence(connection, Direction::Out);
        let (from, to, sequence, other) = match direction {
            Direction::In => (piece.ends.peer, piece.ends.local, inbound, outbound),
            Direction::Out => (piece.ends.local, piece.ends.peer, outbound, inbound),
        };
        let packet = Segment {
            from,
            to,
            sequence,
            acknowledged: if flags & ACK == 0 { 0 } else { other },
            flags,
            payload,
        }
        .packet();
        self.packet(piece.at_us, &packet);
    }

    /// An enhanced packet block.
    fn packet(&mut self, at_us: u64, packet: &[u8]) {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let high = u32::try_from(at_us >> 32).unwrap_or(0);
        let low = u32::try_from(at_us & u64::from(u32::MAX)).unwrap_or(0);
        let mut body = Vec::with_capacity(packet.len() + 20);
        for word in [0, high, low, length, length] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        body.extend_from_slice(packet);
        self.block(6, &body);
    }
}

impl Segment<'_> {
    fn packet(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(self.payload.len() + 20);
        tcp.extend_from_slice(&self.from.port().to_be_bytes());
        tcp.extend_from_slice(&self.to.port().to_be_bytes());
        tcp.extend_from_slice(&self.sequence.to_be_bytes());
        tcp.extend_from_slice(&self.acknowledged.to_be_bytes());
        tcp.extend_from_slice(&[0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(self.payload);
        let (from, to) = (octets(self.from.ip()), octets(self.to.ip()));
        let length = u16::try_from(tcp.len()).unwrap_or(u16::MAX);
        let pseudo = [&*from, &*to, &[0, 6], &length.to_be_bytes(), &*tcp].concat();
        put_sum(&mut tcp, 16, sum(&pseudo));
        [self.ip(length, &from, &to), tcp].concat()
    }

    fn ip(&self, length: u16, from: &[u8], to: &[u8]) -> Vec<u8> {
        if self.from.is_ipv6() {
            let head = [0x60, 0, 0, 0];
            return [&head[..], &length.to_be_bytes(), &[6, 64], from, to].concat();
        }
        let whole = length.saturating_add(20).to_be_bytes();
        let rest = [0, 0, 0x40, 0, 64, 6, 0, 0];
        let mut head = [&[0x45, 0][..], &whole, &rest, from, to].concat();
        let checksum = sum(&head);
        put_sum(&mut head, 10, checksum);
        head
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn put_sum(packet: &mut [u8], at: usize, sum: u16) {
    if let Some(place) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *place = sum.to_be_bytes();
    }
}

/// The Internet checksum (RFC 1071).
fn sum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        [high] => u16::from_be_bytes([*high, 0]),
        _ => 0,
    });
    let mut sum: u32 = words.map(u32::from).fold(0, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn an_empty_capture_is_a_file_with_its_head() {
        let file = file(&[]);
        assert_eq!(file.len(), 28 + 20);
        assert_eq!(&file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    }
}
