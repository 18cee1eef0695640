//! The processes of a campaign, the proxies between them, and everything that can be done to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::gateways::Gateways;
use super::homeserver::{Homeserver, Kind};
use super::keeper::{Engine, Keeper};
use super::plan::{Act, Means, Plan, Who};
use crate::support::clock::Clock;
use crate::support::gateway::{self, PRICE};
use crate::support::peer::free_port;
use crate::support::proxy::http::HttpProxy;
use crate::support::proxy::smpp::SmppProxy;
use crate::support::sim::Sim;
use crate::support::wait::now;

/// How the gateway binds: the variety of one campaign.
pub(super) const LINKS: [&str; 3] = ["one transceiver", "two transceivers", "a pair"];

/// How many requests a link may have under way.
pub(super) const WINDOW: usize = 10;

/// Who plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) homeserver: Kind,
    pub(super) engine: Engine,
    pub(super) gateways: usize,
    /// One of [`LINKS`].
    pub(super) links: &'static str,
}

#[derive(Debug)]
pub(super) struct Stage {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    pub(super) gateways: Gateways,
    pub(super) homeserver: Homeserver,
    pub(super) sim: Sim,
    /// Gateway to SMSC.
    pub(super) links: SmppProxy,
    /// Gateway to homeserver.
    pub(super) requests: HttpProxy,
    /// Homeserver to gateway.
    pub(super) transactions: HttpProxy,
    keeper: Keeper,
    registration: PathBuf,
    clock: Clock,
    cast: Cast,
    home: TempDir,
}

impl Stage {
    /// Starts everything.
    pub(super) async fn set(cast: Cast) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let ports = [(); 3].map(|()| free_port());
        let [smpp_port, requests_port, transactions_port] = ports;
        let mut sim = Sim::prepare(home.path());
        let mut plan = gateway::Plan::new(&format!("http://127.0.0.1:{requests_port}"), smpp_port);
        plan.appservice_url = Some(format!("http://127.0.0.1:{transactions_port}"));
        set_up(&mut plan, cast.links);
        let clock = Clock::new(home.path());
        let keeper = Keeper::start(cast.engine, home.path(), &mut plan, &clock).await;
        let mut homeserver =
            Homeserver::prepare(cast.homeserver, home.path(), &plan.appservice_url());
        let (gateways, doors) = Gateways::prepare(home.path(), &plan, cast.gateways, &clock);
        let registration = gateways.registration();
        sim.start_with(&scenario(home.path())).await;
        homeserver.start(&registration).await;
        let mut stage = Self {
            links: SmppProxy::start(smpp_port, sim.smpp_port()).await,
            requests: HttpProxy::start(requests_port, &[homeserver.port()]).await,
            transactions: HttpProxy::start(transactions_port, &doors).await,
            gateways,
            homeserver,
            sim,
            keeper,
            registration,
            clock,
            cast,
            home,
        };
        stage.gateways.start().await;
        stage
    }

    /// What can be done here.
    pub(super) fn means(&self) -> Means {
        Means {
            homeserver_dies: self.cast.homeserver == Kind::Stub,
            standbys: self.cast.gateways > 1,
            engine: self.cast.engine,
        }
    }

    /// How many links of a gateway send.
    pub(super) fn count_of_links(&self) -> usize {
        match self.cast.links {
            "two transceivers" => 2,
            _ => 1,
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
            Act::Pause(who) => self.pause(*who).await,
            Act::Resume(who) => self.resume(*who),
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
            Act::Forget => self.homeserver.forget().await,
            Act::Crash => {
                self.homeserver.end(Signal::KILL).await;
                self.homeserver.start(&self.registration).await;
            }
            Act::Transaction(mishap, times) => self.transactions.strike(*mishap, *times),
            Act::CutRedis { lose_answers } => self.keeper.cut(*lose_answers),
            Act::LoseRedis { gateway_dies } => self.lose_redis(*gateway_dies).await,
            Act::SlowRedis(by) => self.keeper.delay(*by),
            Act::Fill => self.keeper.fill(self.gateways.processes()),
            Act::Free => self.keeper.free(self.gateways.processes()),
            Act::Clock(wrong) => self.clock.set(*wrong),
        }
    }

    async fn lose_redis(&mut self, gateway_dies: bool) {
        if gateway_dies {
            self.gateways.end(Who::Gateway, Signal::KILL).await;
        }
        self.keeper.lose_machine().await;
        if gateway_dies {
            self.gateways.begin(Who::Gateway);
        }
    }

    /// All is well from now on, and everybody is up.
    pub(super) async fn heal(&mut self) {
        self.links.heal();
        self.requests.heal();
        self.transactions.heal();
        self.keeper.free(self.gateways.processes());
        self.keeper.delay(0);
        self.clock.set(0);
        self.behave(&json!({ "reset": true })).await;
        self.revive();
    }

    /// What a service manager does: starts who has ended by itself.
    pub(super) fn revive(&mut self) {
        self.keeper.revive();
        self.gateways.revive();
    }

    /// A simulator that stands still does not listen; it hears of it when it goes on.
    async fn behave(&self, change: &serde_json::Value) {
        let asked = self.sim.may_behave(change);
        drop(tokio::time::timeout(Duration::from_millis(200), asked).await);
    }

    async fn end(&mut self, who: Who, signal: Signal) {
        match who {
            Who::Gateway | Who::Standby | Who::Place(_) => self.gateways.end(who, signal).await,
            Who::Homeserver => self.homeserver.end(signal).await,
            // It does not know any more what it took; the proxy does.
            Who::Smsc => self.sim.stop().await,
            Who::Redis => self.keeper.end(signal).await,
        }
    }

    async fn begin(&mut self, who: Who) {
        match who {
            Who::Gateway | Who::Standby | Who::Place(_) => self.gateways.begin(who),
            Who::Homeserver => self.homeserver.start(&self.registration).await,
            Who::Smsc => self.sim.launch(),
            Who::Redis => self.keeper.begin(),
        }
    }

    async fn pause(&mut self, who: Who) {
        match who {
            Who::Gateway | Who::Standby | Who::Place(_) => self.gateways.pause(who).await,
            Who::Homeserver => self.homeserver.signal(Signal::STOP),
            Who::Smsc => self.sim.signal(Signal::STOP),
            Who::Redis => self.keeper.signal(Signal::STOP),
        }
    }

    fn resume(&mut self, who: Who) {
        match who {
            Who::Gateway | Who::Standby | Who::Place(_) => self.gateways.resume(who),
            Who::Homeserver => self.homeserver.signal(Signal::CONT),
            Who::Smsc => self.sim.signal(Signal::CONT),
            Who::Redis => self.keeper.signal(Signal::CONT),
        }
    }

    /// How often each kind of fault struck.
    pub(super) fn struck(&self) -> String {
        format!(
            "{} responses, {} requests and {} transactions went wrong; gateways ended by themselves {} times{}",
            self.links.struck(),
            self.requests.struck(),
            self.transactions.struck(),
            self.gateways.ended_by_itself,
            self.keeper.struck(),
        )
    }
}

/// Two routes, one for each way to treat what was on the wire when the gateway died; everything is
/// noticed and tried again within seconds.
fn set_up(plan: &mut gateway::Plan, links: &str) {
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

"#
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
    let toml = "[timers]\nenquire_link = \"1s\"\nresponse = \"20s\"\nsession_init = \"5s\"\n";
    std::fs::write(&file, toml).expect("the scenario");
    let file = file.to_str().expect("a UTF-8 path").to_owned();
    vec!["--scenario".to_owned(), file]
}
