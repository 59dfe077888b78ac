//! What README and book tell an app to contain. It is taken from there as it stands, so that it cannot go stale.

use std::path::Path;

use anyhow::{Context, Result};

/// A README or a page, and where it lies.
pub(super) struct Readme {
    name: &'static str,
    text: String,
}

impl Readme {
    /// Reads `name`, a path from the root of the repository.
    pub(super) fn read(name: &'static str) -> Result<Self> {
        let path = crate::root().join(Path::new(name));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { name, text })
    }

    /// The code of the first block in `language` behind the first occurrence of `mark`.
    pub(super) fn code(&self, mark: &str, language: &str) -> Result<&str> {
        code(&self.text, mark, language).with_context(|| {
            format!(
                "{} has no block of {language} behind {mark:?} any more",
                self.name
            )
        })
    }
}

fn code<'a>(text: &'a str, mark: &str, language: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(mark)?;
    let (_, code) = behind.split_once(&format!("\n```{language}\n"))?;
    let end = code.find("\n```")?;
    code.get(..=end)
}

/// `text` with `new` in the place of `old`, which has to be there: what a README or a template no longer says is not to be
/// passed over.
pub(super) fn replaced(text: &str, old: &str, new: &str) -> Result<String> {
    anyhow::ensure!(text.contains(old), "no {old:?} in:\n{text}");
    Ok(text.replace(old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_first_of_its_language_behind_the_mark() {
        let text =
            "```ts\nno\n```\n## Here\n\n```sh\nno\n```\n\n```ts\none\n\ntwo\n```\n```ts\nno\n```\n";
        assert_eq!(code(text, "## Here", "ts"), Some("one\n\ntwo\n"));
        assert_eq!(code(text, "## Here", "vue"), None);
        assert_eq!(code(text, "## There", "ts"), None);
    }

    #[test]
    fn what_is_not_there_cannot_be_replaced() {
        assert_eq!(replaced("a b a", "a", "c").unwrap(), "c b c");
        assert!(replaced("a", "b", "c").is_err());
    }
}
