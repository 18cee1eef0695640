//! The links of a group that there are now: those that we dial, or those that an account has bound.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::select_all;
use matrix_smpp_codec::CommandId;
use matrix_smpp_session::{Counters, LinkState};
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use crate::ops::metrics::{self, Metrics};

/// The name under which all binds of an account are counted.
const BINDS: &str = "binds";

/// The links of a group. They come and go where the peer binds to us.
#[derive(Debug, Default)]
pub(super) struct Roster {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    links: Vec<Outgoing>,
    next: u64,
    /// What links that are gone have counted, in and out.
    gone: BTreeMap<u32, [u64; 2]>,
}

impl Roster {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a link that is about to be added.
    pub(super) fn name(&self) -> String {
        let mut state = self.state();
        state.next += 1;
        state.next.to_string()
    }

    pub(super) fn add(&self, link: Outgoing) {
        self.state().links.push(link);
        self.changed.notify_waiters();
    }

    /// A link is gone for good.
    pub(super) fn remove(&self, name: &str) {
        let mut state = self.state();
        let place = state.links.iter().position(|link| link.name == name);
        if let Some(place) = place {
            let link = state.links.remove(place);
            add_up(&mut state.gone, link.handle.counters());
        }
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn all(&self) -> Vec<Outgoing> {
        self.state().links.clone()
    }

    /// Those that take messages of ours.
    pub(super) fn takers(&self) -> Vec<Outgoing> {
        let mut links = self.all();
        links.retain(|link| link.takes);
        links
    }

    /// Until one of them has room for a request.
    pub(super) async fn ready(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let takers = self.takers();
            if takers.is_empty() {
                changed.await;
                continue;
            }
            let any = select_all(takers.iter().map(|one| Box::pin(one.handle.ready())));
            tokio::select! {
                () = changed => {}
                _ = any => return,
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.all()
            .iter()
            .any(|link| link.handle.state() == LinkState::Bound)
    }

    /// Writes what an account's binds have counted into the metrics, all as one link: a bind has no
    /// name that lasts.
    pub(super) fn export(&self, group: &str, metrics: &Metrics) {
        let (count, counted) = {
            let state = self.state();
            let mut counted = state.gone.clone();
            for link in &state.links {
                add_up(&mut counted, link.handle.counters());
            }
            (state.links.len(), counted)
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.binds.with_label_values(&[group]).set(count);
        for command in CommandId::KNOWN {
            let [inward, outward] = counted.get(&command.0).copied().unwrap_or_default();
            for (direction, count) in [("in", inward), ("out", outward)] {
                let labels = [group, BINDS, direction, command.name().unwrap_or("other")];
                metrics::catch_up(&metrics.pdus.with_label_values(&labels), count);
            }
        }
    }
}

fn add_up(sums: &mut BTreeMap<u32, [u64; 2]>, counters: &Counters) {
    for command in CommandId::KNOWN {
        let [inward, outward] = sums.entry(command.0).or_default();
        *inward += counters.pdus_in(*command);
        *outward += counters.pdus_out(*command);
    }
}
