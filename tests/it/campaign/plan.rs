//! What goes wrong in a campaign and when: decided by its seed alone, before anything starts.

use std::fmt;
use std::time::Duration;

use matrix_smpp_codec::CommandId;

use crate::support::dice::Dice;
use crate::support::proxy::{http, smpp};

/// A process of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The gateway that works, whichever it is then.
    Gateway,
    /// One that stands by.
    Standby,
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
    /// Something happens to the homeserver's next transactions.
    Transaction(http::Mishap, u32),
    /// Cuts the connections to Redis: at once, or when the next answers are under way.
    CutRedis {
        lose_answers: bool,
    },
    /// Redis answers so many milliseconds later.
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
    /// The data lie in Redis.
    pub(super) redis: bool,
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn new(dice: &mut Dice, lasts: Duration, means: Means) -> Self {
        let mut lanes: Vec<fn(&mut Dice, Means) -> Episode> = vec![
            gateway,
            homeserver,
            smsc,
            links,
            responses,
            answers,
            requests,
            transactions,
            machine,
        ];
        if means.standbys {
            lanes.push(standby);
        }
        if means.redis {
            lanes.extend([redis as fn(&mut Dice, Means) -> Episode, way_to_redis]);
        }
        let mut steps = Vec::new();
        for lane in lanes {
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
        if means.redis {
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
                Act::Kill(_) | Act::Stop(_) | Act::Pause(_) | Act::Cut { .. } | Act::HalfOpen
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

/// One thing that goes wrong, and the end of it.
struct Episode {
    /// Milliseconds of peace before it.
    after: u64,
    begin: Option<Act>,
    /// How many milliseconds it goes on.
    lasts: u64,
    end: Option<Act>,
}

impl Episode {
    fn of(after: u64, lasts: u64, begin: Act, end: Act) -> Self {
        Self {
            after,
            begin: Some(begin),
            lasts,
            end: Some(end),
        }
    }

    fn once(after: u64, act: Act) -> Self {
        Self {
            after,
            begin: Some(act),
            lasts: 0,
            end: None,
        }
    }

    /// A process dies, stops or stands still.
    fn of_process(dice: &mut Dice, who: Who, after: u64) -> Self {
        match dice.between(0, 6) {
            0 => Self::of(
                after,
                dice.between(100, 3_000),
                Act::Pause(who),
                Act::Resume(who),
            ),
            1 => Self::of(after, dice.between(0, 500), Act::Stop(who), Act::Start(who)),
            _ => Self::of(after, dice.between(0, 400), Act::Kill(who), Act::Start(who)),
        }
    }
}

fn gateway(dice: &mut Dice, _: Means) -> Episode {
    let after = match dice.between(0, 3) {
        0 => dice.between(20, 400),
        1 => dice.between(400, 1_500),
        _ => dice.between(1_500, 4_000),
    };
    Episode::of_process(dice, Who::Gateway, after)
}

fn homeserver(dice: &mut Dice, means: Means) -> Episode {
    let after = dice.between(2_000, 8_000);
    if means.homeserver_dies {
        return Episode::of_process(dice, Who::Homeserver, after);
    }
    let lasts = dice.between(100, 3_000);
    Episode::of(
        after,
        lasts,
        Act::Pause(Who::Homeserver),
        Act::Resume(Who::Homeserver),
    )
}

fn smsc(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(4_000, 10_000);
    Episode::of_process(dice, Who::Smsc, after)
}

fn standby(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(1_000, 6_000);
    Episode::of_process(dice, Who::Standby, after)
}

fn redis(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(1_000, 6_000);
    Episode::of_process(dice, Who::Redis, after)
}

fn way_to_redis(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(500, 3_000);
    match dice.between(0, 4) {
        0 => Episode::of(
            after,
            dice.between(500, 2_000),
            Act::SlowRedis(dice.between(20, 300)),
            Act::SlowRedis(0),
        ),
        1 => Episode::once(
            after,
            Act::CutRedis {
                lose_answers: false,
            },
        ),
        _ => Episode::once(after, Act::CutRedis { lose_answers: true }),
    }
}

fn links(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(1_000, 5_000);
    match dice.between(0, 3) {
        0 => Episode::once(after, Act::Cut { refuse: false }),
        1 => Episode::of(
            after,
            dice.between(100, 2_000),
            Act::Cut { refuse: true },
            Act::Mend,
        ),
        _ => Episode::once(after, Act::HalfOpen),
    }
}

fn responses(dice: &mut Dice, _: Means) -> Episode {
    let kinds = [
        CommandId::SUBMIT_SM_RESP,
        CommandId::SUBMIT_SM_RESP,
        CommandId::DELIVER_SM_RESP,
        CommandId::DELIVER_SM_RESP,
        CommandId::ENQUIRE_LINK_RESP,
    ];
    let mishap = match dice.between(0, 3) {
        0 => smpp::Mishap::Drop,
        1 => smpp::Mishap::Duplicate,
        _ => smpp::Mishap::Delay(Duration::from_millis(dice.between(100, 2_500))),
    };
    let fault = smpp::Fault {
        response: *dice.pick(&kinds),
        mishap,
        times: 1,
    };
    Episode::once(dice.between(300, 2_000), Act::Response(fault))
}

fn answers(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(500, 3_000);
    if dice.one_in(2) {
        return Episode::of(
            after,
            dice.between(500, 2_000),
            Act::Slow(dice.between(10, 150)),
            Act::Slow(0),
        );
    }
    let statuses = ["ESME_RTHROTTLED", "ESME_RMSGQFUL", "ESME_RSYSERR"];
    let status = *dice.pick(&statuses);
    let times = if dice.one_in(2) { 1 } else { 4 };
    Episode::once(after, Act::Status(status, times))
}

fn requests(dice: &mut Dice, _: Means) -> Episode {
    let mishap = match dice.between(0, 6) {
        0 => http::Mishap::Refuse(429),
        1 => http::Mishap::Refuse(500),
        2 => http::Mishap::LoseAnswer(500),
        3 => http::Mishap::LoseAnswer(429),
        4 => http::Mishap::Never,
        _ => http::Mishap::Delay(Duration::from_millis(dice.between(200, 3_000))),
    };
    let times = if dice.one_in(3) { 5 } else { 1 };
    Episode::once(dice.between(300, 2_500), Act::Request(mishap, times))
}

fn transactions(dice: &mut Dice, _: Means) -> Episode {
    let mishap = match dice.between(0, 7) {
        1 => http::Mishap::AsAnother,
        2 => http::Mishap::UnderOldId,
        3 => http::Mishap::LoseAnswer(502),
        4 => http::Mishap::Refuse(503),
        5 => http::Mishap::Delay(Duration::from_millis(dice.between(100, 2_000))),
        _ => http::Mishap::Repeat,
    };
    Episode::once(dice.between(200, 1_500), Act::Transaction(mishap, 1))
}

/// The disk fills, or the clock jumps.
fn machine(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(2_000, 7_000);
    if dice.one_in(2) {
        return Episode::of(after, dice.between(200, 2_500), Act::Fill, Act::Free);
    }
    // What is put off while the clock is ahead waits until it is there again.
    let wrong = *dice.pick(&[-7_200, -600, -30, 10]);
    Episode::of(
        after,
        dice.between(1_000, 5_000),
        Act::Clock(wrong),
        Act::Clock(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: Means = Means {
        homeserver_dies: true,
        standbys: true,
        redis: true,
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
