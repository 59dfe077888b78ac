//! `cargo xtask bench`: runs the benches, prints their tables, and writes `target/bench.json`.

mod promises;
mod tables;
mod window;

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{build, npm, proc, setup};

/// What the benches put before a row.
const MARK: &str = "bench-row ";
const BENCHES: [&str; 5] = ["hot_path", "stream", "cache", "hostile", "writing"];
/// Built together, so that all of them share one build of what they depend on.
const PACKAGES: [&str; 3] = ["contrail-sync-engine", "bench-window", "appview"];

/// Runs all benches; a rough run of a minute or two if `quick`.
pub(crate) fn run(quick: bool) -> Result<()> {
    let mut needs = vec![setup::Need::Build];
    if cfg!(target_os = "linux") {
        needs.push(setup::Need::Window);
    }
    setup::packages(&needs)?;
    npm::install(&[])?;
    let mut rows = hot_paths(quick)?;
    println!("\n{}", tables::HotPaths(&rows));
    let programs = window::Programs::build()?;
    let mut measured = window::measure(&programs, quick)?;
    promises::check(&mut measured.rows);
    println!("\n{}", tables::Windows(&measured.rows));
    println!("{}", tables::Promises(&measured.rows));
    rows.append(&mut measured.rows);
    let file = build::target().join("bench.json");
    let report = json!({ "machine": machine(), "date": date()?, "rows": rows });
    std::fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("written to {}", file.display());
    match measured.failures.as_slice() {
        [] => Ok(()),
        failures => bail!("not everything was measured:\n{}", failures.join("\n")),
    }
}

/// A cargo command on all that is measured.
fn cargo(command: &str) -> Command {
    let mut command = build::cargo(&[command]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    for bench in BENCHES {
        command.args(["--bench", bench]);
    }
    command
}

/// Rows of the benches that need no window.
fn hot_paths(quick: bool) -> Result<Vec<Value>> {
    let mut command = cargo("bench");
    if quick {
        command.args(["--", "--quick"]);
    }
    let mut rows = Vec::new();
    proc::run_reading(&mut command, |line| {
        rows.extend(line.strip_prefix(MARK).map(str::to_owned));
    })?;
    let rows = rows.iter().map(|row| serde_json::from_str(row));
    let rows: Vec<Value> = rows
        .collect::<Result<_, _>>()
        .context("a row is not JSON")?;
    if rows.is_empty() {
        bail!("the benches printed no row");
    }
    Ok(rows)
}

/// Cores, processor and system.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, model) = line.split_once(':')?;
        (name.trim() == "model name").then(|| model.trim().to_owned())
    });
    let model = model.map_or_else(String::new, |model| format!(" of {model}"));
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{cores} cores{model}, {os} {arch}")
}

/// Today, as in 2026-01-31.
fn date() -> Result<String> {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let (date, _) = now.split_once('T').context("the time has no date")?;
    Ok(date.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_ten_characters() {
        assert_eq!(date().unwrap().len(), 10);
    }
}
