//! What is done while a group is in flight.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::*;
use crate::gateway::model::Timestamp;
use crate::store::memory::Memory;
use crate::store::table::Table;
use crate::store::tables::{EventRow, Events, Meta};

fn start(memory: &Memory) -> Engine {
    Engine::start(Box::new(memory.clone())).unwrap()
}

fn put(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<()> {
    tx.put::<Meta>(key, value.to_owned())
}

fn get(tx: &mut Tx<'_>, key: &str) -> Result<Option<String>> {
    Ok(tx.get::<Meta>(key)?.map(|row| String::clone(&row)))
}

/// Asks, without waiting for the answer.
async fn ask<F: Future>(mut future: std::pin::Pin<&mut F>) {
    let asked = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending()));
    assert!(asked.await, "it was answered at once");
}

#[tokio::test]
async fn what_is_asked_during_a_flight_sees_it_and_is_answered_no_sooner_where_it_does() {
    let memory = Memory::default();
    let engine = start(&memory);
    engine.run(|tx| put(tx, "old", "known")).await.unwrap();
    let (begun, release) = memory.hold();
    let mut flying = pin!(engine.run(|tx| put(tx, "new", "flying")));
    ask(flying.as_mut()).await;
    begun.recv().unwrap();
    // Run by now, as one that came later is answered.
    let mut next = pin!(engine.run(|tx| {
        let seen = get(tx, "new")?;
        put(tx, "next", "behind")?;
        Ok(seen)
    }));
    let mut uncommitted = pin!(engine.run(|tx| get(tx, "new")));
    let mut summary = pin!(engine.run(|tx| Ok(tx.count::<Meta>())));
    ask(next.as_mut()).await;
    ask(uncommitted.as_mut()).await;
    ask(summary.as_mut()).await;
    let known = engine.run(|tx| get(tx, "old")).await;
    assert_eq!(known.unwrap().as_deref(), Some("known"));
    // Nothing was committed since, so none of these can have been told.
    assert_eq!(memory.commits(), [1]);
    ask(uncommitted.as_mut()).await;
    ask(summary.as_mut()).await;
    drop(release);
    flying.await.unwrap();
    assert_eq!(next.await.unwrap().as_deref(), Some("flying"));
    assert_eq!(uncommitted.await.unwrap().as_deref(), Some("flying"));
    assert_eq!(summary.await.unwrap(), 3);
    assert_eq!(memory.commits(), [1, 1, 1]);
}

#[tokio::test]
async fn a_flight_that_fails_takes_what_was_done_meanwhile_with_it() {
    let memory = Memory::default();
    let engine = start(&memory);
    engine.run(|tx| put(tx, "a", "first")).await.unwrap();
    let (begun, release) = memory.hold();
    memory.fail_with(StoreError::Unavailable("the disk is full".to_owned()));
    let mut flying = pin!(engine.run(|tx| {
        put(tx, "a", "second")?;
        put(tx, "b", "new")
    }));
    ask(flying.as_mut()).await;
    begun.recv().unwrap();
    let mut behind = pin!(engine.run(|tx| {
        put(tx, "a", "third")?;
        tx.delete::<Meta>("b")?;
        put(tx, "c", "new")
    }));
    let mut question = pin!(engine.run(|tx| get(tx, "a")));
    ask(behind.as_mut()).await;
    ask(question.as_mut()).await;
    engine.run(|tx| get(tx, "z")).await.unwrap();
    drop(release);
    for answer in [flying.await, behind.await, question.await.map(drop)] {
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
    let left = engine.run(|tx| Ok((get(tx, "a")?, get(tx, "b")?, tx.count::<Meta>())));
    assert_eq!(left.await.unwrap(), (Some("first".to_owned()), None, 1));
    assert_eq!(memory.rows(Meta::ID), 1);
    engine.run(|tx| put(tx, "d", "new")).await.unwrap();
    assert_eq!(memory.commits(), [1, 1]);
}

#[tokio::test]
async fn what_runs_alone_waits_for_the_flight() {
    let memory = Memory::default();
    let engine = start(&memory);
    let (begun, release) = memory.hold();
    let mut flying = pin!(engine.run(|tx| put(tx, "a", "x")));
    ask(flying.as_mut()).await;
    begun.recv().unwrap();
    let mut alone = pin!(engine.run_alone(|tx| Ok(tx.all::<Meta>()?.len())));
    ask(alone.as_mut()).await;
    drop(release);
    assert_eq!(alone.await.unwrap(), 1);
    flying.await.unwrap();
}

#[tokio::test]
async fn what_much_else_waits_for_is_run_before_all_that_waits() {
    let engine = start(&Memory::default());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |_: &mut Tx<'_>| {
            order.lock().unwrap().push(name);
            Ok(())
        }
    };
    let (release, is_released) = std::sync::mpsc::channel::<()>();
    let mut running = pin!(engine.run(move |_| {
        is_released.recv().unwrap();
        Ok(())
    }));
    ask(running.as_mut()).await;
    let mut one = pin!(engine.run(note("one")));
    let mut two = pin!(engine.run(note("two")));
    let mut first = pin!(engine.run_first(note("first")));
    ask(one.as_mut()).await;
    ask(two.as_mut()).await;
    ask(first.as_mut()).await;
    release.send(()).unwrap();
    let (running, one, two, first) = tokio::join!(running, one, two, first);
    assert!([running, one, two, first].iter().all(Result::is_ok));
    assert_eq!(*order.lock().unwrap(), ["first", "one", "two"]);
}

