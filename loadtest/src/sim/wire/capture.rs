//! The latest octets of all connections, to be looked at with tshark.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sim::clock::Now;
use crate::sim::wire::frames::Frames;

/// What one kept piece costs besides its octets, so that many small ones are bounded too.
const OVERHEAD: usize = 128;

/// Which way octets went, seen from the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// Both ends of one connection.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Whether the simulator made the connection.
    pub(crate) made: bool,
    /// Counts up over all connections.
    pub(crate) number: u64,
    streams: Mutex<[Stream; 2]>,
    /// Octets in and out.
    octets: [AtomicU64; 2],
}

#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    offset: u64,
    frames: Frames,
}

/// Octets as they were read or written at once.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Microseconds since 1970 (UTC).
    pub(crate) at_us: u64,
    pub(crate) ends: Arc<Ends>,
    pub(crate) direction: Direction,
    /// How many octets of its stream went before it.
    pub(crate) offset: u64,
    /// Where in it the first PDU begins.
    pub(crate) boundary: Option<usize>,
    pub(crate) octets: Arc<[u8]>,
    /// The connection is over; then it has no octets.
    pub(crate) fin: bool,
}

/// The latest pieces, up to so many octets.
#[derive(Debug)]
pub(crate) struct Capture {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    pieces: VecDeque<Piece>,
    octets: usize,
}

impl Ends {
    pub(crate) fn new(number: u64, local: SocketAddr, peer: SocketAddr, made: bool) -> Self {
        Self {
            peer,
            local,
            made,
            number,
            streams: Mutex::default(),
            octets: Default::default(),
        }
    }

    /// Octets in and out so far.
    pub(crate) fn octets(&self) -> (u64, u64) {
        let [inbound, outbound] = &self.octets;
        (inbound.load(Relaxed), outbound.load(Relaxed))
    }
}

impl Direction {
    const fn place(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

impl Capture {
    /// Keeps the latest octets, at most so many; with 0 none.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    /// Keeps what was just read or written.
    pub(crate) fn record(&self, ends: &Arc<Ends>, direction: Direction, octets: &[u8]) {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        if let Some(count) = ends.octets.get(direction.place()) {
            count.fetch_add(length, Relaxed);
        }
        if self.limit == 0 {
            return;
        }
        let (offset, boundary) = {
            let mut streams = ends.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(stream) = streams.get_mut(direction.place()) else {
                return;
            };
            let offset = stream.offset;
            stream.offset += length;
            (offset, stream.frames.walk(octets))
        };
        self.keep(Piece {
            at_us: Now::micros(),
            ends: Arc::clone(ends),
            direction,
            offset,
            boundary,
            octets: octets.into(),
            fin: false,
        });
    }

    /// The connection is over.
    pub(crate) fn close(&self, ends: &Arc<Ends>) {
        if self.limit == 0 {
            return;
        }
        self.keep(Piece {
            at_us: Now::micros(),
            ends: Arc::clone(ends),
            direction: Direction::Out,
            offset: u64::MAX,
            boundary: None,
            octets: Arc::default(),
            fin: true,
        });
    }

    /// What is kept, oldest first.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        self.lock().pieces.iter().cloned().collect()
    }

    /// How many octets are kept, with what keeping them costs.
    pub(crate) fn octets(&self) -> usize {
        self.lock().octets
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn keep(&self, piece: Piece) {
        let mut kept = self.lock();
        kept.octets += piece.octets.len() + OVERHEAD;
        kept.pieces.push_back(piece);
        while kept.octets > self.limit {
            let Some(oldest) = kept.pieces.pop_front() else {
                return;
            };
            kept.octets -= oldest.octets.len() + OVERHEAD;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_octets_are_kept() {
        let ends = Ends::new(
            1,
            "127.0.0.1:2775".parse().unwrap(),
            "127.0.0.1:40000".parse().unwrap(),
            false,
        );
        let ends = Arc::new(ends);
        let capture = Capture::new(10_000);
        for _ in 0..1_000 {
            capture.record(&ends, Direction::In, &[0, 0, 0, 16, 0, 0, 0, 0x15]);
            capture.record(&ends, Direction::In, &[0; 8]);
            assert!(capture.octets() <= 10_000);
        }
        let pieces = capture.pieces();
        assert!(pieces.len() > 10);
        let last = pieces.last().unwrap();
        assert_eq!((last.offset, last.boundary), (15_992, None));
        assert_eq!(pieces[pieces.len() - 2].boundary, Some(0));
        assert_eq!(ends.octets(), (16_000, 0));
    }
}
