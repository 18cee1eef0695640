//! What became of what we sent, into the store.

use std::time::Duration;

use tracing::{error, warn};

use crate::flow::Gateway;
use crate::store::{Answer, ReceiptAnswer, StoreError};

/// The longest wait for a store that is away: nothing else is done on the link meanwhile.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Records answers, however long the store takes: without the record the segments would stay
/// unanswered until the next start. One that the store will never take is left out.
pub(super) async fn record(gateway: &Gateway, answers: &[Answer]) {
    if answers.is_empty() {
        return;
    }
    let record = |some| {
        let now = gateway.clock.now();
        gateway.store.record_answers(some, now)
    };
    let pause = |attempt| tokio::time::sleep(gateway.retry_wait(attempt).min(STORE_PAUSE));
    let refused = record_each(answers, record, pause).await;
    gateway.metrics.set_aside.inc_by(refused);
    gateway.wakes.outbox.notify_one();
    gateway.wakes.groups.ring_all();
}

/// Records what became of receipts, however long the store takes.
pub(super) async fn record_receipts(gateway: &Gateway, answers: &[ReceiptAnswer]) {
    if answers.is_empty() {
        return;
    }
    let record = |some| {
        let now = gateway.clock.now();
        gateway.store.record_receipts(some, now)
    };
    let pause = |attempt| tokio::time::sleep(gateway.retry_wait(attempt).min(STORE_PAUSE));
    if let Err(error) = record_some(answers, &record, &pause).await {
        error!(%error, "what became of receipts cannot be recorded; they are sent again");
    }
    gateway.wakes.groups.ring_all();
}

/// Records all together, or where one of them is not to be had, each alone. Gives how many the store
/// will never take.
async fn record_each<R, P>(
    answers: &[Answer],
    record: impl Fn(Vec<Answer>) -> R,
    pause: impl Fn(u32) -> P,
) -> u64
where
    R: Future<Output = Result<(), StoreError>>,
    P: Future<Output = ()>,
{
    if record_some(answers, &record, &pause).await.is_ok() {
        return 0;
    }
    let mut refused = 0;
    for answer in answers {
        let alone = std::slice::from_ref(answer);
        if let Err(error) = record_some(alone, &record, &pause).await {
            error!(%error, message = %answer.segment.message, "an answer cannot be recorded");
            refused += 1;
        }
    }
    refused
}

/// Tries as long as the store is away; tells what it will not take.
async fn record_some<T: Clone, R, P>(
    answers: &[T],
    record: &impl Fn(Vec<T>) -> R,
    pause: &impl Fn(u32) -> P,
) -> Result<(), StoreError>
where
    R: Future<Output = Result<(), StoreError>>,
    P: Future<Output = ()>,
{
    let mut attempt = 0;
    loop {
        match record(answers.to_vec()).await {
            Err(error @ StoreError::Unavailable(_)) => {
                warn!(%error, "cannot record answers");
                pause(attempt).await;
                attempt = attempt.saturating_add(1);
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use uuid::Uuid;

    use super::*;
    use crate::gateway::model::{MessageId, SegmentRef};
    use crate::store::Outcome;

    fn answer(number: u8) -> Answer {
        let message = MessageId(Uuid::from_u128(u128::from(number)));
        Answer {
            segment: SegmentRef { message, index: 1 },
            attempt: 1,
            outcome: Outcome::NotWritten,
        }
    }

    #[tokio::test]
    async fn an_answer_that_the_store_never_takes_holds_up_no_other() {
        let (poison, away) = (answer(2), RefCell::new(2));
        let taken = RefCell::new(Vec::new());
        let record = async |some: Vec<Answer>| {
            if *away.borrow() > 0 {
                *away.borrow_mut() -= 1;
                return Err(StoreError::Unavailable("not now".to_owned()));
            }
            if some.contains(&poison) {
                return Err(StoreError::Corrupt("unreadable".to_owned()));
            }
            taken.borrow_mut().extend(some);
            Ok(())
        };
        let all = [answer(1), answer(2), answer(3)];
        let refused = record_each(&all, record, |_| std::future::ready(())).await;
        assert_eq!(refused, 1);
        assert_eq!(*taken.borrow(), [answer(1), answer(3)]);
    }
}
