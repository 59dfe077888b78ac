//! What the demo and the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{npm, proc};

/// The programs that were built.
pub(crate) struct Programs {
    pub appview: PathBuf,
    pub chat: PathBuf,
    pub gallery: PathBuf,
}

/// A cargo command in the root of the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::root());
    command
}

/// Builds the front end of an example, which is compiled into its app.
pub(crate) fn front_end(example: &Path) -> Result<()> {
    proc::run(&mut npm::script(example, "build"))
}

/// Builds the development appview and the app of one example.
pub(crate) fn programs(app: &str) -> Result<Programs> {
    let what = ["build", "--package", "appview", "--package", app];
    proc::run(&mut cargo(&what))?;
    Ok(built())
}

/// Builds the whole workspace with its tests. Features are chosen for all of it together, as in
/// `cargo test --workspace`, so that nothing is compiled a second time for other features.
pub(crate) fn everything() -> Result<Programs> {
    proc::run(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
    Ok(built())
}

/// Where they are once they are built.
pub(crate) fn built() -> Programs {
    let debug = target().join("debug");
    let program = |name: &str| debug.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    Programs {
        appview: program("contrail-dev-appview"),
        chat: program("chat"),
        gallery: program("gallery"),
    }
}

/// Cargo's target directory. Our own files go to folders of it.
pub(crate) fn target() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    crate::root().join(Path::new(&dir))
}

/// Writes the TypeScript types of what crosses the bridge; tests named `export_bindings` do it.
pub(crate) fn bindings() -> Result<()> {
    let test = ["test", "--package", "tauri-plugin-contrail-sync", "--lib"];
    proc::run(cargo(&test).arg("export_bindings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How libdbus gets into an app on Linux that depends on `package` like this; nothing if it does not.
    fn libdbus(package: &str, how: &[&str]) -> String {
        let mut command = cargo(&["tree", "--offline", "--edges=normal,build"]);
        command
            .args(["--target=x86_64-unknown-linux-gnu", "--format={p} {f}"])
            .args(["--prefix=none", "--package", package])
            .args(how);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let tree = String::from_utf8(output.stdout).unwrap();
        let libdbus = tree.lines().find(|it| it.starts_with("libdbus-sys "));
        libdbus.unwrap_or_default().to_owned()
    }

    #[test]
    fn libdbus_is_built_in_unless_the_app_wants_the_one_of_the_system() {
        for package in ["tauri-plugin-contrail-sync", "contrail-sync-engine"] {
            assert!(libdbus(package, &[]).contains("vendored"));
            let how = ["--no-default-features", "--features=keyring"];
            let of_the_system = libdbus(package, &how);
            assert!(of_the_system.starts_with("libdbus-sys "));
            assert!(!of_the_system.contains("vendored"), "{of_the_system}");
            if package == "contrail-sync-engine" {
                // Tauri itself may bring one.
                let alone = ["--no-default-features", "--features=vendored-dbus"];
                assert_eq!(libdbus(package, &alone), "");
            }
        }
    }
}
