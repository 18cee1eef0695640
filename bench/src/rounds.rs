//! Rounds, medians and tables.

use std::time::{Duration, Instant};

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

/// One number over all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Half of the rounds were at or below this.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Summary {
    fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        Self {
            median: rounds[rounds.len() / 2],
            min: rounds[0],
            max: rounds[rounds.len() - 1],
        }
    }
}

/// What came out for one contestant.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Nanoseconds for one PDU.
    pub time: Summary,
    /// The same, divided by those of the bound in the same round.
    pub to_bound: Summary,
}

/// Runs everybody in turn, `laps` times in each of `rounds` rounds; a round counts with the fastest
/// of its laps, the one that other work on the machine disturbed least. One more round goes before,
/// uncounted, to warm up.
#[must_use]
pub fn run(contestants: &mut [Contestant<'_>], rounds: usize, laps: usize) -> Vec<Outcome> {
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for round in 0..=rounds {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            let lap_times = (0..laps).map(|_| (contestant.run)().nanoseconds());
            let fastest = Summary::of(lap_times).min;
            if round > 0 {
                times.push(fastest);
            }
        }
    }
    let outcome = |(contestant, own): (&Contestant<'_>, &Vec<f64>)| {
        let mut others = contestants.iter().zip(&times);
        let bound = others.find(|(other, _)| other.bound && other.group == contestant.group);
        let bound = bound.map_or(own, |(_, bound)| bound);
        Outcome {
            time: Summary::of(own.iter().copied()),
            to_bound: Summary::of(own.iter().zip(bound).map(|(own, bound)| own / bound)),
        }
    };
    contestants.iter().zip(&times).map(outcome).collect()
}

/// Runs something that handles this many PDUs, and looks at the clock before and after.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, here only"
)]
pub fn lap(pdus: u32, timed: impl FnOnce()) -> Lap {
    let start = Instant::now();
    timed();
    Lap {
        time: start.elapsed(),
        pdus,
    }
}
