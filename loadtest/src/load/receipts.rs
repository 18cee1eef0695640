//! Which receipts are due, and how long each took. Shared by all binds: a receipt may come on any of
//! them, before the answer that names its message, and with its id written in another form.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::load::id_form::{IdForm, Key};

/// The table is cut into so many parts, each behind its own lock.
const PARTS: usize = 16;

/// The most message ids that one part remembers; those beyond are not followed.
const MOST: usize = 250_000;

/// How many of the latest messages that have their receipt one part remembers.
const MOST_DONE: usize = 50_000;

/// From so many receipts without a message on, it is asked whether their ids have another form;
/// then again each time that there are twice as many.
const DOUBT: i64 = 8;

/// How many receipts are looked at for that.
const SAMPLE: usize = 1_000;

/// What a message id waits for.
#[derive(Debug, Clone, Copy)]
enum Half {
    /// Its receipt; the message was sent then.
    Sent(Instant),
    /// The answer to its request; the receipt came then.
    Early(Instant),
}

#[derive(Debug)]
pub(crate) struct Receipts {
    parts: [Mutex<Part>; PARTS],
    hasher: RandomState,
    /// Receipts without a message; for a moment one too few, where both halves come at once.
    early: AtomicI64,
    /// Receipts that have found theirs.
    matched: AtomicUsize,
    /// With so many receipts without a message, their form is asked about.
    doubt: AtomicI64,
}

#[derive(Debug)]
struct Part {
    /// The same in all parts; it changes only while all are locked.
    form: IdForm,
    open: HashMap<Key, Half>,
    /// Hashes of the keys that have met.
    done: HashSet<u64>,
    done_in_order: VecDeque<u64>,
}

/// What became of one half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// Both are there: this long from the sending to the receipt.
    After(Duration),
    /// The other half is to come.
    NotYet,
    /// The message has had its receipt.
    Again,
    /// The table is full, or another message has this id.
    Lost,
}

impl Receipts {
    pub(crate) fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::new(Part::new())),
            hasher: RandomState::new(),
            early: AtomicI64::new(0),
            matched: AtomicUsize::new(0),
            doubt: AtomicI64::new(DOUBT),
        }
    }

    /// A message was accepted under this id.
    pub(crate) fn accepted(&self, id: &[u8], sent: Instant) -> Matched {
        let matched = self.meet(|form| form.of_answer(id), Half::Sent(sent));
        if matches!(matched, Matched::After(_)) {
            self.early.fetch_sub(1, Relaxed);
        }
        matched
    }

    /// A receipt names this id.
    pub(crate) fn received(&self, id: &[u8], now: Instant) -> Matched {
        let matched = self.meet(|form| form.of_receipt(id), Half::Early(now));
        if matched == Matched::NotYet {
            self.early.fetch_add(1, Relaxed);
        }
        matched
    }

    /// How many receipts are due: `(due, early)`, the latter without a message that they belong to.
    pub(crate) fn open(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for part in &self.parts {
            for half in lock(part).open.values() {
                match half {
                    Half::Sent(_) => counts.0 += 1,
                    Half::Early(_) => counts.1 += 1,
                }
            }
        }
        counts
    }

    /// Whether so many receipts are without a message that [`Self::learn`] is worth its time.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.early.load(Relaxed) >= self.doubt.load(Relaxed)
    }

    /// Looks for a form of ids in which the receipts that wait find their messages, and keeps to it
    /// from then on. Gives how long each of those took that have.
    pub(crate) fn learn(&self) -> Vec<Duration> {
        let mut parts: Vec<_> = self.parts.iter().map(lock).collect();
        let early = self.early.load(Relaxed);
        self.doubt.store((early * 2).max(DOUBT), Relaxed);
        if early <= 0 || parts.iter().any(|part| part.form != IdForm::Same) {
            return Vec::new();
        }
        let Some(form) = learnt(&parts, self.matched.load(Relaxed)) else {
            return Vec::new();
        };
        tracing::info!(
            ?form,
            "the ids of receipts have another form than those of answers"
        );
        let mut halves = Vec::new();
        for part in &mut parts {
            halves.extend(part.open.drain());
            part.form = form;
        }
        self.early.store(0, Relaxed);
        drop(parts);
        let again = halves.into_iter().map(|(id, half)| match half {
            Half::Sent(at) => self.accepted(&id, at),
            Half::Early(at) => self.received(&id, at),
        });
        again
            .filter_map(|matched| match matched {
                Matched::After(delay) => Some(delay),
                _ => None,
            })
            .collect()
    }

    fn meet(&self, key: impl Fn(IdForm) -> Key, half: Half) -> Matched {
        let mut form = IdForm::Same;
        loop {
            let key = key(form);
            let hash = self.hasher.hash_one(&key);
            let [.., low] = hash.to_be_bytes();
            let Some(part) = self.parts.get(usize::from(low) % PARTS) else {
                return Matched::Lost;
            };
            let mut part = lock(part);
            if part.form == form {
                let matched = part.meet(key, hash, half);
                let found = usize::from(matches!(matched, Matched::After(_)));
                self.matched.fetch_add(found, Relaxed);
                return matched;
            }
            form = part.form;
        }
    }
}

