//! How those that stand by learn where the owner is.

use super::*;

/// Longer than a test takes: an owner ends when its key is deleted.
const LONG: Duration = Duration::from_mins(10);

fn reached_at(server: &Server, reach: &Reach) -> Settings {
    Settings {
        owner_ttl: LONG,
        standing: Standing::reached_at(reach.clone()),
        ..settings(server)
    }
}

/// What one sees that would take over and does not wait.
fn seen(server: &Server) -> Sight {
    let standing = Standing::default();
    let hasty = Settings {
        patience: Some(Duration::ZERO),
        standing: standing.clone(),
        ..settings(server)
    };
    Redis::open(hasty).unwrap_err();
    standing.watch().borrow().clone()
}

fn reach(name: &str) -> Reach {
    Reach::at(format!("{name}.example.org:29310"))
}

#[test]
fn those_that_stand_by_see_where_the_owner_is_and_a_stale_one_tells_them_nothing() {
    let server = Server::start();
    let (first, second) = (reach("first"), reach("second"));
    let standing = Standing::reached_at(first.clone());
    let mut stale = Redis::open(Settings {
        standing: standing.clone(),
        ..reached_at(&server, &first)
    })
    .unwrap();
    assert_eq!(*standing.watch().borrow(), Sight::Ours);
    assert_eq!(seen(&server), Sight::Other(first));
    server.command(&["DEL", "{test}:owner"]);
    let _owner = Redis::open(reached_at(&server, &second)).unwrap();
    assert_eq!(seen(&server), Sight::Other(second.clone()));
    assert!(matches!(stale.keep(), Err(StoreError::Lost)));
    let late = stale.commit(&[put("a", "late")]);
    assert!(matches!(late, Err(StoreError::Lost)));
    assert_eq!(seen(&server), Sight::Other(second));
}

#[test]
fn an_address_counts_only_under_the_epoch_of_the_owner_and_is_told_again() {
    let server = Server::start();
    let where_it_is = reach("first");
    let mut owner = Redis::open(reached_at(&server, &where_it_is)).unwrap();
    server.command(&["HSET", "{test}:door", "epoch", "0"]);
    assert_eq!(seen(&server), Sight::Nobody);
    owner.keep().unwrap();
    assert_eq!(seen(&server), Sight::Other(where_it_is));
}

#[test]
fn an_owner_that_tells_nothing_is_nobody_to_call() {
    let server = Server::start();
    let _before = {
        let mut before = Redis::open(reached_at(&server, &reach("before"))).unwrap();
        before.close();
        before
    };
    let quiet = Settings {
        owner_ttl: LONG,
        ..settings(&server)
    };
    let _owner = Redis::open(quiet).unwrap();
    assert_eq!(seen(&server), Sight::Nobody);
}
