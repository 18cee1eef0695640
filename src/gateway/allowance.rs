//! How often somebody may do something within an hour.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::model::Timestamp;

/// The time over which is counted.
pub const WINDOW: Duration = Duration::from_hours(1);

/// The most that are counted at a time. Beyond it, whoever did nothing for longest is forgotten.
const MAX_COUNTED: usize = 10_000;

/// Counts what each of many does within [`WINDOW`]; the same thing done again counts once.
#[derive(Debug)]
pub struct Allowance<Who> {
    done: HashMap<Who, VecDeque<(Timestamp, String)>>,
}

impl<Who> Default for Allowance<Who> {
    fn default() -> Self {
        Self {
            done: HashMap::new(),
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// They may, and may go on.
    Given,
    /// They may, and nothing more within the hour.
    Last,
    /// They have done as much as they may.
    Spent,
}

impl<Who: Clone + Eq + Hash> Allowance<Who> {
    /// Counts that `who` does `what`, where that is one of `most` things within the hour.
    pub fn ask(&mut self, who: &Who, what: &str, most: usize, now: Timestamp) -> Permission {
        self.forget(now);
        let done = self.done.entry(who.clone()).or_default();
        if let Some(place) = done.iter().position(|(_, earlier)| earlier == what) {
            return permission(place, most);
        }
        if done.len() >= most {
            return Permission::Spent;
        }
        done.push_back((now, what.to_owned()));
        permission(done.len() - 1, most)
    }

    /// Forgets what was done before the window, and makes room for one more.
    fn forget(&mut self, now: Timestamp) {
        let is_recent = |at: Timestamp| at.after(WINDOW) > now;
        let newest = |done: &VecDeque<(Timestamp, String)>| done.back().map(|(at, _)| *at);
        for done in self.done.values_mut() {
            while done.pop_front_if(|(at, _)| !is_recent(*at)).is_some() {}
        }
        self.done.retain(|_, done| !done.is_empty());
        if self.done.len() < MAX_COUNTED {
            return;
        }
        let idle = self.done.iter().min_by_key(|(_, done)| newest(done));
        if let Some(who) = idle.map(|(who, _)| who.clone()) {
            self.done.remove(&who);
        }
    }
}

fn permission(place: usize, most: usize) -> Permission {
    if place + 1 < most {
        Permission::Given
    } else {
        Permission::Last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(allowance: &mut Allowance<u32>, what: &str, now: i64) -> Permission {
        allowance.ask(&1, what, 2, Timestamp(now))
    }

    #[test]
    fn as_many_different_things_are_given_as_the_limit_says() {
        let mut allowance = Allowance::default();
        assert_eq!(ask(&mut allowance, "a", 0), Permission::Given);
        assert_eq!(ask(&mut allowance, "b", 1), Permission::Last);
        assert_eq!(ask(&mut allowance, "c", 2), Permission::Spent);
        // The same again, after a crash or by habit.
        assert_eq!(ask(&mut allowance, "a", 3), Permission::Given);
        assert_eq!(ask(&mut allowance, "b", 3), Permission::Last);
        assert_eq!(
            allowance.ask(&2, "c", 2, Timestamp(3)),
            Permission::Given,
            "somebody else"
        );
    }

    #[test]
    fn an_hour_later_it_is_given_again() {
        let mut allowance = Allowance::default();
        ask(&mut allowance, "a", 0);
        ask(&mut allowance, "b", 1);
        assert_eq!(ask(&mut allowance, "c", 3_599_999), Permission::Spent);
        assert_eq!(ask(&mut allowance, "c", 3_600_000), Permission::Last);
    }

    #[test]
    fn who_is_counted_is_bounded() {
        let mut allowance = Allowance::default();
        let count = i64::try_from(MAX_COUNTED).unwrap();
        for who in 0..count + 10 {
            allowance.ask(&who, "a", 2, Timestamp(who));
        }
        assert_eq!(allowance.done.len(), MAX_COUNTED);
        assert!(!allowance.done.contains_key(&0), "the oldest went");
    }
}
