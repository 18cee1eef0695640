//! The SMSC: the bundled simulator as a process of its own, and its phones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::Api;
use super::peer::{Peer, free_port};
use super::tool;
use super::wait::PATIENCE;

/// With what the gateway binds.
pub(crate) const SYSTEM_ID: &str = "gateway";
/// At most eight octets (SMPP 3.4 §5.2.2).
pub(crate) const PASSWORD: &str = "secret";

/// A running simulator; it forgets everything at a restart, as its phones do.
#[derive(Debug)]
pub(crate) struct Sim {
    home: PathBuf,
    smpp: u16,
    http: u16,
    /// More arguments.
    more: Vec<String>,
    api: Api,
    peer: Option<Peer>,
}

impl Sim {
    /// A simulator whose receipts come fast; it starts with [`Self::start_again`].
    pub(crate) fn prepare(home: &Path) -> Self {
        let home = home.join("sim");
        std::fs::create_dir_all(&home).expect("a folder for the simulator");
        let (smpp, http) = (free_port(), free_port());
        let api = Api::at(&format!("http://127.0.0.1:{http}"));
        Self {
            home,
            smpp,
            http,
            more: Vec::new(),
            api,
            peer: None,
        }
    }

    /// Starts a simulator.
    pub(crate) async fn start(home: &Path) -> Self {
        let mut sim = Self::prepare(home);
        sim.start_again().await;
        sim
    }

    /// Starts with more arguments.
    pub(crate) async fn start_with(&mut self, more: &[String]) {
        more.clone_into(&mut self.more);
        self.start_again().await;
    }

