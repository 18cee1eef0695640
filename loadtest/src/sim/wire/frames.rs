//! Where PDUs begin in a stream of octets.

/// Follows `command_length` through a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Frames {
    length: [u8; 4],
    /// How many octets of `length` are there.
    have: usize,
    /// How many octets of the PDU are still to come.
    left: usize,
}

impl Frames {
    /// Walks on. Returns where among these octets the first PDU begins, if one does.
    pub(crate) fn walk(&mut self, octets: &[u8]) -> Option<usize> {
        let mut first = None;
        let mut at = 0;
        while let Some(rest) = octets.get(at..)
            && !rest.is_empty()
        {
            if self.left > 0 {
                let step = self.left.min(rest.len());
                self.left -= step;
                at += step;
            } else {
                if self.have == 0 {
                    first = first.or(Some(at));
                }
                at += self.head(rest);
            }
        }
        first
    }

    /// How many octets are missing to the end of the PDU; 0 between two PDUs.
    pub(crate) const fn missing(&self) -> usize {
        self.left
    }

    /// Whether the stream stands in the middle of a `command_length`.
    pub(crate) const fn in_length(&self) -> bool {
        self.have > 0
    }

    /// Takes what is there of `command_length`; how many octets that was.
    fn head(&mut self, rest: &[u8]) -> usize {
        let mut taken = 0;
        for (place, octet) in self.length.iter_mut().skip(self.have).zip(rest) {
            *place = *octet;
            taken += 1;
        }
        self.have += taken;
        if self.have == self.length.len() {
            let whole = usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX);
            self.left = whole.saturating_sub(self.length.len());
            self.have = 0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(lengths: &[u8]) -> (Vec<u8>, Vec<usize>) {
        let mut octets = Vec::new();
        let mut starts = Vec::new();
        for length in lengths {
            starts.push(octets.len());
            octets.extend_from_slice(&[0, 0, 0, 16 + length]);
            octets.resize(octets.len() + 12 + usize::from(*length), 0xff);
        }
        (octets, starts)
    }

    proptest! {
        #[test]
        fn a_pdu_is_found_wherever_the_stream_is_cut(
            lengths in prop::collection::vec(0..60_u8, 1..8),
            chunk in 1..50_usize,
        ) {
            let (octets, starts) = stream(&lengths);
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for (place, part) in octets.chunks(chunk).enumerate() {
                if let Some(at) = frames.walk(part) {
                    found.push(place * chunk + at);
                }
            }
            prop_assert_eq!(frames.missing(), 0);
            prop_assert!(!frames.in_length());
            prop_assert!(found.iter().all(|start| starts.contains(start)));
            prop_assert_eq!(found.first(), starts.first());
        }
    }

    #[test]
    fn a_length_that_lies_does_no_harm() {
        let mut frames = Frames::default();
        frames.walk(&[0, 0, 0, 1, 0, 0, 0, 0]);
        frames.walk(&[0xff; 32]);
        assert!(frames.missing() > 1_000);
    }
}
