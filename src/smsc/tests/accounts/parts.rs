//! Long texts of which not all parts come: each part that came has a fate of its own.

use super::*;

/// A part of three, with a header of 8 bits (3GPP TS 23.040 §9.2.3.24.1).
fn part(number: u8, text: &str) -> SubmitSm {
    let octets = [&[5, 0, 3, 77, 3, number], text.as_bytes()].concat();
    SubmitSm {
        esm_class: EsmClass::UDHI,
        short_message: ShortMessage::try_from(octets.as_slice()).unwrap(),
        ..sm("")
    }
}

/// The fate that each receipt tells, by id.
async fn receipts(esme: &mut Esme, count: usize) -> Vec<(String, WireState)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let receipt = esme.receipt().await;
        all.push((receipt.message_id, receipt.state));
    }
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_without_the_rest_are_delivered_once_they_are_said_and_no_earlier() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(part(1, "one ")).await.unwrap();
    let third = esme.submit(part(3, "three")).await.unwrap();
    assert_eq!(door.say_all().await, [""; 0]);
    assert_eq!(esme.query(first).await, Ok(WireState::ENROUTE));
    // Longer than parts wait for each other.
    door.clock.advance(Duration::from_hours(25));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(esme.query(third).await, Ok(WireState::ENROUTE));
    assert_eq!(door.say_all().await, ["one […]three"]);
    let delivered = |id: MessageId| (id.to_text(), WireState::DELIVERED);
    let told = receipts(&mut esme, 2).await;
    assert_eq!(told, [delivered(first), delivered(third)]);
    // The part that is missing comes after all: it is said by itself, and has a receipt only then.
    let second = esme.submit(part(2, "two ")).await.unwrap();
    assert_eq!(esme.query(second).await, Ok(WireState::ENROUTE));
    door.clock.advance(Duration::from_hours(25));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(door.say_all().await, ["[…]two […]"]);
    assert_eq!(receipts(&mut esme, 1).await, [delivered(second)]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_never_said_are_not_delivered() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let short_lived = |number, text| SubmitSm {
        validity_period: COctets::try_from("000000000100000R").unwrap(),
        ..part(number, text)
    };
    let first = esme.submit(short_lived(1, "one ")).await.unwrap();
    let second = esme.submit(short_lived(2, "two ")).await.unwrap();
    door.clock.advance(Duration::from_mins(2));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    door.gateway.wakes.groups.ring_accounts();
    let expired = |id: MessageId| (id.to_text(), WireState::EXPIRED);
    let told = receipts(&mut esme, 2).await;
    assert_eq!(told, [expired(first), expired(second)]);
    door.clock.advance(Duration::from_hours(25));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(door.say_all().await, [""; 0]);
    assert_eq!(esme.query(first).await, Ok(WireState::EXPIRED));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_text_that_was_withdrawn_before_its_end_are_not_delivered() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(part(1, "one ")).await.unwrap();
    let second = esme.submit(part(2, "two ")).await.unwrap();
    assert_eq!(esme.cancel(second).await, CommandStatus::ESME_ROK);
    let deleted = |id: MessageId| (id.to_text(), WireState::DELETED);
    let told = receipts(&mut esme, 2).await;
    assert_eq!(told, [deleted(first), deleted(second)]);
    // What still comes of it goes with it, over a restart too.
    door.receipts_are_over().await;
    let door = Door::open_in(door.close().await).await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let late = SubmitSm {
        registered_delivery: RegisteredDelivery::NONE,
        ..part(3, "three")
    };
    let third = esme.submit(late).await.unwrap();
    assert_eq!(esme.query(third).await, Ok(WireState::DELETED));
    door.clock.advance(Duration::from_hours(25));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(door.say_all().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_was_withdrawn_can_be_used_again() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(part(1, "one ")).await.unwrap();
    assert_eq!(esme.cancel(first).await, CommandStatus::ESME_ROK);
    receipts(&mut esme, 1).await;
    for (number, text) in [(1, "eins "), (2, "zwei "), (3, "drei")] {
        esme.submit(part(number, text)).await.unwrap();
    }
    assert_eq!(door.say_all().await, ["eins zwei drei"]);
    let told = receipts(&mut esme, 3).await;
    assert!(told.iter().all(|(_, state)| *state == WireState::DELIVERED));
    door.close().await;
}
