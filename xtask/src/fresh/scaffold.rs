//! The app: Tauri's own template, and in it what README and book say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::packages::Packages;
use super::readme::{Readme, replaced};
use super::{Framework, Server, quoted};
use crate::{npm, proc};

/// The newest `create-tauri-app` that this was tried with.
const TEMPLATES: &str = "tauri-app@4.7.4";

/// An app that is written and whose npm packages are installed.
pub(super) struct App {
    /// Where it lies.
    pub dir: PathBuf,
    /// What it is called.
    pub name: &'static str,
}

/// Makes one in `folder` that watches the space of `server`.
pub(super) fn make(
    folder: &Path,
    framework: Framework,
    packages: &Packages,
    server: &Server,
) -> Result<App> {
    let name = framework.app();
    let create = ["create", "--yes", TEMPLATES, "--", name];
    let template = ["--manager", "npm", "--template", framework.template()];
    let mut command = npm::npm(folder, &create);
    command
        .args(template)
        .args(["--identifier", "com.example.fresh", "--yes"]);
    proc::run(&mut command)?;
    let app = App {
        dir: folder.join(name),
        name,
    };
    let quiet = ["install", "--no-audit", "--no-fund"];
    proc::run(npm::npm(&app.dir, &quiet).arg(&packages.tarball))?;
    app.pages(framework, &server.query)?;
    app.rust(packages, &server.appview.url)?;
    Ok(app)
}

impl App {
    /// The front end.
    fn pages(&self, framework: Framework, query: &str) -> Result<()> {
        let (page, file, language) = framework.component();
        let page = Readme::read(page)?;
        let store = page.code("\nIn `src/messages.ts`", "ts")?;
        self.write("src/messages.ts", &replaced(store, "spaceUri=…", query)?)?;
        self.write(file, page.code(&format!("\nIn `{file}`"), language)?)?;
        // Imported by nobody, but its types are checked.
        let first = Readme::read("README.md")?;
        self.write(
            "src/first-store.ts",
            first.code("\n## The first store\n", "ts")?,
        )?;
        // As strict as an app can be, also with the types of the package itself.
        self.edit("tsconfig.json", |text| {
            let strict = "\"strict\": true,";
            let stricter = format!("{strict}\n    \"exactOptionalPropertyTypes\": true,");
            let text = replaced(text, strict, &stricter)?;
            replaced(&text, "\"skipLibCheck\": true", "\"skipLibCheck\": false")
        })
    }

    /// The program around it.
    fn rust(&self, packages: &Packages, appview: &str) -> Result<()> {
        let readme = Readme::read("README.md")?;
        let at_the_appview = |mark| {
            let code = readme.code(mark, "json")?;
            replaced(code, "https://appview.example", appview)
        };
        self.edit("src-tauri/Cargo.toml", |text| {
            manifest(text, &readme, packages)
        })?;
        self.edit("src-tauri/src/lib.rs", |text| {
            let start = readme.code("\n**Rust**, in ", "rust")?;
            let others = [
                "tauri_plugin_http::init()",
                "tauri_plugin_sql::Builder::default().build()",
            ];
            let plugins = others.map(|it| format!("\n        .plugin({it})")).concat();
            let text = replaced(
                text,
                "\n        .plugin(tauri_plugin_opener::init())",
                &plugins,
            )?;
            replaced(&text, "tauri::Builder::default()", start.trim_end())
        })?;
        let capability: Value = serde_json::from_str(&at_the_appview("\n**Capability**, in ")?)
            .context("the README's capability is not JSON")?;
        self.write(
            "src-tauri/capabilities/default.json",
            &with_sql(capability)?,
        )?;
        let settings: Value = serde_json::from_str(&at_the_appview("\n**Configuration**, in ")?)
            .context("the README's configuration is not JSON")?;
        self.edit("src-tauri/tauri.conf.json", |text| {
            let mut all: Value = serde_json::from_str(text)?;
            all["plugins"] = settings["plugins"].clone();
            Ok(all.to_string())
        })?;
        // The versions that the tests of this repository have run with.
        let lock = "Cargo.lock";
        fs::copy(
            crate::root().join(lock),
            self.dir.join("src-tauri").join(lock),
        )?;
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.dir.join(file), text).with_context(|| format!("cannot write {file}"))
    }

    fn edit(&self, file: &str, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let text = fs::read_to_string(self.dir.join(file))
            .with_context(|| format!("the template has no {file}"))?;
        let text = edit(&text).with_context(|| format!("cannot change {file}"))?;
        self.write(file, &text)
    }
}

/// The app's `Cargo.toml`: the plugin as the README says, others beside it that it has to get on with, and the
/// repository's profile, so that what is compiled already is compiled only once.
fn manifest(text: &str, readme: &Readme, packages: &Packages) -> Result<String> {
    let ours = readme.code("\n**Rust**, in ", "toml")?;
    let ours = replaced(ours, "\"../../contrail-sync\"", &quoted(&packages.plugin))?;
    let others = "tauri-plugin-http = \"2\"\ntauri-plugin-sql = { version = \"2\", features = [\"sqlite\"] }\n";
    let text = replaced(text, "[dependencies]\n", &ours)?;
    // The template's opener brings a D-Bus of its own, of which nothing is compiled yet: a third of the time.
    let text = replaced(&text, "tauri-plugin-opener = \"2\"\n", others)?;
    let engine = quoted(&packages.engine);
    let workspace = fs::read_to_string(crate::root().join("Cargo.toml"))?;
    let (_, profile) = workspace
        .split_once("[profile.dev]")
        .context("the workspace has no profile for development")?;
    Ok(format!(
        "{text}\n[patch.crates-io]\ncontrail-sync-engine = {{ path = {engine} }}\n\n[profile.dev]{profile}"
    ))
}

/// The README's capability, and in it what `tauri-plugin-sql` needs.
fn with_sql(mut capability: Value) -> Result<String> {
    let permissions = capability["permissions"].as_array_mut();
    permissions
        .context("the README's capability has no permissions")?
        .push(json!("sql:default"));
    Ok(capability.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says in a moment what building an app would say after minutes.
    #[test]
    fn readme_and_book_have_what_an_app_takes_from_them() {
        for framework in Framework::ALL {
            let (path, file, language) = framework.component();
            let page = Readme::read(path).unwrap();
            let store = page.code("\nIn `src/messages.ts`", "ts").unwrap();
            replaced(store, "spaceUri=…", "").unwrap();
            let component = page.code(&format!("\nIn `{file}`"), language).unwrap();
            assert!(component.contains("useWatchStore(messages)"), "{component}");
        }
        let readme = Readme::read("README.md").unwrap();
        readme.code("\n## The first store\n", "ts").unwrap();
        readme.code("\n**Rust**, in ", "rust").unwrap();
        let manifest = readme.code("\n**Rust**, in ", "toml").unwrap();
        replaced(manifest, "\"../../contrail-sync\"", "").unwrap();
        for mark in ["\n**Capability**, in ", "\n**Configuration**, in "] {
            let code = readme.code(mark, "json").unwrap();
            replaced(code, "https://appview.example", "").unwrap();
        }
    }
}
