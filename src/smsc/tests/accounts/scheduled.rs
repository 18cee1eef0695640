//! What accounts submit with a `schedule_delivery_time`.

use matrix_smpp_codec::ReplaceSm;

use super::*;

const IN_AN_HOUR: &str = "000000010000000R";

fn later(text: &str) -> SubmitSm {
    SubmitSm {
        schedule_delivery_time: COctets::try_from(IN_AN_HOUR).unwrap(),
        ..sm(text)
    }
}

impl Door {
    async fn after(&self, time: Duration) {
        self.clock.advance(time);
        while self.store.sweep(self.clock.now(), 100).await.unwrap() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_later_is_enroute_over_a_restart_and_delivered_at_its_time() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(later("later")).await.unwrap();
    assert_eq!(esme.query(id).await, Ok(WireState::ENROUTE));
    drop(esme);
    let door = Door::open_in(door.close().await).await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    door.after(Duration::from_secs(3_599)).await;
    assert_eq!(door.say_all().await, [""; 0]);
    assert_eq!(esme.query(id).await, Ok(WireState::ENROUTE));
    door.after(Duration::from_secs(1)).await;
    assert_eq!(door.say_all().await, ["later"]);
    let receipt = esme.receipt().await;
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, WireState::DELIVERED);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_later_can_be_withdrawn_and_its_receipt_says_so() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(later("later")).await.unwrap();
    assert_eq!(esme.cancel(id).await, CommandStatus::ESME_ROK);
    assert_eq!(esme.receipt().await.state, WireState::DELETED);
    door.after(Duration::from_hours(2)).await;
    assert_eq!(door.say_all().await, [""; 0]);
    assert_eq!(esme.query(id).await, Ok(WireState::DELETED));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_later_can_have_other_words_and_another_time() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(later("later")).await.unwrap();
    let mut replace = async |text: &str, time: &str| {
        let replace = ReplaceSm {
            message_id: id,
            source_addr: "447700900123".parse().unwrap(),
            schedule_delivery_time: COctets::try_from(time).unwrap(),
            short_message: ShortMessage::try_from(text.as_bytes()).unwrap(),
            ..ReplaceSm::default()
        };
        esme.ask(Body::ReplaceSm(replace)).await.0
    };
    let replaced = replace("words", "").await;
    assert_eq!(replaced, CommandStatus::ESME_ROK);
    let too_late = replace("words", "000007000001000R").await;
    assert_eq!(too_late, CommandStatus::ESME_RINVSCHED);
    let put_off = replace("other words", "000000020000000R").await;
    assert_eq!(put_off, CommandStatus::ESME_ROK);
    door.after(Duration::from_hours(1)).await;
    assert_eq!(door.texts().await, [""; 0]);
    door.after(Duration::from_hours(1)).await;
    assert_eq!(door.texts().await, ["other words"]);
    let too_late = replace("never", IN_AN_HOUR).await;
    assert_eq!(too_late, CommandStatus::ESME_RREPLACEFAIL);
    assert_eq!(door.say_all().await, ["other words"]);
    door.close().await;
}
