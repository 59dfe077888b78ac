//! `cargo xtask fresh-app`: a new app outside the repository, with the plugin as it would be published and the code that
//! README and book show, opened in a real window on a development appview.

mod packages;
mod readme;
mod scaffold;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::appview::Appview;
use crate::talk::ALICE;
use crate::{build, display, keyring, npm, proc, setup};
use scaffold::App;

/// What the app is written with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Framework {
    React,
    Vue,
}

impl Framework {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::React, Self::Vue];

    /// The one that is called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::React => "react",
            Self::Vue => "vue",
        }
    }

    fn app(self) -> &'static str {
        match self {
            Self::React => "fresh-react",
            Self::Vue => "fresh-vue",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::React => "react-ts",
            Self::Vue => "vue-ts",
        }
    }

    /// The book's page about it, the template's file for the component, and its language there.
    fn component(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::React => ("docs/src/react.md", "src/App.tsx", "tsx"),
            Self::Vue => ("docs/src/vue.md", "src/App.vue", "vue"),
        }
    }
}

/// What to build.
pub(crate) struct Options {
    /// An app for each of them.
    pub frameworks: Vec<Framework>,
    /// As it would be shipped.
    pub release: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frameworks: Framework::ALL.to_vec(),
            release: false,
        }
    }
}

/// A development appview with a space that the apps watch.
struct Server {
    appview: Appview,
    space: String,
    query: String,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let appview = Appview::start(program, &[])?;
        let space = appview.control("openSpace", &json!({ "key": "lounge", "owner": ALICE }))?;
        let of_space = |name: &str| {
            let text = space[name].as_str().map(str::to_owned);
            text.with_context(|| format!("the new space has no {name}"))
        };
        Ok(Self {
            space: of_space("uri")?,
            query: of_space("query")?,
            appview,
        })
    }
}

/// Sets up, and makes, builds and opens the apps.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the app's window is driven by WebKitWebDriver, which only Linux has");
    }
    setup::packages(&setup::Need::all())?;
    npm::install(&[])?;
    proc::run(&mut build::cargo(&["build", "--package", "appview"]))?;
    in_folder("contrail-fresh", |folder| {
        let packages = packages::pack(folder)?;
        for framework in &options.frameworks {
            let server = Server::start(&build::built().appview)?;
            let app = scaffold::make(folder, *framework, &packages, &server)?;
            let program = app.build(options.release)?;
            app.open(&program, &server)?;
        }
        Ok(())
    })
}

/// What is part of the tests: one app as a whole, of the others what they have of their own, the page.
pub(crate) fn test(programs: &build::Programs) -> Result<()> {
    in_folder("contrail-fresh", |folder| {
        let packages = packages::pack(folder)?;
        let server = Server::start(&programs.appview)?;
        let make = |framework| scaffold::make(folder, framework, &packages, &server);
        proc::run(&mut npm::script(&make(Framework::Vue)?.dir, "build"))?;
        let app = make(Framework::React)?;
        let program = app.build(false)?;
        app.open(&program, &server)
    })
}

/// Lets `act` work in an empty folder outside the repository, and removes it unless something failed.
pub(crate) fn in_folder<T>(name: &str, act: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    // Always the same for this repository: what Cargo compiled for another folder would stay in the target directory.
    let mut hasher = DefaultHasher::new();
    crate::root().hash(&mut hasher);
    let folder = std::env::temp_dir().join(format!("{name}-{:016x}", hasher.finish()));
    if folder.exists() {
        remove(&folder)?;
    }
    keyring::private_dir(&folder)?;
    let done = act(&folder);
    let done = done.with_context(|| format!("what was made so far is in {}", folder.display()))?;
    remove(&folder)?;
    Ok(done)
}

/// A path in TOML.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

impl App {
    /// Builds front end and program, as a developer would; where the program is.
    fn build(&self, release: bool) -> Result<PathBuf> {
        // Cargo's lock file and npm need not be of the same day.
        let mut words = vec!["run", "tauri", "build", "--", "--no-bundle"];
        words.push("--ignore-version-mismatches");
        if !release {
            words.push("--debug");
        }
        let mut command = npm::npm(&self.dir, &words);
        proc::run(
            command
                .env("CI", "true")
                .env("CARGO_TARGET_DIR", build::target()),
        )?;
        let lock = fs::read_to_string(self.dir.join("src-tauri/Cargo.lock"))?;
        println!("libsqlite3-sys {}", only_version(&lock, "libsqlite3-sys")?);
        let profile = if release { "release" } else { "debug" };
        let program = build::target().join(profile).join(self.name);
        let bytes = fs::metadata(&program)?.len();
        println!("{}: {:.1} MB", program.display(), bytes as f64 / 1e6);
        Ok(program)
    }

    /// Opens its window, and lets a script see whether the list is live in it.
    fn open(&self, program: &Path, server: &Server) -> Result<()> {
        let pictures = build::target().join("e2e");
        fs::create_dir_all(&pictures)?;
        let display = display::Virtual::start()?;
        let mut command = Command::new("node");
        command
            .arg(crate::root().join("tests/e2e/fresh-app.mjs"))
            .arg(pictures.join(format!("{}.png", self.name)))
            .env("FRESH_APP", program)
            .env("FRESH_APPVIEW", &server.appview.url)
            .env("FRESH_SPACE", &server.space);
        display.apply(&mut command);
        let (mut command, _home) = keyring::with_keyring(&command)?;
        proc::run(&mut command)
    }
}

/// The version of `package` in a lock file, which must have only one.
fn only_version<'a>(lock: &'a str, package: &str) -> Result<&'a str> {
    let start = format!("name = \"{package}\"\nversion = \"");
    let mut found = lock.split(&start).skip(1);
    let version = found.next().and_then(|rest| rest.split('"').next());
    let version = version.with_context(|| format!("there is no {package}"))?;
    ensure!(found.next().is_none(), "there are several {package}");
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_one_version_or_it_is_an_error() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b\"\nversion = \"4.0.0\"\n";
        assert_eq!(only_version(lock, "a").unwrap(), "1.2.3");
        assert_eq!(only_version(lock, "b").unwrap(), "4.0.0");
        assert!(only_version(lock, "c").is_err());
        let twice = format!("{lock}{lock}");
        assert!(only_version(&twice, "a").is_err());
    }

    #[test]
    fn every_framework_is_found_by_its_name() {
        for framework in Framework::ALL {
            assert!(Framework::named(framework.name()) == Some(framework));
        }
        assert!(Framework::named("angular").is_none());
    }
}
