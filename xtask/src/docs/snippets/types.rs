//! What the compilers of TypeScript, Svelte and Vue say of the blocks. Each becomes a file of one project, whose lines are
//! those of its page, so that an error tells where to look.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::docs::page::{Block, Mark, Page};
use crate::{build, npm, proc};

/// What blocks may go on from: `<!-- with: name -->`.
const PREAMBLES: &str = "docs/preambles";
/// The page whose `.tsx` is Solid's; elsewhere it is React's.
const SOLID: &str = "docs/src/solid.md";

/// The blocks of one run.
#[derive(Default)]
pub(super) struct Project {
    dir: PathBuf,
    files: Vec<(String, String)>,
}

/// Whether blocks of this language belong into it.
pub(super) fn knows(language: &str) -> bool {
    matches!(language, "ts" | "tsx" | "js" | "svelte" | "vue" | "html")
}

/// Whether what is declared elsewhere can be put behind such a block.
pub(super) fn takes_a_preamble(language: &str) -> bool {
    matches!(language, "ts" | "tsx")
}

impl Project {
    /// An empty one, in the target directory.
    pub(super) fn new() -> Result<Self> {
        let dir = build::target().join("docs/snippets");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            files: Vec::new(),
        })
    }

    /// Takes a block.
    pub(super) fn add(&mut self, page: &Page, block: &Block) -> Result<()> {
        let stem = page
            .path
            .trim_start_matches("docs/src/")
            .trim_end_matches(".md");
        let extension = match &*block.language {
            "html" => "js",
            other => other,
        };
        let name = format!("{}-{}.{extension}", stem.replace('/', "_"), block.line);
        self.files.push((name, source(page, block)?));
        Ok(())
    }

    /// Writes the project, and has it checked.
    pub(super) fn check(&self) -> Result<()> {
        for (name, source) in &self.files {
            fs::write(self.dir.join(name), source)?;
        }
        for entry in fs::read_dir(crate::root().join(PREAMBLES))? {
            let from = entry?.path();
            let name = from.file_name().context("a preamble has no name")?;
            fs::copy(&from, self.dir.join(name))?;
        }
        let modules = self.dir.join("node_modules");
        link_all(&npm::gallery().join("node_modules"), &modules)?;
        link_all(&npm::guest().join("node_modules"), &modules)?;
        self.settings("tsconfig.json", &["*.ts", "*.tsx", "*.js", "*.vue"])?;
        self.settings("tsconfig.svelte.json", &["*.svelte"])?;
        let config = |name: &str| self.dir.join(name).display().to_string();
        let tsc = [
            "exec",
            "--",
            "vue-tsc",
            "--noEmit",
            "-p",
            &config("tsconfig.json"),
        ];
        proc::run(&mut npm::npm(&npm::gallery(), &tsc))?;
        let folder = self.dir.display().to_string();
        let svelte = [
            "exec",
            "--",
            "svelte-check",
            "--fail-on-warnings",
            "--output",
            "human",
        ];
        let mut command = npm::npm(&npm::gallery(), &svelte);
        command.args([
            "--workspace",
            &folder,
            "--tsconfig",
            &config("tsconfig.svelte.json"),
        ]);
        proc::run(&mut command)
    }

    /// As strict as the gallery, but for what a snippet does not show: who uses it.
    fn settings(&self, name: &str, include: &[&str]) -> Result<()> {
        let settings = json!({
            "extends": npm::gallery().join("tsconfig.json"),
            "compilerOptions": {
                "allowJs": true,
                "checkJs": true,
                "noUnusedLocals": false,
                "noUnusedParameters": false,
            },
            "include": include,
        });
        fs::write(self.dir.join(name), settings.to_string())?;
        Ok(())
    }
}

/// The block at the lines that it has in its page, and behind it what it goes on from. Each file is a module of its own.
fn source(page: &Page, block: &Block) -> Result<String> {
    let code = match &*block.language {
        "html" => script(&block.code),
        _ => block.code.clone(),
    };
    let mut lines = "\n".repeat(block.line - 1);
    if block.language == "tsx" && page.path == SOLID {
        lines.insert_str(0, "/** @jsxImportSource solid-js */");
    }
    let preamble = match &block.mark {
        Mark::With(name) => preamble(name)?,
        _ => String::new(),
    };
    Ok(match &*block.language {
        "svelte" | "vue" => lines + &code,
        _ => format!("{lines}{code}{preamble}\nexport {{}};\n"),
    })
}

fn preamble(name: &str) -> Result<String> {
    let path = Path::new(PREAMBLES).join(format!("{name}.ts"));
    fs::read_to_string(crate::root().join(&path))
        .with_context(|| format!("there is no {}", path.display()))
}

/// The module in a page of HTML, in its lines.
fn script(html: &str) -> String {
    let mut inside = false;
    let lines = html.lines().map(|line| {
        let is_code = inside && !line.contains("</script>");
        inside =
            (inside || line.contains("<script type=\"module\">")) && !line.contains("</script>");
        if is_code {
            format!("{line}\n")
        } else {
            "\n".to_owned()
        }
    });
    lines.collect()
}

/// Links to all packages of a `node_modules` that are not there yet.
fn link_all(from: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from).with_context(|| format!("no {}", from.display()))? {
        let (path, name) = entry.map(|it| (it.path(), it.file_name()))?;
        let to = into.join(&name);
        if name.to_string_lossy().starts_with('@') {
            link_all(&path, &to)?;
        } else if !to.exists() && path.is_dir() {
            link(&path, &to)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(from, to)?)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::windows::fs::symlink_dir(from, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_lines_of_its_page() {
        let page = Page::of("docs/src/a.md", "# A\n\n```ts\nconst a = 1;\n```\n");
        let source = source(&page, &page.blocks[0]).unwrap();
        assert_eq!(source, "\n\n\nconst a = 1;\n\nexport {};\n");
    }

    #[test]
    fn only_the_module_of_a_page_of_html_is_code() {
        let html = "<p>\n<script type=\"module\">\n  run();\n</script>\n</p>\n";
        assert_eq!(script(html), "\n\n  run();\n\n\n");
    }

    #[test]
    fn a_preamble_that_is_not_there_is_an_error() {
        let page = Page::of("docs/src/a.md", "<!-- with: nothing -->\n```ts\n```\n");
        assert!(source(&page, &page.blocks[0]).is_err());
    }
}
