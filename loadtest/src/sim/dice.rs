//! The simulator's chance: unpredictable to look at, the same for the same seed.

/// Sebastiano Vigna's splitmix64. Two with the same seed give the same row.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: u64,
    draws: u64,
}

impl Dice {
    /// Starts the row of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, draws: 0 }
    }

    /// The next 64 bits.
    pub(crate) fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        mix(self
            .seed
            .wrapping_add(self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The next number below a bound; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// The next number from 0 up to but not 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        let high = u32::try_from(self.draw() >> 32).unwrap_or(0);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// The next number of the standard normal distribution, by Box and Muller.
    pub(crate) fn bell(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.fraction()).cos()
    }

    /// Puts the items in an order that depends only on the seed and on what was drawn before.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let bound = u64::try_from(end).unwrap_or(u64::MAX).saturating_add(1);
            let other = usize::try_from(self.below(bound)).unwrap_or(0);
            items.swap(end, other);
        }
    }
}

/// Spreads a number over all 64 bits; every input has its own output.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_spread_over_their_range() {
        let mut dice = Dice::new(5);
        let row: Vec<f64> = (0..10_000).map(|_| dice.fraction()).collect();
        assert!(row.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let low = row.iter().filter(|fraction| **fraction < 0.25).count();
        assert!((2_300..2_700).contains(&low), "{low}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..40).collect();
        Dice::new(3).shuffle(&mut items);
        assert_ne!(items, (0..40).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..40).collect::<Vec<_>>());
    }
}
