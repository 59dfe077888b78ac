//! Every kind of error, and of the cache's warnings, has its entry: the Rust types are generated into TypeScript, where
//! they are read from.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::page::Page;

/// The page that has an entry for each kind of error.
const PAGE: &str = "docs/src/troubleshooting.md";
/// The page that tells of the cache's warnings.
const CACHE: &str = "docs/src/cache.md";
/// The generated types: the kinds of Rust.
const OF_RUST: &str = "guest-js/src/bindings/ErrorKind.ts";
const OF_THE_CACHE: &str = "guest-js/src/bindings/WarningKind.ts";
/// The kinds that only the package knows.
const OF_THE_PAGE: &str = "guest-js/src/error.ts";

/// Compares pages and code, in both directions.
pub(super) fn check(book: &[Page]) -> Result<()> {
    let read = |path: &str| {
        let text = fs::read_to_string(crate::root().join(path));
        text.with_context(|| format!("cannot read {path}"))
    };
    let mut kinds = union(&read(OF_RUST)?, "type ErrorKind =")?;
    kinds.extend(union(&read(OF_THE_PAGE)?, "type WatchErrorKind =")?);
    compare(&kinds, page(book, PAGE)?)?;
    let warnings = page(book, CACHE)?;
    for kind in union(&read(OF_THE_CACHE)?, "type WarningKind =")? {
        ensure!(
            warnings.text.contains(&format!("`{kind}`")),
            "{CACHE} has no word of {kind}"
        );
    }
    Ok(())
}

fn page<'a>(book: &'a [Page], path: &str) -> Result<&'a Page> {
    let found = book.iter().find(|it| it.path == path);
    found.with_context(|| format!("there is no {path}"))
}

/// The texts of a union in TypeScript, as in `type A = "a" | "b";`.
fn union(code: &str, start: &str) -> Result<BTreeSet<String>> {
    let (_, rest) = code
        .split_once(start)
        .with_context(|| format!("no `{start}`"))?;
    let (union, _) = rest.split_once(';').context("it does not end")?;
    let texts: BTreeSet<_> = union
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    ensure!(!texts.is_empty(), "`{start}` has no texts");
    Ok(texts)
}

/// Each kind has a heading of its own, `` ### `kind` ``, and no heading is of a kind that there is not.
fn compare(kinds: &BTreeSet<String>, page: &Page) -> Result<()> {
    let headings = page.headings.iter();
    let entries: BTreeSet<_> = headings
        .filter_map(|it| it.strip_prefix('`')?.strip_suffix('`').map(str::to_owned))
        .collect();
    let missing: Vec<_> = kinds.difference(&entries).collect();
    ensure!(
        missing.is_empty(),
        "{} has no entry for {missing:?}",
        page.path
    );
    let unknown: Vec<_> = entries.difference(kinds).collect();
    ensure!(
        unknown.is_empty(),
        "{} has entries for {unknown:?}, which no code knows",
        page.path
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_rust_and_of_the_page_are_found() {
        let rust = "/** \"no\" */\nexport type ErrorKind = \"invalid-url\" | \"internal\";\n";
        let kinds = union(rust, "type ErrorKind =").unwrap();
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            ["internal", "invalid-url"]
        );
        assert!(union("export type Other = 1;", "type ErrorKind =").is_err());
        assert!(union("type ErrorKind = string;", "type ErrorKind =").is_err());
    }

    #[test]
    fn a_kind_without_an_entry_and_an_entry_without_a_kind_are_errors() {
        let kinds = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let with = |headings: &str| compare(&kinds, &Page::of(PAGE, headings));
        assert!(with("# Title\n### `a`\n### `b`\n").is_ok());
        assert!(
            with("# Title\n### `a`\n")
                .unwrap_err()
                .to_string()
                .contains("\"b\"")
        );
        let more = with("### `a`\n### `b`\n### `c`\n").unwrap_err();
        assert!(more.to_string().contains("\"c\""));
    }
}
