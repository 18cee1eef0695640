use std::time::Instant;

use matrix_smpp_codec::{CommandStatus, InterfaceVersion, Npi, Ton};

use super::*;
use crate::server::{Authenticator as _, BindRequest};
use crate::settings::SessionSettings;

fn account(name: &str) -> Account {
    Account {
        system_id: name.parse().unwrap(),
        password: Some("secret".parse().unwrap()),
        ..Account::default()
    }
}

fn accounts(list: impl IntoIterator<Item = Account>) -> Accounts {
    Accounts::new(AccountsSettings::default(), list)
}

fn request(name: &str, password: &str) -> BindRequest {
    BindRequest {
        address: "192.0.2.1:40000".parse().unwrap(),
        mode: BindMode::Transceiver,
        system_id: name.parse().unwrap(),
        password: password.parse().unwrap(),
        system_type: COctets::default(),
        interface_version: InterfaceVersion::V3_4,
        addr_ton: Ton::default(),
        addr_npi: Npi::default(),
        address_range: COctets::default(),
        certificate_names: Vec::new(),
    }
}

fn judge(accounts: &Accounts, request: &BindRequest) -> Result<Admission, CommandStatus> {
    accounts.judge(request, crate::clock::now())
}

fn link() -> Link {
    Link {
        shared: crate::shared::Shared::new("test".to_owned(), SessionSettings::default()),
    }
}

const REFUSED: CommandStatus = CommandStatus::ESME_RINVPASWD;

#[test]
fn the_right_password_is_let_in_and_nothing_else() {
    let accounts = accounts([account("one"), account("two")]);
    assert!(judge(&accounts, &request("one", "secret")).is_ok());
    for (name, password) in [
        ("one", ""),
        ("one", "secre"),
        ("one", "secrets"),
        ("one", "Secret"),
        ("three", "secret"),
        ("", ""),
    ] {
        let verdict = judge(&accounts, &request(name, password));
        assert_eq!(verdict.unwrap_err(), REFUSED, "{name} {password}");
    }
}

#[test]
fn an_account_without_any_proof_lets_nobody_in() {
    let open = Account {
        password: None,
        ..account("one")
    };
    assert!(judge(&accounts([open]), &request("one", "")).is_err());
}

#[test]
fn an_empty_password_is_no_unknown_account() {
    let empty = Account {
        password: Some(Password::default()),
        ..account("one")
    };
    let accounts = accounts([empty]);
    assert!(judge(&accounts, &request("one", "")).is_ok());
    assert!(judge(&accounts, &request("two", "")).is_err());
}

#[test]
fn a_certificate_must_bear_the_name_and_the_password_fit_where_both_are_set() {
    let certified = Account {
        password: None,
        certificate: Some("esme.example.org".to_owned()),
        ..account("one")
    };
    let both = Account {
        certificate: Some("esme.example.org".to_owned()),
        ..account("two")
    };
    let accounts = accounts([certified, both]);
    let with = |name, password, names: &[&str]| {
        let certificate_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = BindRequest {
            certificate_names,
            ..request(name, password)
        };
        judge(&accounts, &request).is_ok()
    };
    assert!(with("one", "", &["other", "ESME.example.org"]));
    assert!(with("one", "anything", &["esme.example.org"]));
    assert!(!with("one", "", &[]));
    assert!(!with("one", "", &["esme.example.com"]));
    assert!(with("two", "secret", &["esme.example.org"]));
    assert!(!with("two", "wrong", &["esme.example.org"]));
    assert!(!with("two", "secret", &["other"]));
}

