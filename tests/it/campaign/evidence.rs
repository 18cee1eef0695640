//! What phones, rooms and wires hold in the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use matrix_smpp_codec::udh;
use tokio::time::Instant;

use super::stage::Stage;
use super::traffic::{End, HELLO, Traffic, token_of};
use crate::support::proxy::ledger::Segment;
use crate::support::room::Timeline;

/// One segment that its receiver took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) token: Option<u32>,
    pub(super) segment: Segment,
}

impl Taken {
    fn all(segments: &[Segment]) -> Vec<Self> {
        let taken = segments.iter().filter(|segment| segment.taken());
        let with_token = taken.map(|segment| Self {
            token: token_of(&segment.text()),
            segment: segment.clone(),
        });
        with_token.collect()
    }
}

#[derive(Debug)]
pub(super) struct Evidence {
    /// What the SMSC took for phones, in order.
    pub(super) arrivals: Vec<Taken>,
    /// What the gateway took from phones, in order.
    heard: Vec<Taken>,
    pub(super) rooms: Vec<Timeline>,
    /// In which order the gateway was told the homeserver's events.
    pub(super) places: HashMap<String, usize>,
}

/// How often a text is somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copies {
    /// Whole ones.
    pub(super) whole: usize,
    /// Segments beyond the first of their number.
    pub(super) repeats: usize,
}

impl Evidence {
    pub(super) async fn collect(stage: &Stage, traffic: &Traffic) -> Self {
        let mut rooms = Vec::new();
        for talk in &traffic.talks {
            rooms.push(traffic.people[talk.writer].read(&talk.room).await);
        }
        let ledger = stage.links.ledger();
        Self {
            arrivals: Taken::all(&ledger.submits),
            heard: Taken::all(&ledger.delivers),
            rooms,
            places: stage.transactions.places(),
        }
    }

    /// A text at a phone.
    pub(super) fn at_phone(&self, end: &End, token: u32) -> Copies {
        copies(&segments(&self.arrivals, (&end.vmn, end.phone), token))
    }

    /// What a phone was told by a text, as its segments make it up.
    pub(super) fn words(&self, end: &End, token: u32) -> String {
        let mut parts = BTreeMap::new();
        for segment in segments(&self.arrivals, (&end.vmn, end.phone), token) {
            parts
                .entry(segment.part.0)
                .or_insert_with(|| segment.octets.clone());
        }
        udh::join(&parts.into_values().collect::<Vec<_>>())
    }

    /// Whether an answer of the gateway to a text of a phone was lost while its link lived: the SMSC
    /// brings the text again, and nothing tells it from a second one with the same words.
    pub(super) fn was_unheard(&self, end: &End, token: u32) -> bool {
        let segments = segments(&self.heard, (end.phone, &end.vmn), token);
        segments.iter().any(|segment| segment.unheard)
    }

    /// Whether the gateway took all of a text of a phone.
    pub(super) fn was_heard(&self, end: &End, token: u32) -> bool {
        copies(&segments(&self.heard, (end.phone, &end.vmn), token)).whole > 0
    }

    /// When a phone first had something of a text.
    pub(super) fn first_at(&self, end: &End, token: u32) -> Option<Instant> {
        let segments = segments(&self.arrivals, (&end.vmn, end.phone), token);
        segments.iter().map(|segment| segment.at).min()
    }

    /// The texts that came to a phone after one of a later place, by first segments.
    pub(super) fn late(&self, end: &End, places: &HashMap<u32, usize>) -> Vec<u32> {
        let mut seen = HashSet::new();
        let here = self.arrivals.iter().filter(|one| is_at(&one.segment, end));
        let order = here.filter_map(|one| one.token).filter_map(|token| {
            let first = seen.insert(token);
            first.then(|| Some((*places.get(&token)?, token)))?
        });
        descents(order)
    }

    /// How many segments, each counted once, the SMSC took of these texts at this phone.
    pub(super) fn segments_of(&self, end: &End, tokens: &HashSet<u32>) -> usize {
        let here = self.arrivals.iter().filter(|one| is_at(&one.segment, end));
        let of_them = here.filter_map(|one| {
            let token = one.token.filter(|token| tokens.contains(token))?;
            Some((token, one.segment.part))
        });
        of_them.collect::<HashSet<_>>().len()
    }

