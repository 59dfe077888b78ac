//! `cargo xtask cross-check`: types and lints of the plugin on the platforms that are not this one.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{build, proc};

const TARGETS: [&str; 4] = [
    "aarch64-linux-android",
    "x86_64-pc-windows-msvc",
    "aarch64-apple-ios",
    "aarch64-apple-darwin",
];

/// Checks `targets`, or all of them when there are none.
pub(crate) fn check(targets: &[String]) -> Result<()> {
    if let Some(unknown) = targets.iter().find(|t| !TARGETS.contains(&t.as_str())) {
        bail!(
            "unknown target {unknown:?}; known are {}",
            TARGETS.join(", ")
        );
    }
    if proc::find("apt-get").is_none() {
        bail!(
            "cross-check takes the standard library's source from Debian's archive: run it on Debian or Ubuntu"
        );
    }
    let mut command = Command::new("bash");
    command
        .arg(crate::root().join("xtask/cross/check.sh"))
        .arg(build::target().join("cross"));
    if targets.is_empty() {
        command.args(TARGETS);
    } else {
        command.args(targets);
    }
    proc::run(command.current_dir(crate::root()))
}
