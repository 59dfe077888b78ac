//! Setting the plugin up.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use contrail_sync_engine::{
    Cache, CacheConfig, Engine, EngineConfig, Minter, NamedMinter, Vault, rustls,
};
use tauri::{
    AppHandle, Manager, RunEvent, Runtime, WindowEvent,
    plugin::{self, TauriPlugin},
    webview::PageLoadEvent,
};
use url::Url;

use crate::{
    Config, ContrailSync, ContrailSyncExt,
    bridge::{Bridge, LAST_WRITE, Warnings, pulse},
    commands,
    config::Surroundings,
};

/// The cache's file in the app's data directory.
const CACHE_FILE: &str = "contrail-sync.sqlite";

/// Sets the plugin up in code, beyond what the configuration file says.
#[derive(Debug, Default)]
pub struct Builder {
    surroundings: Surroundings,
    without_keyring: bool,
    cache: CachePlace,
    cache_budget: Option<u64>,
    engine: EngineConfig,
}

/// Where the cache's file is.
#[derive(Debug, Default)]
enum CachePlace {
    /// In the app's data directory.
    #[default]
    AppData,
    /// Where the app wants it.
    File(PathBuf),
    /// Nowhere.
    Off,
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
    pub fn mint_timeout(mut self, time: Duration) -> Self {
        self.engine.mint_timeout = time;
        self
    }

    /// Keeps tickets and secrets in memory only, instead of the OS keyring.
    pub fn without_keyring(mut self) -> Self {
        self.without_keyring = true;
        self
    }

    /// Where the cache's SQLite file is; `contrail-sync.sqlite` in the app's data directory by default.
    pub fn cache_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache = CachePlace::File(path.into());
        self
    }

    /// Keeps no records on disk: every start waits for the network.
    pub fn without_cache(mut self) -> Self {
        self.cache = CachePlace::Off;
        self
    }

    /// Bytes of the cache beyond which the least recently used watches are dropped; 64 MiB by default.
    pub fn cache_budget(mut self, bytes: u64) -> Self {
        self.cache_budget = Some(bytes);
        self
    }

    /// Most bytes that one event may have; 4 MiB by default. A larger one ends the connection.
    pub fn max_event_bytes(mut self, limit: usize) -> Self {
        self.engine.max_event_bytes = limit;
        self
    }

    /// How long a watch stays connected after its last window let go of it; 5 s by default.
    pub fn linger(mut self, time: Duration) -> Self {
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
                commands::edit_watch,
                commands::load_more,
                commands::renew_session,
                commands::wake_watches,
                commands::answer_mint,
                commands::set_secret,
                commands::delete_secret,
                commands::clear_tickets,
                commands::clear_cache,
                commands::cache_info,
                commands::cache_warnings,
            ])
            .setup(move |app, api| {
                let config = api.config().clone().unwrap_or_default();
                app.manage(self.start(app, config)?);
                Ok(())
            })
            .on_page_load(|webview, payload| {
                // The page that held handles in this webview is gone, whatever comes now.
                if payload.event() == PageLoadEvent::Started {
                    webview.contrail_sync().bridge().release(webview.label());
                }
            })
            .on_event(|app, event| match event {
                RunEvent::WindowEvent {
                    label,
                    event: WindowEvent::Destroyed,
                    ..
                } => app.contrail_sync().bridge().forget(label),
                #[cfg(mobile)]
                RunEvent::WindowEvent {
                    event: WindowEvent::Suspended,
                    ..
                } => {
                    let engine = app.contrail_sync().engine();
                    tauri::async_runtime::block_on(engine.suspend(LAST_WRITE));
                }
                #[cfg(mobile)]
                RunEvent::WindowEvent {
                    event: WindowEvent::Resumed,
                    ..
                } => app.contrail_sync().bridge().wake(),
                RunEvent::Resumed => app.contrail_sync().bridge().wake(),
                RunEvent::Exit => flush(app),
                _ => {}
            })
            .build()
    }

    /// Starts the engine and what belongs to it.
    fn start<R: Runtime>(
        self,
        app: &AppHandle<R>,
        config: Config,
    ) -> std::result::Result<ContrailSync, Box<dyn std::error::Error>> {
        let Self {
            mut surroundings,
            without_keyring,
            cache,
            cache_budget,
            mut engine,
        } = self;
        let tauri::async_runtime::RuntimeHandle::Tokio(runtime) = tauri::async_runtime::handle();
        surroundings.base_url = surroundings.base_url.or(config.base_url);
        if !without_keyring {
            engine.vault = Vault::keyring(app.config().identifier.clone());
        }
        let file = match cache {
            CachePlace::AppData => Some(app.path().app_data_dir()?.join(CACHE_FILE)),
            CachePlace::File(path) => Some(path),
            CachePlace::Off => None,
        };
        let warnings = Arc::new(Warnings::default());
        if let Some(file) = file {
            let mut config = CacheConfig::new(Some(file));
            config.budget_bytes = cache_budget.unwrap_or(config.budget_bytes);
            let cache = Cache::open(config, &runtime);
            runtime.spawn(warnings.clone().pass_on(cache.warnings(), app.clone()));
            engine.cache = Some(cache);
        }
        surroundings.cached = engine.cache.is_some();
        let engine = Engine::new(runtime.clone(), engine)?;
        let bridge = Arc::new(Bridge::new(engine.clone()));
        runtime.spawn(pulse(Arc::downgrade(&bridge), SystemTime::now));
        Ok(ContrailSync {
            surroundings,
            bridge,
            warnings,
            engine,
        })
    }
}

/// Writes what is not in the cache yet, before the app ends.
fn flush<R: Runtime>(app: &AppHandle<R>) {
    let engine = app.contrail_sync().engine().clone();
    tauri::async_runtime::block_on(engine.flush(LAST_WRITE));
}

/// The plugin with its defaults.
pub fn init<R: Runtime>() -> TauriPlugin<R, Option<Config>> {
    Builder::new().build()
}
