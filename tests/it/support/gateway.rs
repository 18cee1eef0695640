//! The gateway: the real program with a configuration, a data folder and its command line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal};

use super::capture::COMMANDS;
use super::http::Api;
use super::peer::{Peer, free_port, show_end};
use super::sim::{PASSWORD, SYSTEM_ID};
use super::synapse::SERVER;
use super::wait::until;

/// What one segment costs on the route of [`Plan::new`].
pub(crate) const PRICE: &str = "0.05";

/// What a test may change of the gateway's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The homeserver's address.
    pub(crate) homeserver: String,
    /// The application service's port on the loopback interface.
    pub(crate) appservice: u16,
    /// Where homeservers reach the application service.
    pub(crate) appservice_url: Option<String>,
    /// The folder of its store, where it is not the usual one.
    pub(crate) data: Option<PathBuf>,
    /// What goes before the program on its command line.
    pub(crate) wrapper: Vec<String>,
    /// The SMSC's port on the loopback interface.
    pub(crate) smsc: u16,
    /// More arguments of the SMSC.
    pub(crate) smsc_arguments: Vec<String>,
    /// How the link binds: `transceiver` or `pair`.
    pub(crate) bind: &'static str,
    /// More keys of the link group, as TOML.
    pub(crate) group: String,
    /// More keys of the link, as TOML.
    pub(crate) link: String,
    /// The numbers of the pool.
    pub(crate) numbers: Vec<&'static str>,
    /// The destination prefix of the route.
    pub(crate) prefix: &'static str,
    /// Number and full Matrix id of its owner.
    pub(crate) dedicated: Vec<(&'static str, String)>,
    /// More keys of the route, as TOML.
    pub(crate) route: String,
    /// More tables, as TOML.
    pub(crate) more: String,
}

impl Plan {
    /// One transceiver link, one pool of three numbers and one route for numbers of +44.
    pub(crate) fn new(homeserver: &str, smsc: u16) -> Self {
        Self {
            homeserver: homeserver.to_owned(),
            appservice: free_port(),
            appservice_url: None,
            data: None,
            wrapper: Vec::new(),
            smsc,
            smsc_arguments: Vec::new(),
            bind: "transceiver",
            group: String::new(),
            link: String::new(),
            numbers: vec!["447700900900-447700900902"],
            prefix: "44",
            dedicated: Vec::new(),
            route: r#"originator = { pool = "uk" }"#.to_owned(),
            more: String::new(),
        }
    }

    /// Where homeservers reach the application service.
    pub(crate) fn appservice_url(&self) -> String {
        let direct = || format!("http://127.0.0.1:{}", self.appservice);
        self.appservice_url.clone().unwrap_or_else(direct)
    }
}

/// The program and what outlives its restarts.
#[derive(Debug)]
pub(crate) struct Gateway {
    home: PathBuf,
    data: PathBuf,
    config: PathBuf,
    wrapper: Vec<String>,
    /// Metrics, health and readiness.
    ops: Api,
    peer: Option<Peer>,
}

impl Gateway {
    /// Writes the configuration into `home`. The program starts with [`Self::start`].
    pub(crate) fn prepare(home: &Path, plan: &Plan) -> Self {
        let home = home.join("gateway");
        let data = plan.data.clone().unwrap_or_else(|| home.join("data"));
        std::fs::create_dir_all(&home).expect("a folder for the gateway");
        std::fs::create_dir_all(&data).expect("a folder for its store");
        let config = home.join("gateway.toml");
        let ops = free_port();
        std::fs::write(&config, toml(plan, &data, ops)).expect("its configuration");
        Self {
            home,
            data,
            config,
            wrapper: plan.wrapper.clone(),
            ops: Api::at(&format!("http://127.0.0.1:{ops}")),
            peer: None,
        }
    }

    // --- life ------------------------------------------------------------------------------------

