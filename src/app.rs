//! The running plugin, as the app's Rust code sees it.

use std::sync::Arc;

use contrail_sync_engine::{CacheInfo, Engine, SECRET_MAX, Secret};
use tauri::{Manager, Runtime};
use url::Url;

use crate::{
    bounds,
    bridge::{Bridge, Warnings},
    config::{self, Surroundings, WatchOptions},
    error::{Error, Result},
    handle::WatchHandle,
};

/// The running plugin, as Tauri's state holds it.
pub struct ContrailSync {
    pub(crate) surroundings: Surroundings,
    pub(crate) engine: Engine,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) warnings: Arc<Warnings>,
}

impl ContrailSync {
    /// What relative watch URLs are relative to.
    pub fn base_url(&self) -> Option<&Url> {
        self.surroundings.base_url.as_ref()
    }

    /// Follows a watch from Rust: no window has to be open for it. Relative URLs and named minters are the same as for
    /// pages; the scopes of capabilities do not apply.
    ///
    /// ```
    /// use tauri_plugin_contrail_sync::{ContrailSyncExt, WatchOptions};
    ///
    /// # #[derive(serde::Deserialize)]
    /// # struct Message { text: String }
    /// async fn newest<R: tauri::Runtime>(
    ///     app: tauri::AppHandle<R>,
    /// ) -> tauri_plugin_contrail_sync::Result<Option<String>> {
    ///     let url = "/xrpc/com.example.message.watchRecords?spaceUri=ats://…&inviteToken=…";
    ///     let watch = app.contrail_sync().watch(WatchOptions::new(url)).await?;
    ///     watch.live().await?;
    ///     let state = watch.state().await?;
    ///     let newest = state.records_as::<Message>().flatten().next();
    ///     Ok(newest.map(|message| message.value.text))
    /// }
    /// ```
    pub async fn watch(&self, options: WatchOptions) -> Result<WatchHandle> {
        let spec = options.into_trusted_spec(&self.surroundings)?;
        Ok(WatchHandle::open(self.engine.clone(), spec).await)
    }

    /// The engine that all windows share.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many handles the pages of all webviews hold.
    pub fn handle_count(&self) -> usize {
        self.bridge.handle_count()
    }

    /// Stores a secret for minters, in the OS keyring where there is one.
    pub async fn set_secret(&self, name: &str, value: impl Into<String>) -> Result<()> {
        let value = value.into();
        if value.is_empty() {
            return Err(Error::InvalidOptions("the secret is empty".to_owned()));
        }
        bounds::check("the secret", &*value, SECRET_MAX)?;
        check_secret_name(name)?;
        Ok(self.engine.store_secret(name, Secret::new(value)).await?)
    }

    /// Forgets a secret. One that is not there is fine.
    pub async fn delete_secret(&self, name: &str) -> Result<()> {
        check_secret_name(name)?;
        Ok(self.engine.delete_secret(name).await?)
    }

    /// Forgets all tickets, here and in the keyring, as a logout does. Open connections live on.
    pub async fn clear_tickets(&self) -> Result<()> {
        Ok(self.engine.clear_tickets().await?)
    }

    /// Removes cached records: of one cache key, of one account, of both at once, or all there are. Watches
    /// that a window still shows write theirs again as they change, some seconds later; stop them first.
    pub async fn clear_cache(&self, key: Option<String>, account: Option<String>) -> Result<()> {
        // A key may be a URL.
        bounds::check("key", key.as_deref(), bounds::URL.max(bounds::CACHE_KEY))?;
        bounds::check("account", account.as_deref(), bounds::ACCOUNT)?;
        let Some(key) = key else {
            return Ok(self.engine.clear_cache(None, account).await?);
        };
        // A watch without a key of its own goes by its URL, which the app may know as a relative one.
        let by_url = match config::resolve(&key, self.base_url()) {
            Ok(url) => {
                let key = Some(url.to_string());
                self.engine.clear_cache(key, account.clone()).await
            }
            Err(_) => Ok(()),
        };
        // What the one could not clear does not keep the other.
        let by_key = self.engine.clear_cache(Some(key), account).await;
        Ok(by_url.and(by_key)?)
    }

    /// What the cache holds; `None` where the app has turned it off.
    pub async fn cache_info(&self) -> Result<Option<CacheInfo>> {
        match self.engine.cache() {
            Some(cache) => Ok(Some(cache.info().await?)),
            None => Ok(None),
        }
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    pub(crate) fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    pub(crate) fn bridge(&self) -> &Arc<Bridge> {
        &self.bridge
    }
}

/// Longest name of a secret.
const MAX_SECRET_NAME: usize = 64;

fn check_secret_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_SECRET_NAME || !name.chars().all(plain) {
        return Err(Error::InvalidOptions(format!(
            "a secret's name has 1 to {MAX_SECRET_NAME} letters, digits, dashes, dots and underscores"
        )));
    }
    Ok(())
}

/// Gives the plugin wherever there is an app, a window or a handle on one.
pub trait ContrailSyncExt<R: Runtime> {
    /// The running plugin. Panics, as Tauri's state does, where the plugin was not registered.
    fn contrail_sync(&self) -> &ContrailSync;
}

impl<R: Runtime, T: Manager<R>> ContrailSyncExt<R> for T {
    fn contrail_sync(&self) -> &ContrailSync {
        self.state::<ContrailSync>().inner()
    }
}

#[cfg(test)]
mod tests {
    use contrail_sync_engine::EngineConfig;

    use super::*;

    fn sync() -> ContrailSync {
        let runtime = tokio::runtime::Handle::current();
        let engine = Engine::new(runtime, EngineConfig::default()).unwrap();
        ContrailSync {
            surroundings: Surroundings::default(),
            bridge: Arc::new(Bridge::new(engine.clone())),
            warnings: Arc::default(),
            engine,
        }
    }

    #[tokio::test]
    async fn what_pages_give_to_commands_has_bounds_that_errors_name() {
        let (sync, long) = (sync(), |most: usize| "x".repeat(most + 1));
        for (done, told) in [
            (
                sync.clear_cache(Some(long(8192)), None).await,
                "key has 8193 bytes, it may have 8192",
            ),
            (
                sync.clear_cache(None, Some(long(2048))).await,
                "account has 2049 bytes, it may have 2048",
            ),
            (
                sync.set_secret("api", long(16384)).await,
                "the secret has 16385 bytes, it may have 16384",
            ),
            (
                sync.set_secret(&long(64), "hush").await,
                "a secret's name has 1 to 64 letters, digits, dashes, dots and underscores",
            ),
            (
                sync.delete_secret(&long(64)).await,
                "a secret's name has 1 to 64 letters, digits, dashes, dots and underscores",
            ),
        ] {
            let error = done.unwrap_err().to_string();
            assert_eq!(error, format!("invalid options: {told}"));
        }
        assert!(sync.set_secret("api", "x".repeat(16384)).await.is_ok());
    }
}
