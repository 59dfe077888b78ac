//! The one version that everything has: where it stands, whether it is the same everywhere, and how it is set.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Verdict, read};
use crate::{build, proc};

/// Where the version stands besides the lock file that Cargo writes itself: the file, and the text after which it comes
/// next, in quotes.
const PLACES: [(&str, &str); 7] = [
    ("Cargo.toml", "[workspace.package]\nversion = "),
    ("Cargo.toml", "\ncontrail-sync-engine = { version = "),
    ("guest-js/package.json", "\n  \"version\": "),
    ("guest-js/package-lock.json", "\n  \"version\": "),
    (
        "guest-js/package-lock.json",
        "\n    \"\": {\n      \"name\": \"tauri-plugin-contrail-sync-api\",\n      \"version\": ",
    ),
    (
        "examples/chat/package-lock.json",
        "\n    \"../../guest-js\": {\n      \"name\": \"tauri-plugin-contrail-sync-api\",\n      \"version\": ",
    ),
    (
        "examples/gallery/package-lock.json",
        "\n    \"../../guest-js\": {\n      \"name\": \"tauri-plugin-contrail-sync-api\",\n      \"version\": ",
    ),
];

/// The mark of a version that has no date yet.
const UNRELEASED: &str = "(not released yet)";

/// All places have the version of the workspace, Cargo's lock file included.
pub(super) fn check() -> Result<Verdict> {
    let mut found = Vec::new();
    for (file, before) in PLACES {
        found.push((file, version_after(&read(file)?, before, file)?));
    }
    for version in locked(&read("Cargo.lock")?)? {
        found.push(("Cargo.lock", version));
    }
    agreed(&found).map(Verdict::Holds)
}

/// The version of the workspace.
pub(super) fn current() -> Result<String> {
    let (file, before) = PLACES[0];
    version_after(&read(file)?, before, file)
}

/// Sets the version everywhere.
pub(super) fn set(version: &str) -> Result<()> {
    ensure!(is_version(version), "{version:?} is no version: X.Y.Z");
    let old = current()?;
    for (file, before) in PLACES {
        write(file, &replaced(&read(file)?, before, version, file)?)?;
    }
    let changelog = read("CHANGELOG.md")?;
    if let Some(renamed) = renamed(&changelog, &old, version) {
        write("CHANGELOG.md", &renamed)?;
    }
    // The versions of the workspace's own crates, and of no other.
    proc::run(&mut build::cargo(&["update", "--workspace", "--offline"]))?;
    println!("{old} -> {version}; CHANGELOG.md needs a heading `## {version} {UNRELEASED}`");
    Ok(())
}

/// The changelog has a dated heading for the version, above all others.
pub(super) fn check_changelog() -> Result<Verdict> {
    dated(&changelog()?, &current()?)
}

/// Its headings of versions, the latest first.
pub(super) fn changelog() -> Result<Vec<String>> {
    Ok(headings(&read("CHANGELOG.md")?))
}

fn write(file: &str, text: &str) -> Result<()> {
    let path = crate::root().join(Path::new(file));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// X.Y.Z, with what Semantic Versioning allows after it.
fn is_version(text: &str) -> bool {
    let (core, rest) = match text.find(['-', '+']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "x"),
    };
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |it: &&str| {
        !it.is_empty()
            && it.bytes().all(|b| b.is_ascii_digit())
            && (*it == "0" || !it.starts_with('0'))
    };
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b".-+".contains(&b);
    numbers.len() == 3
        && numbers.iter().all(is_number)
        && !rest.is_empty()
        && rest.bytes().all(is_word)
}

/// Where the version that follows `before` stands in `text`.
fn place(text: &str, before: &str, file: &str) -> Result<std::ops::Range<usize>> {
    let anchor = before.trim().replace('\n', " ");
    let at = text
        .find(before)
        .with_context(|| format!("{file} has no {anchor:?}"))?;
    let start = at + before.len();
    let rest = text[start..]
        .strip_prefix('"')
        .with_context(|| format!("{file}: no text follows {anchor:?}"))?;
    let end = rest
        .find('"')
        .with_context(|| format!("{file}: the text after {anchor:?} has no end"))?;
    Ok(start + 1..start + 1 + end)
}

fn version_after(text: &str, before: &str, file: &str) -> Result<String> {
    let version = &text[place(text, before, file)?];
    ensure!(is_version(version), "{file}: {version:?} is no version");
    Ok(version.into())
}

fn replaced(text: &str, before: &str, version: &str, file: &str) -> Result<String> {
    let mut text = text.to_owned();
    let range = place(&text, before, file)?;
    text.replace_range(range, version);
    Ok(text)
}

/// The versions that Cargo's lock file has of the published crates.
fn locked(lock: &str) -> Result<Vec<String>> {
    let find = |name: &&str| {
        version_after(
            lock,
            &format!("\nname = \"{name}\"\nversion = "),
            "Cargo.lock",
        )
    };
    super::CRATES.iter().map(find).collect()
}