#[tokio::test]
async fn nothing_takes_off_without_what_much_else_waits_for() {
    let memory = Memory::default();
    let engine = start(&memory);
    let (release, is_released) = std::sync::mpsc::channel::<()>();
    let (begin, has_begun) = std::sync::mpsc::channel::<()>();
    let mut running = pin!(engine.run(move |tx| {
        begin.send(()).unwrap();
        is_released.recv().unwrap();
        put(tx, "running", "x")
    }));
    ask(running.as_mut()).await;
    has_begun.recv().unwrap();
    let mut first = pin!(engine.run_first(|tx| put(tx, "first", "x")));
    ask(first.as_mut()).await;
    release.send(()).unwrap();
    let (running, first) = tokio::join!(running, first);
    assert!(running.is_ok() && first.is_ok());
    assert_eq!(memory.commits(), [2]);
}

#[tokio::test]
async fn closing_waits_for_all_flights() {
    let memory = Memory::default();
    let engine = start(&memory);
    let (begun, release) = memory.hold();
    let mut flying = Box::pin(engine.run(|tx| put(tx, "a", "x")));
    ask(flying.as_mut()).await;
    begun.recv().unwrap();
    let mut behind = Box::pin(engine.run(|tx| put(tx, "b", "x")));
    ask(behind.as_mut()).await;
    drop((flying, behind, release));
    drop(engine);
    assert_eq!(memory.rows(Meta::ID), 2);
}

/// Goes through the tables that had something at the start.
async fn learn(engine: &Engine) {
    for _ in 0..9 {
        engine.run(|_| Ok(())).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_new_costs_no_journey_and_what_was_there_at_the_start_is_found() {
    let memory = Memory::remote();
    let engine = start(&memory);
    learn(&engine).await;
    let before = memory.journeys();
    let row = || EventRow {
        seq: 1,
        at: Timestamp(1),
        about: None,
        messages: Vec::new(),
    };
    let made = engine.run(move |tx| tx.put::<Events>("old", row()));
    made.await.unwrap();
    assert_eq!(memory.journeys(), before);
    drop(engine);
    let engine = start(&memory);
    let has = async |key: &'static str| engine.run(move |tx| tx.has::<Events>(key)).await.unwrap();
    // Nobody knows yet what else there is.
    assert!(has("old").await);
    learn(&engine).await;
    let before = memory.journeys();
    assert!(!has("new").await && has("old").await);
    assert_eq!(memory.journeys(), before);
    drop(engine);
    let engine = start(&memory);
    learn(&engine).await;
    let before = memory.journeys();
    let has = async |key: &'static str| engine.run(move |tx| tx.has::<Events>(key)).await.unwrap();
    assert!(has("old").await && !has("new").await);
    assert_eq!(memory.journeys(), before + 1);
}
