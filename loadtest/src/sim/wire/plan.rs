//! What goes out, in which order, and when: the PDUs of one connection after their faults.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sim::wire::mangle::Mangle;
use crate::sim::wire::tap::End;

/// How long a PDU is held back for others that never come.
const HOLD: Duration = Duration::from_secs(2);

/// The most copies of one PDU, and the most pieces of one.
const MAX_COPIES: u32 = 1_000;

/// Octets that go out in one write, or the end of the connection.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) octets: Vec<u8>,
    pub(crate) end: Option<End>,
    /// Not before.
    due: Option<Instant>,
}

impl Piece {
    pub(crate) const fn of(octets: Vec<u8>) -> Self {
        Self {
            octets,
            end: None,
            due: None,
        }
    }

    pub(crate) const fn end(end: End) -> Self {
        Self {
            octets: Vec::new(),
            end: Some(end),
            due: None,
        }
    }
}

/// When something goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing is there.
    Never,
    Now,
    At(Instant),
}

/// A PDU that waits for others to go before it.
#[derive(Debug)]
struct Held {
    octets: Vec<u8>,
    behind: u32,
    until: Instant,
}

/// PDUs that wait to go out in one write.
#[derive(Debug)]
struct Corked {
    octets: Vec<u8>,
    missing: u32,
    until: Instant,
}

