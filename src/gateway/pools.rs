//! How full the pools of numbers are.
//!
//! A number serves one conversation for each phone, so that any number of phones share a pool: it is empty
//! for a phone that all of its numbers are leased to, cooling off included, and only for that one. So
//! what tells how full it is, is the phone that uses the most of it.

use std::collections::HashSet;

use matrix_smpp_config::Pool;
use serde::{Deserialize, Serialize};

use super::model::{Lease, Timestamp};

/// From this share of its numbers on, in per cent, a pool is worth a warning.
const NEARLY_FULL: u64 = 80;

/// How full one pool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolUse {
    /// Its name.
    pub name: String,
    /// How many numbers it has.
    pub numbers: u64,
    /// Pairs of a number and a phone with a conversation.
    pub active: u64,
    /// Such pairs that cool off.
    pub cooling: u64,
    /// How many numbers the phone uses that uses the most.
    pub most_used: u64,
    /// Phones that use 80 per cent of the numbers or more.
    pub nearly_full: u64,
    /// Phones for which no number is free.
    pub full: u64,
}

impl PoolUse {
    /// How many numbers are free for the phone that uses the most.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.numbers.saturating_sub(self.most_used)
    }

    /// A phone may soon be refused a further conversation, or is so already.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.nearly_full > 0
    }

    fn add(&mut self, active: u64, cooling: u64) {
        let used = active + cooling;
        self.active += active;
        self.cooling += cooling;
        self.most_used = self.most_used.max(used);
        let is_nearly_full = used * 100 >= self.numbers * NEARLY_FULL;
        self.nearly_full += u64::from(used > 0 && is_nearly_full);
        self.full += u64::from(used >= self.numbers);
    }
}

/// Counts the leases of one phone after the other.
#[derive(Debug)]
pub struct Count<'a> {
    pools: Vec<(&'a Pool, PoolUse)>,
    now: Timestamp,
    seen: HashSet<String>,
}

impl<'a> Count<'a> {
    /// Of these pools, none of which is used yet.
    #[must_use]
    pub fn new(pools: &'a [Pool], now: Timestamp) -> Self {
        let unused = |pool: &'a Pool| {
            let unused = PoolUse {
                name: pool.name.clone(),
                numbers: pool.numbers.count(),
                active: 0,
                cooling: 0,
                most_used: 0,
                nearly_full: 0,
                full: 0,
            };
            (pool, unused)
        };
        Self {
            pools: pools.iter().map(unused).collect(),
            now,
            seen: HashSet::new(),
        }
    }

    /// Adds all leases of one phone. A phone that has been added is passed over.
    pub fn add(&mut self, leases: &[Lease]) {
        let Some(first) = leases.first() else {
            return;
        };
        if !self.seen.insert(first.handset.key()) {
            return;
        }
        for (pool, used) in &mut self.pools {
            let own = || leases.iter().filter(|one| pool.numbers.contains(&one.vmn));
            let active = own().filter(|one| one.cooling_until.is_none()).count();
            let cooling =
                own().filter(|one| one.cooling_until.is_some_and(|until| until > self.now));
            used.add(count(active), count(cooling.count()));
        }
    }

    /// How full each pool is, in the order of the settings.
    #[must_use]
    pub fn finish(self) -> Vec<PoolUse> {
        self.pools.into_iter().map(|(_, used)| used).collect()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use matrix_smpp_config::{ProcessEnv, Settings};

    use super::*;
    use crate::gateway::model::{ConversationId, Handset};

    fn settings() -> Settings {
        let text = r#"
            [[homeserver]]
            name = "example.org"
            url = "http://127.0.0.1:8008"
            as_token = "0123456789abcdef0123456789abcdef"
            hs_token = "fedcba9876543210fedcba9876543210"
            [[pool]]
            name = "uk"
            numbers = ["447700900900-447700900904"]
            [[pool]]
            name = "other"
            numbers = ["447700900910-447700900911"]
        "#;
        matrix_smpp_config::parse(text, Path::new("test.toml"), &ProcessEnv).unwrap()
    }

    fn lease(phone: &str, number: u64, cooling_until: Option<i64>) -> Lease {
        Lease {
            vmn: number.to_string().parse().unwrap(),
            handset: Handset::from_key(phone).unwrap(),
            conversation: ConversationId(1),
            cooling_until: cooling_until.map(Timestamp),
        }
    }

    #[test]
    fn a_pool_is_as_full_as_it_is_for_the_phone_that_uses_the_most() {
        let settings = settings();
        let mut count = Count::new(&settings.routing.pools, Timestamp(100));
        let busy = |number: u64| lease("447700900123", 447_700_900_900 + number, None);
        let cooling = lease("447700900123", 447_700_900_903, Some(101));
        let cooled = lease("447700900123", 447_700_900_904, Some(100));
        count.add(&[busy(0), busy(1), busy(2), cooling, cooled]);
        count.add(&[lease("447700900124", 447_700_900_900, None)]);
        let [uk, other] = <[PoolUse; 2]>::try_from(count.finish()).unwrap();
        assert_eq!((uk.numbers, uk.active, uk.cooling), (5, 4, 1));
        assert_eq!((uk.most_used, uk.free(), uk.full), (4, 1, 0));
        assert_eq!(uk.nearly_full, 1, "four of five");
        assert!(uk.is_nearly_full() && !other.is_nearly_full());
        assert_eq!((other.numbers, other.most_used, other.free()), (2, 0, 2));
    }

    #[test]
    fn a_pool_is_empty_for_the_phone_that_has_all_of_it() {
        let settings = settings();
        let mut count = Count::new(&settings.routing.pools, Timestamp(100));
        let all = [0_u64, 1].map(|number| lease("447700900123", 447_700_900_910 + number, None));
        count.add(&all);
        count.add(&all);
        let other = count.finish().remove(1);
        assert_eq!((other.full, other.free(), other.active), (1, 0, 2));
    }

    #[test]
    fn numbers_of_no_pool_count_nowhere() {
        let settings = settings();
        let mut count = Count::new(&settings.routing.pools, Timestamp(100));
        count.add(&[lease("447700900123", 447_700_900_999, None)]);
        assert!(count.finish().iter().all(|pool| pool.most_used == 0));
    }
}
