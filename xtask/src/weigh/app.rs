//! The app that is weighed: a window with a page that says when it was drawn, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::fresh::quoted;

/// What the program is called.
pub(super) const NAME: &str = "weighed";
/// What it prints once its page was drawn.
pub(super) const DRAWN: &str = "drawn";

const MAIN: &str = r#"
#[tauri::command]
fn drawn(app: tauri::AppHandle) {
    println!("drawn");
    app.exit(0);
}

fn main() {
    let app = tauri::Builder::default().invoke_handler(tauri::generate_handler![drawn]);
    #[cfg(feature = "plugin")]
    let app = app.plugin(tauri_plugin_contrail_sync::init());
    app.run(tauri::generate_context!()).expect("it runs");
}
"#;
const BUILD: &str = "fn main() {\n    tauri_build::build();\n}\n";
const PAGE: &str = r#"<!doctype html>
<title>weighed</title>
<p>A page.</p>
<script>
  requestAnimationFrame(() => setTimeout(() => window.__TAURI__.core.invoke("drawn")));
</script>
"#;
const SETTINGS: &str = r#"{
  "productName": "weighed",
  "identifier": "com.example.weighed",
  "build": { "frontendDist": "page" },
  "app": { "withGlobalTauri": true, "windows": [{ "title": "weighed" }] },
  "bundle": { "icon": ["icons/icon.png", "icons/icon.ico"] }
}
"#;
const CAPABILITY: &str =
    r#"{ "identifier": "default", "windows": ["main"], "permissions": ["core:default"] }"#;

/// One that is written.
pub(super) struct App(PathBuf);

impl App {
    /// Writes it to `dir`.
    pub(super) fn make(dir: &Path, small: bool) -> Result<Self> {
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("Cargo.toml", &manifest(small))?;
        write("build.rs", BUILD)?;
        write("src/main.rs", MAIN)?;
        write("page/index.html", PAGE)?;
        write("tauri.conf.json", SETTINGS)?;
        write("capabilities/default.json", CAPABILITY)?;
        let root = crate::root();
        fs::create_dir_all(dir.join("icons"))?;
        for icon in ["icons/icon.png", "icons/icon.ico"] {
            let from = root.join("examples/chat/src-tauri").join(icon);
            fs::copy(from, dir.join(icon))?;
        }
        // The versions that the tests of this repository have run with.
        fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock"))?;
        Ok(Self(dir.to_owned()))
    }

    /// A cargo command on it.
    pub(super) fn cargo(&self, command: &str, features: &[&str]) -> Command {
        let mut cargo = crate::build::cargo(&[command]);
        cargo.args(features).current_dir(&self.0);
        cargo
    }

    /// How many crates such a build compiles.
    pub(super) fn crates(&self, features: &[&str]) -> Result<usize> {
        let mut command = self.cargo("tree", features);
        command.args([
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let output = command.output().context("cannot run cargo tree")?;
        ensure!(output.status.success(), "cargo tree failed");
        let tree = String::from_utf8(output.stdout)?;
        // One that was shown before has a star.
        let each = tree.lines().map(|line| line.trim_end_matches(" (*)"));
        Ok(each
            .filter(|it| !it.is_empty())
            .collect::<BTreeSet<_>>()
            .len())
    }
}

fn manifest(small: bool) -> String {
    let (plugin, engine) = (quoted(crate::root()), quoted(&crate::root().join("engine")));
    let level = if small { "\"s\"" } else { "3" };
    format!(
        r#"[package]
name = "{NAME}"
version = "0.1.0"
edition = "2024"

[features]
plugin = ["dep:tauri-plugin-contrail-sync"]
all = ["tauri-plugin-contrail-sync?/default"]

[dependencies]
tauri = {{ version = "2", features = ["custom-protocol"] }}
tauri-plugin-contrail-sync = {{ path = {plugin}, optional = true, default-features = false }}

[build-dependencies]
tauri-build = "2"

# What Tauri's template gives a new app.
[profile.release]
codegen-units = 1
lto = true
opt-level = {level}
panic = "abort"
strip = true

[patch.crates-io]
contrail-sync-engine = {{ path = {engine} }}

[workspace]
"#
    )
}