/// The way out of one connection.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pieces: VecDeque<Piece>,
    held: Vec<Held>,
    corked: Option<Corked>,
    /// The beginning of a PDU whose rest is still to come.
    partial: Vec<u8>,
    queued: usize,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
            && self.held.is_empty()
            && self.corked.is_none()
            && self.partial.is_empty()
    }

    /// How many octets wait.
    pub(crate) const fn octets(&self) -> usize {
        self.queued
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn add(&mut self, piece: Piece) {
        self.queued += piece.octets.len();
        self.pieces.push_back(piece);
    }

    /// When the first piece may go, or what was held back must.
    pub(crate) fn due(&self) -> Due {
        if let Some(first) = self.pieces.front() {
            return first.due.map_or(Due::Now, Due::At);
        }
        let held = self.held.iter().map(|held| held.until);
        let waiting = held.chain(self.corked.as_ref().map(|corked| corked.until));
        waiting.min().map_or(Due::Never, Due::At)
    }

    /// The first piece. Where there is none, what was held back for long enough.
    pub(crate) fn next(&mut self) -> Option<&Piece> {
        if self.pieces.is_empty() {
            self.give_up();
        }
        self.pieces.front()
    }

    /// The first piece is out.
    pub(crate) fn done(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.queued = self.queued.saturating_sub(piece.octets.len());
        }
    }

    /// Takes octets of the session: each whole PDU is asked about and planned.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        octets: &[u8],
        mut strike: impl FnMut(&[u8]) -> Option<Mangle>,
    ) {
        self.partial.extend_from_slice(octets);
        while let Some(pdu) = self.cut() {
            match strike(&pdu) {
                Some(mangle) => self.mangle(now, &mangle, pdu),
                None => self.forward(now, pdu),
            }
        }
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        let length = self.partial.first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?.max(4);
        if self.partial.len() < length {
            return None;
        }
        let rest = self.partial.split_off(length);
        Some(std::mem::replace(&mut self.partial, rest))
    }

    fn mangle(&mut self, now: Instant, mangle: &Mangle, mut pdu: Vec<u8>) {
        mangle.rewrite(&mut pdu);
        match mangle {
            Mangle::Drop {} => {}
            // Were it held too, none would ever go out for the first to go behind.
            Mangle::Hold { .. } if !self.held.is_empty() => self.forward(now, pdu),
            Mangle::Hold { behind } => self.held.push(Held {
                octets: pdu,
                behind: *behind,
                until: now + HOLD,
            }),
            Mangle::Delay { by } => {
                self.forward(now, pdu);
                if let Some(piece) = self.pieces.back_mut() {
                    piece.due = Some(now + by.0);
                }
            }
            Mangle::Duplicate { times } => {
                for _ in 0..=(*times).min(MAX_COPIES) {
                    self.forward(now, pdu.clone());
                }
            }
            Mangle::Before { hex } => {
                self.forward(now, hex.0.clone());
                self.forward(now, pdu);
            }
            Mangle::Split { octets, pause } => self.split(now, &pdu, *octets, pause.0),
            Mangle::Coalesce { pdus, within } => self.cork(now, pdu, *pdus, within.0),
            Mangle::Reset {} => self.add(Piece::end(End::Reset)),
            Mangle::Close {} => self.add(Piece::end(End::Close)),
            Mangle::HalfOpen {} => self.add(Piece::end(End::HalfOpen)),
            _ => self.forward(now, pdu),
        }
    }

    /// A PDU goes, and with it those that waited for it to go first.
    fn forward(&mut self, now: Instant, octets: Vec<u8>) {
        self.put(now, octets);
        let mut freed = Vec::new();
        self.held.retain_mut(|held| {
            held.behind = held.behind.saturating_sub(1);
            if held.behind == 0 {
                freed.push(std::mem::take(&mut held.octets));
            }
            held.behind > 0
        });
        for octets in freed {
            self.put(now, octets);
        }
    }

    fn put(&mut self, now: Instant, octets: Vec<u8>) {
        let Some(corked) = &mut self.corked else {
            return self.add(Piece::of(octets));
        };
        corked.octets.extend_from_slice(&octets);
        corked.missing = corked.missing.saturating_sub(1);
        if corked.missing == 0 || corked.until <= now {
            self.uncork();
        }
    }

    fn cork(&mut self, now: Instant, pdu: Vec<u8>, pdus: u32, within: Duration) {
        self.corked.get_or_insert_with(|| Corked {
            octets: Vec::new(),
            missing: pdus.max(1),
            until: now + within,
        });
        self.put(now, pdu);
    }

    fn uncork(&mut self) {
        if let Some(corked) = self.corked.take() {
            self.add(Piece::of(corked.octets));
        }
    }

    fn split(&mut self, now: Instant, pdu: &[u8], octets: u32, pause: Duration) {
        let size = usize::try_from(octets.max(1)).unwrap_or(usize::MAX);
        let most = usize::try_from(MAX_COPIES).unwrap_or(usize::MAX);
        let size = size.max(pdu.len().div_ceil(most));
        let mut due = now;
        for part in pdu.chunks(size) {
            self.add(Piece {
                octets: part.to_vec(),
                end: None,
                due: Some(due),
            });
            due += pause;
        }
    }

    /// What waited too long goes now.
    fn give_up(&mut self) {
        self.uncork();
        for held in std::mem::take(&mut self.held) {
            self.add(Piece::of(held.octets));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::clock::Now;
    use crate::sim::wire::mangle::word;

    fn pdu(sequence: u8) -> Vec<u8> {
        let mut octets = vec![0; 16];
        octets[3] = 16;
        octets[15] = sequence;
        octets
    }

    /// What goes out of a row of PDUs when the first meets a fault; a piece a line.
    fn out(fault: &str, count: u8) -> Vec<Vec<u8>> {
        let mangle: Mangle = serde_json::from_str(fault).unwrap();
        let mut faults = vec![mangle];
        let now = Now::read().instant;
        let mut plan = Plan::default();
        let octets: Vec<u8> = (1..=count).flat_map(pdu).collect();
        for part in octets.chunks(7) {
            plan.take(now, part, |_| faults.pop());
        }
        let mut pieces = Vec::new();
        while plan.due() != Due::Never {
            pieces.push(plan.next().unwrap().octets.clone());
            plan.done();
        }
        assert!(plan.is_empty());
        assert_eq!(plan.octets(), 0);
        pieces
    }

    fn sequences(pieces: &[Vec<u8>]) -> Vec<u32> {
        pieces.iter().map(|piece| word(piece, 12)).collect()
    }

    #[test]
    fn pdus_are_lost_repeated_and_reordered() {
        assert_eq!(sequences(&out(r#"{"kind": "drop"}"#, 3)), [2, 3]);
        let twice = out(r#"{"kind": "duplicate", "times": 2}"#, 2);
        assert_eq!(sequences(&twice), [1, 1, 1, 2]);
        let held = out(r#"{"kind": "hold", "behind": 2}"#, 4);
        assert_eq!(sequences(&held), [2, 3, 1, 4]);
        assert_eq!(sequences(&out(r#"{"kind": "hold"}"#, 1)), [1]);
    }

    #[test]
    fn where_all_are_to_be_held_they_go_in_another_order_and_at_once() {
        for (fault, order) in [
            (r#"{"kind": "hold"}"#, [2, 1, 4, 3, 6, 5]),
            (r#"{"kind": "hold", "behind": 2}"#, [2, 3, 1, 5, 6, 4]),
        ] {
            let now = Now::read().instant;
            let mut plan = Plan::default();
            for number in 1..=6 {
                let mangle: Mangle = serde_json::from_str(fault).unwrap();
                plan.take(now, &pdu(number), |_| Some(mangle.clone()));
            }
            let mut sent = Vec::new();
            while plan.due() == Due::Now {
                sent.push(word(&plan.next().unwrap().octets, 12));
                plan.done();
            }
            assert_eq!(sent, order);
        }
    }

    #[test]
    fn writes_are_split_and_coalesced() {
        let split = out(r#"{"kind": "split", "octets": 5}"#, 1);
        let lengths: Vec<_> = split.iter().map(Vec::len).collect();
        assert_eq!(lengths, [5, 5, 5, 1]);
        assert_eq!(split.concat(), pdu(1));
        let one = out(r#"{"kind": "coalesce", "pdus": 3}"#, 4);
        assert_eq!(one, [[pdu(1), pdu(2), pdu(3)].concat(), pdu(4)]);
        let short = out(r#"{"kind": "coalesce", "pdus": 9}"#, 2);
        assert_eq!(short, [[pdu(1), pdu(2)].concat()]);
    }

    #[test]
    fn octets_can_come_before_a_pdu() {
        let out = out(r#"{"kind": "before", "hex": "00"}"#, 1);
        assert_eq!(out, [vec![0], pdu(1)]);
    }
}
