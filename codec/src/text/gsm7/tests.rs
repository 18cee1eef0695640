use super::*;

/// All pairs of tables.
fn all_shifts() -> Vec<Shifts> {
    let languages = || std::iter::once(None).chain(Language::ALL.map(Some));
    languages()
        .flat_map(|locking| languages().map(move |single| Shifts { locking, single }))
        .collect()
}

#[test]
fn every_character_of_every_table_round_trips() {
    for shifts in all_shifts() {
        for septet in (0..0x80).filter(|septet| *septet != ESCAPE) {
            for octets in [vec![septet], vec![ESCAPE, septet]] {
                let text = shifts.decode(&octets);
                assert_eq!(text.chars().count(), 1, "{shifts:?} {septet:#x}");
                if text != "\u{fffd}" && shifts.septets(text.chars().next().unwrap()).is_some() {
                    assert_eq!(shifts.decode(&shifts.encode(&text)), text, "{shifts:?}");
                }
            }
        }
    }
}

#[test]
fn every_septet_of_the_default_alphabet_comes_back_as_itself() {
    for septet in (0..0x80).filter(|septet| *septet != ESCAPE) {
        assert_eq!(encode(&decode(&[septet])), [septet]);
    }
    for septet in [0x0a, 0x14, 0x28, 0x29, 0x2f, 0x3c, 0x3d, 0x3e, 0x40, 0x65] {
        assert_eq!(encode(&decode(&[ESCAPE, septet])), [ESCAPE, septet]);
    }
}

#[test]
fn the_default_alphabet_is_the_one_of_the_standard() {
    let octets: Vec<u8> = (0..0x80).collect();
    let (before, after) = octets.split_at(usize::from(ESCAPE));
    assert_eq!(decode(before), "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ");
    assert_eq!(
        decode(&after[1..]),
        "ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§\
         ¿abcdefghijklmnopqrstuvwxyzäöñüà"
    );
    assert_eq!(encode("\u{c}^{}\\[~]|€").len(), 20);
}

/// What each language is for: a text that its own tables carry whole.
#[test]
fn each_language_writes_its_own_words() {
    let words = [
        (Language::Turkish, "Şişli'de ığdır çağ"),
        (Language::Portuguese, "não é à, ções Ú ∞"),
        (Language::Bengali, "বাংলা ভাষা ৳"),
        (Language::Gujarati, "ગુજરાતી ૧૨૩"),
        (Language::Hindi, "हिन्दी में लिखा ।"),
        (Language::Kannada, "ಕನ್ನಡ ಡ"),
        (Language::Malayalam, "മലയാളം"),
        (Language::Oriya, "ଓଡ଼ିଆ"),
        (Language::Punjabi, "ਪੰਜਾਬੀ ੭"),
        (Language::Tamil, "தமிழ் ௮"),
        (Language::Telugu, "తెలుగు ౬౭"),
        (Language::Urdu, "اردو کی زبان"),
    ];
    for (language, text) in words {
        let shifts = Shifts {
            locking: Some(language),
            single: Some(language),
        };
        assert!(
            text.chars().all(|one| shifts.septets(one).is_some()),
            "{language:?}"
        );
        assert_eq!(shifts.decode(&shifts.encode(text)), text);
    }
    let spanish = Shifts {
        single: Some(Language::Spanish),
        ..Shifts::NONE
    };
    assert_eq!(
        spanish.encode("çá€"),
        [ESCAPE, 0x09, ESCAPE, 0x61, ESCAPE, 0x65]
    );
    assert_eq!(
        Shifts {
            locking: Some(Language::Spanish),
            ..spanish
        }
        .encode("a"),
        b"a"
    );
}

