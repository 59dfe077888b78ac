//! `cargo xtask gallery`: the same live list in React, Svelte, Vue and Solid, on an appview where it changes.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

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
pub(crate) fn run() -> Result<()> {
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
    command
        .env("GALLERY_APPVIEW", &appview.url)
        .env("GALLERY_QUERY", &notes.query);
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
    space: String,
    /// What opens the space to the windows.
    query: String,
    oldest: usize,
    next: usize,
}

impl<'a> Notes<'a> {
    fn begin(appview: &'a Appview) -> Result<Self> {
        let space = appview.control("openSpace", &json!({ "key": "notes", "owner": ALICE }))?;
        let of_space = |name: &str| {
            let text = space[name].as_str().map(str::to_owned);
            text.with_context(|| format!("the new space has no {name}"))
        };
        let mut notes = Self {
            appview,
            space: of_space("uri")?,
            query: of_space("query")?,
            oldest: 0,
            next: 0,
        };
        for _ in 0..AT_FIRST {
            notes.add()?;
        }
        Ok(notes)
    }

    /// A new one, the end of the oldest, or a tick on one of them.
    fn go_on(&mut self) -> Result<()> {
        if fastrand::bool() {
            let text = format!("{} ✓", text(self.oldest));
            return self.put(self.oldest, &text);
        }
        if self.next - self.oldest <= AT_FIRST {
            return self.add();
        }
        self.oldest += 1;
        self.control("delete", self.oldest - 1, json!({}))
    }

    fn add(&mut self) -> Result<()> {
        self.next += 1;
        self.put(self.next - 1, text(self.next - 1))
    }

    fn put(&self, which: usize, text: &str) -> Result<()> {
        self.control("put", which, json!({ "record": { "text": text } }))
    }

    /// A control call about one note, with more fields.
    fn control(&self, call: &str, which: usize, mut fields: Value) -> Result<()> {
        fields["spaceUri"] = json!(self.space);
        fields["collection"] = json!("message");
        fields["did"] = json!(ALICE);
        fields["rkey"] = json!(format!("note{which:06}"));
        self.appview.control(call, &fields).map(drop)
    }
}

fn text(which: usize) -> &'static str {
    NOTES[which % NOTES.len()]
}
