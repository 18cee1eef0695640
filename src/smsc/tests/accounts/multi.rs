//! One text for many: `submit_multi`.

use matrix_smpp_codec::{DestAddress, DestAddresses, SubmitMulti, SubmitMultiResp};

use super::*;

/// Numbers of ours that somebody has.
const ONE: &str = "447700900999";
const OTHER: &str = "447700900997";
/// Nobody has it.
const NOBODYS: &str = "447700900998";

fn sme(number: &str) -> DestAddress {
    DestAddress::Sme {
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: number.parse().unwrap(),
    }
}

fn list(name: &str) -> DestAddress {
    DestAddress::List {
        dl_name: COctets::try_from(name).unwrap(),
    }
}

fn multi(text: &str, to: impl IntoIterator<Item = DestAddress>) -> SubmitMulti {
    let sm = sm(text);
    SubmitMulti {
        source_addr_ton: sm.source_addr_ton,
        source_addr_npi: sm.source_addr_npi,
        source_addr: sm.source_addr,
        dest_addresses: DestAddresses::try_from(Vec::from_iter(to)).unwrap(),
        registered_delivery: sm.registered_delivery,
        short_message: sm.short_message,
        ..SubmitMulti::default()
    }
}

impl Esme {
    async fn submits(&mut self, multi: SubmitMulti) -> (CommandStatus, SubmitMultiResp) {
        match self.ask(Body::SubmitMulti(multi)).await {
            (status, Body::SubmitMultiResp(resp)) => (status, resp),
            other => panic!("{other:?}"),
        }
    }

    /// Submits what all can have; gives its name.
    async fn submits_to_all(&mut self, multi: SubmitMulti) -> MessageId {
        let (status, resp) = self.submits(multi).await;
        assert_eq!(status, CommandStatus::ESME_ROK);
        assert_eq!(resp.unsuccess_smes.len(), 0);
        resp.message_id
    }

