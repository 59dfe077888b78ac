//! What registries ask of a package beside its files.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{CRATES, Verdict, contents, read, stdout, versions};
use crate::build;

/// What only the owner of the project can say. It stands once, in Cargo.toml, and `--set` takes it to package.json.
const OWNERS: [&str; 2] = ["repository", "homepage"];

/// Looks at the crates.
pub(super) fn check_crates() -> Result<Verdict> {
    contents::check_licences()?;
    let all = crates()?;
    let mut faults = Vec::new();
    for name in CRATES {
        faults.extend(faults_of(of(&all, name)?));
    }
    told(faults)
}

/// Looks at package.json.
pub(super) fn check_npm() -> Result<Verdict> {
    let package: Value = serde_json::from_str(&read("guest-js/package.json")?)?;
    let all = crates()?;
    told(npm_faults(&package, of(&all, CRATES[1])?))
}

/// Takes what the crates say of where the project lives to package.json.
pub(super) fn tell_npm() -> Result<()> {
    let all = crates()?;
    let plugin = of(&all, CRATES[1])?;
    let path = "guest-js/package.json";
    let text = with_owners(&read(path)?, plugin)?;
    std::fs::write(crate::root().join(path), text).with_context(|| format!("cannot write {path}"))
}

fn crates() -> Result<Value> {
    let metadata = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    serde_json::from_str(&stdout(&mut build::cargo(&metadata))?)
        .context("cargo metadata told no JSON")
}

fn of<'a>(metadata: &'a Value, name: &str) -> Result<&'a Value> {
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .find(|it| it["name"] == name)
        .with_context(|| format!("there is no crate {name}"))
}

fn told(faults: Vec<String>) -> Result<Verdict> {
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(Verdict::Holds(String::new()))
}

/// The text of a member, unless it is missing or empty.
fn text<'a>(package: &'a Value, member: &str) -> Option<&'a str> {
    package[member].as_str().filter(|it| !it.trim().is_empty())
}

