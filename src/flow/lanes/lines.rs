//! What of the work is in memory, lane by lane. Pure.
//!
//! The store is read in one scan after the other. A lane that has enough in memory *misses* what
//! the scan finds of it, from then on everything, so that it keeps its order; when the scan is at
//! its end and the lane has room, the next scan starts behind the last item that the lane kept.
//! Such a scan finds again what other lanes have in memory: they know it by its place.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::{Doom, LaneWork};

/// How many items of one lane wait in memory; further ones wait in the store.
pub(super) const LANE_AHEAD: usize = 512;

/// How many items of lanes without trouble wait in memory, all together.
const READ_AHEAD: usize = 8_192;

/// How many lanes may be in trouble at once, one item of each in memory, before nothing more is
/// read.
const MAX_TROUBLED: usize = 65_536;

/// An item with what its attempts brought.
#[derive(Debug)]
pub(super) struct Job<T> {
    pub(super) item: Arc<T>,
    /// Failed attempts so far.
    pub(super) attempt: u32,
    /// Why it will never work: it only has to be set aside.
    pub(super) doomed: Option<Doom>,
}

impl<T> Clone for Job<T> {
    fn clone(&self) -> Self {
        Self {
            item: Arc::clone(&self.item),
            attempt: self.attempt,
            doomed: self.doomed.clone(),
        }
    }
}

/// One lane.
struct Line<W: LaneWork> {
    waiting: VecDeque<W::Item>,
    /// The head, when it has failed and is not being tried.
    failed: Option<Job<W::Item>>,
    /// Its head is being tried.
    busy: bool,
    /// Its head has failed. Nothing waits behind it in memory.
    troubled: bool,
    /// Its head is being tried and takes long: it counts no more among those that are.
    slow: bool,
    /// The newest item that was kept.
    kept: W::Place,
    missed: Missed,
}

impl<W: LaneWork> Line<W> {
    fn is_idle(&self) -> bool {
        !self.busy && !self.troubled && self.waiting.is_empty()
    }
}

/// What the store holds of a lane that a scan has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Missed {
    Nothing,
    /// More behind the newest item that was kept.
    Newer,
    /// Something before it too, that is there again.
    Older,
}

impl Missed {
    /// At least what is behind.
    fn newer(&mut self) {
        *self = (*self).max(Self::Newer);
    }
}

/// The lanes that have something in memory.
pub(super) struct Lines<W: LaneWork> {
    by_lane: HashMap<W::Lane, Line<W>>,
    /// Lanes whose next item may be taken.
    fresh: VecDeque<W::Lane>,
    /// Lanes whose failed head may be tried again.
    again: VecDeque<W::Lane>,
    /// Lanes whose failed head waits for its time; the number keeps the keys apart.
    parked: BTreeMap<(Instant, u64), W::Lane>,
    /// Lanes that had nothing left when their last item was done.
    idle: Vec<W::Lane>,
    turn: u64,
    waiting: usize,
    troubled: usize,
    /// How many failed heads are being tried.
    retrying: usize,
    /// Some lane has room again for what it missed.
    thirsty: bool,
}

impl<W: LaneWork> Lines<W> {
    pub(super) fn new() -> Self {
        Self {
            by_lane: HashMap::new(),
            fresh: VecDeque::new(),
            again: VecDeque::new(),
            parked: BTreeMap::new(),
            idle: Vec::new(),
            turn: 0,
            waiting: 0,
            troubled: 0,
            retrying: 0,
            thirsty: false,
        }
    }

    /// True while more may be read.
    pub(super) fn have_room(&self) -> bool {
        self.waiting < READ_AHEAD && self.troubled < MAX_TROUBLED
    }

