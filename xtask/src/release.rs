//! `cargo xtask release`: rehearses a release, or sets its version. It publishes nothing.

mod contents;
mod metadata;
mod outside;
mod versions;

use std::fmt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::npm;

/// The crates that are published, in the order in which they are: the plugin needs the engine.
const CRATES: [&str; 2] = ["contrail-sync-engine", "tauri-plugin-contrail-sync"];

/// What to do.
pub(crate) enum Options {
    /// Check everything. `verify_all`: build the packed plugin, too, not only the packed engine.
    Rehearse { verify_all: bool },
    /// Set the version everywhere, and tell the npm package what the crates say of where they live.
    Set(String),
}

/// How a check ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It holds; with what there is to tell.
    Holds(String),
    /// There is nothing to check yet, and why.
    Nothing(String),
}

/// What was checked.
#[derive(Default)]
struct Report(Vec<(&'static str, Result<Verdict>)>);

impl Report {
    fn check(&mut self, name: &'static str, check: impl FnOnce() -> Result<Verdict>) {
        eprintln!("\n== {name}");
        let outcome = check();
        eprintln!("{}", line(name, &outcome));
        self.0.push((name, outcome));
    }

    fn failed(&self) -> usize {
        self.0.iter().filter(|(_, it)| it.is_err()).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.0 {
            writeln!(f, "{}", line(name, outcome))?;
        }
        match self.failed() {
            0 => write!(f, "\nReady to be published."),
            failed => write!(f, "\n{failed} of {} FAILED: not ready.", self.0.len()),
        }
    }
}

fn line(name: &str, outcome: &Result<Verdict>) -> String {
    let (word, text) = match outcome {
        Ok(Verdict::Holds(text)) => ("ok", text.clone()),
        Ok(Verdict::Nothing(why)) => ("none", why.clone()),
        Err(error) => ("FAILED", format!("{error:#}")),
    };
    let text = text.trim().replace('\n', &format!("\n{:34}", ""));
    format!("{word:<6}  {name:<24}  {text}").trim_end().into()
}

/// Does it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match options {
        Options::Set(version) => {
            versions::set(version)?;
            metadata::tell_npm()?;
            Ok(ExitCode::SUCCESS)
        }
        Options::Rehearse { verify_all } => {
            let report = rehearse(*verify_all)?;
            println!("\n{report}");
            Ok(ExitCode::from(u8::from(report.failed() > 0)))
        }
    }
}

fn rehearse(verify_all: bool) -> Result<Report> {
    npm::install(&[])?;
    let mut report = Report::default();
    report.check("clean tree", clean_tree);
    report.check("versions", versions::check);
    report.check("changelog", versions::check_changelog);
    report.check("metadata of the crates", metadata::check_crates);
    report.check("metadata for npm", metadata::check_npm);
    for name in CRATES {
        let what = if name == CRATES[0] {
            "files of the engine"
        } else {
            "files of the plugin"
        };
        report.check(what, || contents::check_crate(name));
    }
    report.check("files for npm", contents::check_npm);
    report.check("packed engine builds", || outside::build(&CRATES[..1]));
    if verify_all {
        report.check("packed plugin builds", || outside::build(&CRATES));
    } else {
        report.check("plugin packs", outside::pack);
    }
    report.check("publint", outside::publint);
    report.check("are the types wrong", outside::types);
    report.check("semver", || outside::semver(&versions::changelog()?));
    report.check("bill of the crates", outside::crates_bill);
    report.check("bill for npm", outside::npm_bill);
    Ok(report)
}

fn clean_tree() -> Result<Verdict> {
    let changed = stdout(
        Command::new("git")
            .args(["status", "--porcelain"])
            .current_dir(crate::root()),
    )?;
    if !changed.is_empty() {
        bail!("commit these first:\n{}", changed.trim_end());
    }
    Ok(Verdict::Holds(String::new()))
}

/// What a command prints; its own words where it fails.
fn stdout(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !out.status.success() {
        let words = String::from_utf8_lossy(&out.stderr);
        let last: Vec<&str> = words
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = last[last.len().saturating_sub(6)..].join("\n");
        bail!("{name} failed ({}): {last}", out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn read(path: &str) -> Result<String> {
    let path = crate::root().join(path);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_why_and_counts_what_failed_only() {
        let mut report = Report::default();
        report.check("one", || Ok(Verdict::Holds("0.1.0".into())));
        report.check("two", || Ok(Verdict::Nothing("no baseline".into())));
        assert_eq!(report.failed(), 0);
        assert!(report.to_string().ends_with("Ready to be published."));
        report.check("three", || bail!("first\nsecond"));
        assert_eq!(report.failed(), 1);
        let told = report.to_string();
        assert!(told.contains("none    two                       no baseline"));
        assert!(
            told.contains("FAILED  three                     first\n"),
            "{told}"
        );
        assert!(told.ends_with("1 of 3 FAILED: not ready."));
    }

    #[test]
    fn a_command_that_fails_tells_its_words() {
        let error = stdout(Command::new("git").arg("no-such-command")).unwrap_err();
        assert!(error.to_string().contains("no-such-command"), "{error}");
        let error = stdout(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
