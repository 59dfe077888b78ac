//! What other tools say: Cargo's own build of what it packed, linters of npm packages, semver, and bills of materials.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{CRATES, Verdict, stdout, versions};
use crate::{build, npm, proc};

/// The tools that npx fetches. Pinned: a rehearsal tells the same tomorrow.
const PUBLINT: &str = "publint@0.3.25";
const ATTW: &str = "@arethetypeswrong/cli@0.18.5";

/// The npm package.
const NPM: &str = "tauri-plugin-contrail-sync-api";

/// Packs crates and builds what was packed. Those that need each other find each other there.
pub(super) fn build(crates: &[&str]) -> Result<Verdict> {
    package(crates, &[])
}

/// Packs all crates without building them.
pub(super) fn pack() -> Result<Verdict> {
    package(&CRATES, &["--no-verify"])?;
    Ok(Verdict::Holds("not built: --verify-all does".into()))
}

fn package(crates: &[&str], how: &[&str]) -> Result<Verdict> {
    let mut command = build::cargo(&["package", "--allow-dirty", "--quiet"]);
    command.args(how);
    for name in crates {
        command.args(["--package", name]);
    }
    stdout(&mut command)?;
    Ok(Verdict::Holds(String::new()))
}

/// Asks publint about the packed package.
pub(super) fn publint() -> Result<Verdict> {
    let packed = tarball()?;
    npx(PUBLINT, &["run", &packed, "--strict"])
}

/// Asks whether TypeScript finds the types of each entry.
pub(super) fn types() -> Result<Verdict> {
    let packed = tarball()?;
    // Like all plugins of Tauri it has ES modules only.
    npx(ATTW, &[&packed, "--profile", "esm-only", "--no-color"])
}

fn npx(tool: &str, args: &[&str]) -> Result<Verdict> {
    let mut command = npm::npm(&npm::guest(), &["exec", "--yes", "--package", tool, "--"]);
    let program = if tool == ATTW { "attw" } else { "publint" };
    command.arg(program).args(args);
    let out = command.output().context("cannot start npm")?;
    let words =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        bail!("{}", why(tool, &words));
    }
    Ok(Verdict::Holds(tool.into()))
}

/// Whether the tool could not be had, or had something to say.
fn why(tool: &str, words: &str) -> String {
    let offline = [
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "E404",
        "ENOTCACHED",
    ];
    match offline.iter().find(|it| words.contains(**it)) {
        Some(code) => format!("{tool} could not be fetched ({code}): needs the npm registry once"),
        None => words.trim().into(),
    }
}

/// Packs the npm package as it would be published.
fn tarball() -> Result<String> {
    let dir = folder()?;
    let dir = dir.to_str().context("path is not Unicode")?;
    let told = stdout(npm::script(&npm::guest(), "package").args(["--", dir]))?;
    let last = told.lines().last().context("nothing was packed")?;
    Ok(last.to_owned())
}

/// Compares the public API with the release before.
pub(super) fn semver(headings: &[String]) -> Result<Verdict> {
    let Some(before) = released(headings, &versions::current()?) else {
        let why = "nothing was released before: there is no API to compare with";
        return Ok(Verdict::Nothing(why.into()));
    };
    need("cargo-semver-checks")?;
    let mut command = build::cargo(&["semver-checks", "--baseline-version", &before]);
    for name in CRATES {
        command.args(["--package", name]);
    }
    proc::run(&mut command)?;
    Ok(Verdict::Holds(format!("compared with {before}")))
}

/// The latest version with a date that is not the one to come.
fn released(headings: &[String], current: &str) -> Option<String> {
    let mut versions = headings
        .iter()
        .filter(|it| !it.ends_with("(not released yet)"))
        .filter_map(|it| it.split(' ').next());
    versions.find(|it| *it != current).map(str::to_owned)
}

/// Writes what the crates are made of to target/release-rehearsal.
pub(super) fn crates_bill() -> Result<Verdict> {
    need("cargo-cyclonedx")?;
    // It writes beside each manifest.
    let name = "sbom-rehearsal";
    let args = [
        "cyclonedx",
        "--format=json",
        "--target=all",
        "--all-features",
    ];
    let mut command = build::cargo(&args);
    command.args(["--quiet", "--override-filename", name]);
    let written = stdout(&mut command);
    let dir = folder()?;
    let mut moved = Vec::new();
    for member in members()? {
        let from = member.join(format!("{name}.json"));
        let Some(package) = published(&member) else {
            let _ = fs::remove_file(from);
            continue;
        };
        let Ok(bill) = fs::read_to_string(&from) else {
            continue;
        };
        fs::remove_file(&from)?;
        let to = dir.join(format!("{package}.cdx.json"));
        fs::write(&to, without_paths(&bill, crate::root()))?;
        moved.push(to);
    }
    written?;
    if moved.len() != CRATES.len() {
        bail!(
            "cargo cyclonedx wrote {} files of {}",
            moved.len(),
            CRATES.len()
        );
    }
    Ok(Verdict::Holds(format!("in {}", dir.display())))
}

