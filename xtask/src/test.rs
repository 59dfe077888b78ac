//! `cargo xtask test`: every check, a table of what took how long, and one line that counts.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::counts::{self, Counts};
use crate::{agree, build, demo, display, docs, fresh, keyring, npm, proc, setup, sqlite};

/// What to run.
pub(crate) struct Options {
    /// Whether to drive the app in a window.
    pub e2e: bool,
}

/// Where generated files lie that are committed.
const GENERATED: [&str; 3] = ["guest-js/src/bindings", "permissions", "api-iife.js"];

/// The end-to-end tests, by file; those of the second list care for a keyring.
const END_TO_END: [&str; 13] = [
    "chat",
    "people",
    "rooms",
    "optimistic",
    "writes",
    "inspector",
    "cache",
    "gallery",
    "lists",
    "public",
    "attacks",
    "leaks",
    "stress",
];
const WITHOUT_KEYRING: [&str; 5] = ["chat", "people", "optimistic", "writes", "cache"];

/// What one step found. Steps without tests of their own count nothing.
struct Done {
    name: &'static str,
    counts: Option<Counts>,
    error: Option<anyhow::Error>,
    took: Duration,
}

#[derive(Default)]
struct Report(Vec<Done>);

impl Report {
    /// Runs a step that passes or fails as a whole.
    fn check(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        self.step(name, |_| step())
    }

    /// Runs a step that counts tests; one that runs no test has failed.
    fn tests(&mut self, name: &'static str, step: impl FnOnce(&mut Counts) -> Result<()>) -> bool {
        self.step(name, |counts| {
            let counts = counts.insert(Counts::default());
            step(counts)?;
            match *counts {
                Counts { failed: 1.., .. } => bail!("{} tests failed", counts.failed),
                Counts { passed: 0, .. } => bail!("no test ran"),
                _ => Ok(()),
            }
        })
    }

    fn step(
        &mut self,
        name: &'static str,
        step: impl FnOnce(&mut Option<Counts>) -> Result<()>,
    ) -> bool {
        println!("\n== {name}");
        let (start, mut counts) = (Instant::now(), None);
        let error = step(&mut counts).err();
        if let Some(error) = &error {
            println!("== {name}: FAILED: {error:#}");
        }
        let passed = error.is_none();
        self.0.push(Done {
            name,
            counts,
            error,
            took: start.elapsed(),
        });
        passed
    }

    /// The sum over all steps; one that failed without a failed test is itself one failure.
    fn total(&self) -> Counts {
        let mut total = Counts::default();
        for done in &self.0 {
            let mut counts = done.counts.unwrap_or_default();
            if done.error.is_some() {
                counts.failed = counts.failed.max(1);
            }
            total += counts;
        }
        total
    }

    /// Prints the table and the closing line.
    fn close(&self) -> ExitCode {
        println!();
        for done in &self.0 {
            let verdict = if done.error.is_none() { "ok" } else { "FAILED" };
            let tests = done.counts.map_or_else(String::new, |c| {
                format!("{} passed, {} failed", c.passed, c.failed)
            });
            let seconds = done.took.as_secs_f64();
            println!("{verdict:<6}  {:<29}  {seconds:>7.1} s  {tests}", done.name);
        }
        for done in &self.0 {
            if let Some(error) = &done.error {
                println!("{}: {error:#}", done.name);
            }
        }
        let total = self.total();
        println!("\n{} passed, {} failed", total.passed, total.failed);
        ExitCode::from(u8::from(total.failed > 0))
    }
}

/// Runs everything. Only a machine that cannot be set up stops early.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut report = Report::default();
    let mut needs = setup::Need::all();
    if !options.e2e {
        needs.retain(|need| *need != setup::Need::Window);
    }
    let ready = report.check("set-up", || {
        setup::packages(&needs)?;
        npm::install(&[npm::chat(), npm::gallery()])
    });
    if !ready {
        return Ok(report.close());
    }
    report.check("format", || {
        proc::run(&mut build::cargo(&["fmt", "--all", "--check"]))?;
        for package in [npm::guest(), npm::chat(), npm::gallery()] {
            proc::run(&mut npm::script(&package, "format:check"))?;
        }
        let e2e = [
            "exec",
            "--",
            "prettier",
            "--config=.prettierrc.json",
            "--check",
            "../tests/e2e",
        ];
        proc::run(&mut npm::npm(&npm::guest(), &e2e))
    });
    report.check("guest-js: types", || {
        proc::run(&mut npm::script(&npm::guest(), "check"))
    });
    report.tests("guest-js: tests", |counts| {
        vitest(&npm::guest(), "guest-js.json", counts)
    });
    report.check("chat: types", || {
        proc::run(&mut npm::script(&npm::chat(), "check"))
    });
    report.tests("chat: tests", |counts| {
        vitest(&npm::chat(), "chat.json", counts)
    });
    report.check("gallery: types", || {
        proc::run(&mut npm::script(&npm::gallery(), "check"))
    });
    report.check("docs", docs::check);
    // The apps' own code includes the front ends, so nothing of it compiles without.
    let front_ends = report.check("front ends", || {
        build::front_end(&npm::chat())?;
        build::front_end(&npm::gallery())
    });
    if front_ends {
        rust(&mut report, options);
    }
    Ok(report.close())
}

