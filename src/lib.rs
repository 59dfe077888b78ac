//! Live queries for Tauri apps: follows the `watchRecords` streams of a contrail appview (AT Protocol) and keeps
//! their records in order and up to date.
//!
//! Rust holds the connections, reconciles what arrives, and keeps tickets in the OS keyring. Each window mirrors
//! the lists it asked for through `createWatchStore` of the npm package `tauri-plugin-contrail-sync-api`.
//!
//! # In a Tauri app
//!
//! Register the plugin; the README says what the window's capability needs.
//!
//! ```
//! # fn with_the_plugin<R: tauri::Runtime>(builder: tauri::Builder<R>) -> tauri::Builder<R> {
//! builder.plugin(tauri_plugin_contrail_sync::init())
//! # }
//! ```
//!
//! [`Builder`] does the same with settings: a base URL for relative watch URLs, [`tickets::Minter`]s, limits.
//! [`ContrailSyncExt`] gives the running plugin to Rust code of the app.
//!
//! # Without Tauri
//!
//! The [`engine`] runs on any Tokio runtime. A [`engine::Subscription`] tells the whole state, then what changed:
//!
//! ```
//! use std::sync::Arc;
//! use tauri_plugin_contrail_sync::engine::{Engine, EngineConfig, Status, WatchSpec};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let appview = appview::Server::start(appview::Options::default()).await?;
//! # appview.put(appview::Put {
//! #     collection: "message".into(),
//! #     did: "did:plc:alice".into(),
//! #     rkey: "1".into(),
//! #     record: serde_json::json!({ "text": "hello" }),
//! #     ..Default::default()
//! # })?;
//! # let origin = appview.url();
//! let url = format!("{origin}/xrpc/com.example.message.watchRecords?actor=did:plc:alice");
//! let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default())?;
//! // The guard decides which URLs may be requested, redirects included.
//! let watch = engine.watch(WatchSpec::new(url.parse()?, Arc::new(|_| true))).await;
//!
//! let mut state = watch.state().await.ok_or("the engine ended")?;
//! while state.status != Status::Live {
//!     watch.next().await.ok_or("the engine ended")?;
//!     state = watch.state().await.ok_or("the engine ended")?;
//! }
//! assert_eq!(state.entries[0].record.value.get(), r#"{"text":"hello"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # What goes wrong
//!
//! Nothing that a server sends, or fails to send, panics. A watch that has trouble says so in
//! [`engine::State::error`], as an [`ErrorPayload`] with an [`ErrorKind`] for code and a message for people. No
//! message, log line or `Debug` output holds a ticket or a secret.
#![warn(missing_docs)]

mod bridge;
mod builder;
pub mod cache;
mod commands;
mod config;
pub mod engine;
mod error;
mod handle;
mod redact;
mod scope;
pub mod tickets;
pub mod transport;

use std::sync::Arc;

use tauri::{Manager, Runtime};
use url::Url;

pub use builder::{Builder, init};
pub use config::{Config, SortDirection, SortOptions, WatchOptions};
pub use engine::{Edit, EditError, EditRecord, TypedRecord};
pub use error::{Error, ErrorKind, ErrorPayload, Result};
pub use handle::WatchHandle;
/// For [`Builder::tls`], in the version that the plugin uses.
pub use rustls;

use bridge::{Bridge, Warnings};
use cache::CacheInfo;
use config::Surroundings;
use engine::Engine;

/// The running plugin, as Tauri's state holds it.
pub struct ContrailSync {
    surroundings: Surroundings,
    engine: Engine,
    bridge: Arc<Bridge>,
    warnings: Arc<Warnings>,
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
    /// async fn newest(app: tauri::AppHandle) -> tauri_plugin_contrail_sync::Result<Option<String>> {
    ///     let url = "/xrpc/com.example.message.watchRecords?actor=did:plc:alice";
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
        let secret = tickets::vault::Secret::new(value);
        Ok(tickets::store(self.engine.vault(), &secret_name(name)?, secret).await?)
    }

    /// Forgets a secret. One that is not there is fine.
    pub async fn delete_secret(&self, name: &str) -> Result<()> {
        Ok(self.engine.vault().delete(&secret_name(name)?).await?)
    }

    /// Forgets all tickets, here and in the keyring, as a logout does. Open connections live on.
    pub async fn clear_tickets(&self) -> Result<()> {
        Ok(self.engine.clear_tickets().await?)
    }

    /// Removes cached records: of one cache key, of one account, of both at once, or all there are. Watches
    /// that a window still shows write theirs again as they change; stop them first.
    pub async fn clear_cache(&self, key: Option<String>, account: Option<String>) -> Result<()> {
        let Some(key) = key else {
            return Ok(self.engine.clear_cache(None, account).await?);
        };
        // A watch without a key of its own goes by its URL, which the app may know as a relative one.
        if let Ok(url) = config::resolve(&key, self.base_url()) {
            let key = Some(url.to_string());
            self.engine.clear_cache(key, account.clone()).await?;
        }
        Ok(self.engine.clear_cache(Some(key), account).await?)
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

    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }
}

/// Longest name of a secret.
const MAX_SECRET_NAME: usize = 64;

fn secret_name(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_SECRET_NAME || !name.chars().all(plain) {
        return Err(Error::InvalidOptions(format!(
            "a secret's name has 1 to {MAX_SECRET_NAME} letters, digits, dashes, dots and underscores"
        )));
    }
    Ok(format!("{}{name}", tickets::SECRET_PREFIX))
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
