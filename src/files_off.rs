//! In the place of the plugin's files, in an app that was built without the feature `cache`: there are none, and an app that
//! asks for one does not start.

use std::path::{Path, PathBuf};

use contrail_sync_engine::Cache;
use tauri::{AppHandle, Runtime};
use tokio::runtime::Handle;

use crate::error::{Error, Result};

/// Where the cache's file would be.
#[derive(Debug, Default)]
pub(crate) enum CachePlace {
    /// Nowhere.
    #[default]
    Default,
    /// Where the app wants it.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// There is no cache.
pub(crate) fn open_cache<R: Runtime>(
    _: &AppHandle<R>,
    place: CachePlace,
    _: Option<u64>,
    _: &Handle,
) -> Result<Option<Cache>> {
    match place {
        CachePlace::Default | CachePlace::Off => Ok(None),
        CachePlace::File(path) => Err(without("cache_file", &path)),
    }
}

/// Writes wait in memory.
pub(crate) fn of_outbox<R: Runtime>(
    _: &AppHandle<R>,
    wanted: Option<PathBuf>,
) -> Result<Option<PathBuf>> {
    wanted.map_or(Ok(None), |path| Err(without("outbox_file", &path)))
}

fn without(setting: &str, path: &Path) -> Error {
    let path = path.display();
    Error::Unsupported(format!(
        "{setting} {path}: this app was built without SQLite, the feature \"cache\" of tauri-plugin-contrail-sync"
    ))
}
