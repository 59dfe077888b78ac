//! `cargo xtask fuzz`: each target of `fuzz/` under libFuzzer, one after another. Needs a C++ compiler, and no nightly Rust.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{proc, root};

/// Compiled in without a sanitizer, which would need nightly Rust: coverage is enough to search, and panics are what is
/// searched for.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";
/// With `--target`, flags are for the programs alone, and not for build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How much to try.
pub(crate) struct Options {
    /// Seconds in all.
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 600 }
    }
}

/// Runs all targets, and fails at the first input that is not taken as it should be. It is kept, and its file is named.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (folder, built) = (root().join("fuzz"), root().join("target/fuzz"));
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(&built)
        .env("RUSTFLAGS", FLAGS)
        .current_dir(&folder);
    proc::run(&mut build)?;
    let targets = targets(&folder)?;
    let each = (options.seconds / targets.len().max(1) as u64).max(1);
    for target in &targets {
        println!("\n== fuzz: {target}, {each} s");
        let found = built.join("corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut search = Command::new(built.join(TARGET).join("release").join(target));
        // A second for 64 KiB, and 64 MiB for one allocation, are far beyond what any input may cost.
        search
            .arg(&found)
            .arg(folder.join("corpus").join(target))
            .arg(format!("-max_total_time={each}"))
            .args([
                "-max_len=65536",
                "-timeout=5",
                "-malloc_limit_mb=64",
                "-rss_limit_mb=1024",
            ])
            .args(["-print_final_stats=1", "-verbosity=0"])
            .arg(format!(
                "-artifact_prefix={}-",
                built.join(target).display()
            ));
        proc::run(&mut search)?;
    }
    Ok(())
}

/// The names of the targets.
fn targets(folder: &std::path::Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("src/bin"))? {
        let path: PathBuf = entry?.path();
        let name = path.file_stem().and_then(|it| it.to_str());
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
