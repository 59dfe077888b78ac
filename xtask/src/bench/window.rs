//! The bench in a real window: rounds of one program each, which hand back samples; the medians are the rows.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::appview::Appview;
use crate::{build, display, keyring, npm, proc};

/// What the window's program puts before a sample.
const MARK: &str = "bench-sample ";
const CONTESTANTS: [&str; 3] = ["ours", "naive", "floor"];

/// What runs.
pub(super) struct Programs {
    window: PathBuf,
    appview: PathBuf,
    page: PathBuf,
}

impl Programs {
    /// Builds the page and, as they would be shipped, the programs.
    pub(super) fn build() -> Result<Self> {
        let page = build::target().join("bench-window");
        // The tools are those of guest-js, whose sources the page is built from.
        let words = ["exec", "--", "vite", "build", "--logLevel", "warn"];
        let mut vite = npm::npm(&npm::guest(), &words);
        vite.arg(crate::root().join("benches/window/page"))
            .arg("--outDir")
            .arg(&page)
            .arg("--emptyOutDir");
        proc::run(&mut vite)?;
        proc::run(super::cargo("build").args(["--release", "--bins"]))?;
        let built = |name: &str| {
            let release = build::target().join("release");
            release.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
        };
        Ok(Self {
            window: built("bench-window"),
            appview: built("contrail-dev-appview"),
            page,
        })
    }
}

/// What came out.
pub(super) struct Measured {
    /// `{case, n, unit, ours, naive, floor}`, in the order in which they were measured.
    pub rows: Vec<Value>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

/// Measures; about a minute if `quick`.
pub(super) fn measure(programs: &Programs, quick: bool) -> Result<Measured> {
    let display = cfg!(target_os = "linux")
        .then(display::Virtual::start)
        .transpose()?;
    let mut samples = Samples::default();
    let rounds = if quick { 1 } else { 3 };
    for round in 0..rounds {
        let plan = json!({
            "round": round,
            "sizes": if quick { vec![100, 1_000, 10_000] } else { vec![100, 1_000, 10_000, 50_000] },
            "paced": if quick { vec![10_000] } else { vec![10_000, 50_000] },
            "cached": [200, 10_000],
            "repeat": if quick { 2 } else { 5 },
            "rate": 500,
            "seconds": if quick { 1 } else { 4 },
        });
        run(programs, display.as_ref(), plan, &mut samples)?;
    }
    // Each in a program of its own: what one leaves behind is not another's.
    for n in if quick {
        vec![10_000]
    } else {
        vec![10_000, 50_000]
    } {
        for who in CONTESTANTS {
            let plan = json!({ "round": 0, "memory": { "who": who, "n": n } });
            run(programs, display.as_ref(), plan, &mut samples)?;
        }
    }
    Ok(samples.measured())
}

/// One program with a new appview and a home directory of its own, until its page is done.
fn run(
    programs: &Programs,
    display: Option<&display::Virtual>,
    mut plan: Value,
    samples: &mut Samples,
) -> Result<()> {
    let appview = Appview::start(&programs.appview, &["--max-limit", "50000"])?;
    plan["appview"] = json!(appview.url);
    let (mut window, _home) = keyring::without_keyring(&command(programs, &plan))?;
    if let Some(display) = display {
        display.apply(&mut window);
    }
    let mut lines = Vec::new();
    proc::run_reading(&mut window, |line| {
        lines.extend(line.strip_prefix(MARK).map(str::to_owned));
    })?;
    for line in lines {
        samples.take(serde_json::from_str(&line).context("a sample is not JSON")?);
    }
    Ok(())
}

fn command(programs: &Programs, plan: &Value) -> Command {
    let mut command = Command::new(&programs.window);
    command.arg("--page").arg::<&Path>(&programs.page);
    command.arg("--plan").arg(plan.to_string());
    command
}

/// What the pages handed back: `{case, n, unit, who, value}`, or `{case, n, who, error}`.
#[derive(Default)]
struct Samples {
    rows: Vec<Row>,
    failures: Vec<String>,
}

/// All values of one case, by contestant.
struct Row {
    case: Value,
    n: Value,
    unit: Value,
    values: [Vec<f64>; CONTESTANTS.len()],
}

impl Samples {
    fn take(&mut self, sample: Value) {
        let who = CONTESTANTS.iter().position(|who| sample["who"] == **who);
        let (Some(who), Some(value)) = (who, sample["value"].as_f64()) else {
            self.failures.push(sample.to_string());
            return;
        };
        let [case, n, unit] = ["case", "n", "unit"].map(|name| sample[name].clone());
        let known = |row: &Row| row.case == case && row.n == n;
        let at = self.rows.iter().position(known).unwrap_or_else(|| {
            let values = Default::default();
            self.rows.push(Row {
                case,
                n,
                unit,
                values,
            });
            self.rows.len() - 1
        });
        self.rows[at].values[who].push(value);
    }

    fn measured(mut self) -> Measured {
        let mut rows = Vec::new();
        for row in &mut self.rows {
            let [ours, naive, floor] = row.values.each_mut().map(|values| median(values));
            rows.push(json!({
                "case": row.case, "n": row.n, "unit": row.unit, "ours": ours, "naive": naive, "floor": floor,
            }));
        }
        Measured {
            rows,
            failures: self.failures,
        }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_case_become_the_medians_of_one_row() {
        let mut samples = Samples::default();
        for (who, value) in [("ours", 3.0), ("naive", 7.0), ("ours", 1.0), ("ours", 2.0)] {
            samples.take(json!({ "case": "a", "n": 10, "unit": "ms", "who": who, "value": value }));
        }
        let error = json!({ "case": "a", "n": 10, "who": "floor", "error": "too late" });
        samples.take(error.clone());
        let measured = samples.measured();
        assert_eq!(
            measured.rows,
            [
                json!({ "case": "a", "n": 10, "unit": "ms", "ours": 2.0, "naive": 7.0, "floor": null })
            ]
        );
        assert_eq!(measured.failures, [error.to_string()]);
    }
}
