//! What goes wrong on request, decided by a seed.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// One way to go wrong. The first fault of the list that fits a request and is drawn is the one that
/// happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a way to go wrong of its own"
)]
pub struct Fault {
    /// The request: `send`, `join`, `register`, …, as `GET /_stub/counts` names them; `any` for all
    /// that the application service asks. `transactions` are those that we send to it.
    pub on: String,
    /// The answer's status, such as 429 or 500; none for the right answer.
    #[serde(default)]
    pub status: Option<u16>,
    /// `retry_after_ms` of the answer.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// How long the answer (or the transaction) waits.
    #[serde(default)]
    pub delay_ms: u64,
    /// There is no answer; the connection stays open.
    #[serde(default)]
    pub never: bool,
    /// The request takes effect all the same: only its answer is wrong or lost.
    #[serde(default)]
    pub after_effect: bool,
    /// (`transactions`) The transaction is sent once more after it was answered.
    #[serde(default)]
    pub repeat: bool,
    /// (`transactions`) It is never sent: the application service does not hear of its events, which
    /// stay in their rooms. Homeservers that are killed can forget so.
    #[serde(default)]
    pub lose: bool,
    /// Of 100 requests, how many. 100 where nothing is said.
    #[serde(default = "all")]
    pub percent: u32,
    /// How many times at most; then the fault is over.
    #[serde(default)]
    pub times: Option<u64>,
}

const fn all() -> u32 {
    100
}

impl Fault {
    pub(crate) const fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

/// The faults in force.
#[derive(Debug)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    random: SmallRng,
    happened: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            list: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            happened: 0,
        }
    }

    pub(crate) fn set(&mut self, list: Vec<Fault>) {
        self.list = list;
    }

    pub(crate) fn list(&self) -> &[Fault] {
        &self.list
    }

    pub(crate) const fn happened(&self) -> u64 {
        self.happened
    }

    /// What goes wrong with this request.
    pub(crate) fn draw(&mut self, request: &str) -> Option<Fault> {
        let random = &mut self.random;
        let fault = self.list.iter_mut().find(|fault| {
            let fits = fault.on == request || (fault.on == "any" && request != "transactions");
            fits && fault.times != Some(0) && random.random_range(0..100) < fault.percent
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        self.happened += 1;
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let mut faults = Faults::new(1);
        faults.set(serde_json::from_str(json).unwrap());
        faults
    }

    #[test]
    fn the_first_fault_that_fits_happens_as_often_as_it_says() {
        let mut faults =
            faults(r#"[{"on": "send", "status": 429, "times": 2}, {"on": "any", "status": 500}]"#);
        let status = |faults: &mut Faults, request| faults.draw(request).map(|fault| fault.status);
        assert_eq!(status(&mut faults, "join"), Some(Some(500)));
        assert_eq!(status(&mut faults, "send"), Some(Some(429)));
        assert_eq!(status(&mut faults, "send"), Some(Some(429)));
        assert_eq!(status(&mut faults, "send"), Some(Some(500)));
        assert_eq!(status(&mut faults, "transactions"), None);
        assert_eq!(faults.happened(), 4);
    }

    #[test]
    fn a_share_of_the_requests_is_hit() {
        let mut faults = faults(r#"[{"on": "any", "percent": 25}]"#);
        let hit = (0..10_000)
            .filter(|_| faults.draw("send").is_some())
            .count();
        assert!((2_200..2_800).contains(&hit), "{hit}");
    }
}