    /// Segments whose pair of number and phone is none of this campaign, or that bear the number of a
    /// text of another conversation.
    pub(super) fn astray(&self, traffic: &Traffic) -> Vec<&Taken> {
        let mut homes: HashMap<u32, usize> = HashMap::new();
        let written = traffic.written.lock().expect("a lock");
        let said = traffic.said.lock().expect("a lock");
        homes.extend(written.iter().map(|one| (one.token, one.talk)));
        homes.extend(said.iter().map(|one| (one.token, one.talk)));
        let belongs = |one: &&Taken| {
            let mut talks = traffic.talks.iter().enumerate();
            let at = talks.find(|(_, talk)| talk.ends.iter().any(|end| is_at(&one.segment, end)));
            let Some((at, _)) = at else { return false };
            // A relayed part of which the rest never came may bear no number.
            one.token
                .is_none_or(|token| token == HELLO || homes.get(&token) == Some(&at))
        };
        let all = self.arrivals.iter();
        all.filter(|one| !belongs(one)).collect()
    }
}

fn is_at(segment: &Segment, end: &End) -> bool {
    segment.to == end.phone && segment.from == end.vmn
}

fn segments<'a>(list: &'a [Taken], (from, to): (&str, &str), token: u32) -> Vec<&'a Segment> {
    let of_text = list
        .iter()
        .filter(|one| one.token == Some(token) && one.segment.from == from && one.segment.to == to);
    of_text.map(|one| &one.segment).collect()
}

fn copies(segments: &[&Segment]) -> Copies {
    let total = segments.first().map_or(0, |segment| segment.part.1);
    let of_part = |part| segments.iter().filter(|one| one.part.0 == part).count();
    let counts: Vec<usize> = (1..=total).map(of_part).collect();
    Copies {
        whole: counts.iter().copied().min().unwrap_or(0),
        repeats: counts.iter().map(|count| count.saturating_sub(1)).sum(),
    }
}

/// The texts that stand behind one of a greater place.
pub(super) fn descents(order: impl Iterator<Item = (usize, u32)>) -> Vec<u32> {
    let mut greatest = 0;
    let mut late = Vec::new();
    for (place, token) in order {
        if place < greatest {
            late.push(token);
        }
        greatest = greatest.max(place);
    }
    late
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use matrix_smpp_codec::{CommandStatus, DataCoding};

    use super::*;
    use crate::support::wait::now;

    fn segment(text: &str, part: (u8, u8), answer: Option<CommandStatus>) -> Segment {
        Segment {
            from: "447700900900".to_owned(),
            to: "447700900101".to_owned(),
            part,
            octets: (
                DataCoding::GSM_DEFAULT,
                Bytes::copy_from_slice(text.as_bytes()),
            ),
            at: now(),
            answer,
            unheard: false,
        }
    }

    fn evidence(submits: &[Segment]) -> Evidence {
        Evidence {
            arrivals: Taken::all(submits),
            heard: Vec::new(),
            rooms: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn end() -> End {
        End {
            phone: "447700900101",
            vmn: "447700900900".to_owned(),
        }
    }

    const OK: Option<CommandStatus> = Some(CommandStatus::ESME_ROK);

    #[test]
    fn a_text_is_whole_when_each_of_its_segments_was_taken_and_what_came_again_is_counted() {
        let mut submits = vec![segment("t00007 one ", (1, 2), OK)];
        let copies = |submits: &[Segment]| evidence(submits).at_phone(&end(), 7);
        assert_eq!(copies(&submits).whole, 0);
        submits.push(segment("t00007 two", (2, 2), None));
        assert_eq!(copies(&submits).whole, 0, "nobody took it");
        submits.push(segment("t00007 two", (2, 2), OK));
        assert_eq!((copies(&submits).whole, copies(&submits).repeats), (1, 0));
        submits.push(segment("t00007 one ", (1, 2), OK));
        assert_eq!((copies(&submits).whole, copies(&submits).repeats), (1, 1));
        assert_eq!(evidence(&submits).words(&end(), 7), "t00007 one t00007 two");
        assert_eq!(evidence(&submits).segments_of(&end(), &[7].into()), 2);
    }

    #[test]
    fn a_text_that_another_one_overtook_is_late() {
        let submits =
            ["t00001", "t00003", "t00002", "t00001"].map(|text| segment(text, (1, 1), OK));
        let places = [(1, 10), (2, 20), (3, 30)].into();
        assert_eq!(evidence(&submits).late(&end(), &places), [2]);
    }
}
