//! What holds of very many texts.
//!
//! | variable | how many |
//! |---|---|
//! | `FIFO_TEXTS` | texts while the SMSC throttles and links break |
//! | `UNANSWERED_TEXTS` | texts of which the SMSC answers some never |
//! | `POISON` | invitations that the homeserver refuses again and again, beside other rooms |
//! | `POISON_STUCK` | invitations that it never answers |

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::json;

use crate::support::gateway::Plan;
use crate::support::line::{Line, flood, late, second_link};
use crate::support::wait::{now, until};

fn given(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// How fast people write, all of them together.
const RATE: u64 = 1_000;

/// Between two links that break.
const PEACE: Duration = Duration::from_millis(700);

/// One of twenty messages is throttled.
const THROTTLES: &str = r#"
[[rule]]
when = { command = "submit_sm" }
on = { skip = 7, every = 20 }
then = { status = "ESME_RTHROTTLED" }
"#;

/// One of a hundred answers is lost while its link lives.
const LOSES_ANSWERS: &str = r#"
[[fault]]
command = "submit_sm_resp"
on = { skip = 49, every = 100 }
fault = { kind = "drop" }
"#;

/// Two links that go on as fast as they may though the SMSC throttles, and wait a moment for what it did.
fn two_links(plan: &mut Plan) {
    let keys = "adapt.enabled = false\nresponse_timeout = \"2s\"\nenquire_link = \"1s\"\n";
    plan.link = format!("{keys}{}", second_link(plan, keys));
    plan.route
        .push_str("\nuncertain = \"hold\"\nuncertain_hold = \"3s\"\n");
    "[limits]\nretry_first = \"50ms\"\nretry_cap = \"200ms\"\n".clone_into(&mut plan.more);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_a_conversation_keep_their_order_though_throttled_and_though_links_break() {
    let count = given("FIFO_TEXTS", 1_000);
    let line = Line::start(THROTTLES, two_links).await;
    let rooms = line.rooms(20).await;
    line.stub.flood(&flood(&rooms, RATE, count)).await;
    let mut cuts = 0;
    let mut peace = tokio::time::interval(PEACE);
    peace.tick().await;
    tokio::select! {
        () = line.settles(count) => {}
        () = async {
            loop {
                peace.tick().await;
                line.links.cut_one();
                cuts += 1;
            }
        } => {}
    }
    let mut arrivals = line.arrivals();
    let asked = arrivals.len();
    arrivals.retain(|one| !one.was_refused);
    let late = late(&arrivals);
    eprintln!(
        "{count} texts, {} times throttled, {cuts} links cut: {} late",
        asked - arrivals.len(),
        late.len()
    );
    assert!(asked > arrivals.len() && cuts > 0, "nothing went wrong");
    assert!(late.is_empty(), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_doubles_nothing_where_receipts_come() {
    let count = given("UNANSWERED_TEXTS", 400);
    let line = Line::start(LOSES_ANSWERS, |plan| {
        plan.link = "adapt.enabled = false\nresponse_timeout = \"1s\"\n".to_owned();
        plan.route.push_str("\nuncertain = \"hold\"\n");
    })
    .await;
    let rooms = line.rooms(20).await;
    line.stub.flood(&flood(&rooms, RATE, count)).await;
    line.settles(count).await;
    let arrivals = line.arrivals();
    let mut times: HashMap<u64, u64> = HashMap::new();
    for arrival in &arrivals {
        *times.entry(arrival.number).or_default() += 1;
    }
    times.retain(|_, times| *times > 1);
    let unheard = arrivals.iter().filter(|one| !one.was_heard).count();
    eprintln!(
        "{count} texts, {unheard} answers lost: {} doubled",
        times.len()
    );
    assert!(unheard > 0, "no answer was lost");
    assert!(times.is_empty(), "{times:?}");
    assert_eq!(u64::try_from(arrivals.len()).expect("a count"), count);
}

/// After this much silence a link is asked for a sign of life, and given up as long after that.
const SILENCE: Duration = Duration::from_secs(1);

/// What a busy machine may add.
const ROOM: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_half_open_is_found_and_its_texts_go_over_the_other() {
    let line = Line::start("", |plan| {
        let keys = "enquire_link = \"1s\"\nresponse_timeout = \"1s\"\n";
        plan.link = format!("{keys}{}", second_link(plan, keys));
        plan.route.push_str("\nuncertain = \"resend\"\n");
    })
    .await;
    let rooms = line.rooms(20).await;
    until("both links are bound", async || {
        (line.sim.binds().await == 2).then_some(())
    })
    .await;
    line.links.half_open_one();
    let begun = now();
    let count = 100;
    line.stub.flood(&flood(&rooms, RATE, count)).await;
    line.settles(count).await;
    let mut arrivals = line.arrivals();
    arrivals.retain(|one| one.was_heard);
    let last = arrivals.iter().map(|one| one.at).max();
    let took = last
        .expect("something arrived")
        .saturating_duration_since(begun);
    let numbers: BTreeSet<u64> = arrivals.iter().map(|one| one.number).collect();
    eprintln!("{count} texts, one of two links half open: the last was there after {took:.2?}");
    assert!(numbers.into_iter().eq(0..count), "some never arrived");
    assert!(took <= 2 * SILENCE + ROOM, "{took:?}");
}

/// How many texts are timed before the poison and beside it.
const TIMES: usize = 30;

/// What they may wait for the poison.
const ADDED: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn invitations_that_nobody_can_carry_out_hold_up_no_other_room() {
    let line = Line::start("", |_| ()).await;
    let rooms = line.rooms(3).await;
    let mut numbers = 0..;
    let mut first = 447_700_920_001;
    let mut before = Vec::new();
    for number in numbers.by_ref().take(TIMES) {
        before.push(line.latency(&rooms[0], number).await);
    }
    let ways = [
        (json!({ "status": 500 }), given("POISON", 100)),
        (json!({ "never": true }), given("POISON_STUCK", 100)),
    ];
    for (way, poison) in ways {
        let mut fault = way.clone();
        fault["on"] = json!("join");
        line.stub.go_wrong(&json!([fault])).await;
        let stuck = line.stub.rooms(poison, first).await;
        first += poison;
        let mut beside = Vec::new();
        for number in numbers.by_ref().take(TIMES) {
            beside.push(line.latency(&rooms[1], number).await);
        }
        assert_eq!(line.stub.joined(&stuck).await, 0, "they are no poison");
        let (before, beside) = (median(&mut before), median(&mut beside));
        let added = beside.saturating_sub(before);
        eprintln!(
            "{poison} joins that end in {way}: {beside:.1?} for a text, {before:.1?} without"
        );
        assert!(added <= ADDED, "{added:?} more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_may_not_wait_here_wait_at_the_homeserver() {
    let line = Line::start("", |plan| {
        "[limits]\ninbox_events = 5\nretry_first = \"50ms\"\nretry_cap = \"200ms\"\n"
            .clone_into(&mut plan.more);
    })
    .await;
    let rooms = line.rooms(1).await;
    line.stub
        .go_wrong(&json!([{ "status": 500, "on": "join" }]))
        .await;
    let stuck = line.stub.rooms(20, 447_700_930_001).await;
    until("as many events wait as may", async || {
        let waiting = line.gateway.may_wait(&["inbox"]).await?;
        waiting
            .into_iter()
            .any(|(_, count)| count >= 5)
            .then_some(())
    })
    .await;
    line.stub.says(&rooms[0], "text #7 of many").await;
    until("one more is refused", async || {
        let refused = [("kind", "failed_transactions")];
        let count = line
            .gateway
            .may_metric("matrix_smpp_homeserver_calls_total", &refused)
            .await;
        (count? > 0).then_some(())
    })
    .await;
    assert!(line.stub.owed().await > Some(0));
    line.stub.go_wrong(&json!([])).await;
    until("all are handled", async || {
        let joined = line.stub.joined(&stuck).await == 20;
        (joined && line.stub.owed().await == Some(0)).then_some(())
    })
    .await;
    line.settles(0).await;
    let numbers: Vec<u64> = line.arrivals().iter().map(|one| one.number).collect();
    assert_eq!(numbers, [7]);
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