    /// Starts the program and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// Starts the program with these variables (`NAME=value`) and waits until it is ready.
    pub(crate) async fn start_with(&mut self, variables: &[&str]) {
        self.launch_with(variables);
        self.ready().await;
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) {
        let mut peer = self.running();
        peer.ready(async |_| self.ops.probe("/ready").await).await;
        self.peer = Some(peer);
    }

    /// Starts the program with these variables (`NAME=value`).
    pub(crate) fn launch_with(&mut self, variables: &[&str]) {
        let run = [
            env!("CARGO_BIN_EXE_matrix-smpp"),
            "run",
            "--config",
            self.config_path(),
        ];
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        let command = [&wrapper[..], &["env"], variables, &run].concat();
        self.peer = Some(Peer::start("matrix-smpp", &self.home, &command));
    }

    /// Asks it to stop, which must succeed.
    pub(crate) async fn stop(&mut self) {
        let status = self.running().end(Signal::TERM).await;
        assert!(status.success(), "the gateway ended with {status}");
    }

    /// Asks it to stop, and waits for nothing.
    pub(crate) fn ask_to_stop(&self) {
        let peer = self.peer.as_ref().expect("a gateway that runs");
        peer.signal(Signal::TERM);
    }

    /// Changes its configuration, for when it is read again.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let config = std::fs::read_to_string(&self.config).expect("its configuration");
        std::fs::write(&self.config, change(config)).expect("its configuration");
    }

    /// Has its configuration be for those whom this mode names.
    pub(crate) fn allow(&self, mode: u32) {
        let mode = Permissions::from_mode(mode);
        std::fs::set_permissions(&self.config, mode).expect("its configuration");
    }

    /// Has it read again what can change while it runs.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a gateway that runs");
        peer.signal(signal);
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        self.peer.as_ref().expect("a gateway that runs").pid()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.peer.as_mut().is_some_and(Peer::has_ended)
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        self.running().ends().await
    }

    /// Sends it a signal that ends it, and waits for its end.
    pub(crate) async fn end(&mut self, signal: Signal) {
        self.running().end(signal).await;
    }

    /// All it has logged since the first start, whether it runs or not.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).expect("the log of a gateway that was started")
    }

    fn log(&self) -> PathBuf {
        self.home.join("matrix-smpp.log")
    }

    /// Waits until it has logged these words, since the first start.
    pub(crate) async fn logs(&self, words: &str) {
        let logged = async || self.logged().contains(words).then_some(());
        until(words, logged).await;
    }

    fn running(&mut self) -> Peer {
        self.peer.take().expect("a gateway that runs")
    }

    /// What it answers on a page of its operations listener, such as `/health`; `None` where that is
    /// no success.
    pub(crate) async fn tells(&self, page: &str) -> Option<String> {
        self.ops.probe(page).await
    }

    // --- the command line ------------------------------------------------------------------------

    /// Runs a command of the program with its configuration. Returns what it printed; fails the
    /// test unless it succeeds.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let done = self.ask(words);
        done.unwrap_or_else(|complaint| panic!("{words:?}: {complaint}"))
    }

    /// Runs a command that may fail: what it printed, or its status and complaint.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_matrix-smpp"))
            .args(words)
            .args(["--config", self.config_path()])
            .output()
            .expect("the program starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(printed);
        }
        Err(format!("{}\n{printed}{complaint}", output.status))
    }

    /// Writes the registration for the homeserver. Returns its file.
    pub(crate) fn registration(&self) -> PathBuf {
        self.registration_of(SERVER)
    }

    /// Writes the registration for the homeserver of this name. Returns its file.
    pub(crate) fn registration_of(&self, server: &str) -> PathBuf {
        let file = self.home.join(format!("registration-{server}.yaml"));
        let output = file.to_str().expect("a UTF-8 path");
        self.cli(&["registration", "--homeserver", server, "--output", output]);
        file
    }

    /// Gives a user credit.
    pub(crate) fn top_up(&self, user: &str, amount: &str) {
        self.cli(&["credit", "top-up", user, amount]);
    }

    /// What `credit balance` prints.
    pub(crate) fn balance(&self, user: &str) -> String {
        self.cli(&["credit", "balance", user])
    }

    /// Where its store is.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    fn config_path(&self) -> &str {
        self.config.to_str().expect("paths of the tests are UTF-8")
    }

    // --- metrics ---------------------------------------------------------------------------------

    /// Which of these kinds of items wait, where it works and answers.
    pub(crate) async fn may_wait<'a>(&self, kinds: &[&'a str]) -> Option<Vec<(&'a str, u64)>> {
        let page = self.ops.probe("/metrics").await?;
        let works = page.contains("\nmatrix_smpp_waiting{");
        if !works {
            return None;
        }
        let count = |kind: &&'a str| (*kind, sum(&page, "matrix_smpp_waiting", &[("kind", kind)]));
        let counts = kinds.iter().map(count);
        Some(counts.filter(|(_, count)| *count > 0).collect())
    }

    /// The sum of a metric over all its series that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let told = self.may_metric(name, labels).await;
        told.expect("the gateway's metrics")
    }

    /// The same of a gateway that may not answer.
    pub(crate) async fn may_metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let page = self.ops.probe("/metrics").await?;
        Some(sum(&page, name, labels))
    }

    /// How many PDUs of each of [`COMMANDS`] went one way (`in` or `out`), over all links.
    pub(crate) async fn pdus(&self, direction: &str) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (_, command) in COMMANDS {
            let labels = [("direction", direction), ("command", command)];
            let count = self.metric("matrix_smpp_pdus_total", &labels).await;
            counts.insert((*command).to_owned(), count);
        }
        counts.retain(|_, count| *count > 0);
        counts
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // One that runs says so itself.
        if self.peer.is_none() {
            show_end("matrix-smpp", &self.log());
        }
    }
}

