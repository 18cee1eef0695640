//! A Redis that has fallen back to an older state: a replica that took over before it had everything,
//! or a server whose machine lost power before it had synced everything.

use super::*;

/// Three commits, of which Redis then knows only the first.
fn fallen_back(server: &Server) -> Redis {
    let mut base = Redis::open(settings(server)).unwrap();
    base.commit(&[put("a", "1")]).unwrap();
    let first = base.journal().latest.clone();
    base.commit(&[put("a", "2"), put("b", "2")]).unwrap();
    base.commit(&[put("c", "3"), timer("01|x")]).unwrap();
    server.command(&["SET", "{test}:commit", &first]);
    server.command(&["HSET", "{test}:meta", "a", "1"]);
    server.command(&["HDEL", "{test}:meta", "b", "c"]);
    server.command(&["ZREM", "{test}:timers", "01|x"]);
    base
}

fn everything_is_there(base: &mut Redis) {
    let rows = ["a", "b", "c"].map(|key| read(base, key).unwrap_or_default());
    assert_eq!(rows, ["2", "2", "3"]);
    assert_eq!(base.timers("02", 10).unwrap(), ["01|x"]);
}

#[test]
fn an_owner_commits_again_what_redis_has_lost_before_it_goes_on() {
    let server = Server::start();
    let mut base = fallen_back(&server);
    base.commit(&[put("d", "4")]).unwrap();
    assert_eq!(read(&mut base, "d").as_deref(), Some("4"));
    everything_is_there(&mut base);
}

#[test]
fn an_owner_does_not_read_what_has_fallen_back() {
    let server = Server::start();
    let mut base = fallen_back(&server);
    everything_is_there(&mut base);
    base.commit(&[put("d", "4")]).unwrap();
}

#[test]
fn what_one_way_has_lost_the_other_one_sends_again() {
    let server = Server::start();
    let mut base = fallen_back(&server);
    let mut twin = base.twin().unwrap();
    let found = twin.get(&[(TableId::Meta, "c")]).unwrap();
    assert_eq!(found, [Some(b"3".to_vec())]);
    twin.commit(&[put("d", "4")]).unwrap();
    everything_is_there(&mut base);
    assert_eq!(read(&mut base, "d").as_deref(), Some("4"));
}

#[test]
fn an_owner_that_cannot_mend_the_gap_is_the_owner_no_more() {
    let server = Server::start();
    let mut base = fallen_back(&server);
    server.command(&["SET", "{test}:commit", "1-of-another:7"]);
    let lost = base.commit(&[put("d", "4")]).unwrap_err();
    assert!(matches!(lost, StoreError::Lost), "{lost}");
    let found = base.get(&[(TableId::Meta, "a")]).unwrap_err();
    assert!(matches!(found, StoreError::Lost), "{found}");
    assert_eq!(server.command(&["HEXISTS", "{test}:meta", "d"]), "0");
}

#[test]
fn an_owner_of_which_redis_knows_nothing_is_the_owner_no_more() {
    let server = Server::start();
    let mut base = fallen_back(&server);
    server.command(&["FLUSHALL"]);
    let lost = base.commit(&[put("d", "4")]).unwrap_err();
    assert!(matches!(lost, StoreError::Lost), "{lost}");
    server.command(&["FUNCTION", "FLUSH"]);
    let lost = base.commit(&[put("d", "4")]).unwrap_err();
    assert!(matches!(lost, StoreError::Lost), "{lost}");
}

#[test]
fn two_owners_never_have_the_same_epoch_though_redis_forgot_one_of_them() {
    let server = Server::start();
    let mut first = Redis::open(settings(&server)).unwrap();
    server.command(&["DEL", "{test}:epoch", "{test}:owner"]);
    let mut second = Redis::open(settings(&server)).unwrap();
    let late = first.commit(&[put("a", "late")]).unwrap_err();
    assert!(matches!(late, StoreError::Lost), "{late}");
    second.commit(&[put("a", "1")]).unwrap();
}

#[test]
fn where_redis_was_away_the_last_owner_goes_before_those_who_stand_by() {
    let server = Server::start();
    let mut owner = Redis::open(settings(&server)).unwrap();
    owner.commit(&[put("a", "1")]).unwrap();
    let hasty = Settings {
        patience: Some(Duration::ZERO),
        ..settings(&server)
    };
    let patient = settings(&server);
    let standby = std::thread::spawn(move || Redis::open(patient).map(drop));
    let asks = |server: &Server| {
        let clients = server.command(&["CLIENT", "LIST"]);
        clients.matches("cmd=fcall").count()
    };
    server::until("both of them", || asks(&server) == 2);
    // A replica that has become the primary may know no owner.
    server.command(&["DEL", "{test}:owner"]);
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let connected = |server: &Server| server.command(&["CLIENT", "LIST"]).lines().count() > 1;
    server::until("the standby is back", || connected(&server));
    owner.commit(&[put("a", "2")]).unwrap();
    let refused = Redis::open(hasty).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert_eq!(read(&mut owner, "a").as_deref(), Some("2"));
    owner.close();
    standby.join().unwrap().unwrap();
}
