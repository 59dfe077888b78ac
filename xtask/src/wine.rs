//! `cargo xtask wine`: the engine's tests as Windows programs, under Wine.

use std::process::Command;

use anyhow::{Result, bail};

use crate::counts::{self, Counts};
use crate::{build, proc};

/// What depends on the platform: files and their locks, sockets, the credential store.
const TESTS: [&str; 8] = [
    "lib",
    "cache",
    "cache_damage",
    "cached_watch",
    "credentials",
    "sse",
    "writing",
    "ws",
];
const INSTALL: &str = "apt-get install --no-install-recommends gcc-mingw-w64-x86-64 wine wine64";

/// Builds and runs `tests`, by the names of their files in `engine/tests`, and `lib` for those beside the modules; what
/// depends on the platform when there are none.
pub(crate) fn test(tests: &[String]) -> Result<()> {
    let missing: Vec<_> = [
        &["apt-get"][..],
        &["x86_64-w64-mingw32-gcc"],
        &["wine64", "wine"],
        &["wineserver"],
    ]
    .into_iter()
    .filter(|any| any.iter().all(|name| proc::find(name).is_none()))
    .map(|any| any[0])
    .collect();
    if !missing.is_empty() {
        bail!(
            "missing: {}; on Debian or Ubuntu, run this, then try again:\n\n  {INSTALL}\n",
            missing.join(", ")
        );
    }
    let mut command = Command::new("bash");
    command
        .arg(crate::root().join("xtask/cross/wine/run.sh"))
        .arg(build::target().join("cross"))
        .current_dir(crate::root());
    let chosen = tests.iter().map(String::as_str);
    let usual = TESTS.into_iter().filter(|_| tests.is_empty());
    command.args(chosen.chain(usual).flat_map(arguments));
    let mut counts = Counts::default();
    let outcome = proc::run_reading(&mut command, |line| {
        if let Some(more) = counts::cargo_line(line) {
            counts += more;
        }
    });
    println!(
        "under Wine: {} passed, {} failed",
        counts.passed, counts.failed
    );
    outcome
}

/// What `cargo test` calls it.
fn arguments(test: &str) -> Vec<&str> {
    match test {
        "lib" => vec!["--lib"],
        name => vec!["--test", name],
    }
}
