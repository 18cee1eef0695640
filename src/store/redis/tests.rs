//! With a real redis-server: what this engine promises beside the contract.

mod door;
mod fallen_back;
mod server;
mod several;

use std::sync::Arc;
use std::time::Duration;

pub(in crate::store) use self::server::Server;
use super::super::base::{Base, Write};
use super::super::engine::Engine;
use super::super::tables::TableId;
use super::*;

const TTL: Duration = Duration::from_millis(500);

fn settings(server: &Server) -> Settings {
    settings_for(server, "test")
}

/// What a store under a prefix needs.
pub(in crate::store) fn settings_for(server: &Server, prefix: &str) -> Settings {
    Settings {
        place: Place::Standalone(server.url()),
        prefix: prefix.to_owned(),
        owner_ttl: TTL,
        durability: Durability::Always,
        replicas: 0,
        allow_eviction: false,
        patience: None,
        standing: Standing::default(),
    }
}

fn put(key: &str, value: &str) -> Write {
    Write {
        table: TableId::Meta,
        key: Arc::from(key),
        value: Some(value.as_bytes().to_vec()),
    }
}

fn deletion(key: &str) -> Write {
    Write {
        value: None,
        ..put(key, "")
    }
}

fn timer(key: &str) -> Write {
    Write {
        table: TableId::Timers,
        ..put(key, "")
    }
}

fn read(base: &mut Redis, key: &str) -> Option<String> {
    let found = base.get(&[(TableId::Meta, key)]).unwrap().pop().unwrap();
    found.map(|octets| String::from_utf8(octets).unwrap())
}

#[test]
fn a_commit_is_there_for_the_next_owner() {
    let server = Server::start();
    let mut first = Redis::open(settings(&server)).unwrap();
    first
        .commit(&[put("a", "1"), put("b", "2"), timer("01|x")])
        .unwrap();
    first.commit(&[deletion("a"), put("b", "3")]).unwrap();
    first.close();
    let mut second = Redis::open(settings(&server)).unwrap();
    assert_eq!(read(&mut second, "a"), None);
    assert_eq!(read(&mut second, "b").as_deref(), Some("3"));
    assert_eq!(second.timers("02", 10).unwrap(), ["01|x"]);
    assert_eq!(second.timers("01", 10).unwrap(), Vec::<String>::new());
    assert_eq!(second.count(TableId::Meta).unwrap(), 1);
    assert_eq!(second.count(TableId::Timers).unwrap(), 1);
}

#[test]
fn everything_committed_is_there_after_the_server_was_killed() {
    let mut server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    let many: Vec<Write> = (0..10_000)
        .map(|at| put(&format!("{at:06}"), "row"))
        .collect();
    base.commit(&many).unwrap();
    server.kill_and_start_again();
    base.commit(&[put("after", "1")]).unwrap();
    assert_eq!(base.count(TableId::Meta).unwrap(), 10_001);
    let keys: Vec<_> = many
        .iter()
        .map(|write| (TableId::Meta, &*write.key))
        .collect();
    let found = base.get(&keys).unwrap();
    assert!(found.iter().all(|row| row.as_deref() == Some(b"row")));
}

#[test]
fn every_row_is_in_a_scan() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    let many: Vec<Write> = (0..5_000)
        .map(|at| put(&format!("{at:06}"), "row"))
        .collect();
    base.commit(&many).unwrap();
    let mut keys = std::collections::BTreeSet::new();
    let mut from = None;
    loop {
        let page = base.scan(TableId::Meta, from.as_deref(), 100).unwrap();
        keys.extend(page.rows.into_iter().map(|(key, _)| key));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(keys.len(), 5_000);
}

#[test]
fn an_owner_that_was_away_too_long_changes_nothing_more() {
    let server = Server::start();
    let mut away = Redis::open(settings(&server)).unwrap();
    away.commit(&[put("a", "1")]).unwrap();
    let before = server::now();
    let mut next = Redis::open(settings(&server)).unwrap();
    assert!(
        before.elapsed() >= TTL / 2,
        "the first owner was still alive"
    );
    let late = away.commit(&[put("a", "late")]).unwrap_err();
    assert!(matches!(late, StoreError::Lost), "{late}");
    assert!(matches!(away.keep().unwrap_err(), StoreError::Lost));
    assert_eq!(read(&mut next, "a").as_deref(), Some("1"));
    next.commit(&[put("a", "2")]).unwrap();
}