/// The places where printed editions of the standard, or tables made from them, are wrong.
#[test]
fn the_places_that_are_often_wrong_are_right() {
    let locking = |language, octet| {
        let shifts = Shifts {
            locking: Some(language),
            single: None,
        };
        shifts.decode(&[octet])
    };
    let single = |language, octet| {
        let shifts = Shifts {
            locking: None,
            single: Some(language),
        };
        shifts.decode(&[ESCAPE, octet])
    };
    assert_eq!(decode(&[0x09]), "Ç");
    assert_eq!(locking(Language::Turkish, 0x1f), "É");
    assert_eq!(locking(Language::Hindi, 0x00), "\u{901}");
    assert_eq!(locking(Language::Kannada, 0x24), "\u{ca1}");
    assert_eq!(locking(Language::Kannada, 0x3d), "\u{caa}");
    assert_eq!(locking(Language::Oriya, 0x47), "\u{b33}");
    assert_eq!(single(Language::Punjabi, 0x23), "\u{a6d}");
    assert_eq!(single(Language::Tamil, 0x24), "\u{bee}");
    assert_eq!(single(Language::Telugu, 0x22), "\u{c6c}");
    assert_eq!(single(Language::Telugu, 0x23), "\u{c6d}");
    for language in Language::ALL.into_iter().skip(3) {
        assert_eq!(locking(language, 0x2c), ",", "{language:?}");
        assert_eq!(single(language, 0x65), "€", "{language:?}");
        assert_eq!(single(language, 0x41), "A", "{language:?}");
    }
}

#[test]
fn a_language_is_known_by_its_number() {
    for language in Language::ALL {
        assert_eq!(Language::of(language.id()), Some(language));
    }
    assert_eq!(Language::of(0), None);
    assert_eq!(Language::of(14), None);
}

#[test]
fn control_characters_are_not_in_the_alphabet() {
    assert_eq!(septets('\0'), None);
    assert_eq!(septets('\u{1b}'), None);
    assert_eq!(septets('\t'), None);
}

#[test]
fn unknown_escapes_give_the_default_character_and_lone_ones_a_space() {
    assert_eq!(decode(&[ESCAPE, b'A']), "A");
    assert_eq!(decode(&[b'x', ESCAPE]), "x ");
    assert_eq!(decode(&[ESCAPE, ESCAPE, b'A']), " A");
    assert_eq!(decode(&[0x80, 0xff]), "\u{fffd}\u{fffd}");
}

/// FNV-1a over the characters of a table in the order of their septets, 0 for none.
fn fingerprint(table: &Table) -> u32 {
    let at = |septet: usize| table[septet & 0x0f][septet >> 4];
    let octets = (0..0x80).flat_map(|septet| at(septet).to_be_bytes());
    octets.fold(0x811c_9dc5, |hash: u32, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}

/// The fingerprints were computed from what three independent programs make of the standard.
#[test]
fn every_table_is_the_one_that_independent_programs_have() {
    let default = (
        fingerprint(&locking::DEFAULT),
        fingerprint(&single::DEFAULT),
    );
    assert_eq!(default, (0x0c89_e51f, 0x721f_7ced));
    let expected = [
        (0x3ae2_b4df, 0x2d5e_2a97),
        (0x0c89_e51f, 0xc3ff_7b48),
        (0xbbc5_278d, 0x2d39_5652),
        (0xcab2_ee4e, 0x5ca2_ffcf),
        (0x1ff9_81e3, 0x632b_a21b),
        (0x44cc_1e66, 0x47b9_66b8),
        (0x97f3_626b, 0x52de_7370),
        (0x8d8a_9f01, 0xf42e_13db),
        (0x70f6_9c62, 0x7095_554d),
        (0x0c62_6e95, 0x4214_1602),
        (0xaee4_5edc, 0xf888_9d5f),
        (0x863c_ec14, 0xc2e6_e52f),
        (0xb755_cb9a, 0xc8e6_7690),
    ];
    for (language, expected) in Language::ALL.into_iter().zip(expected) {
        let tables = (
            fingerprint(language.locking()),
            fingerprint(language.single()),
        );
        assert_eq!(tables, expected, "{language:?}");
    }
}
