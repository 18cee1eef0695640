//! An SMSC with two links that die whenever they like, and people who say the same words again and
//! again: each SMS is taken once, whatever the order.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::sms::{Fate, from, take_with_id, texts, with_leases};
use super::*;
use crate::gateway::model::TakenId;

const CASES: usize = 60;
const WORDS: [&str; 2] = ["yes", "no"];

/// One thing that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    /// Somebody writes.
    Write { words: usize },
    /// The SMSC brings a text on a link.
    Bring { text: usize, link: usize },
    /// We take in what came on a bind, dead or alive, and answer.
    Take { brought: usize },
    /// The SMSC hears an answer, and we hear that it did.
    Hear { answered: usize },
    /// A link's bind ends, and the next one begins.
    Cut { link: usize },
    /// Time passes, 15 minutes at most.
    Pass { seconds: i64 },
}

fn op() -> impl Strategy<Value = Op> {
    let one = 0..100_usize;
    let link = 0..2_usize;
    prop_oneof![
        3 => (0..2_usize).prop_map(|words| Op::Write { words }),
        6 => (one.clone(), link.clone()).prop_map(|(text, link)| Op::Bring { text, link }),
        5 => one.clone().prop_map(|brought| Op::Take { brought }),
        4 => one.prop_map(|answered| Op::Hear { answered }),
        2 => link.prop_map(|link| Op::Cut { link }),
        1 => (0..900_i64).prop_map(|seconds| Op::Pass { seconds }),
    ]
}

/// What the SMSC knows of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// To be brought, for the first time or again.
    Pending,
    /// Brought on this bind, without an answer so far.
    Brought(Uuid),
    /// Answered on this bind: the answer is on its way.
    Answered(Uuid, TakenId),
    Done,
}

struct Smsc {
    store: Arc<dyn Store>,
    now: i64,
    binds: [Uuid; 2],
    next_bind: u128,
    texts: Vec<(usize, Seen)>,
    /// What came to us and is not taken in yet, by text and bind.
    queue: Vec<(usize, Uuid)>,
}

pub(crate) async fn every_sms_is_taken_once_whenever_binds_die(engine: &dyn Engine) {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(op(), 1..60);
    for _ in 0..CASES {
        let mut tree = strategy.new_tree(&mut runner).unwrap();
        let mut broken = run(engine, tree.current()).await.err();
        let mut smaller = broken.is_some() && tree.simplify();
        while smaller {
            smaller = match run(engine, tree.current()).await {
                Ok(()) => tree.complicate(),
                Err(reason) => {
                    broken = Some(reason);
                    tree.simplify()
                }
            };
        }
        if let Some(broken) = broken {
            panic!("{broken}\nafter {:#?}", tree.current());
        }
    }
}

async fn run(engine: &dyn Engine, ops: Vec<Op>) -> Result<(), String> {
    let engine = engine.another();
    let (store, _) = with_leases(&*engine).await;
    let mut smsc = Smsc {
        store,
        now: 1_000,
        binds: [Uuid::from_u128(1), Uuid::from_u128(2)],
        next_bind: 3,
        texts: Vec::new(),
        queue: Vec::new(),
    };
    for op in ops {
        smsc.apply(op).await;
    }
    smsc.finish().await;
    let mut expected: Vec<_> = smsc.texts.iter().map(|(words, _)| WORDS[*words]).collect();
    let mut taken = texts(&smsc.store).await;
    expected.sort_unstable();
    taken.sort_unstable();
    if expected == taken {
        return Ok(());
    }
    Err(format!("written {expected:?}, taken {taken:?}"))
}

impl Smsc {
    async fn apply(&mut self, op: Op) {
        self.now += 1;
        match op {
            Op::Write { words } => self.texts.push((words, Seen::Pending)),
            Op::Bring { text, link } => {
                if let Some(text) = self.pick(text, |seen| seen == Seen::Pending) {
                    self.bring(text, link);
                }
            }
            Op::Take { brought } => {
                if let Some(place) = brought.checked_rem(self.queue.len()) {
                    self.take(place).await;
                }
            }
            Op::Hear { answered } => {
                let answered = self.pick(answered, |seen| matches!(seen, Seen::Answered(..)));
                if let Some(text) = answered {
                    self.hear(text).await;
                }
            }
            Op::Cut { link } => self.cut(link),
            Op::Pass { seconds } => {
                self.now += seconds * 1_000;
                self.store.sweep(at(self.now), 100).await.unwrap();
            }
        }
    }

    /// All that is still to come comes, is answered, and the answers are heard.
    async fn finish(&mut self) {
        while self.texts.iter().any(|(_, seen)| *seen != Seen::Done) {
            while let Some(text) = self.pick(0, |seen| seen == Seen::Pending) {
                self.bring(text, text % 2);
            }
            while !self.queue.is_empty() {
                self.take(0).await;
            }
            while let Some(text) = self.pick(0, |seen| matches!(seen, Seen::Answered(..))) {
                self.hear(text).await;
            }
        }
    }

    fn pick(&self, index: usize, is: impl Fn(Seen) -> bool) -> Option<usize> {
        let all = self.texts.iter().enumerate();
        let those: Vec<_> = all.filter(|(_, (_, seen))| is(*seen)).collect();
        let (text, _) = those.get(index.checked_rem(those.len())?)?;
        Some(*text)
    }

    fn bring(&mut self, text: usize, link: usize) {
        let bind = self.binds[link];
        self.texts[text].1 = Seen::Brought(bind);
        self.queue.push((text, bind));
    }

    async fn take(&mut self, place: usize) {
        let (text, bind) = self.queue.remove(place);
        let (words, seen) = self.texts[text];
        let sms = SmsIn {
            session: bind,
            living_sessions: self.binds.to_vec(),
            payload: Bytes::from_static(WORDS[words].as_bytes()),
            at: at(self.now),
            ..from(ANNA, "")
        };
        let (fate, id) = take_with_id(&self.store, sms).await;
        // The answer on a bind that is over reaches nobody, and what is undecided is put off.
        if seen == Seen::Brought(bind) && self.binds.contains(&bind) {
            self.texts[text].1 = match fate {
                Fate::Undecided(_) => Seen::Pending,
                _ => Seen::Answered(bind, id),
            };
        }
    }

    async fn hear(&mut self, text: usize) {
        if let Seen::Answered(_, id) = self.texts[text].1 {
            self.texts[text].1 = Seen::Done;
            self.store.sms_heard(vec![id], at(self.now)).await.unwrap();
        }
    }

    fn cut(&mut self, link: usize) {
        let over = std::mem::replace(&mut self.binds[link], Uuid::from_u128(self.next_bind));
        self.next_bind += 1;
        for (_, seen) in &mut self.texts {
            if matches!(*seen, Seen::Brought(bind) | Seen::Answered(bind, _) if bind == over) {
                *seen = Seen::Pending;
            }
        }
    }
}
