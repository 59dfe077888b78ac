//! `cargo xtask soak`: the engine against the development appview in each of its modes, under random traffic and faults. A
//! short run is part of the tests. With `--app`, a whole app in
//! three windows: the chat, or the gallery.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{build, display, keyring, npm, proc, setup};

/// An app that can be soaked.
#[derive(Clone, Copy)]
pub(crate) enum App {
    /// Tickets, a cache and an outbox, in one framework.
    Chat,
    /// One list in three frameworks.
    Gallery,
}

impl App {
    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Gallery => "gallery",
        }
    }

    fn folder(self) -> PathBuf {
        match self {
            Self::Chat => npm::chat(),
            Self::Gallery => npm::gallery(),
        }
    }
}

/// How much to try.
pub(crate) struct Options {
    /// Seconds for each mode; the modes run beside each other.
    pub seconds: u64,
    /// What is random begins with it.
    pub seed: u64,
    /// A whole app instead of the engine alone.
    pub app: Option<App>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seconds: 900,
            seed: 1,
            app: None,
        }
    }
}

/// Runs it, and fails at the first watch that does not come to agree with the server.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(app) = options.app {
        return run_app(app, options);
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

/// An app in three windows, which reload, close and sleep; where nobody is looking.
fn run_app(app: App, options: &Options) -> Result<()> {
    setup::packages(&[
        setup::Need::Build,
        setup::Need::Window,
        setup::Need::Keyring,
    ])?;
    npm::install(&[app.folder()])?;
    build::front_end(&app.folder())?;
    let programs = build::programs(app.name())?;
    let display = display::Virtual::start()?;
    let mut command = Command::new("node");
    command
        .arg(crate::root().join("tests/e2e/soak/run.mjs"))
        .arg(app.name())
        .env("E2E_APPVIEW", &programs.appview)
        .env("E2E_CHAT", &programs.chat)
        .env("E2E_GALLERY", &programs.gallery)
        .env("SOAK_SECONDS", options.seconds.to_string())
        .env("SOAK_SEED", options.seed.to_string());
    display.apply(&mut command);
    let (mut command, _home) = keyring::with_keyring(&command)?;
    proc::run(&mut command)
}
