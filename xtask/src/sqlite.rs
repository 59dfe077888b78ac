//! The cache's tests on the oldest SQLite that it may get: an app may link libsqlite3-sys only once, and beside
//! `tauri-plugin-sql` Cargo chooses this version for both, without a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::counts::{self, Counts};
use crate::{build, proc};

/// Of libsqlite3-sys. The README names it, too.
const OLDEST: &str = "0.30.1";
const ENGINE: [&str; 2] = ["--package", "contrail-sync-engine"];

/// Runs them.
pub(crate) fn test(counts: &mut Counts) -> Result<()> {
    let workspace = workspace()?;
    let package = ["update", "--package", "libsqlite3-sys"];
    proc::run(cargo(&workspace, &package).args(["--precise", OLDEST]))?;
    let linked = linked(&workspace)?;
    println!("{linked}");
    let wanted = format!("libsqlite3-sys v{OLDEST}");
    ensure!(linked == wanted, "the engine links {linked}, not {wanted}");
    let mut outcome = Ok(());
    for tests in [
        ["--test", "cache*", "--no-fail-fast"].as_slice(),
        &["--lib", "--", "cache", "persist"],
    ] {
        let mut command = cargo(&workspace, &["test"]);
        let ran = proc::run_reading(command.args(ENGINE).args(tests), |line| {
            if let Some(more) = counts::cargo_line(line) {
                *counts += more;
            }
        });
        outcome = outcome.and(ran);
    }
    outcome
}

/// This workspace once more, by links, but with a lock file of its own. What does not depend on SQLite is built once for
/// both: they share the target directory.
fn workspace() -> Result<PathBuf> {
    let (root, folder) = (crate::root(), build::target().join("sqlite"));
    if folder.exists() {
        // Of the links, not of what they point to.
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        let is_hidden = name.to_string_lossy().starts_with('.');
        if !is_hidden && name != "Cargo.lock" && path != build::target() {
            link(&path, &folder.join(name))?;
        }
    }
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(folder)
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(to, at)?)
}

#[cfg(not(unix))]
fn link(_to: &Path, _at: &Path) -> Result<()> {
    anyhow::bail!("links need a Unix system")
}

/// The version that the engine links, as Cargo tells it.
fn linked(workspace: &Path) -> Result<String> {
    let mut command = cargo(workspace, &["tree"]);
    command.args(ENGINE);
    command.args(["--invert", "libsqlite3-sys", "--depth", "0"]);
    let output = command.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree failed: {error}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cargo(workspace: &Path, args: &[&str]) -> Command {
    let mut command = build::cargo(args);
    command.current_dir(workspace);
    command.env("CARGO_TARGET_DIR", build::target());
    command
}
