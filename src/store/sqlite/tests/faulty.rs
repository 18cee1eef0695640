//! Files that fail.

use std::fs::File;
use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::log::Medium;

/// How often what is to fail from now on.
#[derive(Debug, Default)]
pub(in crate::store) struct Faults {
    /// A write leaves half of its octets behind.
    pub(in crate::store) writes: AtomicU32,
    /// A sync says that it failed; what was written is there all the same.
    pub(in crate::store) syncs: AtomicU32,
}

impl Faults {
    pub(in crate::store) fn fail(of: &AtomicU32, times: u32) {
        of.store(times, Ordering::Relaxed);
    }

    fn strikes(of: &AtomicU32) -> bool {
        let less = |left: u32| left.checked_sub(1);
        of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

#[derive(Debug)]
pub(super) struct Faulty {
    file: File,
    faults: Arc<Faults>,
}

impl Faulty {
    pub(super) fn new(file: File, faults: Arc<Faults>) -> Self {
        Self { file, faults }
    }
}

impl Medium for Faulty {
    fn length(&self) -> Result<u64> {
        self.file.length()
    }

    fn read(&self, octets: &mut [u8], at: u64) -> Result<()> {
        self.file.read(octets, at)
    }

    fn write(&self, octets: &[u8], at: u64) -> Result<()> {
        if Faults::strikes(&self.faults.writes) {
            self.file.write(&octets[..octets.len() / 2], at)?;
            return Err(Error::other("no space left"));
        }
        self.file.write(octets, at)
    }

    fn empty(&self) -> Result<()> {
        self.file.empty()
    }

    fn sync(&self) -> Result<()> {
        if Faults::strikes(&self.faults.syncs) {
            return Err(Error::other("the disk failed"));
        }
        self.file.sync()
    }
}
