//! A display for machines that have none.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::proc::Background;

/// Whether windows can be opened as things are.
pub(crate) fn present() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// An X server that draws into memory. Ends when dropped.
pub(crate) struct Virtual {
    _server: Background,
    name: String,
}

impl Virtual {
    /// Starts Xvfb on a display number that it picks itself.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new("Xvfb");
        // fd 1: the number is written to stdout once the server accepts connections.
        command
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24"])
            .args(["-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut server = Background::spawn("Xvfb", command)?;
        let number = server.first_line(Duration::from_secs(20))?;
        Ok(Self {
            _server: server,
            name: format!(":{number}"),
        })
    }

    /// Makes `command` open its windows here.
    pub(crate) fn apply(&self, command: &mut Command) {
        command
            .env("DISPLAY", &self.name)
            .env("GDK_BACKEND", "x11")
            .env_remove("WAYLAND_DISPLAY");
    }
}
