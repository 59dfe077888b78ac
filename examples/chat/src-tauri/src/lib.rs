//! A chat over a contrail appview: messages come and go through `tauri-plugin-contrail-sync`. The development appview
//! plays the PDS that they are written to; its route `/api/ticket` gives tickets to members, a control call sessions.

mod config;
mod control;
mod probe;
mod send;
#[cfg(test)]
mod tests;

use std::{error::Error, time::Duration};

use tauri::{Context, Manager, Runtime, WebviewUrl, WebviewWindowBuilder};
use tauri_plugin_contrail_sync::{
    Builder,
    tickets::MintRequest,
    writing::{Limits, SendRequest},
};
use tracing_subscriber::EnvFilter;

use config::ChatConfig;
use control::Appview;
use send::Pds;

/// Runs the app until its last window is closed.
///
/// # Errors
/// If the environment makes no sense, or the window system or the plugin cannot be initialised.
pub fn run() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let config = ChatConfig::from_env()?;
    set_up(tauri::Builder::default(), Builder::new(), config)?.run(context())?;
    Ok(())
}

/// The app without its window system.
fn set_up<R: Runtime>(
    app: tauri::Builder<R>,
    plugin: Builder,
    config: ChatConfig,
) -> Result<tauri::Builder<R>, Box<dyn Error>> {
    let appview = Appview::new(config.appview.clone())?;
    let minter = appview.clone();
    let plugin = match config.poll_ms {
        Some(millis) => plugin.poll_interval(Duration::from_millis(millis)),
        None => plugin,
    };
    let pds = Pds::new(appview, &config);
    let (sender, windows) = (pds.clone(), config.windows);
    // One at a time: messages arrive in the order in which they were written.
    let mut limits = Limits::default();
    limits.parallel = 1;
    let plugin = plugin
        .base_url(config.appview.clone())
        .minter("appview", move |request: MintRequest| {
            let appview = minter.clone();
            async move { appview.mint(&request).await }
        })
        .sender("pds", move |request: SendRequest| {
            sender.clone().send(request)
        })
        .outbox_limits(limits);
    Ok(app
        .plugin(plugin.build())
        .manage(pds)
        .manage(config)
        .setup(move |app| Ok(open_more(app, windows)?))
        .invoke_handler(tauri::generate_handler![
            config::chat_config,
            send::sign_in,
            send::sign_out,
            probe::probe_counts,
            probe::probe_open,
            probe::probe_close
        ]))
}

/// Opens further windows beside the first one, so that there are `windows`.
fn open_more<R: Runtime>(app: &impl Manager<R>, windows: u8) -> tauri::Result<()> {
    (2..=windows).try_for_each(|number| open(app, &format!("main-{number}")))
}

/// Opens a further window, whose title has the number of its label.
fn open<R: Runtime>(app: &impl Manager<R>, label: &str) -> tauri::Result<()> {
    let number = label.trim_start_matches("main-");
    WebviewWindowBuilder::new(app, label, WebviewUrl::default())
        .title(format!("Contrail chat {number}"))
        .inner_size(1000.0, 720.0)
        .min_inner_size(420.0, 480.0)
        .build()?;
    Ok(())
}

/// The app's configuration, capabilities and front end.
fn context<R: Runtime>() -> Context<R> {
    tauri::generate_context!()
}

#[cfg(mobile)]
#[tauri::mobile_entry_point]
fn mobile() {
    if let Err(error) = run() {
        eprintln!("chat: {error}");
    }
}
