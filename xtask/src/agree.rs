//! `cargo xtask agree`: random lives of a watch, after which the store in Rust, its mirror in a page and a naive model
//! show the same records in the same order.

use anyhow::Result;

use crate::{build, counts, npm, proc};

/// Cases beyond which the optimised build pays for itself.
const MANY: u32 = 20_000;

/// How much to try.
pub(crate) struct Options {
    /// Lives to try.
    pub cases: u32,
    /// The first one's seed.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cases: 2_000,
            seed: 0,
        }
    }
}

/// Runs them, and stops at the first disagreement.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plugin = ["--package", "tauri-plugin-contrail-sync"];
    of(&plugin, options, &mut counts::Counts::default())
}

/// Runs them as one test of the whole workspace: what was built for it serves.
pub(crate) fn counted(options: &Options, counts: &mut counts::Counts) -> Result<()> {
    of(&["--workspace"], options, counts)
}

fn of(packages: &[&str], options: &Options, counts: &mut counts::Counts) -> Result<()> {
    proc::run(&mut npm::script(&npm::guest(), "build"))?;
    let mut command = build::cargo(&["test", "--lib"]);
    command.args(packages);
    if options.cases > MANY {
        command.arg("--release");
    }
    command
        .args(["agree_after_any_life", "--", "--ignored", "--nocapture"])
        .env("AGREE_CASES", options.cases.to_string())
        .env("AGREE_SEED", options.seed.to_string());
    proc::run_reading(&mut command, |line| {
        if let Some(more) = counts::cargo_line(line) {
            *counts += more;
        }
    })
}
