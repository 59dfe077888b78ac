//! Whether the blocks of code can be what they say they are.

mod types;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::PAGES;
use super::page::{Block, Mark, Page};

/// What compiles the Rust of the pages, as doc tests.
const DOC_TESTS: &str = "docs/lib.rs";
/// What compiles that of the engine's README.
const ENGINE: &str = "engine/README.md";

/// Checks every block, and says how many there are of each language; one that nobody checks has to say why.
pub(super) fn check(pages: &[Page]) -> Result<()> {
    let permissions = permissions()?;
    let doc_tests = fs::read_to_string(crate::root().join(DOC_TESTS))?;
    let (mut counts, mut project) = (BTreeMap::new(), types::Project::new()?);
    for page in pages {
        commands(page)?;
        for block in &page.blocks {
            let kind = one(page, block, &permissions, &doc_tests, &mut project)
                .with_context(|| format!("{}:{}", page.path, block.line))?;
            *counts.entry(kind).or_insert(0) += 1;
        }
    }
    project.check()?;
    let told = counts
        .iter()
        .map(|(kind, n): (_, &u32)| format!("{n} {kind}"));
    println!("snippets: {}", told.collect::<Vec<_>>().join(", "));
    Ok(())
}

/// Checks one block, or gives it to those who are checked together. What it counts as.
fn one(
    page: &Page,
    block: &Block,
    permissions: &[String],
    doc_tests: &str,
    project: &mut types::Project,
) -> Result<String> {
    let language = block.language.clone();
    match &block.mark {
        Mark::Unchecked(why) => {
            ensure!(!why.is_empty(), "say why nobody checks it");
            println!("unchecked: {}:{}: {why}", page.path, block.line);
            return Ok("unchecked".to_owned());
        }
        Mark::Elsewhere(_) if matches!(&*language, "rust" | "ts") => {}
        Mark::With(_) if types::takes_a_preamble(&language) => {}
        Mark::None => {}
        other => bail!("{other:?} is not for a block of {language:?}"),
    }
    match &*language {
        "rust" => rust(page, block, doc_tests)?,
        "json" => json(&block.code, permissions)?,
        "toml" => drop(block.code.parse::<toml::Table>()?),
        "sh" => shell(&block.code)?,
        "text" | "mermaid" => {}
        "html" => {
            if let Some(map) = between(&block.code, "<script type=\"importmap\">") {
                serde_json::from_str::<Value>(map).context("its import map")?;
            }
            project.add(page, block)?;
        }
        _ if types::knows(&language) => project.add(page, block)?,
        other => bail!("nobody checks {other:?}: mark the block `<!-- unchecked: why -->`"),
    }
    Ok(language)
}

/// What stands between this tag and the end of the script.
fn between<'a>(html: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = html.split_once(tag)?;
    Some(rest.split_once("</script>")?.0)
}

/// A page is among the doc tests, where its blocks are compiled, or something else compiles it.
fn rust(page: &Page, block: &Block, doc_tests: &str) -> Result<()> {
    if let Mark::Elsewhere(_) = block.mark {
        return Ok(());
    }
    let ignored = block.attributes.iter().any(|it| it == "ignore");
    ensure!(
        !ignored,
        "it is ignored: mark it `<!-- unchecked: why -->`, too"
    );
    let file = page.path.strip_prefix("docs/").unwrap_or(&page.path);
    let included = doc_tests.contains(&format!("\"{file}\"")) && page.path.starts_with(PAGES);
    ensure!(
        included || page.path == ENGINE,
        "{DOC_TESTS} does not name {file}: its Rust is not compiled"
    );
    Ok(())
}

