//! Every development command of this repository, one word each: `cargo xtask <command>`.

mod agree;
mod appview;
mod bench;
mod build;
mod counts;
mod cross;
mod demo;
mod display;
mod docs;
mod features;
mod fresh;
mod fuzz;
mod gallery;
mod keyring;
mod npm;
mod pictures;
mod proc;
mod release;
mod setup;
mod sim;
mod soak;
mod sqlite;
mod talk;
mod test;
mod weigh;
mod wine;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

const HELP: &str = "\
cargo xtask <command>

  setup                        install what the other commands need
  demo [--screenshot FILE] [--contrail 0.19]
                               open the chat on a development appview with simulated traffic
       [--for SECONDS]         end by itself
       [--ws worker|do|off]    how the appview serves WebSockets
  gallery                      open the same list in React, Svelte, Vue and Solid on a development appview
  pictures [--renew] [NAME...] the pictures of the chat in docs/src/pictures, taken anew: one that has changed fails, or is
                               renewed. Letters are drawn differently on each machine, so this is no part of `test`
  test [--no-e2e]              format, lints, types, every test, the apps in real windows
  fresh-app                    make, build and open a new app outside the repository, as the README says
       [--framework react|vue] only this one
       [--release]             as it would be shipped
  bench [--quick]              measure decoding, store, cache and a real window; tables, and target/bench.json
  agree [--cases N] [--seed N] random lives of a watch: store, page and a naive model agree
  sim [--cases N] [--seed S]   random schedules of a watch against a simulated server, network and clock (200,000)
      [--mutants]              small faults put into a copy of the engine: each must be found
  soak [--app | --gallery]     the engine against the appview in its modes, or the chat or the gallery in three windows, with
                               faults; each quiet time they agree
       [--for SECONDS] [--seed N]  (15 minutes by default)
  sqlite                       the cache's tests on the oldest SQLite that an app may bring; part of `test`
  fuzz [--for SECONDS]         what servers, pages, files and apps may give, searched for what breaks (10 minutes by default)
  docs [--check]               check what the book in docs/ and the READMEs say, and make HTML of the book
  bindings                     write guest-js/src/bindings from the Rust types
  features                     lint both crates with each feature alone and with none, and test what is left out then
  weigh [--small]              what the plugin adds to an app as it is shipped: bytes, crates, time to build and to start
  release --dry-run            all that can be checked before a release is published; publishes nothing
          [--verify-all]       build the packed plugin, too
  release --set X.Y.Z          set the version everywhere
  cross-check [TARGET...]      type-check and lint the plugin for Android, iOS, Windows and macOS
  wine [TEST...]               the engine's tests as Windows programs, under Wine: files of engine/tests, or `lib`
";

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

