//! Message ids and reference numbers: unpredictable to look at, the same for the same seed.

/// The simulator's source of numbers. Two with the same seed give the same row.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    seed: u64,
    given: u32,
    draws: u64,
}

impl Ids {
    /// Starts the row of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            given: 0,
            draws: 0,
        }
    }

    /// The next message id: ten decimal digits, the first never 0, none twice within 2^32.
    pub(crate) fn message_id(&mut self) -> String {
        self.given = self.given.wrapping_add(1);
        let scattered = scatter(self.given ^ self.seed_word());
        (1_000_000_000 + u64::from(scattered)).to_string()
    }

    /// The next 16-bit reference for the segments of a long text.
    pub(crate) fn reference(&mut self) -> u16 {
        self.draw()
            .to_be_bytes()
            .first_chunk::<2>()
            .map_or(0, |two| u16::from_be_bytes(*two))
    }

    /// Puts the items in an order that depends only on the seed and on what was drawn before.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let bound = u64::try_from(end).unwrap_or(u64::MAX).saturating_add(1);
            let other = usize::try_from(self.draw() % bound).unwrap_or(0);
            items.swap(end, other);
        }
    }

    /// Sebastiano Vigna's splitmix64.
    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        let step = self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut word = self.seed.wrapping_add(step);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn seed_word(&self) -> u32 {
        let bytes = (self.seed ^ (self.seed >> 32)).to_le_bytes();
        bytes
            .first_chunk::<4>()
            .map_or(0, |four| u32::from_le_bytes(*four))
    }
}

/// Austin Appleby's `MurmurHash3` finaliser: every input has its own output.
fn scatter(mut word: u32) -> u32 {
    word = (word ^ (word >> 16)).wrapping_mul(0x85eb_ca6b);
    word = (word ^ (word >> 13)).wrapping_mul(0xc2b2_ae35);
    word ^ (word >> 16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_row_and_another_seed_another() {
        let row = |seed| {
            let mut ids = Ids::new(seed);
            (0..50)
                .map(|_| (ids.message_id(), ids.reference()))
                .collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
    }

    #[test]
    fn message_ids_have_ten_digits_and_never_repeat() {
        let mut ids = Ids::new(1);
        let mut seen = HashSet::new();
        for _ in 0..20_000 {
            let id = ids.message_id();
            assert_eq!(id.len(), 10);
            assert!(!id.starts_with('0'));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..40).collect();
        Ids::new(3).shuffle(&mut items);
        assert_ne!(items, (0..40).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..40).collect::<Vec<_>>());
    }
}
