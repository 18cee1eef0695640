//! Kannel before the simulator.

use tempfile::TempDir;

use super::{OWN, texts};
use crate::support::kannel::Kannel;
use crate::support::sim::Sim;
use crate::support::world::PHONE;

async fn kannel() -> (TempDir, Sim, Kannel) {
    let home = tempfile::tempdir().expect("a folder");
    let sim = Sim::start(home.path()).await;
    let kannel = Kannel::start(home.path(), sim.smpp_port()).await;
    (home, sim, kannel)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kannel_sends_reaches_the_phone_and_its_receipts_come_back() {
    let (_home, sim, kannel) = kannel().await;
    for (n, text) in texts().iter().enumerate() {
        let tag = format!("text-{n}");
        kannel.sends(OWN, PHONE, text, &tag).await;
        sim.gets(PHONE, text).await;
        for state in ["8", "1"] {
            kannel.is_receipted(&tag, state).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_phone_writes_reaches_kannel_whole() {
    let (_home, sim, kannel) = kannel().await;
    for text in texts() {
        let statuses = sim.writes(PHONE, OWN, &text).await;
        assert!(
            statuses.iter().all(|status| status == "ESME_ROK"),
            "{statuses:?}"
        );
        let told = kannel.hears(&text).await;
        assert_eq!(told["from"].trim_start_matches('+'), PHONE);
        assert_eq!(told["to"].trim_start_matches('+'), OWN);
    }
}
