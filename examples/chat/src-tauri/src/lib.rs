//! A chat over a contrail appview: the messages come through `tauri-plugin-contrail-sync`, what one writes
//! goes to the development appview's control port, which mints the tickets, too.

mod config;
mod control;
mod send;
#[cfg(test)]
mod tests;

use std::{error::Error, time::Duration};

use tauri::{Context, Runtime};
use tauri_plugin_contrail_sync::{Builder, tickets::MintRequest};
use tracing_subscriber::EnvFilter;

use config::ChatConfig;
use control::Appview;

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
    let (minter, ttl_ms) = (appview.clone(), config.ticket_ttl_ms);
    let plugin = match config.poll_ms {
        Some(millis) => plugin.poll_interval(Duration::from_millis(millis)),
        None => plugin,
    };
    let plugin =
        plugin
            .base_url(config.appview.clone())
            .minter("appview", move |request: MintRequest| {
                let appview = minter.clone();
                async move { appview.mint(&request, ttl_ms).await }
            });
    Ok(app
        .plugin(plugin.build())
        .manage(appview)
        .manage(config)
        .invoke_handler(tauri::generate_handler![
            config::chat_config,
            send::send_message
        ]))
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
