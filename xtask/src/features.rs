//! `cargo xtask features`: both crates build without a warning with each of their features alone, and with none; and what is
//! left out says so.

use anyhow::Result;

use crate::{build, proc};

/// Those that leave something out. The lints of the tests have all of them.
const FEATURES: [&str; 5] = ["", "cache", "http2", "keyring", "ws"];
const PACKAGES: [&str; 2] = ["contrail-sync-engine", "tauri-plugin-contrail-sync"];

/// Checks each.
pub(crate) fn check() -> Result<()> {
    for feature in FEATURES {
        let mut command = build::cargo(&["clippy", "--no-default-features"]);
        for package in PACKAGES {
            command.args(["--package", package]);
        }
        command.args(["--features", feature, "--", "-D", "warnings"]);
        proc::run(&mut command)?;
    }
    let tests = ["test", "--package", PACKAGES[0], "--no-default-features"];
    proc::run(build::cargo(&tests).arg("--lib"))
}
