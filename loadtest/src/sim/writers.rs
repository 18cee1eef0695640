//! The phones that write by themselves.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::sim::mo::{MoPlan, Writing};
use crate::sim::smsc::Smsc;

/// Lets phones write as the scenario in force has it, until the simulator stops.
pub(crate) async fn run(smsc: Arc<Smsc>, stop: CancellationToken) {
    let mut plans = smsc.plans.subscribe();
    loop {
        let now = plans.borrow_and_update().clone();
        let mut writers = JoinSet::new();
        for plan in now {
            writers.spawn(write(Arc::clone(&smsc), plan));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = plans.changed() => if changed.is_err() { return },
        }
    }
}

async fn write(smsc: Arc<Smsc>, plan: MoPlan) {
    let writing = Writing {
        to: plan.to,
        text: plan.text,
        account: plan.account,
        ..Writing::default()
    };
    let mut left = plan.times;
    while left != Some(0) {
        sleep(plan.every.0).await;
        smsc.write_alone(&plan.from, &writing);
        left = left.map(|left| left - 1);
    }
}
