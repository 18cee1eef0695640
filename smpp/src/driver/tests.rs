//! How a driver reads, and what it keeps.

use matrix_smpp_codec::{Body, Quirk};

use super::*;
use crate::settings::SessionSettings;

#[test]
fn room_is_kept_under_brisk_traffic_and_a_moment_longer() {
    let shared = Shared::new("test".to_owned(), SessionSettings::default());
    let (stream, _peer) = tokio::io::duplex(1);
    let mut driver = Driver::new(shared, Stream::Own(Box::new(stream)));
    let start = clock::now();
    let mut read = |pdus: usize, millis: u64| {
        driver.batch.clear();
        driver.batch.resize_with(pdus, || None);
        driver.kept_until(start + Duration::from_millis(millis))
    };
    assert_eq!(SLICE, Duration::from_millis(100));
    assert_eq!(read(BRISK - 1, 0), None);
    assert_eq!(read(1, 1), Some(start + SLICE));
    assert_eq!(read(0, 99), Some(start + SLICE));
    assert_eq!(read(0, 100), None, "the timer's round gives it back");
    assert_eq!(read(BRISK - 1, 199), None);
    assert_eq!(read(1, 200), None, "what was read before counts no more");
}

/// A `bind_receiver` whose `system_id` is too long, twice.
fn two_binds() -> BytesMut {
    let mut bind = vec![0, 0, 0, 43, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
    bind.extend([b'a'; 20]);
    bind.extend([0, 0, 0, 0x34, 0, 0, 0]);
    BytesMut::from(&bind.repeat(2)[..])
}

#[test]
fn a_peer_is_read_by_its_quirks_and_by_no_others() {
    let mut octets = two_binds();
    let (mut strict, mut lenient) = (None, None);
    read(&mut octets, 100, Quirks::NONE, &mut strict).unwrap();
    assert!(matches!(strict, Some(Inbound::Malformed { .. })));
    let quirks = Quirks::NONE.with(Quirk::LongStrings);
    read(&mut octets, 100, quirks, &mut lenient).unwrap();
    let Some(Inbound::Pdu(pdu)) = lenient else {
        panic!("malformed")
    };
    let Body::BindReceiver(bind) = pdu.body else {
        panic!("another PDU")
    };
    assert_eq!(bind.system_id.to_text(), "a".repeat(15));
    assert!(octets.is_empty());
}

#[test]
fn an_impossible_length_is_one_with_quirks_too() {
    for quirks in [Quirks::NONE, Quirks::NONE.with(Quirk::LongStrings)] {
        let mut place = None;
        assert!(read(&mut two_binds(), 42, quirks, &mut place).is_err());
        read(&mut two_binds().split_to(20), 100, quirks, &mut place).unwrap();
        assert!(place.is_none());
    }
}
