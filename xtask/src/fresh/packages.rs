//! The packages as they would be published: an app that is built with them shows what they lack.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, npm, proc};

const ENGINE: &str = "contrail-sync-engine";
const PLUGIN: &str = "tauri-plugin-contrail-sync";
/// All packages have the version of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where they lie.
pub(super) struct Packages {
    /// The unpacked crate.
    pub engine: PathBuf,
    /// The unpacked crate.
    pub plugin: PathBuf,
    /// The npm package's tarball.
    pub tarball: PathBuf,
}

/// Packs all three into `folder`, and unpacks the crates there.
pub(super) fn pack(folder: &Path) -> Result<Packages> {
    let what = ["package", "--no-verify", "--allow-dirty"];
    let mut command = build::cargo(&what);
    command.args(["--package", ENGINE, "--package", PLUGIN]);
    proc::run(&mut command)?;
    let mut tarball = npm::script(&npm::guest(), "package");
    proc::run(tarball.arg("--").arg(folder))?;
    Ok(Packages {
        engine: unpack(ENGINE, folder)?,
        plugin: unpack(PLUGIN, folder)?,
        tarball: folder.join(format!("{PLUGIN}-api-{VERSION}.tgz")),
    })
}

fn unpack(name: &str, folder: &Path) -> Result<PathBuf> {
    let package = format!("{name}-{VERSION}");
    let mut tar = Command::new("tar");
    // Cargo gives all files of a package the same old time. With that it would not build again what has changed.
    tar.args(["-x", "-z", "-m", "-C"])
        .arg(folder)
        .arg("-f")
        .arg(build::target().join(format!("package/{package}.crate")));
    proc::run(&mut tar).with_context(|| format!("cannot unpack {package}"))?;
    Ok(folder.join(package))
}