#[test]
fn patience_with_another_owner_has_an_end() {
    let server = Server::start();
    let _first = Redis::open(settings(&server)).unwrap();
    let hasty = Settings {
        patience: Some(Duration::ZERO),
        ..settings(&server)
    };
    let error = Redis::open(hasty).unwrap_err();
    assert!(error.to_string().contains("another gateway"), "{error}");
}

#[test]
fn an_owner_whose_key_expired_goes_on_while_nobody_else_came() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    server.command(&["DEL", "{test}:owner"]);
    base.commit(&[put("a", "1")]).unwrap();
    assert_eq!(server.command(&["EXISTS", "{test}:owner"]), "1");
}

#[test]
fn a_commit_that_is_sent_again_is_done_once() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    base.commit(&[put("a", "1")]).unwrap();
    let number = base.journal().latest.clone();
    let again = base.commit_command(&[put("a", "again")], "", &number);
    let answer: String = base.connector.query(&again).unwrap();
    assert_eq!(answer, "REPEATED");
    assert_eq!(read(&mut base, "a").as_deref(), Some("1"));
}

#[test]
fn a_lost_connection_is_made_again() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    base.commit(&[put("a", "1")]).unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    base.commit(&[put("a", "2")]).unwrap();
    assert_eq!(read(&mut base, "a").as_deref(), Some("2"));
}

#[test]
fn one_that_loses_what_it_is_given_is_refused() {
    let server = Server::start();
    let refused = |why: &str| {
        let error = Redis::open(settings(&server)).unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    server.command(&["CONFIG", "SET", "appendfsync", "everysec"]);
    refused("store.redis.durability");
    let less = Settings {
        durability: Durability::Everysec,
        ..settings(&server)
    };
    Redis::open(less).unwrap().close();
    server.command(&["CONFIG", "SET", "appendfsync", "always"]);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    refused("maxmemory-policy");
    let bold = Settings {
        allow_eviction: true,
        ..settings(&server)
    };
    Redis::open(bold).unwrap().close();
}

#[test]
fn a_full_memory_fails_a_commit_whole() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    base.commit(&[put("a", "1")]).unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = base.commit(&[put("a", "2"), put("b", "2")]).unwrap_err();
    assert!(matches!(full, StoreError::Unavailable(_)), "{full}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(read(&mut base, "a").as_deref(), Some("1"));
    base.commit(&[put("a", "3")]).unwrap();
    assert_eq!(read(&mut base, "a").as_deref(), Some("3"));
}

#[test]
fn an_owner_is_sure_of_itself_only_for_a_while_after_each_sign_of_life() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    let ownership = base.ownership();
    assert!(ownership.is_sure());
    server::until("its time is over", || !ownership.is_sure());
    base.commit(&[put("a", "1")]).unwrap();
    assert!(ownership.is_sure());
    server::until("its time is over", || !ownership.is_sure());
    base.keep().unwrap();
    assert!(ownership.is_sure());
    base.close();
    assert!(!ownership.is_sure());
}

#[test]
fn an_owner_that_reads_for_long_stays_the_owner() {
    let server = Server::start();
    let mut base = Redis::open(settings(&server)).unwrap();
    base.commit(&[put("a", "1")]).unwrap();
    let hasty = Settings {
        patience: Some(3 * TTL),
        ..settings(&server)
    };
    let other = std::thread::spawn(move || Redis::open(hasty).map(drop));
    while !other.is_finished() {
        base.scan(TableId::Meta, None, 10).unwrap();
    }
    let refused = other.join().unwrap();
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
}

/// A gateway that waits a while for the store.
fn hasty(server: &Server) -> Settings {
    Settings {
        patience: Some(3 * TTL),
        ..settings(server)
    }
}

#[test]
fn an_owner_that_has_nothing_to_do_stays_the_owner() {
    let server = Server::start();
    let engine = Engine::start(Box::new(Redis::open(settings(&server)).unwrap())).unwrap();
    let refused = Redis::open(hasty(&server)).map(drop);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(engine.is_surely_owner());
    drop(engine);
    Redis::open(hasty(&server)).unwrap();
}

#[test]
fn an_owner_that_runs_one_operation_without_an_end_is_taken_for_dead() {
    let server = Server::start();
    let engine = Engine::start(Box::new(Redis::open(settings(&server)).unwrap())).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut endless = Box::pin(engine.run(move |_| {
        released.recv().ok();
        Ok(())
    }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(endless.as_mut().poll(&mut context).is_pending());
    Redis::open(settings(&server)).unwrap();
    assert!(!engine.is_surely_owner());
    drop((endless, release));
}
