//! What happened, in a file: a stub that was killed goes on where it was when it is started again.
//! Nothing is synced: it outlives the process, not the machine.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::homeserver::model::{Event, SendKey};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// There is a user.
    User { user: String },
    /// It has a device.
    Device { user: String, device: String },
    /// It calls itself so.
    Name { user: String, name: String },
    /// Something was said or set; under this transaction id, where it has one.
    Event {
        number: u64,
        event: Event,
        send: Option<SendKey>,
    },
    /// So many of the oldest events that were owed were taken.
    Told { count: usize },
}

/// The file, open at its end.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Opens or makes the file. Returns what is in it, too; a last line that is not whole was never
    /// answered for and is cut off.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Change>)> {
        let file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        let mut lines = BufReader::new(&file);
        let (mut changes, mut whole, mut line) = (Vec::new(), 0, String::new());
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            changes.push(serde_json::from_str(&line)?);
            whole += u64::try_from(line.len()).unwrap_or(0);
            line.clear();
        }
        file.set_len(whole)?;
        Ok((Self(file), changes))
    }

    /// Writes what happened behind the rest.
    pub(crate) fn write(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut lines = Vec::new();
        for change in changes {
            serde_json::to_writer(&mut lines, change)?;
            lines.push(b'\n');
        }
        self.0.write_all(&lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_whole_is_forgotten_and_the_next_stands_in_its_place() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        let told = |count| Change::Told { count };
        let (mut journal, changes) = Journal::open(&path).unwrap();
        assert_eq!(changes, []);
        journal.write(&[told(1), told(2)]).unwrap();
        let mut octets = std::fs::read(&path).unwrap();
        octets.truncate(octets.len() - 3);
        std::fs::write(&path, octets).unwrap();

        let (mut journal, changes) = Journal::open(&path).unwrap();
        assert_eq!(changes, [told(1)]);
        journal.write(&[told(3)]).unwrap();
        let (_, changes) = Journal::open(&path).unwrap();
        assert_eq!(changes, [told(1), told(3)]);
    }
}