/// What crates.io would refuse or warn of.
fn faults_of(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or("?");
    let mut faults = Vec::new();
    for member in ["description", "license", "readme", "rust_version"] {
        if text(package, member).is_none() {
            faults.push(format!("{name} has no {member}"));
        }
    }
    for member in OWNERS {
        if !text(package, member).is_some_and(is_address) {
            faults.push(format!(
                "{name} has no {member}: in Cargo.toml, below [workspace.package], write `{member} = \"https://…\"`"
            ));
        }
    }
    if !package["publish"].is_null() {
        faults.push(format!("{name} may not be published: `publish` is set"));
    }
    let keywords = package["keywords"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let is_keyword = |it: &Value| {
        it.as_str().is_some_and(|it| {
            !it.is_empty() && it.len() <= 20 && it.is_ascii() && !it.contains(' ')
        })
    };
    if keywords.is_empty() || keywords.len() > 5 || !keywords.iter().all(is_keyword) {
        faults.push(format!(
            "{name} needs one to five keywords of at most 20 letters"
        ));
    }
    if package["categories"].as_array().is_none_or(Vec::is_empty) {
        faults.push(format!("{name} has no categories"));
    }
    faults
}

fn is_address(text: &str) -> bool {
    text.strip_prefix("https://")
        .is_some_and(|rest| rest.contains('.') && !rest.contains(char::is_whitespace))
}

/// What npm would refuse or warn of, or what differs from the crate.
fn npm_faults(package: &Value, plugin: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for member in ["name", "version", "description", "license"] {
        if text(package, member).is_none() {
            faults.push(format!("package.json has no {member}"));
        }
    }
    if package["private"] == json!(true) {
        faults.push("package.json is private".into());
    }
    if package["license"] != plugin["license"] {
        faults.push("package.json has another license than the crates".into());
    }
    let set = "once Cargo.toml has it, `cargo xtask release --set` with the version writes it";
    let repository = text(plugin, "repository").map(git_url);
    if repository.is_none() || package["repository"]["url"].as_str() != repository.as_deref() {
        faults.push(format!(
            "package.json has not the repository of the crates: {set}"
        ));
    }
    if text(plugin, "homepage").is_none() || package["homepage"] != plugin["homepage"] {
        faults.push(format!(
            "package.json has not the homepage of the crates: {set}"
        ));
    }
    if versions::of_json(package).ok() != versions::of_json(plugin).ok() {
        faults.push("package.json has another version than the crates".into());
    }
    faults
}

fn git_url(repository: &str) -> String {
    format!("git+{}.git", repository.trim_end_matches(".git"))
}

/// package.json with the owner's words below its licence, in the form that prettier gives it.
fn with_owners(text: &str, plugin: &Value) -> Result<String> {
    const AFTER: &str = "  \"license\": ";
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut without = Vec::new();
    let mut inside = false;
    for line in lines.drain(..) {
        inside |= line.starts_with("  \"repository\": {");
        if !inside && !line.starts_with("  \"homepage\": ") {
            without.push(line);
        } else if line.starts_with("  }") {
            inside = false;
        }
    }
    let at = without.iter().position(|it| it.starts_with(AFTER));
    let at = at.context("package.json has no license")? + 1;
    let mut words = Vec::new();
    if let Some(homepage) = self::text(plugin, "homepage") {
        words.push(format!("  \"homepage\": {},", json!(homepage)));
    }
    if let Some(repository) = self::text(plugin, "repository") {
        words.push("  \"repository\": {".into());
        words.push("    \"type\": \"git\",".into());
        words.push(format!("    \"url\": {},", json!(git_url(repository))));
        words.push("    \"directory\": \"guest-js\"".into());
        words.push("  },".into());
    }
    without.splice(at..at, words);
    let text = without.join("\n") + "\n";
    if serde_json::from_str::<Value>(&text).is_err() {
        bail!("package.json cannot be written: it is not in the form that prettier gives it");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({
            "name": "x", "version": "0.1.0", "description": "d", "license": "MIT", "readme": "README.md",
            "rust_version": "1.94", "repository": "https://example.com/x", "homepage": "https://example.com",
            "publish": null, "keywords": ["a"], "categories": ["gui"],
        })
    }

    #[test]
    fn what_a_registry_asks_for_is_named_when_it_is_missing() {
        assert_eq!(faults_of(&good()), Vec::<String>::new());
        for (member, bad) in [
            ("description", json!("")),
            ("license", Value::Null),
            ("readme", json!(7)),
            ("rust_version", Value::Null),
            ("repository", json!("")),
            ("repository", json!("example.com")),
            ("homepage", json!("https://a b.c")),
            ("publish", json!([])),
            ("keywords", json!([])),
            ("keywords", json!(["a", "b", "c", "d", "e", "f"])),
            ("keywords", json!(["longer than twenty letters"])),
            ("categories", json!([])),
        ] {
            let mut package = good();
            package[member] = bad.clone();
            assert_eq!(faults_of(&package).len(), 1, "{member} {bad}");
        }
        assert!(faults_of(&json!(null)).len() > 5);
    }

    #[test]
    fn the_owner_is_asked_for_the_line_itself() {
        let mut package = good();
        package["repository"] = json!("");
        let fault = faults_of(&package).remove(0);
        assert!(fault.contains("below [workspace.package], write `repository = \"https://…\"`"));
    }

    #[test]
    fn package_json_says_what_the_crates_say() {
        let text = "{\n  \"name\": \"x\",\n  \"version\": \"0.1.0\",\n  \"description\": \"d\",\n  \"license\": \"MIT\",\n  \"type\": \"module\"\n}\n";
        let without: Value = serde_json::from_str(text).unwrap();
        assert_eq!(npm_faults(&without, &good()).len(), 2);
        let once = with_owners(text, &good()).unwrap();
        let package: Value = serde_json::from_str(&once).unwrap();
        assert_eq!(npm_faults(&package, &good()), Vec::<String>::new());
        assert_eq!(with_owners(&once, &good()).unwrap(), once);
        let mut moved = good();
        moved["repository"] = json!("https://example.org/y.git");
        let twice = with_owners(&once, &moved).unwrap();
        assert!(twice.contains("git+https://example.org/y.git"), "{twice}");
        assert_eq!(with_owners(&twice, &json!({})).unwrap(), text);
        assert!(with_owners("{}", &good()).is_err());
    }

    #[test]
    fn a_crate_that_is_not_there_is_named() {
        assert!(
            of(&json!({}), "x")
                .unwrap_err()
                .to_string()
                .contains("no crate x")
        );
    }
}
