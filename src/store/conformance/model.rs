//! Random operations in a small world, against a model that keeps money as plain numbers, and
//! against what must always hold of leases and lanes.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use proptest::prelude::*;

use super::tries::holds;
use super::*;
use crate::gateway::model::{ConversationId, Originator, SegmentRef};

const HOLD: i64 = 50;
const HOUR: i64 = 3_600_000;
/// Longer than any clock here is wrong.
const FOR_EVER: Timestamp = Timestamp(100 * HOUR);
/// After so many operations another one owns the store.
const TURN: usize = 30;
const COOLING: Duration = Duration::from_millis(200);
const SPEND_PER_DAY: i64 = 150;
const PHONES: [&str; 2] = [ANNA, BERT];
const OWNERS: [&str; 2] = ["alice", "bob"];

macro_rules! same {
    ($what:literal, $model:expr, $store:expr $(,)?) => {
        $crate::store::conformance::model::same($what, &$model, &$store)
    };
}

mod acts;
mod invariants;

/// One operation; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    TopUp {
        owner: usize,
        amount: i64,
    },
    SetLimit {
        owner: usize,
        limit: i64,
    },
    Open {
        room: usize,
        phone: usize,
        owner: usize,
        direct: bool,
    },
    End {
        conversation: usize,
    },
    Accept {
        conversation: usize,
        payer: usize,
        segments: usize,
        price: i64,
        fail: bool,
    },
    Claim {
        limit: usize,
    },
    Answer {
        claimed: usize,
        outcome: usize,
    },
    Cancel {
        message: usize,
    },
    Pass {
        millis: i64,
    },
    /// The machine's clock is that many hours wrong from now on.
    Jump {
        hours: i64,
    },
    /// A phone answers to a number.
    Reply {
        phone: usize,
        number: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let one = 0..100_usize;
    prop_oneof![
        1 => (0..2_usize, -60..200_i64).prop_map(|(owner, amount)| Op::TopUp { owner, amount }),
        1 => (0..2_usize, 0..50_i64).prop_map(|(owner, limit)| Op::SetLimit { owner, limit }),
        3 => (0..4_usize, 0..2_usize, 0..2_usize, any::<bool>())
            .prop_map(|(room, phone, owner, direct)| Op::Open { room, phone, owner, direct }),
        1 => one.clone().prop_map(|conversation| Op::End { conversation }),
        6 => (one.clone(), 0..2_usize, 1..4_usize, 0..20_i64, any::<bool>()).prop_map(
            |(conversation, payer, segments, price, fail)| Op::Accept {
                conversation, payer, segments, price, fail
            }
        ),
        4 => (1..5_usize).prop_map(|limit| Op::Claim { limit }),
        6 => (one.clone(), 0..5_usize).prop_map(|(claimed, outcome)| Op::Answer { claimed, outcome }),
        1 => one.prop_map(|message| Op::Cancel { message }),
        2 => (1..100_i64).prop_map(|millis| Op::Pass { millis }),
        1 => (-1..=1_i64).prop_map(|hours| Op::Jump { hours }),
        3 => (0..2_usize, 0..2_usize).prop_map(|(phone, number)| Op::Reply { phone, number }),
    ]
}

/// What the model knows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Queued,
    Intent,
    Uncertain { until: i64 },
    Settled,
    Released,
}

#[derive(Debug)]
struct Message {
    id: MessageId,
    conversation: ConversationId,
    event: String,
    payer: usize,
    price: i64,
    fail: bool,
    segments: Vec<Seen>,
}

/// An account without what its messages make of it.
#[derive(Debug, Default, Clone, Copy)]
struct Terms {
    top_ups: i64,
    limit: i64,
    /// What its messages have cost when they were accepted; a case is over within a day.
    spent: i64,
}

struct World {
    store: Arc<dyn Store>,
    now: i64,
    /// By how many hours `now` is wrong.
    wrong: i64,
    keys: u32,
    accounts: [Terms; 2],
    conversations: Vec<ConversationId>,
    active: HashMap<ConversationId, bool>,
    messages: Vec<Message>,
    claimed: Vec<Claimed>,
    leases: Vec<Lease>,
}

pub(crate) async fn money_and_leases_hold_under_any_order_of_operations(engine: &dyn Engine) {
    let ops = prop::collection::vec(op(), 1..80);
    holds(40, ops, async |ops| run(engine, ops).await).await;
}

/// The same where the store changes hands every so many operations: `take_over` gives it to another owner.
pub(crate) async fn money_and_leases_hold_whoever_owns_the_store(
    mut open: impl FnMut() -> Arc<dyn Store>,
    mut take_over: impl AsyncFnMut(Arc<dyn Store>) -> Arc<dyn Store>,
) {
    let ops = prop::collection::vec(op(), 1..80);
    holds(2, ops, async |ops| {
        let mut world = World::new(open());
        for turn in ops.chunks(TURN) {
            world.play(turn).await?;
            world.store = take_over(Arc::clone(&world.store)).await;
            world.check().await?;
        }
        Ok(())
    })
    .await;
}

async fn run(engine: &dyn Engine, ops: Vec<Op>) -> Result<(), String> {
    let engine = engine.another();
    World::new(engine.open()).play(&ops).await
}

impl World {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            now: 3 * HOUR,
            wrong: 0,
            keys: 0,
            accounts: Default::default(),
            conversations: Vec::new(),
            active: HashMap::new(),
            messages: Vec::new(),
            claimed: Vec::new(),
            leases: Vec::new(),
        }
    }

    async fn play(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.now += 1;
            self.apply(op.clone()).await?;
            self.check().await?;
        }
        Ok(())
    }
}

fn pick<T: Clone>(from: &[T], index: usize) -> Option<T> {
    from.get(index.checked_rem(from.len())?).cloned()
}

fn direct_or_group(name: &str, digits: &str, owner: &str, is_direct: bool) -> OpenConversation {
    if is_direct {
        direct(name, digits, owner)
    } else {
        group(name, digits, owner)
    }
}

fn withdraw(segments: &mut [Seen]) {
    for seen in segments.iter_mut().filter(|seen| **seen == Seen::Queued) {
        *seen = Seen::Released;
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, model: &T, store: &T) -> Result<(), String> {
    if model == store {
        return Ok(());
    }
    Err(format!(
        "{what}: {model:?} by the model, {store:?} by the store"
    ))
}
