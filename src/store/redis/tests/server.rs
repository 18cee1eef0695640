//! Servers of a test's own, which sync whatever they answer.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A redis-server. Runs until it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Server {
    directory: TempDir,
    arguments: Vec<String>,
    url: String,
    child: Child,
}

impl Server {
    /// One that listens on a socket in its own directory.
    pub(in crate::store) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("redis.sock");
        let arguments = ["--port", "0", "--unixsocket", "redis.sock"].map(str::to_owned);
        Self::start_with(
            directory,
            arguments.to_vec(),
            format!("unix://{}", socket.display()),
        )
    }

    /// One that listens on a port of the loopback interface.
    pub(super) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let directory = tempfile::tempdir().unwrap();
        Self::start_with(directory, all, url(port))
    }

    /// A Sentinel, which writes what it learns into its file.
    pub(super) fn start_sentinel(port: u16, file: &Path) -> Self {
        let file = file.display().to_string();
        let arguments =
            [file.as_str(), "--sentinel", "--port", &port.to_string()].map(str::to_owned);
        Self::start_with(tempfile::tempdir().unwrap(), arguments.to_vec(), url(port))
    }

    fn start_with(directory: TempDir, arguments: Vec<String>, url: String) -> Self {
        let child = spawn(directory.path(), &arguments);
        let server = Self {
            directory,
            arguments,
            url,
            child,
        };
        server.wait();
        server
    }

    pub(in crate::store) fn url(&self) -> String {
        self.url.clone()
    }

    /// Dies without a chance to write anything.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same, and comes back.
    pub(super) fn kill_and_start_again(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path(), &self.arguments);
        self.wait();
    }

    /// Sends a command; its answer as text.
    pub(in crate::store) fn command(&self, words: &[&str]) -> String {
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

    fn wait(&self) {
        until("an answer", || {
            let client = redis::Client::open(self.url()).unwrap();
            let answer = client
                .get_connection()
                .and_then(|mut connection| redis::cmd("PING").query::<Value>(&mut connection));
            answer.is_ok()
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(directory: &Path, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.current_dir(directory).args(arguments);
    if !arguments.iter().any(|argument| argument == "--sentinel") {
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is needed; `make setup` installs it")
}

pub(super) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// A port that is free now, with room for a Cluster's bus port 10000 above it.
pub(super) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}

/// Until a server is as it should be: it gives no other sign.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}
