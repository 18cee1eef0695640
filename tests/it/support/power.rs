//! A loss of power for one process that appends to files: what it had not synced is gone. A small library of
//! our own, preloaded, notes how long each file was when it was synced last.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What notes the lengths.
#[derive(Debug)]
pub(crate) struct Power {
    library: PathBuf,
}

impl Power {
    /// Needs a C compiler, as building the gateway does.
    pub(crate) fn new(home: &Path) -> Self {
        let (source, library) = (home.join("synced.c"), home.join("synced.so"));
        std::fs::write(&source, include_str!("synced.c")).expect("the source");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .output()
            .expect("a C compiler");
        let complaint = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{complaint}");
        Self { library }
    }

    /// What goes before the program on its command line.
    pub(crate) fn wrapper(&self) -> [String; 2] {
        let preload = format!("LD_PRELOAD={}", self.library.display());
        ["env".to_owned(), preload]
    }
}

/// Takes from the files of a folder that are appended to what was not synced, and says how many octets that
/// is. The process is dead.
pub(crate) fn forget_unsynced(folder: &Path, extension: &str) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry of a folder").path());
    let of_kind = paths.filter(|path| path.extension() == Some(OsStr::new(extension)));
    of_kind.map(|path| forget(&path)).sum()
}

fn forget(path: &Path) -> u64 {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".synced");
    let noted = std::fs::read(beside).ok();
    let octets = noted.and_then(|octets| octets.try_into().ok());
    let synced = octets.map_or(0, u64::from_ne_bytes);
    let file = File::options().write(true).open(path).expect("the file");
    let length = file.metadata().expect("its length").len();
    file.set_len(synced.min(length)).expect("a shorter file");
    length.saturating_sub(synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_synced_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let power = Power::new(home.path());
        let file = home.path().join("a.log");
        let write = |script: &str| {
            let mut command = Command::new("env");
            command
                .args(&power.wrapper()[1..])
                .args(["sh", "-c", script]);
            assert!(command.current_dir(home.path()).status().unwrap().success());
        };
        write("printf one > a.log");
        assert_eq!(forget_unsynced(home.path(), "log"), 3);
        write(
            "printf two > a.log; dd if=/dev/null of=a.log conv=notrunc,fsync 2>/dev/null; printf three >> a.log",
        );
        assert_eq!(forget_unsynced(home.path(), "log"), 5);
        assert_eq!(std::fs::read(file).unwrap(), b"two");
    }
}
