//! A homeserver of few words, as a process of its own, for tests that kill, pause and flood it: it is
//! up within milliseconds, and what it knows outlives it in a journal.

use std::path::{Path, PathBuf};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::Api;
use super::peer::{Peer, free_port};
use super::synapse::SERVER;
use super::tool;
use super::user::User;

/// The stub and what outlives its restarts.
#[derive(Debug)]
pub(crate) struct Stub {
    home: PathBuf,
    port: u16,
    appservice: String,
    api: Api,
    peer: Option<Peer>,
}

impl Stub {
    /// A stub that tells an application service at this address; it starts with [`Self::launch`].
    pub(crate) fn prepare(home: &Path, appservice: &str) -> Self {
        let home = home.join("stub");
        std::fs::create_dir_all(&home).expect("a folder for the stub");
        let port = free_port();
        Self {
            home,
            port,
            appservice: appservice.to_owned(),
            api: Api::at(&format!("http://127.0.0.1:{port}")),
            peer: None,
        }
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn launch(&mut self) {
        let (binary, journal) = (tool("stub-homeserver"), self.home.join("journal"));
        let paths = [&binary, &journal].map(|path| path.to_str().expect("a UTF-8 path"));
        let [binary, journal] = paths;
        let listen = format!("127.0.0.1:{}", self.port);
        let tokens = [
            "--as-token",
            "as-token-of-the-tests",
            "--hs-token",
            "hs-token-of-the-tests",
        ];
        let places = ["--listen", &listen, "--appservice", &self.appservice];
        let ways = [
            "--server-name",
            SERVER,
            "--bot",
            ".tel.bot",
            "--retry",
            "20",
        ];
        let keeps = ["--journal", journal, "--timeline", "100000"];
        let command = [&[binary][..], &tokens, &places, &ways, &keeps].concat();
        self.peer = Some(Peer::start("stub-homeserver", &self.home, &command));
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&mut self) {
        let mut peer = self.peer.take().expect("a stub that was started");
        peer.ready(async |_| self.api.probe("/_stub/counts").await)
            .await;
        self.peer = Some(peer);
    }

    /// Ends it.
    pub(crate) async fn end(&mut self, signal: Signal) {
        let peer = self.peer.take().expect("a stub that runs");
        peer.end(signal).await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a stub that runs");
        peer.signal(signal);
    }

    /// The port of its client API.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Registers an ordinary user.
    pub(crate) async fn register(&self, name: &str) -> User {
        User::register(&self.api, name).await
    }

    /// Replaces the list of its faults.
    pub(crate) async fn go_wrong(&self, faults: &Value) {
        self.api
            .send(Method::PUT, &["_stub", "faults"], faults)
            .await;
    }

    /// So many people make a room each and invite a phone, whose numbers begin with this one.
    pub(crate) async fn rooms(&self, count: u64, first: u64) -> Vec<Value> {
        let wanted = json!({ "count": count, "first": first });
        let made = self.ask("rooms", &wanted).await;
        made.as_array().expect("a list of rooms").clone()
    }

    /// In how many of these rooms the phone is.
    pub(crate) async fn joined(&self, rooms: &[Value]) -> u64 {
        let joined = self.ask("joined", &json!(rooms)).await;
        joined.as_u64().expect("a count")
    }

    /// The person of a room writes.
    pub(crate) async fn says(&self, room: &Value, body: &str) {
        let said = json!({ "room": room["room"], "user": room["user"], "body": body });
        self.ask("say", &said).await;
    }

    /// People write very much.
    pub(crate) async fn flood(&self, flood: &Value) {
        self.ask("flood", flood).await;
    }

    async fn ask(&self, what: &str, body: &Value) -> Value {
        self.api.send(Method::POST, &["_stub", what], body).await
    }

    /// How many texts of floods are written.
    pub(crate) async fn flooded(&self) -> u64 {
        let counts = self.api.get(&["_stub", "counts"], &[]).await;
        counts["flooded"].as_u64().expect("a count")
    }

    /// How many events it has not told yet.
    pub(crate) async fn owed(&self) -> Option<u64> {
        let counts = self.api.probe("/_stub/counts").await?;
        let counts: Value = serde_json::from_str(&counts).ok()?;
        counts["waiting"].as_u64()
    }
}
