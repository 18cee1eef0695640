//! Real peers for the tests: each starts in a folder of its own, on free loopback ports, and is
//! gone when its test ends, however it ends.

pub(crate) mod balancer;
pub(crate) mod capture;
pub(crate) mod clock;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod kannel;
pub(crate) mod line;
pub(crate) mod peer;
pub(crate) mod power;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod room;
pub(crate) mod sim;
pub(crate) mod stub;
pub(crate) mod synapse;
pub(crate) mod user;
pub(crate) mod wait;
pub(crate) mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The build folder: the gateway's binary lies in `<target>/<profile>/`.
pub(crate) fn target_dir() -> &'static Path {
    profile_dir()
        .parent()
        .expect("a profile's folder lies in the build folder")
}

/// Where cargo puts the binaries of the profile under test.
fn profile_dir() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_matrix-smpp"))
        .parent()
        .expect("a binary lies in a folder")
}

/// A binary of the load test's package, built once per run where it is not fresh.
fn tool(name: &'static str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "-p", "matrix-smpp-loadtest"]);
        build.args(["--bins", "--target-dir"]).arg(target_dir());
        if profile_dir().ends_with("release") {
            build.arg("--release");
        }
        // What cargo tells this test of its package would make build scripts run again.
        let told = |name: &String| {
            ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|of| name.starts_with(of))
        };
        for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
            build.env_remove(name);
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the simulator does not build"
        );
    });
    profile_dir().join(name)
}

/// What `scripts/setup.sh` makes, or a failure that says so.
pub(crate) fn installed(path: PathBuf, what: &str) -> PathBuf {
    assert!(
        path.exists(),
        "{what} is not installed ({}): run `make setup`",
        path.display()
    );
    path
}
