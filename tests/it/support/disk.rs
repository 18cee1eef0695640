//! A folder whose disk can be filled. A small file system of its own where this user may mount one;
//! otherwise a limit on how long the files of the process may grow, which any user can set.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Pid;

/// How much room there is before it is filled.
const SIZE: &str = "size=256m";

/// The folder.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes the folder, and mounts a file system there if possible.
    pub(crate) fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&folder);
        let mounted = mount.output().is_ok_and(|done| done.status.success());
        Self { folder, mounted }
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the process is started with, so that a write that finds no room fails instead of ending
    /// it.
    pub(crate) fn wrapper() -> [String; 2] {
        ["env", "--ignore-signal=XFSZ"].map(str::to_owned)
    }

    /// No write of this process finds room any more.
    pub(crate) fn fill(&self, process: Pid) {
        if !self.mounted {
            limit(process, "4096");
            return;
        }
        let mut ballast = File::create(self.ballast()).expect("a file");
        let block = [0; 4096];
        while ballast.write_all(&block).is_ok() {}
    }

    /// There is room again.
    pub(crate) fn free(&self, process: Option<Pid>) {
        match process {
            _ if self.mounted => drop(std::fs::remove_file(self.ballast())),
            Some(process) => limit(process, "unlimited"),
            None => {}
        }
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
            drop(unmounted);
        }
    }
}

/// Sets the soft limit of a process on the length of its files.
fn limit(process: Pid, octets: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &process.as_raw_nonzero().to_string()])
        .arg(format!("--fsize={octets}:"))
        .status();
    // The process may have died meanwhile.
    drop(done);
}
