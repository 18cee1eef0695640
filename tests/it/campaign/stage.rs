//! The processes of a campaign, the proxies between them, and everything that can be done to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::plan::{Act, Means, Plan, Who};
use crate::support::clock::Clock;
use crate::support::disk::Disk;
use crate::support::gateway::{self, Gateway, PRICE};
use crate::support::peer::free_port;
use crate::support::proxy::http::HttpProxy;
use crate::support::proxy::smpp::SmppProxy;
use crate::support::sim::Sim;
use crate::support::stub::Stub;
use crate::support::synapse::{SERVER, Synapse};
use crate::support::user::User;
use crate::support::wait::now;

/// Which homeserver plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stub,
    Synapse,
}

/// What keeps the gateway's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
}

impl Engine {
    /// The engine of this name.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "sqlite" => Self::Sqlite,
            other => panic!("no such engine: {other}"),
        }
    }

    /// Its part of the gateway's configuration.
    const fn toml(self) -> &'static str {
        match self {
            Self::Sqlite => "[store]\nengine = \"sqlite\"\n",
        }
    }
}

#[derive(Debug)]
pub(super) enum Homeserver {
    Stub(Stub),
    Synapse(Synapse),
}

/// How the gateway binds: the variety of one campaign.
pub(super) const LINKS: [&str; 3] = ["one transceiver", "two transceivers", "a pair"];

/// How many lines of its log tell why a gateway ended.
const LAST_WORDS: usize = 5;

/// How many requests a link may have under way.
pub(super) const WINDOW: usize = 10;

#[derive(Debug)]
pub(super) struct Stage {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    pub(super) gateway: Gateway,
    pub(super) homeserver: Homeserver,
    pub(super) sim: Sim,
    /// Gateway to SMSC.
    pub(super) links: SmppProxy,
    /// Gateway to homeserver.
    pub(super) requests: HttpProxy,
    /// Homeserver to gateway.
    pub(super) transactions: HttpProxy,
    disk: Disk,
    registration: PathBuf,
    clock: Clock,
    /// How often the gateway ended by itself.
    pub(super) ended_by_itself: usize,
    gateway_is_down: bool,
    /// How many links the gateway has that send.
    pub(super) count_of_links: usize,
    home: TempDir,
}

impl Stage {
    /// Starts everything.
    pub(super) async fn set(kind: Kind, engine: Engine, links: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let ports = [(); 3].map(|()| free_port());
        let [smpp_port, requests_port, transactions_port] = ports;
        let disk = Disk::new(home.path().join("gateway/data"));
        let mut sim = Sim::prepare(home.path());
        let mut plan = gateway::Plan::new(&format!("http://127.0.0.1:{requests_port}"), smpp_port);
        plan.appservice_url = Some(format!("http://127.0.0.1:{transactions_port}"));
        plan.data = Some(disk.folder().to_owned());
        plan.wrapper = Disk::wrapper().to_vec();
        set_up(&mut plan, engine, links);
        let mut homeserver = Homeserver::prepare(kind, home.path(), &plan.appservice_url());
        let gateway = Gateway::prepare(home.path(), &plan);
        let registration = gateway.registration();
        sim.start_with(&scenario(home.path())).await;
        homeserver.start(&registration).await;
        let mut stage = Self {
            links: SmppProxy::start(smpp_port, sim.smpp_port()).await,
            requests: HttpProxy::start(requests_port, homeserver.port()).await,
            transactions: HttpProxy::start(transactions_port, plan.appservice).await,
            gateway,
            homeserver,
            sim,
            disk,
            registration,
            clock: Clock::new(home.path()),
            ended_by_itself: 0,
            gateway_is_down: true,
            count_of_links: if links == "two transceivers" { 2 } else { 1 },
            home,
        };
        stage.start_gateway().await;
        stage
    }

    /// What can be done here.
    pub(super) fn means(&self) -> Means {
        Means {
            homeserver_dies: matches!(self.homeserver, Homeserver::Stub(_)),
        }
    }

