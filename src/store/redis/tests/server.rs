//! A redis-server of a test's own, which syncs whatever it answers.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    directory: TempDir,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = spawn(&directory);
        let server = Self { directory, child };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "unix://{}",
            self.directory.path().join("redis.sock").display()
        )
    }

    /// Dies without a chance to write anything, and comes back.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.directory);
        self.wait();
    }

    /// Sends a command; its answer as text.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        match command.query::<Value>(&mut connection).unwrap() {
            Value::Int(number) => number.to_string(),
            Value::BulkString(octets) => String::from_utf8(octets).unwrap(),
            other => format!("{other:?}"),
        }
    }

    /// Until it answers: it gives no other sign.
    fn wait(&self) {
        let since = Instant::now();
        loop {
            let client = redis::Client::open(self.url()).unwrap();
            let answer = client
                .get_connection()
                .and_then(|mut connection| redis::cmd("PING").query::<Value>(&mut connection));
            match answer {
                Ok(_) => return,
                Err(error) => assert!(since.elapsed() < PATIENCE, "no answer: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(directory: &TempDir) -> Child {
    Command::new("redis-server")
        .current_dir(directory.path())
        .args(["--port", "0", "--unixsocket", "redis.sock"])
        .args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is needed; `make setup` installs it")
}
