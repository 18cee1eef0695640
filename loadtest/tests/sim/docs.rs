//! What the page for users says must be so.

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_loadtest::sim::{Scenario, Sim, SimSettings};
use matrix_smpp_session::BindMode;

use crate::client::{Esme, get, message};

const PAGE: &str = include_str!("../../../docs/simulator.md");

#[tokio::test]
async fn the_scenario_in_the_docs_runs() {
    let toml = PAGE.split("```toml\n").nth(1).expect("an example");
    let toml = toml.split("```").next().expect("its end");
    let scenario = Scenario::from_toml(toml).expect("a scenario");
    let settings = SimSettings {
        scenario,
        ..SimSettings::default()
    };
    let sim = Sim::start(settings).await.expect("a simulator");
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let unsigned = |text| matrix_smpp_codec::SubmitSm {
        registered_delivery: matrix_smpp_codec::RegisteredDelivery::NONE,
        ..message(text)
    };
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(esme.submit(unsigned("hello")).await.0);
    }
    let ok = CommandStatus::ESME_ROK;
    assert_eq!(statuses, [ok, ok, ok, CommandStatus::ESME_RTHROTTLED]);
    assert_eq!(get(&sim, "/faults").await[0]["fault"]["kind"], "duplicate");
}

#[test]
fn every_flag_is_in_the_docs() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_smsc-sim"))
        .arg("--help")
        .output()
        .expect("its help");
    let help = String::from_utf8(help.stdout).expect("text");
    let flags: Vec<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && !["--help", "--version"].contains(word))
        .collect();
    assert!(flags.len() > 10, "{flags:?}");
    for flag in flags {
        let flag = flag.trim_end_matches([',', ';', '.']);
        assert!(PAGE.contains(&format!("`{flag}")), "{flag}");
    }
}
