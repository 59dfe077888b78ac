//! `cargo xtask sim`: random schedules of a watch's life, and of an outbox's, against a simulated server, network and clock. With `--mutants` it
//! proves that they search: each of some small faults, put into a copy of the engine, must be found.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{build, proc, root};

/// The faults, as replacements of text in the engine.
const MUTANTS: &str = "engine/tests/simulation/mutants.json";
/// What the copy needs of the repository.
const COPIED: [&str; 3] = ["engine", "examples/appview", "Cargo.lock"];
/// How the test says that it found something.
const FOUND: &str = "simulation: failed after ";

/// How much to try.
pub(crate) struct Options {
    /// Schedules to try.
    pub cases: u64,
    /// The first one's seed.
    pub seed: u64,
    /// Whether to look for the mutants instead.
    pub mutants: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cases: 200_000,
            seed: 0,
            mutants: false,
        }
    }
}

/// Runs them, and fails at the first schedule that breaks a promise; it is told as short as it can be.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.mutants {
        return mutants(options);
    }
    for simulation in ["simulation", "outbox_simulation"] {
        let mut command = test(simulation);
        command
            .arg("--release")
            .args(["--", "--nocapture"])
            .env("SIM_CASES", options.cases.to_string())
            .env("SIM_SEED", options.seed.to_string());
        proc::run(&mut command)?;
    }
    Ok(())
}

fn test(simulation: &str) -> std::process::Command {
    let package = "contrail-sync-engine";
    build::cargo(&["test", "--package", package, "--test", simulation])
}

fn mutants(options: &Options) -> Result<()> {
    let copy = copy()?;
    let mutants = fs::read(root().join(MUTANTS)).context("no mutants")?;
    let mutants: Vec<serde_json::Value> = serde_json::from_slice(&mutants)?;
    let mut missed = 0;
    for mutant in &mutants {
        let text = |name: &str| mutant[name].as_str().with_context(|| format!("no {name}"));
        let (name, file) = (text("name")?, copy.join("engine").join(text("file")?));
        let original = fs::read_to_string(&file)?;
        if original.matches(text("from")?).count() != 1 {
            bail!("{name}: what it replaces does not stand there once");
        }
        fs::write(&file, original.replace(text("from")?, text("to")?))?;
        let found = search(&copy, options)?;
        fs::write(&file, original)?;
        match found {
            Some(schedules) => println!("{name}: found after {schedules} schedules"),
            None => {
                missed += 1;
                println!("{name}: NOT FOUND in {} schedules", options.cases);
            }
        }
    }
    match missed {
        0 => Ok(()),
        _ => bail!("{missed} of {} mutants were not found", mutants.len()),
    }
}

/// After how many schedules the copy breaks a promise, if it does.
fn search(copy: &Path, options: &Options) -> Result<Option<String>> {
    let mut command = test("simulation");
    command
        .arg("--manifest-path")
        .arg(copy.join("Cargo.toml"))
        .args(["--", "--nocapture"])
        // Never the repository's own: what is built of two copies of one crate has the same names.
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env("SIM_CASES", options.cases.to_string())
        .env("SIM_SEED", options.seed.to_string());
    let (mut ran, mut found) = (false, None);
    let done = proc::run_reading(&mut command, |line| {
        ran |= line.contains("simulation: ");
        if let Some((_, rest)) = line.split_once(FOUND) {
            found = rest.split(' ').next().map(str::to_owned);
        }
    });
    match (ran, done) {
        (false, Err(error)) => Err(error.context("the mutant does not run")),
        _ => Ok(found),
    }
}

/// A workspace of its own with the engine and what its tests need.
fn copy() -> Result<PathBuf> {
    let copy = build::target().join("sim-mutants");
    for name in COPIED {
        copy_all(&root().join(name), &copy.join(name))?;
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let mut sections: Vec<String> = Vec::new();
    for line in manifest.lines() {
        match sections.last_mut() {
            Some(section) if !line.starts_with('[') => {
                section.push('\n');
                section.push_str(line);
            }
            _ => sections.push(line.to_owned()),
        }
    }
    // What is not the workspace's is the plugin's.
    sections.retain(|it| it.starts_with("[workspace") || it.starts_with("[profile"));
    let members = r#"members = ["engine", "examples/appview"]"#;
    let lines = sections.iter().flat_map(|it| it.lines());
    let lines: Vec<&str> = lines
        .map(|it| {
            if it.starts_with("members") {
                members
            } else {
                it
            }
        })
        .collect();
    fs::write(copy.join("Cargo.toml"), lines.join("\n"))?;
    Ok(copy)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