fn learnt(parts: &[MutexGuard<'_, Part>], matched: usize) -> Option<IdForm> {
    let (mut answers, mut receipts): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for (id, half) in parts.iter().flat_map(|part| &part.open) {
        match half {
            Half::Sent(_) => answers.push(id),
            Half::Early(_) if receipts.len() < SAMPLE => receipts.push(id),
            Half::Early(_) => {}
        }
    }
    IdForm::learnt(&answers, &receipts, matched)
}

impl Part {
    fn new() -> Self {
        Self {
            form: IdForm::Same,
            open: HashMap::new(),
            done: HashSet::new(),
            done_in_order: VecDeque::new(),
        }
    }

    fn meet(&mut self, key: Key, hash: u64, half: Half) -> Matched {
        let full = self.open.len() >= MOST;
        match self.open.entry(key) {
            Entry::Vacant(_) if matches!(half, Half::Early(_)) && self.done.contains(&hash) => {
                Matched::Again
            }
            Entry::Vacant(_) if full => Matched::Lost,
            Entry::Vacant(place) => {
                place.insert(half);
                Matched::NotYet
            }
            Entry::Occupied(place) => match (*place.get(), half) {
                (Half::Sent(sent), Half::Early(came)) | (Half::Early(came), Half::Sent(sent)) => {
                    place.remove();
                    self.remember(hash);
                    Matched::After(came.saturating_duration_since(sent))
                }
                (Half::Early(_), Half::Early(_)) => Matched::Again,
                (Half::Sent(_), Half::Sent(_)) => Matched::Lost,
            },
        }
    }

    fn remember(&mut self, hash: u64) {
        if self.done_in_order.len() >= MOST_DONE
            && let Some(oldest) = self.done_in_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        if self.done.insert(hash) {
            self.done_in_order.push_back(hash);
        }
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn instants() -> (Instant, Instant) {
        let now = Instant::now();
        (now, now + Duration::from_millis(20))
    }

    #[test]
    fn a_receipt_meets_its_message_in_either_order_and_once() {
        let (sent, came) = instants();
        let after = Matched::After(Duration::from_millis(20));
        let receipts = Receipts::new();
        assert_eq!(receipts.accepted(b"a", sent), Matched::NotYet);
        assert_eq!(receipts.received(b"b", came), Matched::NotYet);
        assert_eq!(receipts.open(), (1, 1));
        assert_eq!(receipts.received(b"a", came), after);
        assert_eq!(receipts.accepted(b"b", sent), after);
        assert_eq!(receipts.open(), (0, 0));
    }

    #[test]
    fn a_second_receipt_is_known_as_such_and_is_not_an_unknown_one() {
        let (sent, came) = instants();
        let receipts = Receipts::new();
        receipts.accepted(b"a", sent);
        receipts.received(b"a", came);
        assert_eq!(receipts.received(b"a", came), Matched::Again);
        assert_eq!(receipts.received(b"early", came), Matched::NotYet);
        assert_eq!(receipts.received(b"early", came), Matched::Again);
        assert_eq!(receipts.open(), (0, 1));
    }

    #[test]
    fn what_is_remembered_of_the_past_is_bounded() {
        let (sent, came) = instants();
        let mut part = Part::new();
        let mut meet = |number: usize, half| {
            let key = number.to_string().into_bytes().into();
            part.meet(key, u64::try_from(number).unwrap(), half)
        };
        for number in 0..=MOST_DONE {
            meet(number, Half::Sent(sent));
            meet(number, Half::Early(came));
        }
        assert_eq!(meet(MOST_DONE, Half::Early(came)), Matched::Again);
        assert_eq!(meet(0, Half::Early(came)), Matched::NotYet);
        assert_eq!(part.done.len(), MOST_DONE);
        assert_eq!(part.done_in_order.len(), MOST_DONE);
    }

    #[test]
    fn ids_in_another_form_are_learnt_and_known_from_then_on() {
        let (sent, came) = instants();
        let receipts = Receipts::new();
        for id in 1_000..1_010_u32 {
            receipts.accepted(format!("{id:X}").as_bytes(), sent);
        }
        for (waiting, id) in (0..).zip(1_000..1_010_u32) {
            assert_eq!(receipts.is_doubtful(), waiting >= DOUBT);
            receipts.received(format!("{id:012}").as_bytes(), came);
        }
        assert_eq!(receipts.learn(), [Duration::from_millis(20); 10]);
        assert_eq!(receipts.open(), (0, 0));
        assert_eq!(receipts.accepted(b"ABC", sent), Matched::NotYet);
        assert!(matches!(
            receipts.received(b"2748", came),
            Matched::After(_)
        ));
        assert_eq!(receipts.received(b"2748", came), Matched::Again);
    }

    #[test]
    fn receipts_that_are_only_early_teach_no_other_form() {
        let (sent, came) = instants();
        let receipts = Receipts::new();
        for id in 1_000..1_100_u32 {
            receipts.received(id.to_string().as_bytes(), came);
        }
        assert!(receipts.is_doubtful());
        assert!(receipts.learn().is_empty());
        assert!(!receipts.is_doubtful());
        assert!(matches!(
            receipts.accepted(b"1000", sent),
            Matched::After(_)
        ));
    }
}
