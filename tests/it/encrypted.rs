//! Encrypted rooms: the gateway says that it cannot read them, and what to do.

use serde_json::json;

use crate::support::world::{PHONE, World, bot, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_room_is_told_that_the_phone_cannot_hear_it() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    for invited in [ghost(PHONE), bot()] {
        let room = alice
            .create_room(&json!({
                "preset": "trusted_private_chat",
                "is_direct": true,
                "invite": [invited],
                "initial_state": [{
                    "type": "m.room.encryption",
                    "state_key": "",
                    "content": { "algorithm": "m.megolm.v1.aes-sha2" },
                }],
            }))
            .await;
        let told = |timeline: &crate::support::room::Timeline| {
            let declined = timeline
                .membership(&invited)
                .is_some_and(|member| member["reason"].to_string().contains("encrypt"));
            declined || timeline.notices(&["encrypt", "turned off"]).count() == 1
        };
        alice
            .sees(&room, "what is wrong and what to do", told)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_becomes_encrypted_is_told_so() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "in the clear").await;
    world.sim.gets(PHONE, "in the clear").await;
    alice.encrypt(&room).await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline.notices(&["encrypt"]).count() == 1
        })
        .await;
}
