//! A process that a test started.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

use super::wait::until;

/// Lines of a peer's output that a failing test shows.
const TAIL: usize = 60;

/// One process in a group of its own, its output in a file; killed when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Peer {
    /// Starts a command with its output appended to `<home>/<name>.log`. The kernel kills it should
    /// the thread of this test die without dropping it.
    pub(crate) fn start(name: &'static str, home: &Path, command: &[&str]) -> Self {
        let log = home.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}): run `make setup`"));
        Self { name, log, child }
    }

    /// Waits until `ready` says so; fails at once if the process ends before.
    pub(crate) async fn ready<T>(&mut self, mut ready: impl AsyncFnMut(&str) -> Option<T>) -> T {
        until(&format!("{} is ready", self.name), async || {
            let said = self.said();
            if let Some(answer) = ready(&said).await {
                return Some(answer);
            }
            let ended = self.child.try_wait().expect("the state of a child");
            assert!(
                ended.is_none(),
                "{} ended with {ended:?}:\n{}",
                self.name,
                tail(&said)
            );
            None
        })
        .await
    }

    /// Asks the process to end with a signal, and waits until it has.
    pub(crate) async fn end(self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ends().await
    }

    /// Waits until the process has ended.
    pub(crate) async fn ends(mut self) -> ExitStatus {
        until(&format!("{} ends", self.name), async || {
            self.child.try_wait().expect("the state of a child")
        })
        .await
    }

    /// Sends a signal to the process and all it started.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process_group(self.pid(), signal)
            .expect("a signal to a child that was not waited for");
    }

    /// All it has printed, over all starts with the same home.
    pub(crate) fn said(&self) -> String {
        let printed = std::fs::read(&self.log).expect("the log of a started peer");
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the state of a child")
            .is_some()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_process_group(self.pid(), Signal::KILL).ok();
            self.child.wait().ok();
        }
        show_end(self.name, &self.log);
    }
}

/// Shows a failing test the end of what a peer said. Before it was started it has said nothing.
pub(crate) fn show_end(name: &str, log: &Path) {
    if std::thread::panicking()
        && let Ok(printed) = std::fs::read(log)
    {
        let said = String::from_utf8_lossy(&printed);
        eprintln!("--- the end of what {name} said ---\n{}", tail(&said));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// A loopback port that nobody listens on: below the range from which the kernel picks ports, and
/// given once per run, so that tests side by side do not meet.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).expect("smaller than COUNT");
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_mul(61) % COUNT + offset) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on the loopback interface");
}
