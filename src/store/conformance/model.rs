//! Random operations, against a model.

use super::*;

pub(crate) async fn money_and_leases_hold_under_any_order_of_operations(engine: &dyn Engine) {
    let store = engine.another().open();
    assert_eq!(account(&store).await, (0, 0, 0));
}
