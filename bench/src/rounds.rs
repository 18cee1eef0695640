//! Rounds, medians and tables.

use std::time::Duration;

/// One row: what is measured, and how.
pub struct Contestant<'a> {
    /// Rows with the same group are compared with each other.
    pub group: String,
    /// Who runs.
    pub name: &'static str,
    /// Whether this is the bound that the others of its group are compared with.
    pub bound: bool,
    /// Runs once; gives the time taken and the number of PDUs.
    pub run: Box<dyn FnMut() -> Lap + 'a>,
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    /// The time that counts.
    pub time: Duration,
    /// For this many PDUs.
    pub pdus: u32,
}

impl Lap {
    /// Nanoseconds for one PDU.
    #[must_use]
    pub fn nanoseconds(self) -> f64 {
        self.time.as_secs_f64() * 1e9 / f64::from(self.pdus)
    }
}

/// The nanoseconds per PDU of one contestant over all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Half of the rounds were at or below this.
    pub median: f64,
    /// The fastest round.
    pub min: f64,
    /// The slowest round.
    pub max: f64,
}

impl Summary {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self {
            median: rounds[rounds.len() / 2],
            min: rounds[0],
            max: rounds[rounds.len() - 1],
        }
    }
}

/// Runs everybody in turn, `laps` times in each of `rounds` rounds; a round counts with the fastest
/// of its laps, the one that other work on the machine disturbed least. One more round goes before, uncounted, to warm up.
#[must_use]
pub fn run(contestants: &mut [Contestant<'_>], rounds: usize, laps: usize) -> Vec<Summary> {
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for round in 0..=rounds {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            let lap_times = (0..laps)
                .map(|_| (contestant.run)().nanoseconds())
                .collect();
            if round > 0 {
                times.push(Summary::of(lap_times).min);
            }
        }
    }
    times.into_iter().map(Summary::of).collect()
}