    /// Starts again on the same ports after [`Self::stop`].
    pub(crate) async fn start_again(&mut self) {
        self.launch();
        let mut peer = self.peer.take().expect("it was started");
        peer.ready(async |_| self.api.probe("/counters").await)
            .await;
        self.peer = Some(peer);
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn launch(&mut self) {
        let binary = tool("smsc-sim");
        let binary = binary.to_str().expect("paths of the tests are UTF-8");
        let smpp = format!("127.0.0.1:{}", self.smpp);
        let http = format!("127.0.0.1:{}", self.http);
        let account = format!("{SYSTEM_ID}:{PASSWORD}");
        let addresses = ["--smpp", &smpp, "--http", &http];
        let rest = ["--account", &account, "--receipt-delay", "100ms"];
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        let command = [&[binary][..], &addresses, &rest, &more].concat();
        self.peer = Some(Peer::start("smsc-sim", &self.home, &command));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a simulator that runs");
        peer.signal(signal);
    }

    /// Ends it, as a machine that loses power would.
    pub(crate) async fn stop(&mut self) {
        self.peer
            .take()
            .expect("a simulator that runs")
            .end(Signal::KILL)
            .await;
    }

    /// The same simulator for somebody who talks with it while it is started and ended by others.
    pub(crate) fn seen_from_afar(&self) -> Self {
        Self {
            home: self.home.clone(),
            more: Vec::new(),
            api: self.api.clone(),
            peer: None,
            ..*self
        }
    }

    /// Where ESMEs bind.
    pub(crate) fn smpp_port(&self) -> u16 {
        self.smpp
    }

    // --- phones ----------------------------------------------------------------------------------

    /// Everything on a phone, both ways, oldest first.
    pub(crate) async fn messages(&self, number: &str) -> Vec<Value> {
        list(self.api.get(&["/handsets", number, "messages"], &[]).await)
    }

    /// What came to a phone, whole messages only.
    pub(crate) async fn received(&self, number: &str) -> Vec<Value> {
        let mut messages = self.messages(number).await;
        messages.retain(|message| message["direction"] == "mt" && message["complete"] == true);
        messages
    }

    /// The texts that came to a phone.
    pub(crate) async fn texts(&self, number: &str) -> Vec<String> {
        let received = self.received(number).await;
        received
            .iter()
            .map(|message| super::room::text(&message["text"]).to_owned())
            .collect()
    }

    /// Waits until a phone has got exactly this text. Returns the message.
    pub(crate) async fn gets(&self, number: &str, text: &str) -> Value {
        self.gets_like(number, text, |message| message["text"] == text)
            .await
    }

    /// Waits until a phone has got a message like this. Returns it.
    pub(crate) async fn gets_like(
        &self,
        number: &str,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut latest = Vec::new();
        let looking = async {
            loop {
                latest = self.received(number).await;
                if let Some(found) = latest.iter().find(|message| is_it(message)) {
                    return found.clone();
                }
                self.news(number).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("phone {number} did not get {what:?}; it has {latest:#?}"))
    }

    /// Returns when a phone keeps more messages than it had, or after a short while.
    async fn news(&self, number: &str) {
        let more = self.messages(number).await.len() + 1;
        let query = [("count", &*more.to_string()), ("wait_ms", "200")];
        self.api
            .get(&["/handsets", number, "messages"], &query)
            .await;
    }

    /// Somebody types on a phone. Returns the answers of the gateway, one per segment.
    pub(crate) async fn writes(&self, number: &str, to: &str, text: &str) -> Vec<Value> {
        self.writes_as(number, &json!({ "to": to, "text": text }))
            .await
    }

    /// Somebody types on a phone, with all that the simulator can be told about it.
    pub(crate) async fn writes_as(&self, number: &str, sms: &Value) -> Vec<Value> {
        let mut answer = self
            .api
            .send(Method::POST, &["/handsets", number, "send"], sms)
            .await;
        list(answer["statuses"].take())
    }

    /// Somebody types on a phone while the simulator or the gateway may be away. `false` where it was
    /// certainly not sent; otherwise the simulator has an answer for each segment, or has died.
    pub(crate) async fn may_write(&self, number: &str, sms: &Value) -> bool {
        let path = ["/handsets", number, "send"];
        let answer = self.api.attempt(Method::POST, &path, &[], Some(sms)).await;
        !answer.is_ok_and(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Scripts how a simulator answers that may be away.
    pub(crate) async fn may_behave(&self, change: &Value) {
        let path = ["/behaviour"];
        let asked = self.api.attempt(Method::POST, &path, &[], Some(change));
        drop(asked.await);
    }

    /// How many receipts and texts of phones wait for the gateway, in a simulator that may be away.
    pub(crate) async fn may_wait(&self) -> Option<u64> {
        let counters = self.api.probe("/counters").await?;
        let counters: Value = serde_json::from_str(&counters).ok()?;
        counters["waiting"].as_u64()
    }

    // --- the operator's side ---------------------------------------------------------------------

    /// Scripts how the simulator answers.
    pub(crate) async fn behave(&self, change: Value) {
        self.api.send(Method::POST, &["/behaviour"], &change).await;
    }

    /// Closes every connection that is bound.
    pub(crate) async fn drop_binds(&self) {
        self.api
            .send(Method::POST, &["/binds/drop"], &json!({}))
            .await;
    }

    /// How many binds are up.
    pub(crate) async fn binds(&self) -> usize {
        list(self.api.get(&["/binds"], &[]).await).len()
    }

    /// Every `submit_sm` since the start, in order of arrival.
    pub(crate) async fn submits(&self) -> Vec<Value> {
        list(self.api.get(&["/submits"], &[]).await)
    }

    /// How many PDUs of each command went one way (`in` or `out`).
    pub(crate) async fn pdus(&self, direction: &str) -> BTreeMap<String, u64> {
        let counters = self.api.get(&["/counters"], &[]).await;
        let counts = counters[direction]
            .as_object()
            .expect("counters by direction and command");
        let count = |count: &Value| count.as_u64().expect("a whole number");
        let counts = counts
            .iter()
            .map(|(command, value)| (command.clone(), count(value)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("no list: {other}"),
    }
}
