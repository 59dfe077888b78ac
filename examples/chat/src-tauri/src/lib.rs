//! A chat over a contrail appview: the messages come through `tauri-plugin-contrail-sync`, what one writes
//! goes to the development appview's control port.

mod config;
mod send;

use std::error::Error;

use tauri_plugin_contrail_sync::Builder;
use tracing_subscriber::EnvFilter;

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

    let config = config::ChatConfig::from_env()?;
    tauri::Builder::default()
        .plugin(Builder::new().base_url(config.appview.clone()).build())
        .manage(send::Sender::new()?)
        .manage(config)
        .invoke_handler(tauri::generate_handler![
            config::chat_config,
            send::send_message
        ])
        .run(tauri::generate_context!())?;
    Ok(())
}

#[cfg(mobile)]
#[tauri::mobile_entry_point]
fn mobile() {
    if let Err(error) = run() {
        eprintln!("chat: {error}");
    }
}
