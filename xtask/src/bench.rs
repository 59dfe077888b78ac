//! `cargo xtask bench`: runs the benches, prints one table, and writes `target/bench.json`.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{build, proc};

/// What the benches put before a row.
const MARK: &str = "bench-row ";
const BENCHES: [&str; 2] = ["hot_path", "cache"];

/// Runs all benches; a minute's rough run if `quick`.
pub fn run(quick: bool) -> Result<()> {
    let mut command = build::cargo(&["bench", "--package", "tauri-plugin-contrail-sync"]);
    for bench in BENCHES {
        command.args(["--bench", bench]);
    }
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
    println!("\n{}", Table(&rows));
    let file = build::target().join("bench.json");
    let report = json!({ "machine": machine(), "date": date()?, "rows": rows });
    std::fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}

/// Rows as a Markdown table.
struct Table<'a>(&'a [Value]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| case / base | n | unit | ours | base | ratio | bound | |"
        )?;
        writeln!(f, "|---|--:|---|--:|--:|--:|--:|---|")?;
        for row in self.0 {
            let number = |name: &str| row[name].as_f64();
            let shown = |name: &str, digits: usize| {
                number(name).map_or_else(String::new, |it| format!("{it:.digits$}"))
            };
            let verdict = match (number("ratio"), number("bound")) {
                (Some(ratio), Some(bound)) if ratio <= bound => "within",
                (_, Some(_)) => "over",
                _ => "",
            };
            let case = row["case"].as_str().unwrap_or_default();
            let unit = row["unit"].as_str().unwrap_or_default();
            let (ours, base) = (shown("ours", 2), shown("base", 2));
            let (ratio, bound) = (shown("ratio", 3), shown("bound", 2));
            writeln!(
                f,
                "| {case} | {} | {unit} | {ours} | {base} | {ratio} | {bound} | {verdict} |",
                row["n"]
            )?;
        }
        Ok(())
    }
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
    fn the_table_says_which_ratios_are_over_their_bound() {
        let row = |ratio: f64, bound: Option<f64>| json!({ "case": "a", "n": 10, "unit": "µs", "ours": ratio, "base": 1.0, "ratio": ratio, "bound": bound });
        let rows = [row(0.5, Some(1.0)), row(1.5, Some(1.0)), row(9.0, None)];
        let table = Table(&rows).to_string();
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| a | 10 | µs | 0.50 | 1.00 | 0.500 | 1.00 | within |"
        );
        assert!(lines[1].ends_with("| over |"));
        assert!(lines[2].ends_with("|  |  |"));
    }

    #[test]
    fn a_date_is_ten_characters() {
        assert_eq!(date().unwrap().len(), 10);
    }
}
