use std::collections::HashSet;
use std::sync::Mutex;

use super::lines::LANE_AHEAD;
use super::*;

const RETRY: Retry = Retry {
    first: Duration::from_millis(1),
    cap: Duration::from_millis(2),
};

/// Items are (place, lane, what happens); what was done is written down.
#[derive(Clone, Default)]
struct Script {
    items: Arc<Vec<(usize, char, Act)>>,
    done: Arc<Mutex<Vec<usize>>>,
    aside: Arc<Mutex<Vec<usize>>>,
    tries: Arc<Mutex<HashMap<usize, u32>>>,
    /// Set aside at first.
    hidden: Arc<Mutex<HashSet<usize>>>,
    wake: Wake,
    /// How long a look takes, in turns of the others.
    slowness: usize,
    dead: usize,
    finished: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Act {
    Work,
    FailTwice,
    /// Fails for ever.
    Dead,
    /// Never ends.
    Hang,
    /// Fails once, and then never ends.
    FailThenHang,
    /// Waits behind a dead one.
    Blocked,
    Never,
    Panic,
    /// And while it is set aside, unless that is done in silence.
    PanicTwice,
    /// Puts the first item back.
    Retry,
}

impl Script {
    fn new(items: &[(char, Act)]) -> Self {
        let numbered = items
            .iter()
            .enumerate()
            .map(|(at, (lane, act))| (at + 1, *lane, *act));
        Self {
            items: Arc::new(numbered.collect()),
            dead: items
                .iter()
                .filter(|(_, act)| {
                    matches!(
                        act,
                        Act::Dead | Act::Blocked | Act::Hang | Act::FailThenHang
                    )
                })
                .count(),
            ..Self::default()
        }
    }

    fn reveal(&self, places: std::ops::Range<usize>) {
        let mut hidden = self.hidden.lock().expect("lock");
        hidden.retain(|place| !places.contains(place));
    }

    fn record(&self, list: &Mutex<Vec<usize>>, place: usize) {
        list.lock().expect("lock").push(place);
        let ended = self.done.lock().expect("lock").len() + self.aside.lock().expect("lock").len();
        if ended + self.dead == self.items.len() {
            self.finished.notify_one();
        }
    }

    async fn play(&self, concurrency: usize) {
        let stop = CancellationToken::new();
        let wake = self.wake.clone();
        let worker = run(self.clone(), concurrency, RETRY, wake, stop.clone());
        tokio::select! {
            () = worker => panic!("ended by itself"),
            () = self.finished.notified() => stop.cancel(),
        }
    }

    fn order_of(&self, lane: char) -> Vec<usize> {
        let lane_of = |place: usize| self.items[place - 1].1;
        let done = self.done.lock().expect("lock");
        done.iter()
            .copied()
            .filter(|place| lane_of(*place) == lane)
            .collect()
    }
}

impl LaneWork for Script {
    type Item = (usize, char, Act);
    type Lane = char;
    type Place = usize;
    const START: usize = 0;

    fn lane(item: &Self::Item) -> char {
        item.1
    }

    fn place(item: &Self::Item) -> usize {
        item.0
    }