/// JSON; and what of it is a capability names permissions that there are.
fn json(code: &str, permissions: &[String]) -> Result<()> {
    let value: Value = serde_json::from_str(code)?;
    let given = value["permissions"].as_array();
    for given in given.into_iter().flatten() {
        let name = given["identifier"].as_str().or(given.as_str());
        let name = name.context("a permission has no name")?;
        if let Some(ours) = name.strip_prefix("contrail-sync:") {
            ensure!(
                permissions.iter().any(|it| it == ours),
                "there is no permission {name}"
            );
        }
    }
    let settings = value["plugins"]["contrail-sync"].as_object();
    let unknown = settings.and_then(|it| it.keys().find(|key| *key != "baseUrl"));
    ensure!(unknown.is_none(), "there is no setting {unknown:?}");
    Ok(())
}

/// The permissions that a capability may name, from the generated schema.
fn permissions() -> Result<Vec<String>> {
    fn collect(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                names.extend(
                    members
                        .get("const")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members.values().for_each(|it| collect(it, names));
            }
            Value::Array(items) => items.iter().for_each(|it| collect(it, names)),
            _ => {}
        }
    }
    let schema = fs::read_to_string(crate::root().join("permissions/schemas/schema.json"))?;
    let mut names = Vec::new();
    collect(&serde_json::from_str(&schema)?, &mut names);
    ensure!(!names.is_empty(), "the schema names no permission");
    Ok(names)
}

/// What a shell can read.
fn shell(code: &str) -> Result<()> {
    let mut command = Command::new("bash");
    let mut child = command
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .context("bash does not run")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(code.as_bytes())?;
    }
    ensure!(child.wait()?.success(), "the shell cannot read it");
    Ok(())
}

/// Commands of this repository that a page names are there.
fn commands(page: &Page) -> Result<()> {
    for rest in page.text.split("cargo xtask ").skip(1) {
        let word = rest
            .split(|c: char| !c.is_ascii_lowercase() && c != '-')
            .next();
        let word = word.unwrap_or_default();
        let known = word.is_empty() || crate::HELP.contains(&format!("\n  {word} "));
        ensure!(
            known,
            "{} names `cargo xtask {word}`, which is not there",
            page.path
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a page of the book with this text.
    fn of(text: &str) -> Result<String> {
        let page = Page::of("docs/src/a.md", text);
        let mut project = types::Project::default();
        commands(&page)?;
        let permissions = ["default".to_owned()];
        one(
            &page,
            &page.blocks[0],
            &permissions,
            "\"src/b.md\"",
            &mut project,
        )
    }

    #[test]
    fn what_parses_counts_as_its_language() {
        for (block, language) in [
            (
                "```json\n{ \"permissions\": [\"core:default\", \"contrail-sync:default\"] }\n```",
                "json",
            ),
            (
                "```json\n{ \"plugins\": { \"contrail-sync\": { \"baseUrl\": \"https://a.example\" } } }\n```",
                "json",
            ),
            ("```toml\n[a]\nb = 1\n```", "toml"),
            ("```sh\ncargo xtask test\n```", "sh"),
            ("```text\nidle → live\n```", "text"),
            (
                "<!-- unchecked: an app of its own -->\n```kotlin\n```",
                "unchecked",
            ),
        ] {
            assert_eq!(of(block).unwrap(), language, "{block}");
        }
    }

    #[test]
    fn what_does_not_or_is_checked_by_nobody_is_an_error() {
        for block in [
            "```json\n{ a }\n```",
            "```json\n{ \"permissions\": [\"contrail-sync:allow-all\"] }\n```",
            "```json\n{ \"plugins\": { \"contrail-sync\": { \"base\": 1 } } }\n```",
            "```toml\na = \n```",
            "```sh\necho \"\n```",
            "```sh\ncargo xtask nothing\n```",
            "```kotlin\n```",
            "```\n```",
            "<!-- unchecked: -->\n```kotlin\n```",
            "<!-- with: store -->\n```json\n{}\n```",
            // `docs/lib.rs` does not name the page.
            "```rust\nfn main() {}\n```",
            "```html\n<script type=\"importmap\">{ a }</script>\n```",
        ] {
            assert!(of(block).is_err(), "{block}");
        }
    }
}
