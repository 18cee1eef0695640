use std::time::Duration;

use super::*;
use crate::gateway::model::{ConversationId, E164Text, Handset};
use crate::store::engine::Engine;
use crate::store::memory::Memory;
use crate::store::steps::sweep::sweep;
use crate::store::tables::{
    AsideRow, CopyRow, EventRow, InboxRow, LeaseRow, Leases, RecipientRow, SmsRow, Timers,
};
use crate::store::timer::Timer;

const MONTH: i64 = 30 * 24 * 3_600_000;
const MINUTE: i64 = 60_000;

/// A store with its scrub.
struct Kept {
    memory: Memory,
    engine: Engine,
    scrub: Scrub,
}

impl Kept {
    fn new(memory: Memory) -> Self {
        Self {
            engine: Engine::start(Box::new(memory.clone())).unwrap(),
            memory,
            scrub: Scrub::default(),
        }
    }

    async fn fill(&self, fill: impl FnMut(&mut Tx<'_>) -> Result<()> + Send + 'static) {
        self.engine.run(fill).await.unwrap();
    }

    async fn sweep(&mut self, now: i64, limit: usize) -> bool {
        let (scrub, day) = (self.scrub.clone(), Duration::from_hours(24));
        let swept = self
            .engine
            .run_alone(move |tx| sweep(tx, day, Timestamp(now), limit, &scrub));
        let more;
        (more, self.scrub) = swept.await.unwrap();
        more
    }

    /// Sweeps until there is no more; tells how often.
    async fn sweep_all(&mut self, now: i64, limit: usize) -> usize {
        let mut times = 1;
        while self.sweep(now, limit).await {
            times += 1;
        }
        times
    }

    fn keys(&self) -> usize {
        self.memory.rows(OutboxKeys::ID)
    }
}

/// So many keys of the outbox that a pass takes several sweeps; each tenth is older by a minute.
async fn long_history() -> Kept {
    let kept = Kept::new(Memory::default());
    kept.fill(|tx| {
        (0..2_500).try_for_each(|id| {
            let queued_at = if id % 10 == 0 { 0 } else { MINUTE };
            tx.put::<OutboxKeys>(&number(id), queued_at)
        })
    })
    .await;
    kept
}

#[tokio::test]
async fn a_long_history_is_looked_through_in_pieces() {
    let mut kept = long_history().await;
    assert!(kept.sweep(MONTH, 200).await);
    assert_eq!(kept.keys(), 2_400, "of the first thousand");
    assert_eq!(kept.sweep_all(MONTH, 200).await, 2);
    assert_eq!(kept.keys(), 2_250);
}

#[tokio::test]
async fn a_long_history_is_looked_through_once_an_hour() {
    let mut kept = long_history().await;
    kept.sweep_all(MONTH, 200).await;
    for now in [MONTH + MINUTE, MONTH + 60 * MINUTE - 1] {
        assert!(!kept.sweep(now, 200).await);
        assert_eq!(kept.keys(), 2_250);
    }
    kept.sweep_all(MONTH + 60 * MINUTE, 200).await;
    assert_eq!(kept.keys(), 0);
}

#[tokio::test]
async fn a_pass_that_took_long_is_followed_by_a_long_rest() {
    let mut kept = long_history().await;
    assert!(kept.sweep(MONTH - 60 * MINUTE, 200).await);
    kept.sweep_all(MONTH, 200).await;
    let left = kept.keys();
    assert!(!kept.sweep(MONTH + 600 * MINUTE - 1, 200).await);
    assert_eq!(kept.keys(), left);
    kept.sweep_all(MONTH + 600 * MINUTE, 200).await;
    assert_eq!(kept.keys(), 0);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_put_the_next_pass_off() {
    let mut kept = long_history().await;
    kept.sweep_all(MONTH * 12, 5_000).await;
    kept.fill(|tx| (0..2_500).try_for_each(|id| tx.put::<OutboxKeys>(&number(id), 0)))
        .await;
    assert_eq!(kept.keys(), 2_500);
    kept.sweep_all(MONTH, 5_000).await;
    assert_eq!(kept.keys(), 0);
}

#[tokio::test]
async fn no_more_of_a_kind_is_forgotten_at_once_than_was_asked_for() {
    let mut kept = long_history().await;
    let now = MONTH * 12;
    for left in [2_200, 1_900] {
        assert!(kept.sweep(now, 300).await);
        assert_eq!(kept.keys(), left);
    }
    kept.sweep_all(now, 300).await;
    assert_eq!(kept.keys(), 0);
}

fn event(seq: i64, messages: Vec<i64>) -> EventRow {
    EventRow {
        seq,
        at: Timestamp(0),
        about: Some("$about".to_owned()),
        messages,
    }
}

#[tokio::test]
async fn an_event_that_spoke_to_phones_keeps_its_name_and_no_more() {
    let mut kept = Kept::new(Memory::default());
    kept.fill(|tx| {
        tx.put::<Events>("h|$said", event(1, vec![7]))?;
        tx.put::<Events>("h|$silent", event(2, Vec::new()))?;
        tx.put::<Events>("h|$waits", event(3, Vec::new()))?;
        let waits = InboxRow {
            seq: 3,
            homeserver: "h".try_into().unwrap(),
            event: "$waits".try_into().unwrap(),
            room: "!r:h".try_into().unwrap(),
            json: String::new(),
            at: Timestamp(0),
            aside: None,
        };
        tx.put::<Inbox>(&number(3), waits)
    })
    .await;
    kept.sweep_all(MONTH, 10).await;
    let left = kept.engine.run(|tx| {
        let rows = ["h|$said", "h|$silent", "h|$waits"].map(|key| tx.get::<Events>(key).unwrap());
        Ok(rows.map(|row| row.map(|row| (row.seq, row.about.is_some(), row.messages.len()))))
    });
    let expected = [Some((0, false, 1)), None, Some((3, true, 0))];
    assert_eq!(left.await.unwrap(), expected);
}

fn aside(id: i64) -> SmsRow {
    SmsRow {
        id,
        link_group: "l".to_owned(),
        handset: Handset::Number(E164Text("447700900123".parse().unwrap())),
        number: "12345".to_owned(),
        text: "hello".to_owned(),
        missing: 0,
        recipient: RecipientRow::Conversation(ConversationId(1)),
        at: Timestamp(0),
        aside: Some(AsideRow {
            reason: "why".to_owned(),
            at: Timestamp(id),
        }),
        due_at: None,
        withdrawn: false,
        wish: None,
        submissions: Vec::new(),
    }
}

#[tokio::test]
async fn of_too_much_that_was_set_aside_the_oldest_goes() {
    let mut kept = Kept::new(Memory::default());
    kept.fill(|tx| (1..=10_003).try_for_each(|id| tx.put::<Sms>(&number(id), aside(id))))
        .await;
    assert!(kept.sweep(10_003, 2).await);
    assert_eq!(kept.memory.rows(Sms::ID), 10_001);
    assert!(!kept.sweep(10_003, 2).await);
    let oldest = kept
        .engine
        .run(|tx| Ok(tx.indexes().sms.aside.first().copied()));
    assert_eq!(oldest.await.unwrap(), Some((Timestamp(4), 4)));
    assert_eq!(kept.memory.rows(Sms::ID), 10_000);
}

#[tokio::test]
async fn far_away_too_many_things_are_forgotten_in_a_few_journeys() {
    let memory = Memory::remote();
    let copy = |id, until| CopyRow {
        id,
        session: uuid::Uuid::nil(),
        named: false,
        heard: true,
        until: Timestamp(until),
    };
    let kept = Kept::new(memory.clone());
    kept.fill(move |tx| {
        (0..300).try_for_each(|id| {
            let key = format!("k{id}");
            tx.put::<Copies>(&key, vec![copy(2 * id, 10), copy(2 * id + 1, 11)])?;
            tx.put::<Taken>(&number(2 * id), key.clone())?;
            tx.put::<Taken>(&number(2 * id + 1), key)
        })
    })
    .await;
    drop(kept);
    let mut kept = Kept::new(memory);
    let before = kept.memory.journeys();
    assert!(!kept.sweep(10, 500).await);
    let journeys = kept.memory.journeys() - before;
    assert!((1..=4).contains(&journeys), "{journeys}");
    let count = |kept: &Kept| (kept.memory.rows(Copies::ID), kept.memory.rows(Taken::ID));
    assert_eq!(count(&kept), (300, 300));
    kept.sweep_all(11, 500).await;
    assert_eq!(count(&kept), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_read_keeps_nothing_else_from_becoming_due() {
    for memory in [Memory::default(), Memory::remote()] {
        memory.forge(Leases::ID, "447700900123", b"\xc1");
        let mut kept = Kept::new(memory);
        let cooled = LeaseRow {
            vmn: E164Text("447700900901".parse().unwrap()),
            conversation: ConversationId(1),
            cooling_until: Some(Timestamp(5)),
        };
        kept.fill(move |tx| {
            tx.put::<Leases>("447700900124", vec![cooled])?;
            for phone in ["447700900123", "447700900124"] {
                tx.set_timer(Timestamp(5), &Timer::Leases(phone.to_owned()));
            }
            Ok(())
        })
        .await;
        assert_eq!(kept.sweep_all(10, 100).await, 1);
        assert_eq!(kept.memory.rows(Leases::ID), 1, "the one that is damaged");
        assert_eq!(kept.memory.rows(Timers::ID), 0);
    }
}
