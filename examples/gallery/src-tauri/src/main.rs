//! The same live list in React, Svelte, Vue and Solid, each in a window of its own, over one connection.

// Without a console window next to the app on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod probe;

use std::error::Error;
use std::process::ExitCode;

use tauri::{Manager, Url, WebviewUrl, WebviewWindowBuilder, Wry};
use tracing_subscriber::EnvFilter;

/// The label of each window, which names its page, too, and its title.
const FRAMEWORKS: [(&str, &str); 4] = [
    ("react", "React"),
    ("svelte", "Svelte"),
    ("vue", "Vue"),
    ("solid", "Solid"),
];

/// Width and height of a window, in logical pixels.
const SIZE: (f64, f64) = (800.0, 440.0);

/// What to show.
#[derive(Debug)]
struct Settings {
    /// `GALLERY_APPVIEW`: the appview's base URL.
    appview: Url,
    /// `GALLERY_QUERY`: what opens alice's space, as the appview's control call `openSpace` answers it; or
    /// `actor=did:plc:alice`, for what she has written in public.
    query: String,
    /// The only window to open, if it is not all four: the first argument.
    only: Option<String>,
}

impl Settings {
    fn read(
        appview: Option<String>,
        query: Option<String>,
        only: Option<String>,
    ) -> Result<Self, String> {
        let query = query.ok_or("GALLERY_QUERY is missing: spaceUri=…&inviteToken=…")?;
        let appview = appview.unwrap_or_else(|| "http://127.0.0.1:8788".into());
        let known = |only: &String| FRAMEWORKS.iter().any(|(label, _)| label == only);
        if let Some(stranger) = only.as_ref().filter(|only| !known(only)) {
            return Err(format!(
                "{stranger:?} is none of react, svelte, vue and solid"
            ));
        }
        Ok(Self {
            appview: Url::parse(&appview).map_err(|error| format!("GALLERY_APPVIEW: {error}"))?,
            query,
            only,
        })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gallery: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let set = |name: &str| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
    let settings = Settings::read(
        set("GALLERY_APPVIEW"),
        set("GALLERY_QUERY"),
        std::env::args().nth(1),
    )?;
    // Whoever has the invite token may watch: there are no tickets to keep.
    let plugin = tauri_plugin_contrail_sync::Builder::new()
        .base_url(settings.appview.clone())
        .without_keyring();
    let only = settings.only.clone();
    probe::add_to(tauri::Builder::default())
        .manage(settings)
        .plugin(plugin.build())
        .setup(move |app| Ok(open(app, only.as_deref())?))
        .run(tauri::generate_context!())?;
    Ok(())
}

/// Opens the windows, two by two. What a page watches is in its URL.
fn open(app: &impl Manager<Wry>, only: Option<&str>) -> tauri::Result<()> {
    let query = &app.state::<Settings>().query;
    let wanted = FRAMEWORKS
        .iter()
        .filter(|(label, _)| only.is_none_or(|only| only == *label));
    for (i, (label, title)) in wanted.enumerate() {
        let (column, row) = ((i % 2) as f64, (i / 2) as f64);
        let page = WebviewUrl::App(format!("{label}.html?{query}").into());
        WebviewWindowBuilder::new(app, *label, page)
            .title(format!("{title} · Contrail gallery"))
            .inner_size(SIZE.0, SIZE.1)
            .min_inner_size(320.0, 240.0)
            .position(column * SIZE.0, row * SIZE.1)
            .build()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(appview: Option<&str>, only: Option<&str>) -> Result<Settings, String> {
        let query = Some("spaceUri=ats://a/b/c&inviteToken=t".into());
        Settings::read(appview.map(Into::into), query, only.map(Into::into))
    }

    #[test]
    fn without_arguments_there_are_all_windows_and_the_usual_appview() {
        let settings = read(None, None).unwrap();
        assert_eq!(settings.appview.as_str(), "http://127.0.0.1:8788/");
        assert_eq!(settings.only, None);
        assert_eq!(
            read(None, Some("vue")).unwrap().only.as_deref(),
            Some("vue")
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let error = read(None, Some("angular")).unwrap_err();
        assert!(error.contains("\"angular\""), "{error}");
        let error = read(Some("nowhere"), None).unwrap_err();
        assert!(error.starts_with("GALLERY_APPVIEW: "), "{error}");
        let error = Settings::read(None, None, None).unwrap_err();
        assert!(error.starts_with("GALLERY_QUERY "), "{error}");
    }

    #[test]
    fn every_window_has_its_page_and_its_permissions() {
        let capability = include_str!("../capabilities/default.json");
        for (label, _) in FRAMEWORKS {
            assert!(capability.contains(&format!("\"{label}\"")), "{label}");
            let page = format!("{}/../{label}.html", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&page).exists(), "{page}");
        }
    }
}
