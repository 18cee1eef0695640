//! What one bind is to send, and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use matrix_smpp_codec::Body;

use crate::load::mix::{Messages, MixError, as_deliver_sm};
use crate::load::pace::{Due, Share};
use crate::load::run::{Shared, share};
use crate::load::settings::Traffic;

/// What one bind is to send.
#[derive(Debug)]
pub(crate) struct Feed {
    share: Share,
    messages: Arc<Messages>,
    next: u64,
    stride: u64,
    /// Whether messages go out as `deliver_sm` and not as `submit_sm`.
    delivers: bool,
    ready: VecDeque<Body>,
    pub(crate) done: bool,
}

impl Feed {
    /// The feeds of so many binds, which together send all of the traffic.
    pub(crate) fn all(
        binds: usize,
        shared: &Shared,
        traffic: &Traffic,
        delivers: bool,
    ) -> Result<Vec<Self>, MixError> {
        let messages = Arc::new(Messages::new(&traffic.mix)?);
        let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let one = |first| Self {
            share: share(traffic, first, binds),
            messages: Arc::clone(&messages),
            next: wide(first),
            stride: wide(binds),
            delivers,
            ready: VecDeque::new(),
            done: false,
        };
        shared.sending.fetch_add(wide(binds), Ordering::AcqRel);
        Ok((0..binds).map(one).collect())
    }

    /// Takes out what is due and fits into so much room, each with the time at which it was due.
    /// Says what the share says about the next.
    pub(crate) fn choose(
        &mut self,
        elapsed: Duration,
        room: usize,
        chosen: &mut Vec<(Duration, Body)>,
    ) -> Due {
        let mut share = self.share.clone();
        loop {
            match share.due(elapsed) {
                Due::Since(due) if chosen.len() < room => {
                    let Some(body) = self.body() else {
                        return Due::Never;
                    };
                    chosen.push((due, body));
                    share.take();
                }
                next => return next,
            }
        }
    }

    /// So many of those that were chosen have been sent; the others wait for their next time.
    pub(crate) fn sent(&mut self, count: usize, left: Vec<Body>) {
        for _ in 0..count {
            self.share.take();
        }
        let left = left.into_iter().rev();
        left.for_each(|body| self.ready.push_front(body));
    }

    /// The next PDU of the row of messages.
    fn body(&mut self) -> Option<Body> {
        if self.ready.is_empty() {
            let wrap = |pdu| {
                if self.delivers {
                    as_deliver_sm(pdu)
                } else {
                    Body::SubmitSm(pdu)
                }
            };
            self.ready
                .extend(self.messages.segments(self.next).into_iter().map(wrap));
            self.next = self.next.saturating_add(self.stride);
        }
        self.ready.pop_front()
    }
}
