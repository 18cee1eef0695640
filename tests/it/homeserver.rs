//! The homeserver itself, as the other tests use it.

use crate::support::synapse::{SERVER, Synapse};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_writes_into_a_room_is_read_back_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let mut synapse = Synapse::prepare(home.path(), SERVER);
    synapse.start(None).await;
    let alice = synapse.register("alice").await;
    let bob = synapse.register("bob").await;

    let room = alice.group("tests", &[&bob.id]).await;
    assert_eq!(bob.is_invited(&alice.id).await, room);
    bob.join(&room).await;
    assert_eq!(alice.sees_join(&room, &bob.id).await, "bob");

    let written = alice.write(&room, "Grüße 👋").await;
    assert_eq!(bob.hears(&room, &alice.id, "Grüße 👋").await, written);

    synapse.stop().await;
    synapse.start(None).await;
    assert_eq!(bob.hears(&room, &alice.id, "Grüße 👋").await, written);
}
