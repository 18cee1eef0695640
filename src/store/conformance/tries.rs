//! How often a property is tried, and with which random choices: the usual, or more of them by
//! `STORE_CASES` and others by `STORE_SEED`. A failure prints the smallest operations that it needs.

use std::fmt::Debug;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn told(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn runner() -> TestRunner {
    let Some(seed) = told("STORE_SEED") else {
        return TestRunner::deterministic();
    };
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &octets),
    )
}

/// Tries `run` on what `strategy` makes; panics with the smallest for which it fails.
pub(super) async fn holds<S: Strategy>(
    usual: u64,
    strategy: S,
    mut run: impl AsyncFnMut(S::Value) -> Result<(), String>,
) where
    S::Value: Debug,
{
    let mut runner = runner();
    for _ in 0..told("STORE_CASES").unwrap_or(usual) {
        let mut tree = strategy.new_tree(&mut runner).unwrap();
        let mut broken = run(tree.current()).await.err();
        if broken.is_none() {
            continue;
        }
        // The smallest one that breaks it says most.
        let mut smaller = tree.simplify();
        while smaller {
            smaller = match run(tree.current()).await {
                Ok(()) => tree.complicate(),
                Err(reason) => {
                    broken = Some(reason);
                    tree.simplify()
                }
            };
        }
        panic!(
            "{}\nafter {:#?}",
            broken.unwrap_or_default(),
            tree.current()
        );
    }
}
