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
mod commands;
mod config;
pub mod engine;
mod error;
mod scope;
pub mod tickets;
pub mod transport;

use tauri::{
    Manager, RunEvent, Runtime, WindowEvent,
    plugin::{self, TauriPlugin},
    webview::PageLoadEvent,
};
use url::Url;

pub use config::{Config, WatchOptions};
pub use error::{Error, ErrorKind, ErrorPayload, Result};

use bridge::Bridge;
use config::Surroundings;
use engine::{Engine, EngineConfig};
use tickets::{Minter, NamedMinter, vault::Vault};

/// The running plugin, as Tauri's state holds it.
pub struct ContrailSync {
    surroundings: Surroundings,
    engine: Engine,
    bridge: Bridge,
}

impl ContrailSync {
    /// What relative watch URLs are relative to.
    pub fn base_url(&self) -> Option<&Url> {
        self.surroundings.base_url.as_ref()
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
        Ok(self.engine.vault().set(&secret_name(name)?, secret).await?)
    }

    /// Forgets a secret. One that is not there is fine.
    pub async fn delete_secret(&self, name: &str) -> Result<()> {
        Ok(self.engine.vault().delete(&secret_name(name)?).await?)
    }

    /// Forgets all tickets, here and in the keyring, as a logout does. Open connections live on.
    pub async fn clear_tickets(&self) -> Result<()> {
        Ok(self.engine.clear_tickets().await?)
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
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

/// Sets the plugin up in code, beyond what the configuration file says.
#[derive(Debug, Default)]
pub struct Builder {
    surroundings: Surroundings,
    memory_only: bool,
    engine: EngineConfig,
}

impl Builder {
    /// Starts with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What relative watch URLs are relative to. Wins over `baseUrl` of the configuration file.
    pub fn base_url(mut self, url: Url) -> Self {
        self.surroundings.base_url = Some(url);
        self
    }

    /// Registers a minter, for `mintTicket: { minter: name }` in the webview. A later one of the same name
    /// takes its place.
    pub fn minter(mut self, name: impl Into<String>, minter: impl Minter + 'static) -> Self {
        let minter = NamedMinter::new(name, minter);
        self.surroundings.minters.retain(|it| *it != minter);
        self.surroundings.minters.push(minter);
        self
    }

    /// Longest time for one mint; 15 s by default.
    pub fn mint_timeout(mut self, time: std::time::Duration) -> Self {
        self.engine.mint_timeout = time;
        self
    }

    /// Keeps tickets and secrets in memory only, instead of the OS keyring.
    pub fn without_keyring(mut self) -> Self {
        self.memory_only = true;
        self
    }

    /// Most bytes that one event may have; 4 MiB by default. A larger one ends the connection.
    pub fn max_event_bytes(mut self, limit: usize) -> Self {
        self.engine.max_event_bytes = limit;
        self
    }

    /// How long a watch stays connected after its last window let go of it; 5 s by default.
    pub fn linger(mut self, time: std::time::Duration) -> Self {
        self.engine.linger = time;
        self
    }

    /// Replaces the trust roots: the platform's on desktop and iOS, Mozilla's on Android.
    pub fn tls(mut self, config: rustls::ClientConfig) -> Self {
        self.engine.tls = Some(config);
        self
    }

    /// The plugin, to be registered with [`tauri::Builder::plugin`].
    pub fn build<R: Runtime>(self) -> TauriPlugin<R, Option<Config>> {
        plugin::Builder::<R, Option<Config>>::new("contrail-sync")
            .invoke_handler(tauri::generate_handler![
                commands::open_watch,
                commands::close_watch,
                commands::watch_state,
                commands::ack_watch,
                commands::answer_mint,
                commands::set_secret,
                commands::delete_secret,
                commands::clear_tickets,
            ])
            .setup(move |app, api| {
                let Self {
                    mut surroundings,
                    memory_only,
                    mut engine,
                } = self;
                let config = api.config().clone().unwrap_or_default();
                surroundings.base_url = surroundings.base_url.or(config.base_url);
                if !memory_only {
                    engine.vault = Vault::keyring(app.config().identifier.clone());
                }
                let tauri::async_runtime::RuntimeHandle::Tokio(runtime) =
                    tauri::async_runtime::handle();
                let engine = Engine::new(runtime, engine)?;
                app.manage(ContrailSync {
                    surroundings,
                    bridge: Bridge::new(engine.clone()),
                    engine,
                });
                Ok(())
            })
            .on_page_load(|webview, payload| {
                // The page that held handles in this webview is gone, whatever comes now.
                if payload.event() == PageLoadEvent::Started {
                    webview.contrail_sync().bridge().release(webview.label());
                }
            })
            .on_event(|app, event| {
                if let RunEvent::WindowEvent {
                    label,
                    event: WindowEvent::Destroyed,
                    ..
                } = event
                {
                    app.contrail_sync().bridge().release(label);
                }
            })
            .build()
    }
}

/// The plugin with its defaults.
pub fn init<R: Runtime>() -> TauriPlugin<R, Option<Config>> {
    Builder::new().build()
}