fn main() -> ExitCode {
    let outcome = proc::end_children_on_signal().and_then(|()| dispatch());
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let mut args = lexopt::Parser::from_env();
    let command = match args.next()? {
        Some(Value(command)) => command.string()?,
        Some(Short('h') | Long("help")) | None => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "setup" => {
            no_more(&mut args)?;
            setup::packages(&setup::Need::all())?;
            npm::install(&[npm::chat(), npm::gallery()])?;
        }
        "demo" => demo::run(&demo_options(&mut args)?)?,
        "gallery" => {
            no_more(&mut args)?;
            gallery::run()?;
        }
        "pictures" => pictures::run(&pictures_options(&mut args)?)?,
        "test" => return test::run(&test_options(&mut args)?),
        "fresh-app" => fresh::run(&fresh_options(&mut args)?)?,
        "bench" => bench::run(quick(&mut args)?)?,
        "agree" => agree::run(&agree_options(&mut args)?)?,
        "sim" => sim::run(&sim_options(&mut args)?)?,
        "soak" => soak::run(&soak_options(&mut args)?)?,
        "fuzz" => fuzz::run(&fuzz_options(&mut args)?)?,
        "sqlite" => {
            no_more(&mut args)?;
            sqlite::test(&mut counts::Counts::default())?;
        }
        "docs" => match args.next()? {
            Some(Long("check")) => no_more(&mut args).and_then(|()| docs::check())?,
            Some(other) => return Err(other.unexpected().into()),
            None => docs::run()?,
        },
        "bindings" => {
            no_more(&mut args)?;
            build::bindings()?;
        }
        "features" => {
            no_more(&mut args)?;
            features::check()?;
        }
        "weigh" => weigh::run(weigh_options(&mut args)?)?,
        "release" => return release::run(&release_options(&mut args)?),
        "cross-check" => cross::check(&values(&mut args)?)?,
        "wine" => wine::test(&values(&mut args)?)?,
        other => bail!("unknown command {other:?}\n\n{HELP}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn no_more(args: &mut lexopt::Parser) -> Result<()> {
    match args.next()? {
        Some(arg) => Err(arg.unexpected().into()),
        None => Ok(()),
    }
}

/// All that follows, which must be no options.
fn values(args: &mut lexopt::Parser) -> Result<Vec<String>> {
    let mut values = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Value(value) => values.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(values)
}

fn demo_options(args: &mut lexopt::Parser) -> Result<demo::Options> {
    let mut options = demo::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("screenshot") => options.screenshot = Some(PathBuf::from(args.value()?)),
            Long("for") => {
                let seconds: f64 = args.value()?.parse()?;
                options.duration = Some(Duration::try_from_secs_f64(seconds)?);
            }
            Long("ws") => {
                let mode = args.value()?.string()?;
                if !["worker", "do", "off"].contains(&mode.as_str()) {
                    bail!("--ws takes worker, do or off, not {mode:?}");
                }
                options.ws = Some(mode);
            }
            Long("contrail") => {
                let version = args.value()?.string()?;
                options.lists = match version.as_str() {
                    "0.12" => false,
                    "0.19" => true,
                    _ => bail!("--contrail takes 0.12 or 0.19, not {version:?}"),
                };
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn pictures_options(args: &mut lexopt::Parser) -> Result<pictures::Options> {
    let mut options = pictures::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("renew") => options.renew = true,
            Value(name) => options.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn fresh_options(args: &mut lexopt::Parser) -> Result<fresh::Options> {
    let mut options = fresh::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("release") => options.release = true,
            Long("framework") => {
                let name = args.value()?.string()?;
                let framework = fresh::Framework::named(&name)
                    .with_context(|| format!("--framework takes react or vue, not {name:?}"))?;
                options.frameworks = vec![framework];
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn agree_options(args: &mut lexopt::Parser) -> Result<agree::Options> {
    let mut options = agree::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("cases") => options.cases = args.value()?.parse()?,
            Long("seed") => options.seed = args.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn sim_options(args: &mut lexopt::Parser) -> Result<sim::Options> {
    let mut options = sim::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("cases") => options.cases = args.value()?.parse()?,
            Long("seed") => options.seed = args.value()?.parse()?,
            Long("mutants") => options.mutants = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn soak_options(args: &mut lexopt::Parser) -> Result<soak::Options> {
    let mut options = soak::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("for") => options.seconds = args.value()?.parse()?,
            Long("seed") => options.seed = args.value()?.parse()?,
            Long("app") => options.app = Some(soak::App::Chat),
            Long("gallery") => options.app = Some(soak::App::Gallery),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn fuzz_options(args: &mut lexopt::Parser) -> Result<fuzz::Options> {
    let mut options = fuzz::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("for") => options.seconds = args.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn weigh_options(args: &mut lexopt::Parser) -> Result<weigh::Options> {
    let mut options = weigh::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("small") => options.small = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn release_options(args: &mut lexopt::Parser) -> Result<release::Options> {
    let (mut rehearse, mut verify_all, mut version) = (false, false, None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("dry-run") => rehearse = true,
            Long("verify-all") => verify_all = true,
            Long("set") => version = Some(args.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match (version, rehearse) {
        (Some(version), false) if !verify_all => Ok(release::Options::Set(version)),
        (None, true) => Ok(release::Options::Rehearse { verify_all }),
        _ => bail!("release takes --dry-run [--verify-all], or --set X.Y.Z; it publishes nothing"),
    }
}

fn quick(args: &mut lexopt::Parser) -> Result<bool> {
    match args.next()? {
        Some(Long("quick")) => no_more(args).map(|()| true),
        Some(other) => Err(other.unexpected().into()),
        None => Ok(false),
    }
}

fn test_options(args: &mut lexopt::Parser) -> Result<test::Options> {
    let mut options = test::Options { e2e: true };
    while let Some(arg) = args.next()? {
        match arg {
            Long("no-e2e") => options.e2e = false,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}
