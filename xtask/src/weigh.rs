//! `cargo xtask weigh`: what the plugin adds to a small app as it is shipped: bytes, crates, time to compile, time to start.

mod app;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{build, display, fresh, keyring, proc, setup};
use app::App;

/// Starts of each app, in turns.
const STARTS: usize = 15;
/// Longest start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of the plugin an app has, and what it says to Cargo.
const VARIANTS: [(&str, &[&str]); 3] = [
    ("without the plugin", &[]),
    ("server-sent events alone", &["--features", "plugin"]),
    ("all features", &["--features", "plugin,all"]),
];

/// How the apps are built.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// For size, not for speed.
    pub small: bool,
}

/// One app as it came out.
struct Weighed {
    name: &'static str,
    program: PathBuf,
    bytes: u64,
    zipped: u64,
    crates: usize,
    /// Processor time of a build from nothing.
    build: Duration,
    /// From its start until its page has been drawn.
    starts: Vec<Duration>,
}

/// Builds, weighs and starts them. About ten minutes of two cores each.
pub(crate) fn run(options: Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("processor time is read from /proc, which only Linux has");
    }
    setup::packages(&setup::Need::all())?;
    let programs = build::target().join("weigh");
    fs::create_dir_all(&programs)?;
    let mut all = fresh::in_folder("contrail-weigh", |folder| {
        let app = App::make(&folder.join("app"), options.small)?;
        let mut all = Vec::new();
        for (name, features) in VARIANTS {
            all.push(weigh(&app, folder, &programs, name, features)?);
        }
        Ok(all)
    })?;
    start(&mut all)?;
    let table = table(&all);
    println!("\n{table}");
    let file = programs.join(if options.small { "small.md" } else { "fast.md" });
    fs::write(&file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}

/// Builds one in a target directory that is empty before and gone after it: disks are small.
fn weigh(
    app: &App,
    folder: &Path,
    programs: &Path,
    name: &'static str,
    features: &[&str],
) -> Result<Weighed> {
    let target = folder.join("target");
    let before = used_by_children()?;
    proc::run(
        app.cargo("build", features)
            .arg("--release")
            .env("CARGO_TARGET_DIR", &target),
    )?;
    let build = used_by_children()?.saturating_sub(before);
    let program = programs.join(name.replace(' ', "-"));
    fs::copy(target.join("release").join(app::NAME), &program)?;
    fs::remove_dir_all(&target)?;
    Ok(Weighed {
        name,
        bytes: fs::metadata(&program)?.len(),
        zipped: zipped(&program)?,
        crates: app.crates(features)?,
        program,
        build,
        starts: Vec::new(),
    })
}

/// Bytes of the file as `gzip -9` makes it.
fn zipped(file: &Path) -> Result<u64> {
    let mut command = Command::new("gzip");
    command.args(["-9", "--keep", "--force"]).arg(file);
    proc::run(&mut command)?;
    let zipped = file.with_added_extension("gz");
    let bytes = fs::metadata(&zipped)?.len();
    fs::remove_file(&zipped)?;
    Ok(bytes)
}

/// Starts all in turns, so that a busy machine hits all alike.
fn start(all: &mut [Weighed]) -> Result<()> {
    let display = display::Virtual::start()?;
    for _ in 0..STARTS {
        for it in &mut *all {
            let (mut command, _home) = keyring::without_keyring(&Command::new(&it.program))?;
            display.apply(&mut command);
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            let began = Instant::now();
            let mut app = proc::Background::spawn(it.name, command)?;
            let line = app.first_line(PATIENCE)?;
            if line != app::DRAWN {
                bail!("{} said {line:?}", it.name);
            }
            it.starts.push(began.elapsed());
        }
    }
    Ok(())
}

/// In Markdown, with what the plugin adds to the first one.
fn table(all: &[Weighed]) -> String {
    let mut lines = vec![
        "| | MB | more | gzip, MB | more | crates | more | build, s of a processor | start to first paint, ms |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    let first = &all[0];
    for it in all {
        let mb = |bytes: u64| format!("{:.2}", bytes as f64 / 1e6);
        let more = |now: u64, before: u64| mb(now.saturating_sub(before));
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} | {} |",
            it.name,
            mb(it.bytes),
            more(it.bytes, first.bytes),
            mb(it.zipped),
            more(it.zipped, first.zipped),
            it.crates,
            it.crates.saturating_sub(first.crates),
            it.build.as_secs_f64(),
            median(&it.starts).as_millis(),
        ));
    }
    lines.join("\n") + "\n"
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Processor time of all processes that this one has waited for.
fn used_by_children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    children_of(&stat).context("/proc/self/stat is not as it should be")
}

fn children_of(stat: &str) -> Option<Duration> {
    // The name stands in parentheses, and may hold spaces. Behind it, `cutime` and `cstime` are the 14th and 15th.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(13);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // A hundredth of a second, on every Linux.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 150 50 20 0 1 0";
        assert_eq!(children_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(children_of("7 (a) S 1"), None);
        assert!(used_by_children().is_ok());
    }

    #[test]
    fn the_table_says_what_is_added_to_the_first() {
        let weighed = |name, bytes, crates| Weighed {
            name,
            program: PathBuf::new(),
            bytes,
            zipped: bytes / 2,
            crates,
            build: Duration::from_secs(90),
            starts: [3, 1, 2].map(Duration::from_millis).to_vec(),
        };
        let table = table(&[weighed("a", 6_000_000, 200), weighed("b", 9_500_000, 290)]);
        assert!(
            table.contains("| b | 9.50 | 3.50 | 4.75 | 1.75 | 290 | 90 | 90 | 2 |"),
            "{table}"
        );
    }
}
