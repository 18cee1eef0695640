//! The log on the disk: two files, one of which is filled record by record from its beginning; each
//! record is synced before its commit counts. When the rows of the other are in SQLite, that one is filled
//! over from its beginning.
//!
//! Space is taken in steps, filled with zeros, and never given back while the store is open: so most syncs write the
//! record only, and no size and no map of the file.
//!
//! # A record that could not be written
//!
//! Where the disk is full or fails, a commit fails, and those who asked are told that nothing has
//! changed. Yet some or all of the record may be on the disk: a sync that fails says nothing of what has been written. It
//! must not come to life later, so
//!
//! - the next record takes its number and its place: what follows in the file can be read only over that one;
//! - the files do not change places before; and
//! - its head is overwritten with zeros at once, which is synced too ([`Log::mend`]).
//!
//! Only where this fails as well, and the process then dies without another commit and without a close,
//! an opening may find the record whole and apply it. That is what a death between the write and the
//! answer leaves behind too, which every caller must bear: its operation is done and it does not know.
//! Each operation bears repetition.

use std::fmt::Debug;
use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt as _;

use super::record::HEAD;

/// What a file grows by, in octets.
const STEP: usize = 512 * 1024;

/// A file as a log needs it; tests have others.
pub(super) trait Medium: Debug + Send {
    /// Octets of it.
    fn length(&self) -> Result<u64>;

    /// Reads all of `octets`.
    fn read(&self, octets: &mut [u8], at: u64) -> Result<()>;

    /// Writes all of `octets`.
    fn write(&self, octets: &[u8], at: u64) -> Result<()>;

    /// Forgets all of it.
    fn empty(&self) -> Result<()>;

    /// Returns when all of it is on the disk.
    fn sync(&self) -> Result<()>;
}

impl Medium for File {
    fn length(&self) -> Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, octets: &mut [u8], at: u64) -> Result<()> {
        self.read_exact_at(octets, at)
    }

    fn write(&self, octets: &[u8], at: u64) -> Result<()> {
        self.write_all_at(octets, at)
    }

    fn empty(&self) -> Result<()> {
        self.set_len(0)
    }

    fn sync(&self) -> Result<()> {
        self.sync_data()
    }
}

/// Both files.
#[derive(Debug)]
pub(super) struct Log {
    filled: Part,
    other: Part,
    /// The next record's place may hold one that failed.
    is_dirty: bool,
}

#[derive(Debug)]
struct Part {
    medium: Box<dyn Medium>,
    /// Where the next record goes.
    end: u64,
    /// Octets that it has space for.
    size: u64,
}

impl Log {
    /// Empties both files, for good.
    pub(super) fn anew(media: [Box<dyn Medium>; 2]) -> Result<Self> {
        let [filled, other] = media;
        Ok(Self {
            filled: Part::anew(filled)?,
            other: Part::anew(other)?,
            is_dirty: false,
        })
    }

    /// Adds a record; it is on the disk when this returns. Where it fails the record never comes back,
    /// as far as can be done (see above).
    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        self.filled.make_room(octets(record.len()))?;
        self.is_dirty = true;
        if let Err(error) = self.filled.put(record) {
            // What comes of it shows when the files are to change places.
            drop(self.mend());
            return Err(error);
        }
        self.filled.end += octets(record.len());
        self.is_dirty = false;
        Ok(())
    }

    /// Takes the place of a record that failed.
    fn mend(&mut self) -> Result<()> {
        if self.is_dirty {
            self.filled.put(&[0; HEAD])?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Fills the other file from now on, from its beginning. All of its rows must be in SQLite.
    pub(super) fn turn(&mut self) -> Result<()> {
        self.mend()?;
        std::mem::swap(&mut self.filled, &mut self.other);
        self.filled.end = 0;
        Ok(())
    }
}

impl Part {
    fn anew(medium: Box<dyn Medium>) -> Result<Self> {
        if medium.length()? > 0 {
            medium.empty()?;
        }
        // Another process may have emptied it and died.
        medium.sync()?;
        Ok(Self {
            medium,
            end: 0,
            size: 0,
        })
    }

    fn make_room(&mut self, length: u64) -> Result<()> {
        while self.size < self.end + length {
            self.medium.write(&vec![0; STEP], self.size)?;
            self.size += octets(STEP);
        }
        Ok(())
    }

    fn put(&self, octets: &[u8]) -> Result<()> {
        self.medium.write(octets, self.end)?;
        self.medium.sync()
    }
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
