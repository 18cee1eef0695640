//! A wall clock for one process that a test moves: a small library of our own, preloaded. What the
//! process waits for by its monotonic clock goes on as ever, as when a machine's time is set.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// A clock that is right. Needs a C compiler, as building the gateway does.
    pub(crate) fn new(home: &Path) -> Self {
        let source = home.join("clock.c");
        std::fs::write(&source, include_str!("clock.c")).expect("the source");
        let clock = Self {
            library: home.join("clock.so"),
            offset: home.join("clock.offset"),
        };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&clock.library, &source])
            .output()
            .expect("a C compiler");
        let complaint = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{complaint}");
        File::create(&clock.offset).expect("the offset");
        clock.set(0);
        clock
    }

    /// From now on the clock is so many seconds wrong.
    pub(crate) fn set(&self, seconds: i64) {
        let offset = File::options().write(true).open(&self.offset);
        let written = offset
            .expect("the offset")
            .write_at(&seconds.to_ne_bytes(), 0);
        assert_eq!(written.expect("the offset"), 8);
    }

    /// What a process that shall have this clock is started with.
    pub(crate) fn variables(&self) -> [String; 2] {
        [
            format!("LD_PRELOAD={}", self.library.display()),
            format!("CLOCK_OFFSET={}", self.offset.display()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_this_clock_lives_in_another_hour() {
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::new(home.path());
        let tells = || {
            let date = Command::new("env")
                .args(clock.variables())
                .args(["date", "+%s"])
                .output();
            let said = String::from_utf8(date.unwrap().stdout).unwrap();
            said.trim().parse::<i64>().unwrap()
        };
        let right = tells();
        clock.set(-7_200);
        let wrong = tells();
        assert!(
            (right - 7_200..right - 7_000).contains(&wrong),
            "{wrong} at {right}"
        );
    }
}