    /// The folder of it all.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Does everything in its time.
    pub(super) async fn play(&mut self, plan: &Plan) {
        let begun = now();
        for step in &plan.steps {
            tokio::time::sleep_until(begun + step.at).await;
            self.revive();
            self.act(&step.act).await;
        }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Kill(who) => self.end(*who, Signal::KILL).await,
            Act::Stop(who) => self.end(*who, Signal::TERM).await,
            Act::Start(who) => self.begin(*who).await,
            Act::Pause(who) => self.signal(*who, Signal::STOP),
            Act::Resume(who) => self.signal(*who, Signal::CONT),
            Act::Cut { refuse } => self.links.cut(*refuse),
            Act::Mend => self.links.mend(),
            Act::HalfOpen => self.links.half_open(),
            Act::Response(fault) => self.links.strike(*fault),
            Act::Status(status, times) => {
                let change = json!({ "submit_status": status, "next": times });
                self.behave(&change).await;
            }
            Act::Slow(by) => self.behave(&json!({ "response_delay_ms": by })).await,
            Act::Request(mishap, times) => self.requests.strike(*mishap, *times),
            Act::Transaction(mishap, times) => self.transactions.strike(*mishap, *times),
            Act::Fill if !self.gateway_is_down => self.disk.fill(self.gateway.pid()),
            Act::Fill => {}
            Act::Free => self.free(),
            Act::Clock(wrong) => self.clock.set(*wrong),
        }
    }

    /// All is well from now on, and everybody is up.
    pub(super) async fn heal(&mut self) {
        self.links.heal();
        self.requests.heal();
        self.transactions.heal();
        self.free();
        self.clock.set(0);
        self.behave(&json!({ "reset": true })).await;
        self.revive();
    }

    /// What a service manager does: starts a gateway that has ended by itself.
    pub(super) fn revive(&mut self) {
        if !self.gateway_is_down && self.gateway.has_ended() {
            self.ended_by_itself += 1;
            let logged = self.gateway.logged();
            let last: Vec<&str> = logged.lines().rev().take(LAST_WORDS).collect();
            eprintln!("the gateway has ended by itself; its last words, latest first: {last:#?}");
            self.launch_gateway();
        }
    }

    fn launch_gateway(&mut self) {
        let variables = self.clock.variables();
        self.gateway
            .launch_with(&variables.each_ref().map(String::as_str));
        self.gateway_is_down = false;
    }

    /// Starts the gateway and waits until it is ready.
    pub(super) async fn start_gateway(&mut self) {
        self.launch_gateway();
        self.gateway.ready().await;
    }

    fn free(&self) {
        let process = (!self.gateway_is_down).then(|| self.gateway.pid());
        self.disk.free(process);
    }

    /// A simulator that stands still does not listen; it hears of it when it goes on.
    async fn behave(&self, change: &serde_json::Value) {
        let asked = self.sim.may_behave(change);
        drop(tokio::time::timeout(Duration::from_millis(200), asked).await);
    }

    async fn end(&mut self, who: Who, signal: Signal) {
        match who {
            Who::Gateway => {
                self.gateway.end(signal).await;
                self.gateway_is_down = true;
            }
            Who::Homeserver => self.homeserver.end(signal).await,
            // It does not know any more what it took; the proxy does.
            Who::Smsc => self.sim.stop().await,
        }
    }

    async fn begin(&mut self, who: Who) {
        match who {
            Who::Gateway => self.launch_gateway(),
            Who::Homeserver => self.homeserver.start(&self.registration).await,
            Who::Smsc => self.sim.launch(),
        }
    }

    fn signal(&self, who: Who, signal: Signal) {
        match who {
            Who::Gateway => self.gateway.signal(signal),
            Who::Homeserver => self.homeserver.signal(signal),
            Who::Smsc => self.sim.signal(signal),
        }
    }

    /// How often each kind of fault struck.
    pub(super) fn struck(&self) -> String {
        format!(
            "{} responses, {} requests and {} transactions went wrong; the gateway ended by itself {} times",
            self.links.struck(),
            self.requests.struck(),
            self.transactions.struck(),
            self.ended_by_itself
        )
    }
}

impl Homeserver {
    fn prepare(kind: Kind, home: &Path, appservice: &str) -> Self {
        match kind {
            Kind::Stub => Self::Stub(Stub::prepare(home, appservice)),
            Kind::Synapse => Self::Synapse(Synapse::prepare(home, SERVER)),
        }
    }

    async fn start(&mut self, registration: &Path) {
        match self {
            Self::Stub(stub) => {
                stub.launch();
                stub.ready().await;
            }
            Self::Synapse(synapse) => synapse.start(Some(registration)).await,
        }
    }

    async fn end(&mut self, signal: Signal) {
        match self {
            Self::Stub(stub) => stub.end(signal).await,
            Self::Synapse(synapse) => synapse.stop().await,
        }
    }

    fn signal(&self, signal: Signal) {
        match self {
            Self::Stub(stub) => stub.signal(signal),
            Self::Synapse(synapse) => synapse.signal(signal),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Stub(stub) => stub.port(),
            Self::Synapse(synapse) => synapse.port(),
        }
    }

    /// A new user.
    pub(super) async fn register(&self, name: &str) -> User {
        match self {
            Self::Stub(stub) => stub.register(name).await,
            Self::Synapse(synapse) => synapse.register(name).await,
        }
    }

    /// Whether it has told everything; one that cannot say so has.
    pub(super) async fn has_told_all(&self) -> bool {
        match self {
            Self::Stub(stub) => stub.owed().await == Some(0),
            Self::Synapse(_) => true,
        }
    }
}

/// Two routes, one for each way to treat what was on the wire when the gateway died; everything is
/// noticed and tried again within seconds.
fn set_up(plan: &mut gateway::Plan, engine: Engine, links: &str) {
    plan.prefix = "4477009001";
    plan.route
        .push_str("\nuncertain = \"hold\"\nuncertain_hold = \"3s\"");
    plan.bind = match links {
        "a pair" => "pair",
        _ => "transceiver",
    };
    plan.link.push_str(SOON);
    plan.more = format!(
        r#"
[[route]]
name = "again"
prefixes = ["4477009002"]
link_group = "operator"
price = "{PRICE}"
originator = {{ pool = "uk" }}
uncertain = "resend"

[limits]
retry_first = "100ms"
retry_cap = "1s"

{}"#,
        engine.toml()
    );
    if links == "two transceivers" {
        plan.link.push_str(SECOND_LINK);
        plan.link = format!("{}{SOON}\naddress = \"127.0.0.1:{}\"", plan.link, plan.smsc);
    }
}

const SOON: &str = r#"
enquire_link = "1s"
response_timeout = "2s"
session_init = "2s""#;

const SECOND_LINK: &str = r#"
[[link_group.link]]
name = "b"
bind = "transceiver"
system_id = "gateway"
password = "secret"
reconnect_first = "100ms"
reconnect_cap = "1s""#;

/// An SMSC that notices dead links soon, too, but waits for answers longer than anybody here stands
/// still: what it brings again while its link lives, nobody can tell from a second text.
fn scenario(home: &Path) -> Vec<String> {
    let file = home.join("scenario.toml");
    let toml = "[timers]\nenquire_link = \"1s\"\nresponse = \"8s\"\nsession_init = \"5s\"\n";
    std::fs::write(&file, toml).expect("the scenario");
    let file = file.to_str().expect("a UTF-8 path").to_owned();
    vec!["--scenario".to_owned(), file]
}