#[test]
fn only_the_networks_of_the_account_are_let_in_and_a_stranger_learns_nothing() {
    let near = Account {
        networks: vec![
            "192.0.2.0/28".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        ..account("one")
    };
    let accounts = accounts([near]);
    let from = |address: &str| {
        let request = BindRequest {
            address: address.parse().unwrap(),
            ..request("one", "secret")
        };
        judge(&accounts, &request).map(drop)
    };
    assert_eq!(from("192.0.2.15:1"), Ok(()));
    assert_eq!(from("[::ffff:192.0.2.15]:1"), Ok(()));
    assert_eq!(from("[2001:db8::1]:1"), Ok(()));
    assert_eq!(from("192.0.2.16:1"), Err(REFUSED));
    assert_eq!(from("[2001:db9::1]:1"), Err(REFUSED));
}

#[test]
fn a_mode_that_is_not_allowed_is_refused_to_the_account_only() {
    let receiver = Account {
        modes: vec![BindMode::Receiver],
        ..account("one")
    };
    let accounts = accounts([receiver]);
    let refused = judge(&accounts, &request("one", "secret")).unwrap_err();
    assert_eq!(refused, CommandStatus::ESME_RBINDFAIL);
    assert_eq!(
        judge(&accounts, &request("one", "no")).unwrap_err(),
        REFUSED
    );
    let receiver = BindRequest {
        mode: BindMode::Receiver,
        ..request("one", "secret")
    };
    assert!(judge(&accounts, &receiver).is_ok());
}

#[test]
fn no_more_binds_than_allowed_and_a_place_comes_back() {
    let two = Account {
        max_binds: 2,
        ..account("one")
    };
    let accounts = accounts([two, account("other")]);
    let one = judge(&accounts, &request("one", "secret")).unwrap();
    let _two = judge(&accounts, &request("one", "secret")).unwrap();
    let third = judge(&accounts, &request("one", "secret")).unwrap_err();
    assert_eq!(third, CommandStatus::ESME_RALYBND);
    assert!(judge(&accounts, &request("other", "secret")).is_ok());
    drop(one);
    assert!(judge(&accounts, &request("one", "secret")).is_ok());
}

#[test]
fn who_guesses_too_often_is_not_listened_to_but_others_are() {
    let accounts = accounts([account("one")]);
    for _ in 0..10 {
        assert!(judge(&accounts, &request("one", "guess")).is_err());
    }
    let late = judge(&accounts, &request("one", "secret")).unwrap_err();
    assert_eq!(late, REFUSED);
    let elsewhere = BindRequest {
        address: "192.0.2.2:1".parse().unwrap(),
        ..request("one", "secret")
    };
    assert!(judge(&accounts, &elsewhere).is_ok());
}

#[tokio::test(start_paused = true)]
async fn every_refusal_comes_after_the_same_time() {
    let full = Account {
        max_binds: 0,
        ..account("full")
    };
    let accounts = accounts([account("one"), full]);
    let mut times = Vec::new();
    for (name, password) in [
        ("one", "wrong"),
        ("nobody", "secret"),
        ("nobody", ""),
        ("full", "secret"),
        ("full", "wrong"),
    ] {
        let before = tokio::time::sleep(Duration::ZERO).deadline();
        assert!(
            accounts
                .authenticate(request(name, password))
                .await
                .is_err()
        );
        let after = tokio::time::sleep(Duration::ZERO).deadline();
        times.push(after.duration_since(before).as_millis());
    }
    let second = 999..=1_002;
    assert!(times.iter().all(|time| second.contains(time)), "{times:?}");
}

#[test]
fn all_sessions_of_an_account_take_from_one_rate_whichever_has_use_for_it() {
    let limited = Account {
        max_binds: 3,
        rate: NonZeroU32::new(1),
        ..account("one")
    };
    let accounts = accounts([limited.clone()]);
    let limits = || {
        let admission = judge(&accounts, &request("one", "secret")).unwrap();
        admission.limits.unwrap()
    };
    let now = crate::clock::now();
    let sessions = [limits(), limits(), limits()];
    let taken = |at: Instant| {
        let all = sessions.iter().rev();
        all.filter(|one| one.shared_rate.as_ref().unwrap().admit(at, 1))
            .count()
    };
    for second in 0..5 {
        assert_eq!(taken(now + Duration::from_secs(second)), 1, "{second}");
    }
    // A new rate holds for those that stand, and gives away nothing.
    accounts.reload([Account {
        rate: NonZeroU32::new(2),
        ..limited
    }]);
    let later = |millis| now + Duration::from_secs(4) + Duration::from_millis(millis);
    assert_eq!(taken(later(0)), 0);
    assert_eq!((taken(later(1_000)), taken(later(1_500))), (1, 1));
}

#[test]
fn a_reload_closes_what_may_not_be_any_more_and_tells_the_rest_its_limits() {
    let names = ["kept", "gone", "changed", "banned"];
    let accounts = accounts(names.map(account));
    let mut sessions = Vec::new();
    for name in names {
        let link = link();
        let admission = judge(&accounts, &request(name, "secret")).unwrap();
        sessions.push((admission.enter(&link), link));
    }
    let changed = Account {
        password: Some("other".parse().unwrap()),
        ..account("changed")
    };
    let banned = Account {
        modes: vec![BindMode::Receiver],
        ..account("banned")
    };
    let kept = Account {
        window: 77,
        ..account("kept")
    };
    accounts.reload([kept, changed, banned]);
    let closed: Vec<_> = sessions
        .iter()
        .map(|(_, link)| link.shared.closing.is_cancelled())
        .collect();
    assert_eq!(closed, [false, true, true, true]);
    assert_eq!(sessions[0].1.shared.lock().settings.window, 77);
    assert_eq!(accounts.bound(&"kept".parse().unwrap()).len(), 1);
    assert!(accounts.bound(&"changed".parse().unwrap()).is_empty());
    assert!(judge(&accounts, &request("gone", "secret")).is_err());
    drop(sessions);
    assert!(accounts.bound(&"kept".parse().unwrap()).is_empty());
}

#[test]
fn an_account_that_is_taken_away_before_its_bind_is_answered_does_not_come_up() {
    let accounts = accounts([account("one")]);
    let admission = judge(&accounts, &request("one", "secret")).unwrap();
    accounts.reload([]);
    let link = link();
    let _seat = admission.enter(&link);
    assert!(link.shared.closing.is_cancelled());
}
