//! `cargo xtask soak`: the engine against the development appview in each of its modes, under random traffic and faults. A
//! short run is part of the tests.

use anyhow::Result;

use crate::{build, proc};

/// How much to try.
pub(crate) struct Options {
    /// Seconds for each mode; the modes run beside each other.
    pub seconds: u64,
    /// What is random begins with it.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seconds: 900,
            seed: 1,
        }
    }
}

/// Runs it, and fails at the first watch that does not come to agree with the server.
pub(crate) fn run(options: &Options) -> Result<()> {
    let what = [
        "test",
        "--package",
        "contrail-sync-engine",
        "--test",
        "soak",
    ];
    let mut command = build::cargo(&what);
    command
        .args(["--release", "--", "--nocapture"])
        .env("SOAK_SECONDS", options.seconds.to_string())
        .env("SOAK_SEED", options.seed.to_string());
    proc::run(&mut command)
}
