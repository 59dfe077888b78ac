//! System packages: what is missing is installed on Debian and Ubuntu, and named elsewhere.

mod needs;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::proc;
pub(crate) use needs::Need;
use needs::{Entry, Manager};

/// Vite needs at least this Node.js: major and minor version.
const NODE: (u32, u32) = (20, 19);

/// Makes sure that what serves `needs` is there; an error with the exact command to run when it is not
/// and cannot be installed from here.
pub(crate) fn packages(needs: &[Need]) -> Result<()> {
    let missing = needs::missing(needs);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|entry| entry.what).collect();
        eprintln!("missing: {}", names.join(", "));
        install(&missing)?;
        if let Some(entry) = needs::missing(needs).first() {
            bail!("{} is still missing after the installation", entry.what);
        }
    }
    node_is_new_enough()
}

fn install(missing: &[&Entry]) -> Result<()> {
    let manager = Manager::here();
    let Some(command) = manager.and_then(|m| m.install(missing)) else {
        bail!("install them with your system's package manager, then run this again");
    };
    let Some(rights) = (manager == Some(Manager::Apt)).then(rights).flatten() else {
        let sudo = if manager.is_some_and(Manager::wants_root) {
            "sudo "
        } else {
            ""
        };
        bail!(
            "run this, then try again:\n\n  {sudo}{}\n",
            command.join(" ")
        );
    };
    let apt = |args: &[String]| {
        let mut words = rights.iter().map(|word| (*word).to_owned());
        let mut command = Command::new(words.next().unwrap_or_else(|| "env".to_owned()));
        command.args(words).args(args);
        proc::run(&mut command)
    };
    apt(&["apt-get".to_owned(), "-qq".to_owned(), "update".to_owned()])?;
    apt(&command)
}

/// The words before a command that may install packages without asking anybody, if there are any.
fn rights() -> Option<Vec<&'static str>> {
    let quiet = ["env", "DEBIAN_FRONTEND=noninteractive"];
    if is_root() {
        return Some(quiet.to_vec());
    }
    proc::output("sudo", &["-n", "true"])?;
    Some([&["sudo", "-n"], quiet.as_slice()].concat())
}

fn node_is_new_enough() -> Result<()> {
    let version = proc::output("node", &["--version"]).context("node does not run")?;
    if node_version(&version).is_none_or(|version| version < NODE) {
        let (major, minor) = NODE;
        bail!(
            "Node.js {major}.{minor} or newer is needed, and this is {version}: get one from nodejs.org"
        );
    }
    Ok(())
}

/// Major and minor version, from `v20.19.4`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text
        .strip_prefix('v')?
        .split('.')
        .map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_as_numbers() {
        assert!(node_version("v20.19.4") >= Some(NODE));
        assert!(node_version("v22.1.0") >= Some(NODE));
        assert!(node_version("v20.9.0") < Some(NODE));
        assert!(node_version("v18.20.4") < Some(NODE));
        assert_eq!(node_version("nightly"), None);
    }
}
