//! For the end-to-end tests: with `GALLERY_PROBE=1` pages may count what the app holds, and open and close windows.
//! Without it there are no such commands.

use serde::Serialize;
use tauri::async_runtime::RuntimeHandle;
use tauri::{AppHandle, Builder, Manager, Wry};
use tauri_plugin_contrail_sync::ContrailSyncExt;

/// Adds the commands, if the environment asks for them.
pub(crate) fn add_to(builder: Builder<Wry>) -> Builder<Wry> {
    if std::env::var("GALLERY_PROBE").as_deref() != Ok("1") {
        return builder;
    }
    builder.invoke_handler(tauri::generate_handler![
        probe_counts,
        probe_open,
        probe_close
    ])
}

/// What must not grow.
#[derive(Serialize)]
struct Counts {
    /// Handles that pages hold on watches.
    handles: usize,
    /// Watches, each with its connection.
    watches: usize,
    /// Tasks of the async runtime.
    tasks: usize,
}

/// Not async: it would count itself.
#[tauri::command]
fn probe_counts(app: AppHandle) -> Counts {
    let plugin = app.contrail_sync();
    let RuntimeHandle::Tokio(runtime) = tauri::async_runtime::handle();
    Counts {
        handles: plugin.handle_count(),
        watches: plugin.engine().watch_count(),
        tasks: runtime.metrics().num_alive_tasks(),
    }
}

/// Opens a framework's window.
#[tauri::command]
async fn probe_open(app: AppHandle, label: String) -> tauri::Result<()> {
    crate::open(&app, Some(&label))
}

/// Closes a window as its user does. One that is not there is fine.
#[tauri::command]
async fn probe_close(app: AppHandle, label: String) -> tauri::Result<()> {
    match app.get_webview_window(&label) {
        Some(window) => window.close(),
        None => Ok(()),
    }
}
