//! `cargo xtask docs`: the book in `docs/`, and whether what it and the READMEs say can be true: every link leads somewhere,
//! every snippet compiles or parses, every kind of error has its entry, and what the package exports is told about.

mod index;
mod kinds;
mod links;
mod page;
mod snippets;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, npm, proc, setup};
use page::Page;

/// The program that makes HTML of the book.
const MDBOOK: &str = "0.5.4";
/// Where the book's pages are.
const PAGES: &str = "docs/src";
/// What else is written for people, and has links and snippets.
const BESIDE: [&str; 8] = [
    "README.md",
    "guest-js/README.md",
    "engine/README.md",
    "examples/appview/README.md",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];

/// Writes the index, checks everything, rustdoc too, and makes HTML of the book.
pub(crate) fn run() -> Result<()> {
    setup::packages(&[setup::Need::Build])?;
    npm::install(&[npm::chat(), npm::gallery()])?;
    fs::write(index_file(), index::text(&book()?)?)?;
    check()?;
    doc_tests()?;
    rustdoc()?;
    let html = build::target().join("book");
    let mut command = Command::new(mdbook()?);
    command.arg("build").arg("--dest-dir").arg(&html);
    proc::run(command.arg(crate::root().join("docs")))?;
    println!("{}", html.join("index.html").display());
    Ok(())
}

/// What needs no HTML, and of Rust only what the other tests have not compiled: a part of `cargo xtask test`.
pub(crate) fn check() -> Result<()> {
    let book = book()?;
    if fs::read_to_string(index_file()).unwrap_or_default() != index::text(&book)? {
        bail!("docs/src/llms.txt is not what the pages say: run `cargo xtask docs`");
    }
    kinds::check(&book)?;
    let mut all = book;
    for path in BESIDE {
        all.push(Page::read(path)?);
    }
    let problems = links::problems(&all)?;
    if !problems.is_empty() {
        bail!(
            "{} links lead nowhere:\n{}",
            problems.len(),
            problems.join("\n")
        );
    }
    snippets::check(&all)?;
    proc::run(
        Command::new("node")
            .arg("scripts/tsdoc.mjs")
            .current_dir(npm::guest()),
    )
}

/// The pages of the book, in its order.
fn book() -> Result<Vec<Page>> {
    let summary = Page::read(&format!("{PAGES}/SUMMARY.md"))?;
    let names = index::order(&summary)?;
    index::all_are_listed(&names, &crate::root().join(PAGES))?;
    names
        .iter()
        .map(|name| Page::read(&format!("{PAGES}/{name}")))
        .collect()
}

fn index_file() -> PathBuf {
    crate::root().join(PAGES).join("llms.txt")
}

/// The Rust of the pages. Of the whole workspace, as in the tests: nothing is compiled for other features. The apps are a part
/// of it, and include their front ends.
fn doc_tests() -> Result<()> {
    build::front_end(&npm::chat())?;
    build::front_end(&npm::gallery())?;
    proc::run(&mut build::cargo(&["test", "--doc", "--workspace"]))
}

fn rustdoc() -> Result<()> {
    let what = ["doc", "--no-deps", "--workspace"];
    proc::run(build::cargo(&what).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Where mdBook is: installed by itself in the target directory, where no other version disturbs it.
fn mdbook() -> Result<PathBuf> {
    let tools = build::target().join("tools");
    let program = tools
        .join("bin")
        .join(format!("mdbook{}", std::env::consts::EXE_SUFFIX));
    let found = program
        .to_str()
        .context("the target directory is not Unicode")?;
    let version = proc::output(found, &["--version"]);
    if version.is_none_or(|it| it != format!("mdbook v{MDBOOK}")) {
        let what = ["install", "mdbook", "--version", MDBOOK, "--locked"];
        let mut install = build::cargo(&what);
        install
            .args(["--no-default-features", "--features", "search", "--root"])
            .arg(&tools);
        proc::run(&mut install)?;
    }
    Ok(program)
}
