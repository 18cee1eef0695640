//! What goes wrong in a campaign and when: decided by its seed alone, before anything starts.

mod lanes;

use std::fmt;
use std::time::Duration;

use super::keeper::Engine;
use crate::support::dice::Dice;
use crate::support::proxy::{http, smpp};
use lanes::Episode;

/// A process of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The gateway that works, whichever it is then.
    Gateway,
    /// One that stands by.
    Standby,
    /// The gateway of this place, whatever it does then.
    Place(usize),
    Homeserver,
    Smsc,
    Redis,
}

/// One thing that is done to somebody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// kill -9.
    Kill(Who),
    /// SIGTERM, and its end is waited for.
    Stop(Who),
    /// Starts what was killed or stopped.
    Start(Who),
    /// SIGSTOP.
    Pause(Who),
    /// SIGCONT.
    Resume(Who),
    /// Cuts the links; they cannot come up again before [`Act::Mend`] where `refuse` says so.
    Cut {
        refuse: bool,
    },
    Mend,
    /// The links stay open, and nothing goes through.
    HalfOpen,
    /// Something happens to single responses on the links.
    Response(smpp::Fault),
    /// The SMSC answers the next so many messages with this status.
    Status(&'static str, u32),
    /// The SMSC answers so much later.
    Slow(u64),
    /// Something happens to the gateway's next requests to its homeserver.
    Request(http::Mishap, u32),
    /// From now on the homeserver forgets what it was about to tell, as one does that is killed soon.
    Forget,
    /// It is killed, and starts again: what it has forgotten is in its rooms, and it will never tell.
    Crash,
    /// Something happens to the homeserver's next transactions.
    Transaction(http::Mishap, u32),
    /// Cuts the connections to Redis: at once, or when the next answers are under way.
    CutRedis {
        lose_answers: bool,
    },
    /// The machine of Redis dies, and the gateway that works with it where it says so. A replica goes on,
    /// or Redis comes back with what it had synced.
    LoseRedis {
        gateway_dies: bool,
    },
    /// Redis answers so many milliseconds later; where it has a replica, that hears of it so much later.
    SlowRedis(u64),
    /// The disk is full on which the data lie.
    Fill,
    /// It has room again.
    Free,
    /// The wall clock of the gateways and of Redis is so many seconds wrong.
    Clock(i64),
}

/// What is done, and when, from the start of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) act: Act,
}

/// All that goes wrong in one campaign.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

/// What can be done to the peers of one campaign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    /// The homeserver can be killed and keeps what it owes.
    pub(super) homeserver_dies: bool,
    /// There are gateways that stand by.
    pub(super) standbys: bool,
    /// What keeps the data.
    pub(super) engine: Engine,
}

/// How many milliseconds a replica is behind when its primary dies.
const BEHIND: u64 = 200;

/// How long a gateway that was started is left alone before the next one is stopped.
const AFTER_START: Duration = Duration::from_millis(2_500);

impl Plan {
    /// The plan of a seed.
    pub(super) fn new(dice: &mut Dice, lasts: Duration, means: Means) -> Self {
        let mut all: Vec<fn(&mut Dice, Means) -> Episode> = vec![
            lanes::gateway,
            lanes::homeserver,
            lanes::smsc,
            lanes::links,
            lanes::responses,
            lanes::answers,
            lanes::requests,
            lanes::transactions,
            lanes::machine,
        ];
        if means.standbys {
            all.push(lanes::standby);
        }
        if means.engine.is_redis() {
            all.push(lanes::redis);
            all.push(lanes::way_to_redis);
        }
        let mut steps = Vec::new();
        for lane in all {
            let mut dice = dice.fork();
            let mut at = 0;
            loop {
                let episode = lane(&mut dice, means);
                let begins = at + episode.after;
                let ends = begins + episode.lasts;
                if u128::from(ends) > lasts.as_millis() {
                    break;
                }
                let step = |at, act| Step {
                    at: Duration::from_millis(at),
                    act,
                };
                steps.extend(episode.begin.map(|act| step(begins, act)));
                steps.extend(episode.end.map(|act| step(ends, act)));
                at = ends;
            }
        }
        steps.sort_by_key(|step| step.at);
        Self { steps }
    }

