//! `cargo xtask demo`: the chat, on an appview where people are talking.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::appview::Appview;
use crate::proc::Background;
use crate::talk::{ALICE, HIKE, KITCHEN, MEMBERS, Talk};
use crate::{build, display, keyring, npm, setup};

/// How the demo runs.
#[derive(Default)]
pub(crate) struct Options {
    /// Save what the window shows once it is live to this PNG file, and end.
    pub screenshot: Option<PathBuf>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// How the appview serves WebSockets.
    pub ws: Option<String>,
    /// Whether the appview is today's contrail: public lists, no streams.
    pub lists: bool,
}

/// How soon a closed window is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Sets up, builds, and runs until the window is closed, the time is over or the picture is taken.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut needs = vec![setup::Need::Build];
    if own_display(options) {
        needs.extend([setup::Need::Window, setup::Need::Keyring]);
    }
    setup::packages(&needs)?;
    npm::install(&[npm::chat()])?;
    build::front_end(&npm::chat())?;
    show(options, &build::programs("chat")?)
}

/// The demo itself, with programs that are built.
pub(crate) fn show(options: &Options, programs: &build::Programs) -> Result<()> {
    let mut args = Vec::new();
    if let Some(mode) = &options.ws {
        args.extend(["--ws", mode]);
    }
    if options.lists {
        args.extend(["--contrail", "0.19"]);
    }
    let appview = Appview::start(&programs.appview, &args)?;
    // In public there is but one room.
    let mut talks = match options.lists {
        true => vec![Talk::begin_in_public(&appview, &HIKE)?],
        false => vec![
            Talk::begin(&appview, &HIKE)?,
            Talk::begin(&appview, &KITCHEN)?,
        ],
    };
    let rooms = talks.iter().map(Talk::room).collect::<Vec<_>>().join(",");
    let display = own_display(options)
        .then(display::Virtual::start)
        .transpose()?;
    let mut command = match &options.screenshot {
        Some(file) => photographer(&programs.chat, file)?,
        None => Command::new(&programs.chat),
    };
    command
        .env("CHAT_APPVIEW", &appview.url)
        .env("CHAT_SPACE", &rooms)
        .env("CHAT_PEOPLE", MEMBERS.join(","))
        .env("CHAT_DID", ALICE);
    let (command, _home) = match &display {
        // Where nobody is looking, nobody's keyring and files are touched either.
        Some(display) => {
            display.apply(&mut command);
            let (command, home) = keyring::with_keyring(&command)?;
            (command, Some(home))
        }
        None => (command, None),
    };
    let window = Background::spawn("the chat", command)?;
    eprintln!("appview: {}\nrooms:   {rooms}", appview.url);
    follow("the chat", window, options, || {
        // Most is said in the first one.
        let which = if fastrand::u8(0..4) > 0 {
            0
        } else {
            talks.len() - 1
        };
        talks[which].go_on()
    })
}

/// A picture must not depend on what else is on the screen.
fn own_display(options: &Options) -> bool {
    cfg!(target_os = "linux") && (options.screenshot.is_some() || !display::present())
}

/// The driver of the end-to-end test opens the window, waits until it is live and saves the picture.
fn photographer(chat: &std::path::Path, file: &std::path::Path) -> Result<Command> {
    let mut command = Command::new("node");
    command
        .arg(crate::root().join("tests/e2e/screenshot.mjs"))
        .arg(std::path::absolute(file)?)
        .env("E2E_CHAT", chat);
    Ok(command)
}

/// Lets something happen now and then by `go_on`, until the window is closed, the time is over or the picture is taken.
pub(crate) fn follow(
    name: &str,
    mut window: Background,
    options: &Options,
    mut go_on: impl FnMut() -> Result<()>,
) -> Result<()> {
    let end = options.duration.map(|duration| Instant::now() + duration);
    let mut next = Instant::now() + Talk::pause();
    loop {
        if let Some(status) = window.ended()? {
            if !status.success() {
                bail!("{name} ended with {status}");
            }
            if let Some(file) = &options.screenshot {
                println!("saved {}", file.display());
            }
            return Ok(());
        }
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) {
            if let Some(file) = &options.screenshot {
                bail!("time is over and {} is not taken yet", file.display());
            }
            return Ok(());
        }
        if now >= next {
            go_on()?;
            next = now + Talk::pause();
        }
        std::thread::sleep(TICK);
    }
}
