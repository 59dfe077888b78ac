//! The npm packages of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::proc;

/// The JavaScript half of the plugin.
pub(crate) fn guest() -> PathBuf {
    crate::root().join("guest-js")
}

/// The chat's front end.
pub(crate) fn chat() -> PathBuf {
    crate::root().join("examples/chat")
}

/// The gallery's front end.
pub(crate) fn gallery() -> PathBuf {
    crate::root().join("examples/gallery")
}

/// What drives real windows.
pub(crate) fn e2e() -> PathBuf {
    crate::root().join("tests/e2e")
}

/// An npm command in `dir`.
pub(crate) fn npm(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.args(args).current_dir(dir);
    command
}

/// A script of the package in `dir`.
pub(crate) fn script(dir: &Path, name: &str) -> Command {
    npm(dir, &["run", "--silent", name])
}

/// Installs what the lock files name, where that has not been done, and builds guest-js, which the
/// examples take from its folder.
pub(crate) fn install(examples: &[PathBuf]) -> Result<()> {
    ci(&guest())?;
    proc::run(&mut script(&guest(), "build"))?;
    examples.iter().try_for_each(|dir| ci(dir))
}

/// Installs what the lock file of one package names, where that has not been done.
pub(crate) fn ci(dir: &Path) -> Result<()> {
    if current(dir)? {
        return Ok(());
    }
    proc::run(&mut npm(dir, &["ci", "--no-audit", "--no-fund"]))
}

/// npm writes its own copy of the lock file last: older than ours means that ours has changed since.
fn current(dir: &Path) -> Result<bool> {
    let lock = dir.join("package-lock.json");
    let wanted = lock
        .metadata()
        .and_then(|m| m.modified())
        .with_context(|| format!("cannot read {}", lock.display()))?;
    let installed = dir.join("node_modules/.package-lock.json");
    Ok(installed
        .metadata()
        .and_then(|m| m.modified())
        .is_ok_and(|installed| installed >= wanted))
}
