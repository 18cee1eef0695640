//! No statement of daily work reads a whole table, however much is stored.

use std::collections::BTreeSet;

use super::*;
use crate::store::conformance;
use crate::store::sqlite::rows::statements_seen;

/// Statements that list or add up everything, by their nature.
const WHOLE: [&str; 10] = [
    // the oldest messages by their key: as many as the limit says
    "FROM message ORDER BY key LIMIT ?2",
    // what was set aside beyond its bound, by an index of no more than that
    "ORDER BY ended_at DESC LIMIT ?2 OFFSET ?1",
    // accounts, leases, numbers: a person asks for all
    "FROM account ORDER BY owner",
    "FROM lease ORDER BY vmn, handset",
    "FROM dedicated ORDER BY number",
    "WITH sums AS",
    // what was set aside, in the order of its index: a person asks for all of it
    "WHERE progress = 2\n         ORDER BY ended_at LIMIT ?1",
    // gauges: counted by the narrowest index
    "SELECT count(*) FROM",
    "(SELECT count(*) FROM event",
    // of the tests of group commit
    "FROM t ORDER BY id",
];

#[tokio::test]
async fn no_statement_of_daily_work_reads_a_whole_table() {
    let engine = Sqlite::default();
    // Lives that touch nearly everything; the other tests of this process add theirs.
    conformance::receipts::a_lost_segment_may_still_arrive_without_a_charge(&Sqlite::default())
        .await;
    conformance::lanes::a_message_past_its_validity_is_refunded_and_never_claimed(
        &Sqlite::default(),
    )
    .await;
    conformance::sms::parts_that_never_complete_are_handed_on_with_gaps(&Sqlite::default()).await;
    conformance::conversations::a_new_direct_conversation_gets_the_number_its_owner_had(
        &Sqlite::default(),
    )
    .await;
    conformance::outbox::a_postponed_entry_holds_up_its_own_lane_only(&Sqlite::default()).await;
    drop(engine.open());
    let connection = Connection::open(engine.path()).unwrap();
    let seen = statements_seen();
    assert!(seen.iter().any(|sql| sql == dispatch::DUE));
    let mut scans = BTreeSet::new();
    for sql in seen
        .iter()
        .filter(|sql| !WHOLE.iter().any(|whole| sql.contains(whole)))
    {
        for step in plan(&connection, sql) {
            let reads_all = step.starts_with("SCAN ") && !step.contains("CONSTANT ROW");
            // A sort of what an index has found is a list of a person's; a lane is never sorted.
            if reads_all && !step.contains("USING COVERING INDEX segment_open") {
                scans.insert(format!("{step}: {sql}"));
            }
        }
    }
    assert!(scans.is_empty(), "{scans:#?}");
}

#[test]
fn a_claim_reads_the_ready_segments_in_their_order() {
    let engine = Sqlite::default();
    drop(engine.open());
    let connection = Connection::open(engine.path()).unwrap();
    let steps = plan(&connection, dispatch::DUE);
    assert!(
        steps[0].contains("USING INDEX segment_ready (link_group=? AND due_at<?)"),
        "{steps:?}"
    );
    assert!(
        steps.iter().all(|step| !step.contains("TEMP B-TREE")),
        "{steps:?}"
    );
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let Ok(mut statement) = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) else {
        // Of a table that only a test has, or a transaction's frame.
        return Vec::new();
    };
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get("detail").unwrap());
    }
    steps
}
