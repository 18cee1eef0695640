//! What an opening does with the logs that it finds: whatever they hold beyond what SQLite holds is
//! applied.
//!
//! A file is read from its beginning up to the first record that is not whole, not of this life of the store,
//! or does not have the next number: what stands there was never finished, or is left from an earlier
//! turn. The files follow each other by their numbers. Where a number is missing, nothing is guessed.

use std::path::Path;

use super::database::{Applied, Database};
use super::log::Medium;
use super::record::{self, HEAD, Head};
use super::unapplied::{Generation, Size};
use super::{io, place};
use crate::store::{Result, StoreError};

/// Applies what the logs of the store at `path` hold, about `full` at a time; gives the number of the last commit there is.
///
/// Fails with [`StoreError::Conflict`] where a log is of another life of the store, as beside a database
/// from a backup, or begins after what the database holds. Nothing is changed then.
pub(super) fn replay(
    database: &mut Database,
    media: &[Box<dyn Medium>; 2],
    full: Size,
    path: &Path,
) -> Result<u64> {
    let applied = database.applied()?;
    let mut number = applied.map_or(0, |applied| applied.number);
    let mut runs = Vec::new();
    for (which, medium) in media.iter().enumerate() {
        let run = Run::new(medium.as_ref());
        if let Some(head) = run.first()? {
            if applied.map(|Applied { life, .. }| life) != Some(head.life) {
                return Err(not_ours(path, which));
            }
            runs.push((head.number, which, run));
        }
    }
    runs.sort_unstable_by_key(|(first, ..)| *first);
    let mut generation = Generation::default();
    for (first, which, mut run) in runs {
        if first > number + 1 {
            return Err(not_ours(path, which));
        }
        while let Some((head, record)) = run.next()? {
            if head.number <= number {
                continue;
            }
            let rows = record::rows(&record)?;
            generation.take_in(head.number, record, rows);
            number = head.number;
            if generation.size().reaches(full) {
                database.apply(&std::mem::take(&mut generation))?;
            }
        }
    }
    if !generation.is_empty() {
        database.apply(&generation)?;
    }
    Ok(number)
}

fn not_ours(path: &Path, which: usize) -> StoreError {
    let log = place::log(path, which);
    StoreError::Conflict(format!(
        "{} does not go with {}: it holds commits that do not follow what the database holds. Put the \
         database back that it was written for; or, where the database is from a backup and is to be \
         used as it is, move both of its .log files away: what they hold is lost then",
        log.display(),
        path.display(),
    ))
}

/// The records of one file, from its beginning.
struct Run<'a> {
    medium: &'a dyn Medium,
    at: u64,
    /// The head of the record before.
    last: Option<Head>,
}

impl<'a> Run<'a> {
    fn new(medium: &'a dyn Medium) -> Self {
        Self {
            medium,
            at: 0,
            last: None,
        }
    }

    /// The head of the first record, where that is whole.
    fn first(&self) -> Result<Option<Head>> {
        let found = Run::new(self.medium).next()?;
        Ok(found.map(|(head, _)| head))
    }

    fn next(&mut self) -> Result<Option<(Head, Vec<u8>)>> {
        let found = self.read().map_err(|error| io(&error))?;
        let Some((head, record)) = found else {
            return Ok(None);
        };
        self.at += u64::try_from(record.len()).unwrap_or(u64::MAX);
        self.last = Some(head);
        Ok(Some((head, record)))
    }

    fn read(&self) -> std::io::Result<Option<(Head, Vec<u8>)>> {
        let left = self.medium.length()?.saturating_sub(self.at);
        let head_length = u64::try_from(HEAD).unwrap_or(u64::MAX);
        if left < head_length {
            return Ok(None);
        }
        let mut octets = [0; HEAD];
        self.medium.read(&mut octets, self.at)?;
        let head = Head::read(&octets);
        let follows = |last: Head| last.life == head.life && last.number + 1 == head.number;
        let is_next = self.last.is_none_or(follows) && head.length <= left - head_length;
        // What is zeros is no record, whatever its checksum.
        let Some(length) = usize::try_from(head.length)
            .ok()
            .filter(|_| is_next && head.number > 0)
        else {
            return Ok(None);
        };
        let mut record = vec![0; HEAD + length];
        self.medium.read(&mut record, self.at)?;
        Ok(head.is_whole(&record).then_some((head, record)))
    }
}
