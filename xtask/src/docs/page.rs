//! A page of Markdown: its headings, links and blocks of code.

use std::fs;

use anyhow::{Context, Result};

/// A file, read.
#[derive(Debug)]
pub(super) struct Page {
    /// From the root of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Headings, as they are written, without the hashes.
    pub headings: Vec<String>,
    /// Where links and pictures lead, with the line.
    pub links: Vec<(usize, String)>,
    /// Fenced code.
    pub blocks: Vec<Block>,
    /// The first paragraph that is text.
    pub lead: String,
}

/// A fenced block of code.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// Number of its first line of code in the page, from 1.
    pub line: usize,
    /// The first word behind the fence.
    pub language: String,
    /// The others, between commas.
    pub attributes: Vec<String>,
    /// What the comment above says.
    pub mark: Mark,
    /// The lines between the fences.
    pub code: String,
}

/// What an HTML comment right above a block says of it.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Mark {
    /// There is none: it is whole.
    #[default]
    None,
    /// `<!-- with: name -->`: it goes on from what `docs/preambles/name.ts` declares.
    With(String),
    /// `<!-- checked: where -->`: something else runs it.
    Elsewhere(String),
    /// `<!-- unchecked: why -->`: nobody can check it.
    Unchecked(String),
}

impl Mark {
    fn read(line: &str) -> Self {
        let comment = line.trim().strip_prefix("<!--");
        let comment = comment.and_then(|it| it.strip_suffix("-->"));
        let Some((word, rest)) = comment.and_then(|it| it.split_once(':')) else {
            return Self::None;
        };
        let rest = rest.trim().to_owned();
        match word.trim() {
            "with" => Self::With(rest),
            "checked" => Self::Elsewhere(rest),
            "unchecked" => Self::Unchecked(rest),
            _ => Self::None,
        }
    }
}

impl Page {
    /// Reads `path`, from the root of the repository.
    pub(super) fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(crate::root().join(path));
        let text = text.with_context(|| format!("cannot read {path}"))?;
        Ok(Self::of(path, &text))
    }

    /// The page of this text.
    pub(super) fn of(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            headings: Vec::new(),
            links: Vec::new(),
            blocks: Vec::new(),
            lead: String::new(),
        };
        let (mut mark, mut lead_is_over) = (Mark::None, false);
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                let code = lines.by_ref().map(|(_, line)| line);
                let code = code.take_while(|it| !it.trim_start().starts_with("```"));
                let code = code.fold(String::new(), |all, line| all + line + "\n");
                page.blocks
                    .push(Block::of(at + 2, info, std::mem::take(&mut mark), code));
                continue;
            }
            if !line.trim().is_empty() {
                mark = Mark::read(line);
            }
            if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ')
                && line.starts_with('#')
            {
                page.headings.push(heading.trim().to_owned());
            } else if line.is_empty() {
                lead_is_over |= !page.lead.is_empty();
            } else if !lead_is_over && (is_text(line) || !page.lead.is_empty()) {
                page.lead = format!("{} {line}", page.lead).trim().to_owned();
            }
            page.links.extend(links(line).map(|it| (at + 1, it)));
        }
        page
    }

    /// Its first heading.
    pub(super) fn title(&self) -> &str {
        self.headings.first().map_or("", |it| it)
    }

    /// What a link puts behind `#` to reach a heading: as mdBook and the hosts of repositories make it.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for heading in &self.headings {
            let lower = heading.to_lowercase();
            let kept = lower
                .chars()
                .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
            let anchor: String = kept.map(|it| if it == ' ' { '-' } else { it }).collect();
            let again = all.iter().filter(|it| **it == anchor).count();
            all.push(match again {
                0 => anchor,
                _ => format!("{anchor}-{again}"),
            });
        }
        all
    }
}

/// Whether a paragraph begins with this line, and no list, table, picture or HTML.
fn is_text(line: &str) -> bool {
    let first = line.chars().next();
    first.is_some_and(|it| it.is_alphabetic() || it == '`' || it == '*')
}

impl Block {
    fn of(line: usize, info: &str, mark: Mark, code: String) -> Self {
        let mut words = info.split(',').map(|it| it.trim().to_owned());
        Self {
            line,
            language: words.next().unwrap_or_default(),
            attributes: words.collect(),
            mark,
            code,
        }
    }
}

/// Where the links of a line lead, but for those in code.
fn links(line: &str) -> impl Iterator<Item = String> {
    // Every other piece between backticks is code.
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
    let targets = text.split("](").skip(1).map(str::to_owned);
    let targets: Vec<_> = targets.collect();
    targets.into_iter().filter_map(|it| {
        let (target, _) = it.split_once(')')?;
        Some(target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A page\n\nSays `a](b)` and\n[more](other.md#here).\n\nNot this.\n\n## Its `part`, two\n\n\
        <!-- with: store -->\n\n```ts\nconst a = 1;\n```\n\n```rust,no_run\nfn main() {}\n```\n\n## Its part two\n";

    #[test]
    fn a_page_has_its_headings_links_and_blocks() {
        let page = Page::of("p.md", TEXT);
        assert_eq!(page.title(), "A page");
        assert_eq!(page.lead, "Says `a](b)` and [more](other.md#here).");
        assert_eq!(page.anchors(), ["a-page", "its-part-two", "its-part-two-1"]);
        assert_eq!(page.links, [(4, "other.md#here".to_owned())]);
        let [ts, rust] = &page.blocks[..] else {
            panic!("{:?}", page.blocks)
        };
        assert_eq!((ts.line, &*ts.language), (13, "ts"));
        assert_eq!(ts.code, "const a = 1;\n");
        assert_eq!(ts.mark, Mark::With("store".into()));
        assert_eq!((rust.line, &*rust.attributes[0]), (17, "no_run"));
        assert_eq!(rust.mark, Mark::None);
    }

    #[test]
    fn a_mark_is_for_the_block_below_it_alone() {
        let text = "<!-- unchecked: why -->\ntext\n\n```ts\n```\n";
        assert_eq!(Page::of("p.md", text).blocks[0].mark, Mark::None);
    }
}
