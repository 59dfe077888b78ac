//! `cargo xtask soak`: the engine against the development appview in each of its modes, under random traffic and faults. A
//! short run is part of the tests. With `--app`, a whole app in three windows.

use std::process::Command;

use anyhow::Result;

use crate::{build, display, keyring, npm, proc, setup};

/// How much to try.
pub(crate) struct Options {
    /// Seconds for each mode; the modes run beside each other.
    pub seconds: u64,
    /// What is random begins with it.
    pub seed: u64,
    /// A whole app instead of the engine alone.
    pub app: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seconds: 900,
            seed: 1,
            app: false,
        }
    }
}

/// Runs it, and fails at the first watch that does not come to agree with the server.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.app {
        return run_app(options);
    }
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

/// The gallery in three windows, which reload, close and sleep; where nobody is looking.
fn run_app(options: &Options) -> Result<()> {
    setup::packages(&[
        setup::Need::Build,
        setup::Need::Window,
        setup::Need::Keyring,
    ])?;
    npm::install(&[npm::gallery()])?;
    build::front_end(&npm::gallery())?;
    let programs = build::programs("gallery")?;
    let display = display::Virtual::start()?;
    let mut command = Command::new("node");
    command
        .arg(crate::root().join("tests/e2e/soak.mjs"))
        .env("E2E_APPVIEW", &programs.appview)
        .env("E2E_GALLERY", &programs.gallery)
        .env("SOAK_SECONDS", options.seconds.to_string())
        .env("SOAK_SEED", options.seed.to_string());
    display.apply(&mut command);
    let (mut command, _home) = keyring::with_keyring(&command)?;
    proc::run(&mut command)
}