    async fn fetch(&self, after: usize, limit: usize) -> Result<Vec<Self::Item>, Trouble> {
        let done = self.done.lock().expect("lock").clone();
        let aside = self.aside.lock().expect("lock").clone();
        let hidden = self.hidden.lock().expect("lock").clone();
        let ended: HashSet<_> = done.into_iter().chain(aside).chain(hidden).collect();
        let pending = self.items.iter().skip(after);
        let pending = pending.filter(|item| !ended.contains(&item.0));
        let found = pending.take(limit).copied().collect();
        // What is found can be done before it is read.
        for _ in 0..self.slowness {
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    async fn attend(&self, item: &Self::Item) -> Result<(), Trouble> {
        tokio::task::yield_now().await;
        let tries = {
            let mut tries = self.tries.lock().expect("lock");
            let count = tries.entry(item.0).or_default();
            *count += 1;
            *count
        };
        match item.2 {
            Act::Hang | Act::FailThenHang if tries > 1 || matches!(item.2, Act::Hang) => {
                std::future::pending::<()>().await;
            }
            Act::FailThenHang => {
                return Err(Trouble::Later {
                    wish: None,
                    why: "not yet".into(),
                });
            }
            Act::FailTwice if tries < 3 => {
                return Err(Trouble::Later {
                    wish: None,
                    why: "not yet".into(),
                });
            }
            Act::Dead => {
                return Err(Trouble::Later {
                    wish: None,
                    why: "dead".into(),
                });
            }
            Act::Never => return Err(Trouble::Never("poison".into())),
            Act::Blocked => panic!("overtook the head of its lane"),
            Act::Panic | Act::PanicTwice => panic!("poison"),
            Act::Retry => {
                self.hidden.lock().expect("lock").clear();
                self.wake.ring_again();
            }
            Act::Work | Act::FailTwice | Act::Hang => {}
        }
        self.record(&self.done, item.0);
        Ok(())
    }

    async fn set_aside(&self, item: &Self::Item, doom: Doom) -> Result<(), Trouble> {
        assert!(doom.silent || !matches!(item.2, Act::PanicTwice), "poison");
        self.record(&self.aside, item.0);
        Ok(())
    }
}

#[tokio::test]
async fn a_lane_keeps_its_order_through_failures() {
    use Act::{FailTwice, Work};
    let script = Script::new(&[
        ('a', FailTwice),
        ('b', Work),
        ('a', Work),
        ('b', FailTwice),
        ('a', Work),
    ]);
    script.play(4).await;
    assert_eq!(script.order_of('a'), [1, 3, 5]);
    assert_eq!(script.order_of('b'), [2, 4]);
}

/// Has its turn after those that take long, on a clock that goes on by itself.
#[tokio::test(start_paused = true)]
async fn what_never_ends_takes_no_room_from_others() {
    use Act::{Blocked, FailThenHang, FailTwice, Hang, Work};
    for (concurrency, hanging) in [(1, Hang), (3, Hang), (1, FailThenHang), (2, FailThenHang)] {
        let hanging = ['a', 'b', 'c', 'd', 'e'].map(|lane| [(lane, hanging), (lane, Blocked)]);
        let others = [('x', FailTwice), ('y', Work), ('x', Work)];
        let script = Script::new(&[&*hanging.concat(), &others].concat());
        let played = tokio::time::timeout(LOOK, script.play(concurrency)).await;
        assert!(played.is_ok(), "{concurrency}");
        assert_eq!(script.order_of('x'), [11, 13]);
        assert_eq!(script.order_of('y'), [12]);
    }
}

#[tokio::test]
async fn a_poisoned_item_is_set_aside_and_its_lane_goes_on() {
    use Act::{Never, Panic, Work};
    let script = Script::new(&[('a', Never), ('a', Panic), ('a', Work), ('b', Work)]);
    script.play(1).await;
    assert_eq!(script.order_of('a'), [3]);
    assert_eq!(*script.aside.lock().expect("lock"), [1, 2]);
}

#[tokio::test]
async fn an_item_whose_telling_fails_too_is_set_aside_in_silence() {
    let script = Script::new(&[('a', Act::PanicTwice), ('a', Act::Work)]);
    script.play(1).await;
    assert_eq!(script.order_of('a'), [2]);
    assert_eq!(*script.aside.lock().expect("lock"), [1]);
}

#[tokio::test]
async fn what_comes_back_is_done_though_newer_items_were_read_before() {
    use Act::{FailTwice, Retry, Work};
    for others in [
        &[('a', Retry)][..],
        &[('b', Retry)],
        &[('a', Retry), ('a', Work), ('b', Work), ('a', FailTwice)],
        &[('a', FailTwice), ('b', Retry), ('a', Work), ('b', Work)],
    ] {
        let items: Vec<_> = [('a', Work)].iter().chain(others).copied().collect();
        let script = Script::new(&items);
        script.hidden.lock().expect("lock").insert(1);
        script.play(2).await;
        let mut done = script.done.lock().expect("lock").clone();
        done.sort_unstable();
        let all: Vec<_> = (1..=items.len()).collect();
        assert_eq!(done, all, "each once");
    }
}

#[tokio::test]
async fn a_burst_in_many_lanes_is_done_once_and_in_order_while_looks_are_slow() {
    const LANES: u32 = 300;
    for (slowness, concurrency) in [(0, 512), (5, 512), (40, 512), (40, 20), (400, 512)] {
        let items: Vec<_> = (0..2_400)
            .map(|number| match number % 1_000 {
                999 => (lane(number % LANES), Act::FailTwice),
                _ => (lane(number % LANES), Act::Work),
            })
            .collect();
        let mut script = Script::new(&items);
        script.slowness = slowness;
        script.hidden = Arc::new(Mutex::new((1..=items.len()).collect()));
        let arrive = async {
            for first in (1..=items.len()).step_by(10) {
                script.reveal(first..first + 10);
                match first % 70 {
                    1 => script.wake.ring_again(),
                    _ => script.wake.ring(),
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(script.play(concurrency), arrive);
        for number in 0..LANES {
            let order = script.order_of(lane(number));
            let all: Vec<_> = (1..=8)
                .map(|turn| turn * 300 + number as usize - 299)
                .collect();
            assert_eq!(order, all, "slowness {slowness}, lane {number}");
        }
    }
}

#[test]
fn waits_grow_to_the_cap_and_heed_the_peers_wish() {
    let retry = Retry {
        first: Duration::from_secs(1),
        cap: Duration::from_secs(10),
    };
    assert_eq!(retry.wait(0, None), Duration::from_secs(1));
    assert_eq!(retry.wait(2, None), Duration::from_secs(4));
    assert_eq!(retry.wait(60, None), Duration::from_secs(10));
    assert_eq!(
        retry.wait(0, Some(Duration::from_secs(30))),
        Duration::from_secs(30)
    );
}

/// The characters from `\u{1000}` on are lanes too.
fn lane(number: u32) -> char {
    char::from_u32(0x1000 + number).expect("a character")
}

#[tokio::test]
async fn dead_lanes_do_not_hold_up_a_healthy_one() {
    let dead = (0..64).map(|number| (lane(number), Act::Dead));
    let healthy = [('a', Act::Work), ('a', Act::FailTwice), ('a', Act::Work)];
    let script = Script::new(&dead.chain(healthy).collect::<Vec<_>>());
    script.play(2).await;
    assert_eq!(script.order_of('a'), [65, 66, 67]);
    assert!(script.aside.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_long_queue_behind_a_dead_head_leaves_room_for_other_lanes() {
    let mut items = vec![('d', Act::Dead)];
    items.resize(20_000, ('d', Act::Blocked));
    items.push(('a', Act::Work));
    let script = Script::new(&items);
    script.play(2).await;
    assert_eq!(script.order_of('a'), [20_001]);
}

#[tokio::test]
async fn a_lane_that_recovers_loses_nothing_and_keeps_its_order() {
    let mut items = Vec::new();
    for number in 0..LANE_AHEAD * 3 {
        let act = if number % 400 == 0 {
            Act::FailTwice
        } else {
            Act::Work
        };
        items.extend([('a', act), ('b', Act::Work)]);
    }
    let script = Script::new(&items);
    script.play(3).await;
    let odd: Vec<_> = (0..LANE_AHEAD * 3).map(|number| number * 2 + 1).collect();
    let even: Vec<_> = odd.iter().map(|place| place + 1).collect();
    assert_eq!(script.order_of('a'), odd);
    assert_eq!(script.order_of('b'), even);
}
