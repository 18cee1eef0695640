//! Pools say how full they are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::pools;
use super::world::*;

async fn say(world: &mut World, owner: &str) {
    let room = world.direct_room_of(owner, PHONE).await;
    world.says(&room, owner, "hello");
    world.run().await;
}

#[tokio::test]
async fn a_pool_is_warned_of_once_before_it_refuses_anybody() {
    let mut world = World::new();
    for who in [ALICE, BOB, CAROL] {
        world.top_up(who, "1").await;
    }
    let mut seen = pools::Seen::default();
    // Alice has a number of her own.
    say(&mut world, ALICE).await;
    say(&mut world, BOB).await;
    let gateway = world.gateway.clone();
    pools::look(&gateway, &mut seen).await;
    assert!(seen.warned.is_empty());
    let text = gateway.metrics.render();
    for line in [
        r#"pool_numbers{pool="uk"} 2"#,
        r#"pool_leases{pool="uk",state="active"} 1"#,
        r#"pool_most_used{pool="uk"} 1"#,
        r#"pool_phones_full{pool="uk"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    say(&mut world, CAROL).await;
    pools::look(&gateway, &mut seen).await;
    assert_eq!(seen.warned, BTreeSet::from(["uk".to_owned()]));
    let text = gateway.metrics.render();
    assert!(
        text.contains(r#"pool_phones_full{pool="uk"} 1"#),
        "nobody was refused, and the pool is full: {text}"
    );
}

#[tokio::test]
async fn a_number_that_cools_off_counts_until_it_has() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "hello");
    world.run().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
    let gateway = world.gateway.clone();
    let counted = async || {
        let pools = &gateway.settings.routing.pools;
        let now = world.clock.now();
        let count = pools::count(&*world.store, pools, now, Duration::ZERO).await;
        let uk = count.unwrap().remove(0);
        (uk.active, uk.cooling, uk.free())
    };
    assert_eq!(counted().await, (0, 1, 1));
    world.clock.advance(Duration::from_hours(2));
    assert_eq!(counted().await, (0, 0, 2));
}