/// The sum of a metric on a page over all its series that have these labels.
fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let wanted: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let series = page.lines().filter(|line| {
        let has_name = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']));
        has_name && wanted.iter().all(|label| line.contains(label.as_str()))
    });
    series.map(value).sum()
}

fn value(series: &str) -> u64 {
    let number = series
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no whole number: {series}"))
}

fn toml(plan: &Plan, data: &Path, ops: u16) -> String {
    let appservice_url = plan.appservice_url();
    let Plan {
        smsc_arguments: _,
        appservice,
        appservice_url: _,
        data: _,
        wrapper: _,
        group,
        homeserver,
        smsc,
        bind,
        link,
        numbers,
        prefix,
        dedicated,
        route,
        more,
    } = plan;
    let mut toml = format!(
        r#"
[gateway]
data_dir = "{data}"

[appservice]
listen = "127.0.0.1:{appservice}"

[ops]
listen = "127.0.0.1:{ops}"

[[homeserver]]
name = "{SERVER}"
url = "{homeserver}"
appservice_url = "{appservice_url}"
as_token = "as-token-of-the-tests"
hs_token = "hs-token-of-the-tests"

[[link_group]]
name = "operator"
{group}

[[link_group.link]]
name = "a"
address = "127.0.0.1:{smsc}"
bind = "{bind}"
system_id = "{SYSTEM_ID}"
password = "{PASSWORD}"
reconnect_first = "100ms"
reconnect_cap = "1s"
{link}

[[pool]]
name = "uk"
numbers = {numbers:?}

[[route]]
name = "mobiles"
prefixes = ["{prefix}"]
link_group = "operator"
price = "{PRICE}"
{route}

{more}
"#,
        data = data.display(),
    );
    for (number, owner) in dedicated {
        writeln!(
            toml,
            "[[dedicated]]\nnumber = \"{number}\"\nowner = \"{owner}\""
        )
        .expect("writing to a string cannot fail");
    }
    toml
}
