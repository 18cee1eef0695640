//! What happens to each of the peers, one thing after the other; the lanes run side by side.

use std::time::Duration;

use matrix_smpp_codec::CommandId;

use super::{Act, Means, Who};
use crate::campaign::keeper::Engine;
use crate::support::dice::Dice;
use crate::support::proxy::{http, smpp};

/// One thing that goes wrong, and the end of it.
pub(super) struct Episode {
    /// Milliseconds of peace before it.
    pub(super) after: u64,
    pub(super) begin: Option<Act>,
    /// How many milliseconds it goes on.
    pub(super) lasts: u64,
    pub(super) end: Option<Act>,
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
        Self::of_process_for(dice, who, after, 3_000)
    }

    /// The same where it stands still for so many milliseconds at most.
    fn of_process_for(dice: &mut Dice, who: Who, after: u64, longest: u64) -> Self {
        match dice.between(0, 6) {
            0 => Self::of(
                after,
                dice.between(100, longest),
                Act::Pause(who),
                Act::Resume(who),
            ),
            1 => Self::of(after, dice.between(0, 500), Act::Stop(who), Act::Start(who)),
            _ => Self::of(after, dice.between(0, 400), Act::Kill(who), Act::Start(who)),
        }
    }
}

pub(super) fn gateway(dice: &mut Dice, means: Means) -> Episode {
    let after = match dice.between(0, 3) {
        0 => dice.between(20, 400),
        1 => dice.between(400, 1_500),
        _ => dice.between(1_500, 4_000),
    };
    // Long enough, at times, for another one to take over.
    let longest = if means.standbys { 8_000 } else { 3_000 };
    Episode::of_process_for(dice, Who::Gateway, after, longest)
}

pub(super) fn homeserver(dice: &mut Dice, means: Means) -> Episode {
    let after = dice.between(2_000, 8_000);
    if means.homeserver_dies && dice.one_in(2) {
        return Episode::of(after, dice.between(100, 2_000), Act::Forget, Act::Crash);
    }
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

pub(super) fn smsc(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(4_000, 10_000);
    Episode::of_process(dice, Who::Smsc, after)
}

pub(super) fn standby(dice: &mut Dice, _: Means) -> Episode {
    let after = dice.between(1_000, 6_000);
    Episode::of_process(dice, Who::Standby, after)
}

pub(super) fn redis(dice: &mut Dice, means: Means) -> Episode {
    let after = dice.between(1_000, 6_000);
    if means.engine == Engine::Cluster {
        // Long enough, at times, for a replica to take over.
        let lasts = dice.between(0, 4_000);
        let who = Who::Redis;
        return match dice.between(0, 3) {
            0 => Episode::of(after, lasts, Act::Stop(who), Act::Start(who)),
            1 => Episode::of(after, lasts, Act::Pause(who), Act::Resume(who)),
            _ => Episode::of(after, lasts, Act::Kill(who), Act::Start(who)),
        };
    }
    Episode::of_process(dice, Who::Redis, after)
}

pub(super) fn way_to_redis(dice: &mut Dice, _: Means) -> Episode {
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

pub(super) fn links(dice: &mut Dice, _: Means) -> Episode {
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

pub(super) fn responses(dice: &mut Dice, _: Means) -> Episode {
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

pub(super) fn answers(dice: &mut Dice, _: Means) -> Episode {
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

pub(super) fn requests(dice: &mut Dice, _: Means) -> Episode {
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

pub(super) fn transactions(dice: &mut Dice, _: Means) -> Episode {
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
pub(super) fn machine(dice: &mut Dice, _: Means) -> Episode {
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
