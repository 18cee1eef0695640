use std::collections::HashSet;

use matrix_smpp_codec::InboundText;

use super::*;

fn messages(mix: &Mix) -> Messages {
    Messages::new(mix).unwrap()
}

fn fixed(text: &str) -> Mix {
    Mix {
        texts: vec![text.to_owned()],
        ..Mix::default()
    }
}

#[test]
fn destinations_take_turns_and_keep_their_leading_digits() {
    let mix = Mix {
        to: "007".to_owned(),
        to_count: NonZeroU64::new(3).unwrap(),
        ..fixed("hello")
    };
    let messages = messages(&mix);
    let to = |number| {
        messages
            .segments(number)
            .remove(0)
            .destination_addr
            .to_text()
    };
    assert_eq!([to(0), to(1), to(2), to(3)], ["007", "008", "009", "007"]);
}

#[test]
fn a_long_text_is_several_segments_with_one_reference() {
    let segments = messages(&fixed(&"ж".repeat(200))).segments(5);
    assert_eq!(segments.len(), 4);
    let concats: Vec<_> = segments
        .iter()
        .map(|pdu| InboundText::from(pdu).concat.unwrap())
        .collect();
    assert!(
        concats
            .iter()
            .all(|part| part.reference == concats[0].reference)
    );
    assert_eq!(concats[3].index, 4);
}

#[test]
fn a_fixed_text_may_bear_the_number_of_its_message() {
    let text = messages(&fixed("number {n}")).segments(42).remove(0);
    assert_eq!(&*text.short_message, b"number 42");
}

#[test]
fn generated_texts_have_the_lengths_and_alphabets_asked_for() {
    let mix = Mix {
        lengths: vec![Lengths {
            from: 10,
            to: 12,
            weight: 1,
        }],
        ucs2_percent: 50,
        ..Mix::default()
    };
    let messages = messages(&mix);
    let mut seen = HashSet::new();
    for number in 0..500 {
        let pdu = messages.segments(number).remove(0);
        let ucs2 = pdu.data_coding == DataCoding::UCS2;
        let length = pdu.short_message.len() / if ucs2 { 2 } else { 1 };
        seen.insert((ucs2, length));
    }
    let all = [false, true].map(|ucs2| [10, 11, 12].map(|length| (ucs2, length)));
    assert_eq!(seen, all.into_iter().flatten().collect());
}

#[test]
fn the_same_seed_gives_the_same_messages() {
    let all = |seed| {
        let messages = messages(&Mix {
            seed,
            ..Mix::default()
        });
        (0..50)
            .map(|number| messages.segments(number))
            .collect::<Vec<_>>()
    };
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
}

#[test]
fn what_cannot_be_sent_is_refused_before_the_start() {
    let wrong = |mix: Mix| Messages::new(&mix).unwrap_err();
    let base = Mix::default;
    for to in ["", "44x", "9999999999999999"] {
        let to = to.to_owned();
        assert_eq!(wrong(Mix { to, ..base() }), MixError::To);
    }
    let to = "99".to_owned();
    let to_count = NonZeroU64::new(2).unwrap();
    assert_eq!(
        wrong(Mix {
            to,
            to_count,
            ..base()
        }),
        MixError::To
    );
    for from in ["", "123456789012345678901", "twelve chars"] {
        let from = from.to_owned();
        let refused = wrong(Mix {
            from: from.clone(),
            ..base()
        });
        assert_eq!(refused, MixError::From(from));
    }
    let lengths = Vec::new();
    assert_eq!(wrong(Mix { lengths, ..base() }), MixError::Lengths);
    let text = "a".repeat(40_000);
    assert!(matches!(wrong(fixed(&text)), MixError::TooLong(_)));
}

#[test]
fn the_sender_is_a_number_or_a_name() {
    let from = "Bank".to_owned();
    let named = messages(&Mix {
        from,
        ..fixed("hello")
    })
    .segments(0)
    .remove(0);
    assert_eq!(named.source_addr_ton, Ton::ALPHANUMERIC);
    let numbered = messages(&fixed("hello")).segments(0).remove(0);
    assert_eq!(numbered.source_addr_ton, Ton::INTERNATIONAL);
}
