//! `cargo xtask gallery`: the same live list in React, Svelte, Vue and Solid, on an appview where it changes.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::json;

use crate::appview::Appview;
use crate::proc::Background;
use crate::talk::ALICE;
use crate::{build, demo, display, npm, setup};

const NOTES: [&str; 12] = [
    "Tent, sleeps three",
    "Stove and two cartridges",
    "Filter for the lake: the upper spring is dry",
    "Cake for up there 🍰",
    "Train back at 18:42",
    "Table for five at eight",
    "Spare pair of poles, a bit short",
    "Boots, the north side is still muddy",
    "Three batteries, charged",
    "Two litres of water each",
    "Under the big clock at 7:30",
    "Gaiters, if anyone has them",
];
/// How many there are at first, and then at most one more.
const AT_FIRST: usize = 5;

/// Sets up, builds, and runs until the last window is closed.
pub fn run() -> Result<()> {
    let own_display = !display::present();
    let mut needs = vec![setup::Need::Build];
    if own_display {
        needs.push(setup::Need::Window);
    }
    setup::packages(&needs)?;
    npm::install(&[npm::gallery()])?;
    build::front_end(&npm::gallery())?;
    let programs = build::programs("gallery")?;

    let appview = Appview::start(&programs.appview, &[])?;
    let mut notes = Notes::begin(&appview)?;
    let display = own_display.then(display::Virtual::start).transpose()?;
    let mut command = Command::new(&programs.gallery);
    command.env("GALLERY_APPVIEW", &appview.url);
    if let Some(display) = &display {
        display.apply(&mut command);
    }
    let window = Background::spawn("the gallery", command)?;
    eprintln!("appview: {}", appview.url);
    demo::follow("the gallery", window, &demo::Options::default(), || {
        notes.go_on()
    })
}

/// What alice writes down: a window onto `NOTES` that moves on.
struct Notes<'a> {
    appview: &'a Appview,
    oldest: usize,
    next: usize,
}

impl<'a> Notes<'a> {
    fn begin(appview: &'a Appview) -> Result<Self> {
        let mut notes = Self {
            appview,
            oldest: 0,
            next: 0,
        };
        for i in 0..AT_FIRST {
            let minutes = u64::try_from(AT_FIRST - i)?;
            notes.add(SystemTime::now() - Duration::from_secs(60 * minutes))?;
        }
        Ok(notes)
    }

    /// A new one, the end of the oldest, or a tick on one of them.
    fn go_on(&mut self) -> Result<()> {
        if fastrand::bool() {
            let text = format!("{} ✓", text(self.oldest));
            return self.put(self.oldest, &text, None);
        }
        if self.next - self.oldest <= AT_FIRST {
            return self.add(SystemTime::now());
        }
        let gone = json!({ "collection": "message", "did": ALICE, "rkey": rkey(self.oldest) });
        self.oldest += 1;
        self.appview.control("delete", &gone).map(drop)
    }

    fn add(&mut self, at: SystemTime) -> Result<()> {
        let millis = at.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        self.next += 1;
        self.put(
            self.next - 1,
            text(self.next - 1),
            Some(u64::try_from(millis)?),
        )
    }

    /// `created`: Unix milliseconds; an edit keeps them.
    fn put(&self, which: usize, text: &str, created: Option<u64>) -> Result<()> {
        let note = json!({ "collection": "message", "did": ALICE, "rkey": rkey(which),
            "record": { "text": text }, "createdAt": created });
        self.appview.control("put", &note).map(drop)
    }
}

fn rkey(which: usize) -> String {
    format!("note{which:06}")
}

fn text(which: usize) -> &'static str {
    NOTES[which % NOTES.len()]
}
