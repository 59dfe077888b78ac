//! The plugin's files: what is cached, and what waits to be written.

use std::path::PathBuf;

use contrail_sync_engine::{Cache, CacheConfig};
use tauri::{AppHandle, Manager, Runtime};
use tokio::runtime::Handle;

use crate::error::Result;

/// The cache's file, in the folder that [`cache_folder`] gives.
const CACHE_FILE: &str = "contrail-sync.sqlite";

/// The file of waiting writes, in the app's data directory: it is no cache that a system may clear.
const OUTBOX_FILE: &str = "contrail-sync-outbox.sqlite";

/// Where the cache's file is.
#[derive(Debug, Default)]
pub(crate) enum CachePlace {
    /// See [`cache_folder`].
    #[default]
    Default,
    /// Where the app wants it.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Opens the cache, unless the app wants none.
pub(crate) fn open_cache<R: Runtime>(
    app: &AppHandle<R>,
    place: CachePlace,
    budget: Option<u64>,
    runtime: &Handle,
) -> Result<Option<Cache>> {
    let file = match place {
        CachePlace::Default => cache_folder(app)?.join(CACHE_FILE),
        CachePlace::File(path) => path,
        CachePlace::Off => return Ok(None),
    };
    let mut config = CacheConfig::new(Some(file));
    config.budget_bytes = budget.unwrap_or(config.budget_bytes);
    Ok(Some(Cache::open(config, runtime)))
}

/// Where writes wait: where the app wants it, or the default.
pub(crate) fn of_outbox<R: Runtime>(
    app: &AppHandle<R>,
    wanted: Option<PathBuf>,
) -> Result<Option<PathBuf>> {
    match wanted {
        Some(path) => Ok(Some(path)),
        None => Ok(Some(app.path().app_data_dir()?.join(OUTBOX_FILE))),
    }
}

/// Where the cache is: on phones, where data directories are backed up, among what the system may clear.
fn cache_folder<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<PathBuf> {
    match cfg!(mobile) {
        true => app.path().app_cache_dir(),
        false => app.path().app_data_dir(),
    }
}
