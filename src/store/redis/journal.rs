//! The latest commits of an owner. A replica that became the primary before it had all of them, and a
//! server that had not yet synced them when its machine died, fall back to an older state; as long as
//! the owner lives it sends them again.

use std::collections::VecDeque;

use redis::Cmd;
use tracing::{error, warn};

use crate::store::{Result, StoreError};

/// How many octets of rows are kept, beside those of the last commit: seconds of the heaviest traffic.
const OCTETS: usize = 64 * 1024 * 1024;

/// The latest commits in order, each of which follows the one before it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The number of the last commit that is surely done, whoever made it; empty before the first.
    pub(super) latest: String,
    /// How many this owner has tried to make.
    pub(super) count: u64,
    commits: VecDeque<Commit>,
    octets: usize,
}

/// A commit as it is sent.
#[derive(Debug)]
pub(super) struct Commit {
    /// The number of the commit before it.
    pub(super) before: String,
    pub(super) command: Cmd,
    /// Of its rows.
    pub(super) octets: usize,
}

impl Journal {
    /// Adds the newest one and gives its place; forgets the oldest ones where they are too much.
    pub(super) fn add(&mut self, commit: Commit) -> usize {
        self.octets += commit.octets;
        self.commits.push_back(commit);
        while self.octets > OCTETS && self.commits.len() > 1 {
            let oldest = self.commits.pop_front();
            self.octets -= oldest.map_or(0, |commit| commit.octets);
        }
        self.commits.len() - 1
    }

    /// Forgets the newest one, which was refused.
    pub(super) fn take_back(&mut self) {
        let newest = self.commits.pop_back();
        self.octets -= newest.map_or(0, |commit| commit.octets);
    }

    /// The commit at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Commit> {
        self.commits.get(place)
    }

    /// The place of what follows the last commit that Redis has. Fails with [`StoreError::Lost`] where
    /// that is not known: what Redis has then is another story than the one that this owner tells.
    pub(super) fn after(&self, latest: &str) -> Result<usize> {
        let mut commits = self.commits.iter();
        let place = commits.rposition(|commit| commit.before == latest);
        if place.is_some() {
            warn!("Redis has fallen back to an older state; sending again what it lacks");
        } else {
            error!(
                "Redis has fallen back to an older state, and what it lacks is not known any more: \
                 changes that were acknowledged are lost"
            );
        }
        place.ok_or(StoreError::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(before: &str, octets: usize) -> Commit {
        Commit {
            before: before.to_owned(),
            command: redis::cmd("PING"),
            octets,
        }
    }

    #[test]
    fn what_follows_a_commit_is_known_for_as_long_as_there_is_room() {
        let mut journal = Journal::default();
        assert_eq!(journal.add(commit("", 1)), 0);
        assert_eq!(journal.add(commit("e:1", 1)), 1);
        let after = |journal: &Journal, latest| journal.after(latest).ok();
        assert_eq!(after(&journal, ""), Some(0));
        assert_eq!(after(&journal, "e:1"), Some(1));
        assert_eq!(after(&journal, "e:2"), None);
        assert_eq!(journal.add(commit("e:2", OCTETS)), 0, "one stays");
        assert_eq!(after(&journal, "e:1"), None);
        assert_eq!(after(&journal, "e:2"), Some(0));
        journal.take_back();
        assert_eq!(journal.add(commit("e:2", OCTETS)), 0);
        assert_eq!(journal.octets, OCTETS);
    }
}
