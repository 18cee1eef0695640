//! The world outside the configuration file: other files, and the directory of systemd credentials.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most that is read from one file, in octets.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where systemd keeps the credentials of `matrix-smpp.service` while it runs.
const UNIT_CREDENTIALS: &str = "/run/credentials/matrix-smpp.service";

/// Others than the owner and the group may read a file.
const OTHERS_READ: u32 = 0o004;
/// The same of going into a folder.
const OTHERS_ENTER: u32 = 0o001;

/// What a configuration may ask of the world around it. [`ProcessEnv`] is the real one; a test
/// brings its own.
pub trait Env {
    /// The whole text of a file.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being read: absent, forbidden, not UTF-8, or too large.
    fn read_file(&self, path: &Path) -> io::Result<String>;

    /// Where systemd put the credentials of this service, if it did (`$CREDENTIALS_DIRECTORY`).
    fn credentials_directory(&self) -> Option<PathBuf>;

    /// Whether every user of this machine can read a file, as far as can be seen.
    fn is_public(&self, path: &Path) -> bool;

    /// Whether there is a folder at this path.
    fn is_folder(&self, path: &Path) -> bool;
}

/// The file system and environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    /// Reads a file of at most [`MAX_FILE_BYTES`]; a larger one is [`io::ErrorKind::FileTooLarge`].
    fn read_file(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let read = File::open(path)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)?;
        if u64::try_from(read).is_ok_and(|read| read <= MAX_FILE_BYTES) {
            Ok(text)
        } else {
            Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB",
            ))
        }
    }

    /// Where there is no such variable, the credentials of the unit that runs: commands of the service's
    /// own user read them there.
    fn credentials_directory(&self) -> Option<PathBuf> {
        let told = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        told.or_else(|| {
            let of_unit = PathBuf::from(UNIT_CREDENTIALS);
            of_unit.is_dir().then_some(of_unit)
        })
    }

    /// True where all may read it and enter each folder that it lies in.
    fn is_public(&self, path: &Path) -> bool {
        let has = |path: &Path, bit| {
            std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit == bit)
        };
        let Ok(path) = path.canonicalize() else {
            return false;
        };
        has(&path, OTHERS_READ) && path.ancestors().skip(1).all(|one| has(one, OTHERS_ENTER))
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }
}
