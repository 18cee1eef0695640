//! Segments of several senders at once, in any order, some of them twice, under the same references.
//!
//! `REASSEMBLY_CASES` is how many such crowds there are, `REASSEMBLY_SEED` the seed of the first; the
//! next has the next one.

use std::time::Duration;

use bytes::Bytes;

use super::dice::Dice;
use super::number;
use crate::reassembly::{Limits, Message, Reassembler, Taken};
use crate::udh::Concat;
use crate::{DataCoding, InboundText, Reference};

const CASES: u64 = 4_000;

/// References that are the same number, or look like it, in a header of each width and in SAR
/// parameters.
const REFERENCES: [Reference; 5] = [
    Reference::Eight(7),
    Reference::Sixteen(7),
    Reference::Sixteen(0x0107),
    Reference::Sixteen(0x0700),
    Reference::Sar(7),
];

/// One segment, and whose it is.
#[derive(Debug, Clone)]
struct Segment {
    sender: u8,
    concat: Concat,
}

impl Segment {
    /// Says whose it is, and its place: a text of something else would show it.
    fn octets(&self) -> Bytes {
        let Concat { total, index, .. } = self.concat;
        Bytes::from(vec![b'A' + self.sender, b'0' + total, b'0' + index])
    }

    fn inbound(&self) -> InboundText {
        InboundText {
            concat: Some(self.concat),
            payload: self.octets(),
            data_coding: DataCoding::IA5,
        }
    }
}

/// The segments of one crowd, in the order in which they come.
fn crowd(dice: &mut Dice) -> Vec<Segment> {
    let mut segments = Vec::new();
    for sender in 0..2 + u8::try_from(dice.below(3)).unwrap() {
        let mut references = REFERENCES;
        dice.shuffle(&mut references);
        for &reference in &references[..=dice.below(2)] {
            let total = dice.pick(&[2, 3, 3, 5, 9]);
            let of_message = |index| Segment {
                sender,
                concat: Concat {
                    reference,
                    total,
                    index,
                },
            };
            segments.extend((1..=total).map(of_message));
        }
    }
    dice.shuffle(&mut segments);
    segments
}

/// Whether a message is what its sender wrote under its reference, whole and alone.
fn is_true(message: &Message<u8>) -> bool {
    let Some(reference) = message.reference else {
        return false;
    };
    let (sender, total) = (message.sender, message.total);
    let written = |index| Segment {
        sender,
        concat: Concat {
            reference,
            total,
            index,
        },
    };
    let told = message.parts().map(|(_, _, octets)| octets.clone());
    told.eq((1..=total).map(|index| written(index).octets()))
}

fn play(seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let segments = crowd(&mut dice);
    let mut reassembler = Reassembler::new(Limits::default());
    let mut came: Vec<Segment> = Vec::new();
    let mut whole = 0;
    for segment in &segments {
        // What has come is brought again, as long as its message waits.
        if let Some(again) = came.get(dice.below(came.len() + 2)) {
            let (taken, given_up) =
                reassembler.take(Duration::ZERO, again.sender, &again.inbound());
            if taken != Taken::Duplicate || !given_up.is_empty() {
                return Err(format!("{again:?} came again: {taken:?}"));
            }
        }
        let (taken, given_up) =
            reassembler.take(Duration::ZERO, segment.sender, &segment.inbound());
        if !given_up.is_empty() {
            return Err(format!("given up: {given_up:?}"));
        }
        came.push(segment.clone());
        match taken {
            Taken::Waiting => {}
            Taken::Whole(message) if is_true(&message) => {
                whole += usize::from(message.total);
                let of_it = |one: &Segment| {
                    let Concat {
                        reference, total, ..
                    } = one.concat;
                    (one.sender, Some(reference), total)
                        == (message.sender, message.reference, message.total)
                };
                came.retain(|one| !of_it(one));
            }
            other => return Err(format!("{segment:?}: {other:?}")),
        }
    }
    let left = (reassembler.messages(), reassembler.octets());
    if whole != segments.len() || left != (0, 0) {
        return Err(format!("{whole} of {} segments, {left:?}", segments.len()));
    }
    Ok(())
}

#[test]
fn segments_of_a_crowd_make_the_messages_that_were_written_and_no_other() {
    let first = number("REASSEMBLY_SEED", 1);
    let cases = number("REASSEMBLY_CASES", CASES);
    for seed in first..first + cases {
        let fate = play(seed);
        assert_eq!(fate, Ok(()), "REASSEMBLY_SEED={seed} REASSEMBLY_CASES=1");
    }
    eprintln!("{cases} crowds from seed {first}: none merged, none lost");
}