fn agreed(found: &[(&str, String)]) -> Result<String> {
    let (_, first) = found.first().context("there is no version")?;
    let other: Vec<String> = found
        .iter()
        .filter(|(_, version)| version != first)
        .map(|(file, version)| format!("{file} has {version}"))
        .collect();
    if !other.is_empty() {
        bail!(
            "the workspace has {first}, but {}: cargo xtask release --set {first}",
            other.join(", ")
        );
    }
    Ok(first.clone())
}

fn headings(changelog: &str) -> Vec<String> {
    let headings = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## "));
    headings.map(|it| it.trim().to_owned()).collect()
}

/// The heading of the version that was to come next becomes that of `new`.
fn renamed(changelog: &str, old: &str, new: &str) -> Option<String> {
    let heading = format!("\n## {old} {UNRELEASED}\n");
    let found = changelog.contains(&heading);
    found.then(|| changelog.replacen(&heading, &format!("\n## {new} {UNRELEASED}\n"), 1))
}

fn dated(headings: &[String], version: &str) -> Result<Verdict> {
    let wanted = format!("`## {version} (YYYY-MM-DD)`");
    let first = headings
        .first()
        .with_context(|| format!("CHANGELOG.md has no version; it needs {wanted}"))?;
    let Some(rest) = first
        .strip_prefix(version)
        .filter(|it| it.is_empty() || it.starts_with(' '))
    else {
        bail!("CHANGELOG.md begins with {first}; it needs {wanted}");
    };
    let date = rest.trim().trim_start_matches('(').trim_end_matches(')');
    let shape: String = date
        .chars()
        .map(|c| if c.is_ascii_digit() { 'd' } else { c })
        .collect();
    ensure!(
        shape == "dddd-dd-dd",
        "CHANGELOG.md says `## {first}`; on the day of the release it is {wanted}"
    );
    Ok(Verdict::Holds(first.clone()))
}

/// The version in JSON, such as package.json's.
pub(super) fn of_json(json: &Value) -> Result<&str> {
    json["version"].as_str().context("there is no version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_three_numbers_and_what_may_follow() {
        for good in ["0.1.0", "1.22.333", "1.0.0-rc.1", "1.0.0+build-7"] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "01.0.0", "1.0.0-", "1.0.0 ", "1.0.0-\"",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_where_a_version_should_be_is_named() {
        let before = "\nversion = ";
        let error = |text: &str| {
            version_after(text, before, "x.toml")
                .unwrap_err()
                .to_string()
        };
        assert!(error("").contains("x.toml has no \"version =\""));
        assert!(error("\nversion = 1").contains("no text follows"));
        assert!(error("\nversion = \"1.0").contains("has no end"));
        assert!(error("\nversion = \"one\"").contains("\"one\" is no version"));
        let found =
            version_after("\nname = \"1.0.0\"\nversion = \"2.0.0\"\n", before, "x").unwrap();
        assert_eq!(found, "2.0.0");
    }

    #[test]
    fn only_the_version_that_is_meant_is_set() {
        let text = "a = { version = \"1.0.0\" }\nversion = \"1.0.0\"\n";
        let set = replaced(text, "\nversion = ", "1.0.1", "x").unwrap();
        assert_eq!(set, "a = { version = \"1.0.0\" }\nversion = \"1.0.1\"\n");
    }

    #[test]
    fn every_place_is_there_and_agrees() {
        assert!(
            matches!(check().unwrap(), Verdict::Holds(version) if version == current().unwrap())
        );
    }

    #[test]
    fn who_has_another_version_is_named() {
        let found = [
            ("a", "1.0.0".into()),
            ("b", "1.0.1".into()),
            ("c", "1.0.0".into()),
        ];
        let error = agreed(&found).unwrap_err().to_string();
        assert!(error.contains("has 1.0.0, but b has 1.0.1:"), "{error}");
        assert!(agreed(&[]).is_err());
    }

    #[test]
    fn the_changelog_begins_with_the_version_and_its_date() {
        let of = |text: &str| dated(&headings(text), "1.2.0");
        assert!(of("# Changelog\n\n## 1.2.0 (2026-11-28)\n\n## 1.1.0 (2026-01-01)\n").is_ok());
        for bad in [
            "",
            "# Changelog\n",
            "## 1.2.0\n",
            "## 1.2.0 (not released yet)\n",
            "## 1.2.0-rc.1 (2026-11-28)\n",
            "## 1.1.0 (2026-01-01)\n\n## 1.2.0 (2026-11-28)\n",
            "### 1.2.0 (2026-11-28)\n",
        ] {
            let error = of(bad).unwrap_err().to_string();
            assert!(error.contains("`## 1.2.0 (YYYY-MM-DD)`"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_heading_of_what_comes_next_follows_the_version() {
        let text = "# C\n\n## 0.1.0 (not released yet)\n\n- x\n";
        let renamed = renamed(text, "0.1.0", "0.2.0").unwrap();
        assert_eq!(renamed, "# C\n\n## 0.2.0 (not released yet)\n\n- x\n");
        assert!(super::renamed("\n## 0.1.0 (2026-01-01)\n", "0.1.0", "0.2.0").is_none());
    }
}