fn rust(report: &mut Report, options: &Options) {
    report.check("clippy", || {
        let what = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        proc::run(&mut build::cargo(&what))
    });
    // The rest of `cargo xtask features` takes some minutes.
    report.check("clippy, without features", || {
        let engine = ["--package", "contrail-sync-engine", "--no-default-features"];
        let lints = ["--", "-D", "warnings"];
        proc::run(build::cargo(&["clippy"]).args(engine).args(lints))
    });
    let mut programs = None;
    report.check("build", || {
        programs = Some(build::everything()?);
        Ok(())
    });
    let Some(programs) = programs else { return };
    report.tests("rust: tests", cargo_test);
    report.tests("store, page and model agree", |counts| {
        agree::counted(&agree::Options::default(), counts)
    });
    if cfg!(unix) {
        report.tests("cache on the oldest SQLite", sqlite::test);
    }
    report.check("generated files", generated_files_are_current);
    if options.e2e && cfg!(target_os = "linux") {
        report.tests("end to end", |counts| {
            end_to_end(&programs, &END_TO_END, keyring::with_keyring, counts)
        });
        report.tests("end to end, without a keyring", |counts| {
            end_to_end(
                &programs,
                &WITHOUT_KEYRING,
                keyring::without_keyring,
                counts,
            )
        });
        report.check("demo", || demo(&programs));
        report.check("fresh app", || fresh::test(&programs));
    } else {
        println!("\n== end to end, demo, fresh app: left out");
    }
}

fn vitest(package: &Path, report: &str, counts: &mut Counts) -> Result<()> {
    let file = report_file(report)?;
    let mut command = npm::npm(package, &["exec", "--", "vitest", "run"]);
    command
        .args(["--reporter=default", "--reporter=json"])
        .arg(format!("--outputFile={}", file.display()));
    let outcome = proc::run(&mut command);
    *counts = counts::vitest(&read(&file)?)?;
    outcome
}

fn cargo_test(counts: &mut Counts) -> Result<()> {
    let command = build::cargo(&["test", "--workspace", "--no-fail-fast"]);
    in_session(command, |command| {
        proc::run_reading(command, |line| {
            if let Some(more) = counts::cargo_line(line) {
                *counts += more;
            }
        })
    })
}

/// End-to-end tests, in the surroundings that `session` gives. One file runs after the other: they share the
/// processor.
fn end_to_end(
    programs: &build::Programs,
    files: &[&str],
    session: impl FnOnce(&Command) -> Result<(Command, TempDir)>,
    counts: &mut Counts,
) -> Result<()> {
    let display = display::Virtual::start()?;
    let file = report_file("e2e.tap")?;
    let mut command = Command::new("node");
    command
        .args([
            "--test",
            "--test-concurrency=1",
            "--test-reporter=spec",
            "--test-reporter-destination=stdout",
        ])
        .arg("--test-reporter=tap")
        .arg(format!("--test-reporter-destination={}", file.display()))
        .args(
            files
                .iter()
                .map(|name| format!("tests/e2e/{name}.test.mjs")),
        )
        .env("E2E_APPVIEW", &programs.appview)
        .env("E2E_CHAT", &programs.chat)
        .env("E2E_GALLERY", &programs.gallery)
        .env("E2E_ARTIFACTS", build::target().join("e2e"))
        .current_dir(crate::root());
    display.apply(&mut command);
    let (mut command, _home) = session(&command)?;
    let outcome = proc::run(&mut command);
    *counts = counts::node_tap(&read(&file)?)?;
    outcome
}

/// The demo gets as far as a picture of the live window.
fn demo(programs: &build::Programs) -> Result<()> {
    let file = build::target().join("e2e/demo.png");
    std::fs::create_dir_all(build::target().join("e2e"))?;
    demo::show(
        &demo::Options {
            screenshot: Some(file),
            duration: Some(Duration::from_secs(90)),
            ..demo::Options::default()
        },
        programs,
    )
}

/// Runs a command with a keyring and a home of its own, where there is a Secret Service to start.
fn in_session(mut command: Command, run: impl FnOnce(&mut Command) -> Result<()>) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return run(&mut command);
    }
    let (mut command, _home) = keyring::with_keyring(&command)?;
    run(&mut command)
}

/// The Rust tests have just written the types anew, and the build the permissions.
fn generated_files_are_current() -> Result<()> {
    proc::run(&mut npm::script(&npm::guest(), "iife"))?;
    let mut args = vec!["-C", crate::root().to_str().context("path is not Unicode")?];
    args.extend(["status", "--porcelain", "--untracked-files=all", "--"]);
    args.extend(GENERATED);
    let changed = proc::output("git", &args).context("git status failed")?;
    if !changed.is_empty() {
        bail!("generated files differ from the committed ones; commit them:\n{changed}");
    }
    Ok(())
}

/// An absent, freshly named report in the target directory.
fn report_file(name: &str) -> Result<PathBuf> {
    let dir = build::target().join("xtask");
    std::fs::create_dir_all(&dir)?;
    let file = dir.join(name);
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    Ok(file)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("no report {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_tests_that_fails_is_one_failure() {
        let mut report = Report::default();
        assert!(report.check("good", || Ok(())));
        assert!(!report.check("bad", || bail!("no")));
        assert_eq!(
            report.total(),
            Counts {
                passed: 0,
                failed: 1
            }
        );
    }

    #[test]
    fn a_test_step_that_runs_no_test_fails() {
        let mut report = Report::default();
        assert!(!report.tests("none", |_| Ok(())));
        assert_eq!(
            report.total(),
            Counts {
                passed: 0,
                failed: 1
            }
        );
    }

    #[test]
    fn failed_tests_fail_their_step_and_are_not_counted_twice() {
        let mut report = Report::default();
        assert!(!report.tests("some", |counts| {
            *counts = Counts {
                passed: 5,
                failed: 2,
            };
            Ok(())
        }));
        assert!(report.tests("all", |counts| {
            *counts = Counts {
                passed: 3,
                failed: 0,
            };
            Ok(())
        }));
        assert_eq!(
            report.total(),
            Counts {
                passed: 8,
                failed: 2
            }
        );
    }
}
