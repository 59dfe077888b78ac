//! Whether links lead somewhere.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::{PAGES, page::Page};

/// Each link of these pages that leads nowhere, with its place. What is outside of the repository is not asked.
pub(super) fn problems(pages: &[Page]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for page in pages {
        for (line, target) in &page.links {
            if let Some(why) = problem(pages, page, target) {
                problems.push(format!("{}:{line}: {target}: {why}", page.path));
            }
        }
    }
    Ok(problems)
}

fn problem(pages: &[Page], page: &Page, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => PathBuf::from(&page.path),
        _ => normal(&Path::new(&page.path).parent()?.join(file)),
    };
    let is_page = page.path.starts_with(PAGES);
    if is_page && !path.starts_with(PAGES) {
        return Some("the book ends at docs/src: name the file instead");
    }
    let found = pages.iter().find(|it| Path::new(&it.path) == path);
    match found {
        Some(other) if anchor.is_empty() || other.anchors().iter().any(|it| it == anchor) => None,
        Some(_) => Some("there is no such heading"),
        None if !crate::root().join(&path).exists() => Some("there is no such file"),
        None if is_page && path.extension().is_some_and(|it| it == "md") => {
            Some("it is not in SUMMARY.md")
        }
        None => None,
    }
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let one = Page::of("docs/src/one.md", text);
        let two = Page::of("docs/src/two.md", "# Two\n\n## Its part\n");
        problems(&[one, two]).unwrap()
    }

    #[test]
    fn links_to_pages_headings_and_elsewhere_are_fine() {
        let good = "# One\n[a](two.md) [b](two.md#its-part) [c](#one) [d](https://example.com/x.md) ![e](pictures/chat.png)\n";
        assert_eq!(of(good), [""; 0]);
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_place() {
        for (link, why) in [
            ("three.md", "no such file"),
            ("two.md#its-parts", "no such heading"),
            ("#two", "no such heading"),
            ("../../README.md", "the book ends"),
            ("SUMMARY.md", "not in SUMMARY.md"),
            ("pictures/none.png", "no such file"),
        ] {
            let told = of(&format!("# One\n\n[it]({link})\n"));
            let [told] = &told[..] else {
                panic!("{link}: {told:?}")
            };
            assert!(
                told.starts_with("docs/src/one.md:3: ") && told.contains(why),
                "{told}"
            );
        }
    }
}
