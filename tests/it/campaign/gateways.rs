//! The gateways of a campaign: one that works and others that stand by, whoever that is at the time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::plan::Who;
use crate::support::clock::Clock;
use crate::support::gateway::{Gateway, Plan};
use crate::support::peer::free_port;
use crate::support::wait::until;

/// How many lines of its log tell why a gateway ended.
const LAST_WORDS: usize = 5;

/// One that stands still answers nothing.
const ANSWER: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Gateways {
    all: Vec<One>,
    /// Whom the plan has taken down, and as whom.
    taken: HashMap<Who, usize>,
    /// What each is started with.
    variables: [String; 2],
    /// How often one ended by itself.
    pub(super) ended_by_itself: usize,
}

#[derive(Debug)]
struct One {
    gateway: Gateway,
    /// It is not to be started by a service manager.
    is_down: bool,
}

impl Gateways {
    /// So many gateways of one plan, each in a folder of its own. They start with [`Self::start`].
    pub(super) fn prepare(
        home: &Path,
        plan: &Plan,
        count: usize,
        clock: &Clock,
    ) -> (Self, Vec<u16>) {
        let mut doors = Vec::new();
        let mut all = Vec::new();
        for number in 1..=count {
            let mut plan = plan.clone();
            let mut home = home.to_owned();
            if number > 1 {
                plan.appservice = free_port();
                home = home.join(format!("standby-{number}"));
            }
            doors.push(plan.appservice);
            all.push(One {
                gateway: Gateway::prepare(&home, &plan),
                is_down: true,
            });
        }
        let gateways = Self {
            all,
            taken: HashMap::new(),
            variables: clock.variables(),
            ended_by_itself: 0,
        };
        (gateways, doors)
    }

    pub(super) fn registration(&self) -> PathBuf {
        self.all[0].gateway.registration()
    }

    // --- who works -------------------------------------------------------------------------------

    /// The places of those who say that they work: for a moment there may be two, or none.
    async fn workers(&self) -> Vec<usize> {
        let mut workers = Vec::new();
        for (at, one) in self.all.iter().enumerate() {
            if self.is_free(at) && !one.is_down {
                let answer = tokio::time::timeout(ANSWER, one.gateway.may_wait(&[])).await;
                workers.extend(matches!(answer, Ok(Some(_))).then_some(at));
            }
        }
        workers
    }

    /// Nobody has taken it down.
    fn is_free(&self, at: usize) -> bool {
        !self.taken.values().any(|taken| *taken == at)
    }

    /// The one that works, where there is exactly one.
    pub(super) async fn only_worker(&self) -> Option<&Gateway> {
        match self.workers().await[..] {
            [at] => Some(&self.all[at].gateway),
            _ => None,
        }
    }

    /// The one that works, as soon as there is exactly one.
    pub(super) async fn worker(&self) -> &Gateway {
        until("one gateway works", async || self.only_worker().await).await
    }

    /// Who is meant by a name of the plan. Where nobody works, any of them; where nobody stands by,
    /// nobody.
    async fn find(&self, who: Who) -> Option<usize> {
        let workers = self.workers().await;
        let mut free = (0..self.all.len()).filter(|at| self.is_free(*at) && !self.all[*at].is_down);
        match who {
            Who::Place(at) => free.find(|one| *one == at),
            Who::Standby => free.find(|at| !workers.contains(at)),
            _ => workers.first().copied().or_else(|| free.next()),
        }
    }

    // --- life ------------------------------------------------------------------------------------

    /// Starts all of them; the first one works.
    pub(super) async fn start(&mut self) {
        self.launch(0);
        self.all[0].gateway.ready().await;
        for at in 1..self.all.len() {
            self.launch(at);
        }
    }

    /// Kills all of them.
    pub(super) async fn kill(&mut self) {
        for one in &mut self.all {
            one.gateway.kill().await;
            one.is_down = true;
        }
    }

    /// Asks all of them to stop, which must succeed: first who stands by.
    pub(super) async fn stop(&mut self) {
        let workers = self.workers().await;
        let standbys = (0..self.all.len()).filter(|at| !workers.contains(at));
        for at in standbys.chain(workers.iter().copied()) {
            self.all[at].gateway.stop().await;
        }
    }

    fn launch(&mut self, at: usize) {
        let variables = self.variables.each_ref().map(String::as_str);
        self.all[at].gateway.launch_with(&variables);
        self.all[at].is_down = false;
    }

    /// What a service manager does: starts whom that has ended by itself.
    pub(super) fn revive(&mut self) {
        for at in 0..self.all.len() {
            let one = &mut self.all[at];
            if one.is_down || !one.gateway.has_ended() {
                continue;
            }
            let logged = one.gateway.logged();
            let last: Vec<&str> = logged.lines().rev().take(LAST_WORDS).collect();
            eprintln!("gateway {at} has ended by itself; its last words, latest first: {last:#?}");
            self.ended_by_itself += 1;
            self.launch(at);
        }
    }

    // --- what the plan does ----------------------------------------------------------------------

    /// Ends one, until [`Self::begin`].
    pub(super) async fn end(&mut self, who: Who, signal: Signal) {
        let Some(at) = self.find(who).await else {
            return;
        };
        self.taken.insert(who, at);
        let one = &mut self.all[at];
        one.is_down = true;
        one.gateway.end(signal).await;
    }

    /// Starts whom [`Self::end`] ended.
    pub(super) fn begin(&mut self, who: Who) {
        if let Some(at) = self.taken.remove(&who) {
            self.launch(at);
        }
    }

    /// Has one stand still.
    pub(super) async fn pause(&mut self, who: Who) {
        if let Some(at) = self.find(who).await {
            self.taken.insert(who, at);
            self.all[at].gateway.signal(Signal::STOP);
        }
    }

    /// Has whom [`Self::pause`] stopped go on.
    pub(super) fn resume(&mut self, who: Who) {
        if let Some(at) = self.taken.remove(&who) {
            self.all[at].gateway.signal(Signal::CONT);
        }
    }

    /// The processes that are up.
    pub(super) fn processes(&self) -> impl Iterator<Item = Pid> {
        let up = self.all.iter().filter(|one| !one.is_down);
        up.map(|one| one.gateway.pid())
    }
}
