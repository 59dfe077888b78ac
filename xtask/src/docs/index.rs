//! The order of the book, and `llms.txt`: one line for each of its pages, taken from its first paragraph.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::page::Page;

/// A first paragraph that is longer does not say what its page is about.
const LONGEST_LEAD: usize = 300;

/// The pages that `SUMMARY.md` names, in its order.
pub(super) fn order(summary: &Page) -> Result<Vec<String>> {
    let names: Vec<_> = summary.links.iter().map(|(_, it)| it.clone()).collect();
    for (at, name) in names.iter().enumerate() {
        ensure!(!names[..at].contains(name), "SUMMARY.md has {name} twice");
    }
    Ok(names)
}

/// No page of `folder` is left out.
pub(super) fn all_are_listed(names: &[String], folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_page = name.ends_with(".md") && name != "SUMMARY.md";
        ensure!(
            !is_page || names.contains(&name),
            "SUMMARY.md does not name {name}"
        );
    }
    Ok(())
}

/// What `llms.txt` says: the form that <https://llmstxt.org> proposes.
pub(super) fn text(book: &[Page]) -> Result<String> {
    let first = book.first().context("the book has no page")?;
    let mut text = format!(
        "# contrail-sync\n\n> {}\n\n## Pages\n\n",
        plain(&first.lead)
    );
    for page in book {
        let lead = plain(&page.lead);
        let name = page.path.rsplit('/').next().unwrap_or_default();
        ensure!(!lead.is_empty(), "{} begins with no paragraph", page.path);
        ensure!(
            lead.len() <= LONGEST_LEAD,
            "the first paragraph of {} has {} bytes, {LONGEST_LEAD} at most: it becomes its line in llms.txt",
            page.path,
            lead.len()
        );
        let html = name.replace(".md", ".html");
        text += &format!("- [{}]({html}): {lead}\n", page.title());
    }
    Ok(text)
}

/// Links become their words.
fn plain(text: &str) -> String {
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    plain.replace('[', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_a_line_in_the_order_of_the_book() {
        let one = Page::of(
            "docs/src/one.md",
            "# One\n\nIt says [much](two.md), and\nmore.\n\nNot this.\n",
        );
        let two = Page::of("docs/src/two.md", "# Two\n\nThe rest.\n");
        let text = text(&[one, two]).unwrap();
        assert!(
            text.starts_with("# contrail-sync\n\n> It says much, and more.\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "- [One](one.html): It says much, and more.\n- [Two](two.html): The rest.\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_page_that_does_not_say_what_it_is_about_is_an_error() {
        let long = format!("# Long\n\n{}\n", "word ".repeat(100));
        for page in ["# Only a title\n", &long] {
            assert!(text(&[Page::of("docs/src/p.md", page)]).is_err());
        }
    }

    #[test]
    fn a_page_that_is_twice_in_the_summary_or_not_at_all_is_an_error() {
        assert!(order(&Page::of("SUMMARY.md", "- [A](a.md)\n- [A](a.md)\n")).is_err());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.md"), "# A\n").unwrap();
        assert!(all_are_listed(&["a.md".into()], folder.path()).is_ok());
        assert!(all_are_listed(&[], folder.path()).is_err());
    }
}
