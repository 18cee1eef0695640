//! Where the files of a store lie, and who may use them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Result as IoResult;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::io;
use crate::store::{Result, StoreError};

/// Attempts to take the lock: a process that is about to end, or a child of it that has not become
/// another program yet, may have it for a moment still.
const TRIES: u32 = 50;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Says "this store is in use" until it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Gives it back at once: closing the file would leave it with a child that has not become another
    /// program yet, for as long as a busy machine takes to let it.
    fn drop(&mut self) {
        // Where this fails, the end of the file's last descriptor frees it.
        drop(self.0.unlock());
    }
}

/// Takes the lock of this store.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    if let Some(folder) = path.parent() {
        make(folder).map_err(|error| io(&error))?;
    }
    let file = file(&beside(path, ".lock"))?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(io(&error)),
        }
    }
    Err(StoreError::Unavailable(
        "another matrix-smpp uses this store".to_owned(),
    ))
}

/// One of the two logs of a store.
pub(super) fn log(path: &Path, which: usize) -> PathBuf {
    beside(path, &format!(".log-{which}"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file, or makes it so that nobody else may read it; SQLite gives its own files the same rights.
pub(super) fn file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| io(&error))
}

/// Makes a folder where it is missing, for the gateway alone, and syncs its name: SQLite syncs the names
/// of its files only, and a power loss that takes their folder takes them too.
fn make(folder: &Path) -> IoResult<()> {
    // A relative path ends in no name; that is here.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    make(parent)?;
    DirBuilder::new().mode(0o700).create(folder)?;
    sync(parent)
}

/// Syncs the names of the files beside `path`.
pub(super) fn sync_names(path: &Path) -> IoResult<()> {
    sync(path.parent().unwrap_or(path))
}

fn sync(folder: &Path) -> IoResult<()> {
    let here = folder.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { folder })?.sync_all()
}

/// Removes the logs of a store whose rows are all in SQLite. Where one stays, the next opening finds
/// nothing in it that is not applied.
pub(super) fn remove_logs(path: &Path) {
    for which in [0, 1] {
        drop(std::fs::remove_file(log(path, which)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_given_back_is_free_though_a_child_has_its_file_still() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.db");
        let first = lock(&path).unwrap();
        let of_a_child = first.0.try_clone().unwrap();
        drop(first);
        lock(&path).unwrap();
        drop(of_a_child);
    }
}