    /// From whom each of so many receipts is, what it is about and what it says; by number.
    async fn receipts(&mut self, count: usize) -> Vec<(String, String, WireState)> {
        let mut receipts = Vec::new();
        for _ in 0..count {
            let sm = self.takes().await;
            let receipt = Receipt::of(&sm).expect("a receipt");
            receipts.push((sm.source_addr.to_text(), receipt.message_id, receipt.state));
        }
        receipts.sort_by(|left, right| left.0.cmp(&right.0));
        receipts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_many_reaches_each_and_who_cannot_have_it_is_told_by_name() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let to = [sme(ONE), list("friends"), sme(""), sme(OTHER)];
    let (status, resp) = esme.submits(multi("to all", to)).await;
    assert_eq!(status, CommandStatus::ESME_ROK);
    let refused: Vec<_> = resp
        .unsuccess_smes
        .iter()
        .map(|one| (one.destination_addr.to_text(), one.error_status_code))
        .collect();
    let expected = [
        ("friends".to_owned(), CommandStatus::ESME_RINVDLNAME),
        (String::new(), CommandStatus::ESME_RINVDSTADR),
    ];
    assert_eq!(refused, expected);
    assert_eq!(door.texts().await, ["to all", "to all"]);
    let numbers = door.pending().await.into_iter().map(|sms| sms.to);
    assert_eq!(numbers.collect::<Vec<_>>(), [ONE, OTHER]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_text_for_many_covers_all_of_them_and_so_do_their_receipts() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let name = esme
        .submits_to_all(multi("to all", [sme(ONE), sme(OTHER)]))
        .await;
    assert_eq!(esme.query(name).await, Ok(WireState::ENROUTE));
    assert_eq!(door.say_all().await, ["to all", "to all"]);
    let delivered = |number: &str| (number.to_owned(), name.to_text(), WireState::DELIVERED);
    let receipts = esme.receipts(2).await;
    assert_eq!(receipts, [delivered(OTHER), delivered(ONE)]);
    assert_eq!(esme.query(name).await, Ok(WireState::DELIVERED));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_many_is_not_delivered_where_one_of_them_cannot_have_it() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let name = esme
        .submits_to_all(multi("to all", [sme(ONE), sme(NOBODYS)]))
        .await;
    let undeliverable = (NOBODYS.to_owned(), name.to_text(), WireState::UNDELIVERABLE);
    assert_eq!(esme.receipts(1).await, [undeliverable]);
    assert_eq!(esme.query(name).await, Ok(WireState::ENROUTE));
    door.say_all().await;
    esme.receipts(1).await;
    assert_eq!(esme.query(name).await, Ok(WireState::UNDELIVERABLE));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_many_is_withdrawn_from_all_but_cannot_be_replaced() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let name = esme
        .submits_to_all(multi("to all", [sme(ONE), sme(OTHER)]))
        .await;
    let replaced = esme.replace(name, "another").await;
    assert_eq!(replaced, CommandStatus::ESME_RREPLACEFAIL);
    assert_eq!(esme.cancel(name).await, CommandStatus::ESME_ROK);
    let deleted = |number: &str| (number.to_owned(), name.to_text(), WireState::DELETED);
    let receipts = esme.receipts(2).await;
    assert_eq!(receipts, [deleted(OTHER), deleted(ONE)]);
    assert_eq!(esme.query(name).await, Ok(WireState::DELETED));
    assert_eq!(door.say_all().await, [""; 0]);
    assert_eq!(esme.cancel(name).await, CommandStatus::ESME_RCANCELFAIL);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_many_that_comes_again_after_its_bind_was_cut_has_the_same_name() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let again = || multi("to all", [sme(ONE), list("friends"), sme(OTHER)]);
    let (_, first) = esme.submits(again()).await;
    drop(esme);
    let mut esme = door.bind(BindMode::Transceiver).await;
    // The end of the first bind may be on its way; then the ESME is asked to come again.
    let second = loop {
        let (status, resp) = esme.submits(again()).await;
        let later = CommandStatus::ESME_RMSGQFUL;
        let mut failed = resp.unsuccess_smes.iter();
        if status.is_ok() && failed.all(|one| one.error_status_code != later) {
            break resp;
        }
    };
    assert_eq!(first, second);
    assert_eq!(door.texts().await, ["to all", "to all"]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_name_of_a_text_for_many_still_covers_all_of_them() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let name = esme
        .submits_to_all(multi("to all", [sme(ONE), sme(OTHER)]))
        .await;
    drop(esme);
    let door = Door::open_in(door.close().await).await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    assert_eq!(esme.query(name).await, Ok(WireState::ENROUTE));
    assert_eq!(esme.cancel(name).await, CommandStatus::ESME_ROK);
    assert_eq!(door.texts().await, [""; 0]);
    let deleted = |number: &str| (number.to_owned(), name.to_text(), WireState::DELETED);
    let receipts = esme.receipts(2).await;
    assert_eq!(receipts, [deleted(OTHER), deleted(ONE)]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_wait_over_a_restart_bear_the_name_of_all() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transmitter).await;
    // One of them has reached its end before all have their name.
    let name = esme
        .submits_to_all(multi("to all", [sme(ONE), sme(NOBODYS)]))
        .await;
    assert_eq!(door.say_all().await, ["to all"]);
    drop(esme);
    let door = Door::open_in(door.close().await).await;
    let mut esme = door.bind(BindMode::Receiver).await;
    let told = |number: &str, state| (number.to_owned(), name.to_text(), state);
    let expected = [
        told(NOBODYS, WireState::UNDELIVERABLE),
        told(ONE, WireState::DELIVERED),
    ];
    assert_eq!(esme.receipts(2).await, expected);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_many_that_none_can_have_is_refused_as_a_whole() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let later = SubmitMulti {
        schedule_delivery_time: COctets::try_from("000008000000000R").unwrap(),
        ..multi("later", [sme(ONE), sme(OTHER)])
    };
    for (multi, status) in [
        (
            multi("x", [list("a"), list("b")]),
            CommandStatus::ESME_RINVDLNAME,
        ),
        (
            multi("x", [list("a"), sme("")]),
            CommandStatus::ESME_RSUBMITFAIL,
        ),
        (multi("x", []), CommandStatus::ESME_RINVNUMDESTS),
        (later, CommandStatus::ESME_RINVSCHED),
    ] {
        let to = multi.dest_addresses.len();
        let (answer, resp) = esme.submits(multi).await;
        assert_eq!((answer, resp.unsuccess_smes.len()), (status, to));
        assert!(resp.message_id.is_empty());
    }
    assert_eq!(door.texts().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobodys_numbers_are_refused_they_are_among_those_that_failed() {
    let door = Door::open().await;
    let mut esme = door.connect("strict", "secret", BindMode::Transceiver);
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    let (status, resp) = esme.submits(multi("x", [sme(ONE), sme(NOBODYS)])).await;
    assert_eq!(status, CommandStatus::ESME_ROK);
    let [refused] = &resp.unsuccess_smes[..] else {
        panic!("{resp:?}")
    };
    assert_eq!(refused.destination_addr.to_text(), NOBODYS);
    assert_eq!(refused.error_status_code, CommandStatus::ESME_RINVDSTADR);
    assert_eq!(door.texts().await, ["x"]);
    door.close().await;
}
