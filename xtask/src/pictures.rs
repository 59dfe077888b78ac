//! `cargo xtask pictures`: whether the chat still looks as the pictures of it in the book, or these anew.

use std::process::Command;

use anyhow::Result;

use crate::{build, display, keyring, npm, proc, setup};

/// Which pictures, and what becomes of one that has changed.
#[derive(Default)]
pub(crate) struct Options {
    /// Put it into the book instead of failing.
    pub renew: bool,
    /// The scenes; all of them if none is named.
    pub names: Vec<String>,
}

/// Sets up, builds, and takes the pictures on a display of their own: what else is on the screen has no say in them.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::packages(&[
        setup::Need::Build,
        setup::Need::Window,
        setup::Need::Keyring,
    ])?;
    npm::install(&[npm::chat()])?;
    npm::ci(&npm::e2e())?;
    build::front_end(&npm::chat())?;
    let programs = build::programs("chat")?;
    let display = display::Virtual::start()?;
    let mut command = Command::new("node");
    command
        .arg(npm::e2e().join("pictures.mjs"))
        .args(options.renew.then_some("--renew"))
        .args(&options.names)
        .env("E2E_APPVIEW", &programs.appview)
        .env("E2E_CHAT", &programs.chat)
        .env("E2E_ARTIFACTS", build::target().join("e2e"));
    display.apply(&mut command);
    let (mut command, _home) = keyring::with_keyring(&command)?;
    proc::run(&mut command)
}
