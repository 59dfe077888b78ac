//! A window whose page measures: `bench-window --page DIR --plan JSON`. The page (built from `page/`) gets the plan,
//! hands back samples, each printed as one line `bench-sample {json}`, and ends the program.

mod page;
mod usage;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lexopt::prelude::*;
use serde_json::Value;
use tauri::{AppHandle, State};
use tauri_plugin_contrail_sync::Builder;
use tracing_subscriber::EnvFilter;

/// What `cargo xtask bench` looks for.
const MARK: &str = "bench-sample ";
/// A page that hands back nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

struct Arguments {
    page: page::Folder,
    plan: Value,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let (mut page, mut plan) = (None, None);
    let mut given = lexopt::Parser::from_env();
    while let Some(argument) = given.next()? {
        match argument {
            Long("page") => page = Some(page::Folder::new(given.value()?.into())),
            Long("plan") => plan = Some(given.value()?.parse_with(str::parse)?),
            other => return Err(other.unexpected()),
        }
    }
    let page = page.ok_or("--page is missing")?;
    let plan = plan.ok_or("--plan is missing")?;
    Ok(Arguments { page, plan })
}

/// Says that the page is alive.
struct Pulse(Sender<()>);

/// What the page is to measure.
#[tauri::command]
fn plan(plan: State<'_, Value>) -> Value {
    plan.inner().clone()
}

/// One thing that the page measured.
#[tauri::command(async)]
fn sample(pulse: State<'_, Pulse>, sample: Value) {
    // Without a watchdog nobody waits for it.
    let _ = pulse.0.send(());
    // Nor need anyone read it.
    let _ = writeln!(std::io::stdout(), "{MARK}{sample}");
}

/// What the processes have used so far.
#[tauri::command(async)]
fn usage() -> usage::Usage {
    usage::now()
}

/// The page is done, or cannot go on.
#[tauri::command(async)]
fn finish(app: AppHandle, error: Option<String>) {
    if let Some(error) = &error {
        eprintln!("bench-window: {error}");
    }
    app.exit(i32::from(error.is_some()));
}

/// Ends the program when the page has been silent for too long.
fn watch_over(app: AppHandle, pulse: Receiver<()>) {
    std::thread::spawn(move || {
        while pulse.recv_timeout(PATIENCE).is_ok() {}
        let _ = writeln!(std::io::stderr(), "bench-window: the page hangs");
        app.exit(1);
    });
}

fn run(Arguments { page, plan }: Arguments) -> tauri::Result<()> {
    let (pulse, pulses) = channel();
    let mut context = tauri::generate_context!();
    context.set_assets(Box::new(page));
    tauri::Builder::default()
        // Every start is to make a connection of its own.
        .plugin(
            Builder::new()
                .linger(Duration::ZERO)
                .without_keyring()
                .build(),
        )
        .manage(plan)
        .manage(Pulse(pulse))
        .invoke_handler(tauri::generate_handler![self::plan, sample, usage, finish])
        .setup(|app| {
            watch_over(app.handle().clone(), pulses);
            Ok(())
        })
        .run(context)
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("bench-window: {error}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-window: {error}");
            ExitCode::FAILURE
        }
    }
}
