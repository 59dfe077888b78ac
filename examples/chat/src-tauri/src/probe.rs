//! For the end-to-end tests: with `CHAT_PROBE=1` pages may count what the app holds, and open and close windows. Without it
//! these commands are refused.

use serde::Serialize;
use tauri::async_runtime::RuntimeHandle;
use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_contrail_sync::ContrailSyncExt;

/// Why a page may not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("only for tests: CHAT_PROBE is not set")]
    Off,
    #[error(transparent)]
    Window(#[from] tauri::Error),
}

impl Serialize for ProbeError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn allowed() -> Result<(), ProbeError> {
    match std::env::var("CHAT_PROBE").as_deref() {
        Ok("1") => Ok(()),
        _ => Err(ProbeError::Off),
    }
}

/// What must not grow.
#[derive(Serialize)]
pub(crate) struct Counts {
    /// Handles that pages hold on watches.
    handles: usize,
    /// Watches, each with its connection.
    watches: usize,
    /// Tasks of the async runtime.
    tasks: usize,
}

/// Not async: it would count itself.
#[tauri::command]
pub(crate) fn probe_counts<R: Runtime>(app: AppHandle<R>) -> Result<Counts, ProbeError> {
    allowed()?;
    let plugin = app.contrail_sync();
    let RuntimeHandle::Tokio(runtime) = tauri::async_runtime::handle();
    Ok(Counts {
        handles: plugin.handle_count(),
        watches: plugin.engine().watch_count(),
        tasks: runtime.metrics().num_alive_tasks(),
    })
}

/// Opens a further window.
#[tauri::command]
pub(crate) async fn probe_open<R: Runtime>(
    app: AppHandle<R>,
    label: String,
) -> Result<(), ProbeError> {
    allowed()?;
    Ok(crate::open(&app, &label)?)
}

/// Closes a window as its user does. One that is not there is fine.
#[tauri::command]
pub(crate) async fn probe_close<R: Runtime>(
    app: AppHandle<R>,
    label: String,
) -> Result<(), ProbeError> {
    allowed()?;
    match app.get_webview_window(&label) {
        Some(window) => Ok(window.close()?),
        None => Ok(()),
    }
}