/// The folders of the workspace's crates.
fn members() -> Result<Vec<PathBuf>> {
    let manifest = super::read("Cargo.toml")?;
    let (_, list) = manifest
        .split_once("members = [")
        .context("Cargo.toml has no members")?;
    let (list, _) = list.split_once(']').context("the members have no end")?;
    let folders = list.split(',').map(|it| it.trim().trim_matches('"'));
    let folders = folders.filter(|it| !it.is_empty());
    let root = crate::root();
    Ok(folders
        .map(|it| root.join(it))
        .chain([root.into()])
        .collect())
}

fn published(member: &Path) -> Option<&'static str> {
    match member {
        it if it == crate::root() => Some(CRATES[1]),
        it if it == crate::root().join("engine") => Some(CRATES[0]),
        _ => None,
    }
}

/// Writes what the npm package is made of there.
pub(super) fn npm_bill() -> Result<Verdict> {
    let sbom = [
        "sbom",
        "--sbom-format=cyclonedx",
        "--omit=dev",
        "--package-lock-only",
    ];
    let bill = stdout(&mut npm::npm(&npm::guest(), &sbom))?;
    let file = folder()?.join(format!("{NPM}.cdx.json"));
    fs::write(&file, named(&bill, NPM)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Verdict::Holds(format!("in {}", file.display())))
}

/// A bill that does not say where on this machine the project lay.
fn without_paths(bill: &str, root: &Path) -> String {
    bill.replace(&*root.to_string_lossy(), "/contrail-sync")
}

/// npm calls the package by the name of its folder.
fn named(bill: &str, name: &str) -> Result<String> {
    let mut bill: Value = serde_json::from_str(bill).context("npm sbom told no JSON")?;
    let component = bill
        .pointer_mut("/metadata/component")
        .and_then(Value::as_object_mut)
        .context("npm sbom told no package")?;
    component.insert("name".into(), name.into());
    Ok(format!("{bill:#}\n"))
}

fn folder() -> Result<PathBuf> {
    let dir = build::target().join("release-rehearsal");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

fn need(tool: &str) -> Result<()> {
    if Command::new(tool).arg("--version").output().is_err() {
        bail!("{tool} is missing: cargo install --locked {tool}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_cannot_be_fetched_is_not_taken_for_one_that_complains() {
        let offline = "npm error code ENOTFOUND\nnpm error network request failed";
        assert!(why(PUBLINT, offline).contains("could not be fetched (ENOTFOUND)"));
        assert_eq!(why(PUBLINT, " no types\n"), "no types");
    }

    #[test]
    fn what_was_released_before_is_neither_the_next_nor_without_a_date() {
        let of = |headings: &[&str]| {
            let headings: Vec<String> = headings.iter().map(|&it| it.to_owned()).collect();
            released(&headings, "0.2.0")
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["0.2.0 (not released yet)"]), None);
        assert_eq!(of(&["0.2.0 (2026-11-28)"]), None);
        let both = ["0.2.0 (2026-11-28)", "0.1.0 (2026-01-01)"];
        assert_eq!(of(&both).as_deref(), Some("0.1.0"));
    }

    #[test]
    fn the_published_crates_are_members() {
        let members = members().unwrap();
        let names: Vec<_> = members.iter().filter_map(|it| published(it)).collect();
        assert_eq!(names.len(), CRATES.len());
        assert!(members.iter().all(|it| it.join("Cargo.toml").exists()));
    }

    #[test]
    fn a_bill_names_the_package_and_no_path_of_this_machine() {
        let bill = r#"{"metadata":{"component":{"name":"guest-js"}}}"#;
        let bill: Value = serde_json::from_str(&named(bill, NPM).unwrap()).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], NPM);
        for bad in ["", "{}", "[]", r#"{"metadata":{"component":7}}"#] {
            assert!(named(bad, NPM).is_err(), "{bad}");
        }
        let bill = without_paths("file:///home/me/x/engine#y", Path::new("/home/me/x"));
        assert_eq!(bill, "file:///contrail-sync/engine#y");
    }

    #[test]
    fn a_tool_that_is_missing_is_named_with_how_it_comes() {
        let error = need("cargo-no-such-tool").unwrap_err().to_string();
        assert!(error.ends_with("cargo install --locked cargo-no-such-tool"));
    }
}