    /// Nothing but kills, one soon after the other: some of who has hardly started.
    pub(super) fn kills(dice: &mut Dice, count: u64, means: Means) -> Self {
        let mut victims = vec![Who::Gateway, Who::Gateway, Who::Gateway, Who::Smsc];
        victims.extend(means.homeserver_dies.then_some(Who::Homeserver));
        victims.extend(means.standbys.then_some(Who::Standby));
        if means.engine.is_redis() {
            victims.extend([Who::Redis, Who::Redis]);
        }
        let mut steps = Vec::new();
        let mut at = Duration::ZERO;
        for _ in 0..count {
            let who = *dice.pick(&victims);
            at += Duration::from_millis(match dice.between(0, 3) {
                0 => dice.between(0, 200),
                _ => dice.between(200, 1_200),
            });
            let act = Act::Kill(who);
            steps.push(Step { at, act });
            at += Duration::from_millis(dice.between(0, 200));
            let act = Act::Start(who);
            steps.push(Step { at, act });
        }
        Self { steps }
    }

    /// Nothing but restarts: each of so many gateways in turn is asked to stop and started again, as often
    /// as there are rounds.
    pub(super) fn rolling(gateways: usize, rounds: u64) -> Self {
        let mut steps = Vec::new();
        let mut at = AFTER_START;
        for who in (0..rounds).flat_map(|_| (0..gateways).map(Who::Place)) {
            steps.extend([Act::Stop(who), Act::Start(who)].map(|act| Step { at, act }));
            at += AFTER_START;
        }
        Self { steps }
    }

    /// Nothing but the death of Redis' machine, in the middle of the traffic. A replica is behind then, as a
    /// busy one is, and one of another site.
    pub(super) fn lose_redis(dice: &mut Dice, gateway_dies: bool, means: Means) -> Self {
        let step = |at, act| Step {
            at: Duration::from_millis(at),
            act,
        };
        let has_replica = matches!(means.engine, Engine::Replicated(_));
        let behind = has_replica.then(|| step(0, Act::SlowRedis(BEHIND)));
        let at = dice.between(3_000, 5_000);
        let mut steps: Vec<Step> = behind.into_iter().collect();
        steps.push(step(at, Act::LoseRedis { gateway_dies }));
        Self { steps }
    }

    /// Whether a homeserver forgets something.
    pub(super) fn forgets(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Forget)
    }

    /// How often somebody is killed.
    pub(super) fn kill_count(&self) -> usize {
        let is_kill = |step: &&Step| matches!(step.act, Act::Kill(_));
        self.steps.iter().filter(is_kill).count()
    }

    /// How often something happens after which nobody knows what was taken: each may double what
    /// was under way.
    pub(super) fn breaks(&self) -> usize {
        let breaks = |step: &&Step| {
            matches!(
                step.act,
                Act::Kill(_)
                    | Act::Stop(_)
                    | Act::Pause(_)
                    | Act::Cut { .. }
                    | Act::HalfOpen
                    | Act::LoseRedis { .. }
            )
        };
        self.steps.iter().filter(breaks).count()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{:>9.3} s  {:?}", step.at.as_secs_f64(), step.act)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: Means = Means {
        homeserver_dies: true,
        standbys: true,
        engine: Engine::Redis,
    };

    const ALL: [Who; 5] = [
        Who::Gateway,
        Who::Standby,
        Who::Homeserver,
        Who::Smsc,
        Who::Redis,
    ];

    #[test]
    fn a_seed_is_a_plan_and_another_seed_another_one() {
        let plan = |seed| Plan::new(&mut Dice::new(seed), Duration::from_secs(30), MEANS);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn whoever_is_taken_down_comes_up_before_the_end() {
        for seed in 0..200 {
            let plan = Plan::new(&mut Dice::new(seed), Duration::from_secs(30), MEANS);
            for who in ALL {
                let mut up = true;
                for step in &plan.steps {
                    up = match step.act {
                        Act::Kill(one) | Act::Stop(one) | Act::Pause(one) if one == who => {
                            assert!(up, "{who:?} is taken down twice by {seed}");
                            false
                        }
                        Act::Start(one) | Act::Resume(one) if one == who => true,
                        _ => up,
                    };
                }
                assert!(up, "{who:?} stays down in {seed}");
            }
        }
    }
}