    /// Takes what the scan has found.
    pub(super) fn push(&mut self, item: W::Item) {
        let (lane, place) = (W::lane(&item), W::place(&item));
        let state = self.by_lane.entry(lane.clone()).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            failed: None,
            busy: false,
            troubled: false,
            slow: false,
            kept: W::START,
            missed: Missed::Nothing,
        });
        if place <= state.kept {
            return;
        }
        let passed = state.missed > Missed::Nothing || state.troubled;
        if passed || state.waiting.len() >= LANE_AHEAD {
            state.missed.newer();
            return;
        }
        if state.waiting.is_empty() && !state.busy {
            self.fresh.push_back(lane);
        }
        state.kept = place;
        state.waiting.push_back(item);
        self.waiting += 1;
    }

    /// The next item whose lane is free; its lane is busy from now on. Failed heads get half of
    /// `concurrency`, so that slow failures leave room for the rest.
    pub(super) fn take(&mut self, concurrency: usize) -> Option<(W::Lane, Job<W::Item>)> {
        let retry = self.retrying < (concurrency / 2).max(1);
        if let Some(lane) = self.again.pop_front_if(|_| retry) {
            let state = self.by_lane.get_mut(&lane)?;
            state.busy = true;
            self.retrying += 1;
            let job = state.failed.take()?;
            return Some((lane, job));
        }
        let lane = self.fresh.pop_front()?;
        let state = self.by_lane.get_mut(&lane)?;
        state.busy = true;
        let item = Arc::new(state.waiting.pop_front()?);
        self.waiting -= 1;
        let job = Job {
            item,
            attempt: 0,
            doomed: None,
        };
        Some((lane, job))
    }

    /// Something may be in the store again that was done. A lane that has something in memory reads
    /// on when it has done that, and then from the beginning. What a look that is under way brings
    /// does not count any more.
    pub(super) fn again(&mut self) {
        self.by_lane.retain(|_, state| !state.is_idle());
        for state in self.by_lane.values_mut() {
            state.missed = Missed::Older;
        }
    }

    /// The lane's head takes long: it leaves its room to others.
    pub(super) fn is_slow(&mut self, lane: &W::Lane) {
        if let Some(state) = self.by_lane.get_mut(lane) {
            state.slow = true;
            self.retrying -= usize::from(state.troubled);
        }
    }

    /// The lane's head is done.
    pub(super) fn done(&mut self, lane: &W::Lane) {
        let Some(state) = self.by_lane.get_mut(lane) else {
            return;
        };
        state.busy = false;
        let was_slow = std::mem::take(&mut state.slow);
        if state.troubled {
            state.troubled = false;
            self.troubled -= 1;
            self.retrying -= usize::from(!was_slow);
        }
        if !state.waiting.is_empty() {
            self.fresh.push_back(lane.clone());
        } else if state.missed > Missed::Nothing {
            self.thirsty = true;
        } else {
            // A look that is under way may bring again what has just been done.
            self.idle.push(lane.clone());
        }
    }

    /// True where a lane has room again for what it missed.
    pub(super) fn is_thirsty(&self) -> bool {
        self.thirsty
    }

    /// Forgets the lanes that have done all that is known of them. Only while no look is under
    /// way that counts.
    pub(super) fn forget_idle(&mut self) {
        for lane in self.idle.drain(..) {
            if let Entry::Occupied(state) = self.by_lane.entry(lane)
                && state.get().is_idle()
                && state.get().missed == Missed::Nothing
            {
                state.remove();
            }
        }
    }

    /// The lane's head has failed and waits until `until`; what is behind it goes back to the
    /// store, so that lanes in trouble take no room from others.
    pub(super) fn park(&mut self, lane: W::Lane, job: Job<W::Item>, until: Instant) {
        let Some(state) = self.by_lane.get_mut(&lane) else {
            return;
        };
        state.busy = false;
        let was_slow = std::mem::take(&mut state.slow);
        if state.troubled {
            self.retrying -= usize::from(!was_slow);
        } else {
            state.troubled = true;
            self.troubled += 1;
        }
        if !state.waiting.is_empty() {
            state.missed.newer();
        }
        self.waiting -= state.waiting.len();
        state.waiting = VecDeque::new();
        state.kept = W::place(&job.item);
        state.failed = Some(job);
        self.parked.insert((until, self.turn), lane);
        self.turn += 1;
    }

    /// Lets the heads be tried whose time has come; gives the time of the next.
    pub(super) fn wake(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let first = self.parked.first_entry()?;
            let until = first.key().0;
            if until > now {
                return Some(until);
            }
            self.again.push_back(first.remove());
        }
    }

    /// At the end of a scan: where the next must start for what lanes with room have missed.
    pub(super) fn rewind(&mut self) -> Option<W::Place> {
        if !std::mem::take(&mut self.thirsty) {
            return None;
        }
        self.by_lane
            .retain(|_, state| state.missed > Missed::Nothing || !state.is_idle());
        let mut start = None;
        for (lane, state) in &mut self.by_lane {
            let readable = match state.missed {
                Missed::Nothing => false,
                Missed::Newer => !state.troubled,
                Missed::Older => state.is_idle(),
            };
            if readable {
                if state.missed == Missed::Older {
                    state.kept = W::START;
                }
                state.missed = Missed::Nothing;
                start = Some(start.map_or(state.kept, |at: W::Place| at.min(state.kept)));
                self.idle.push(lane.clone());
            }
        }
        start
    }
}
