//! Live queries for Tauri apps over a [contrail](https://www.npmjs.com/package/@atmo-dev/contrail-sync) appview.
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
use engine::{Engine, EngineConfig};

/// The running plugin, as Tauri's state holds it.
pub struct ContrailSync {
    base_url: Option<Url>,
    engine: Engine,
    bridge: Bridge,
}

impl ContrailSync {
    /// What relative watch URLs are relative to.
    pub fn base_url(&self) -> Option<&Url> {
        self.base_url.as_ref()
    }

    /// The engine that all windows share.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many handles the pages of all webviews hold.
    pub fn handle_count(&self) -> usize {
        self.bridge.handle_count()
    }

    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }
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
    base_url: Option<Url>,
    engine: EngineConfig,
}

impl Builder {
    /// Starts with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What relative watch URLs are relative to. Wins over `baseUrl` of the configuration file.
    pub fn base_url(mut self, url: Url) -> Self {
        self.base_url = Some(url);
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
            ])
            .setup(|app, api| {
                let config = api.config().clone().unwrap_or_default();
                let tauri::async_runtime::RuntimeHandle::Tokio(runtime) =
                    tauri::async_runtime::handle();
                let engine = Engine::new(runtime, self.engine)?;
                app.manage(ContrailSync {
                    base_url: self.base_url.or(config.base_url),
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
