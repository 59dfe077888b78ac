//! Setting the plugin up.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use contrail_sync_engine::{
    Engine, EngineConfig, Limits, Minter, NamedMinter, NamedSender, OutboxConfig, Sender, Vault,
    rustls,
};
use tauri::{
    AppHandle, Manager, RunEvent, Runtime,
    plugin::{self, TauriPlugin},
    webview::PageLoadEvent,
};
use url::Url;

use crate::{
    Config, ContrailSync, ContrailSyncExt,
    bridge::{Bridge, LAST_WRITE, Warnings, pulse},
    commands,
    config::Surroundings,
    files::{self, CachePlace},
};

/// Sets the plugin up in code, beyond what the configuration file says.
#[derive(Debug)]
pub struct Builder {
    surroundings: Surroundings,
    outbox: OutboxConfig,
    without_keyring: bool,
    cache: CachePlace,
    cache_budget: Option<u64>,
    engine: EngineConfig,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            surroundings: Surroundings::default(),
            outbox: OutboxConfig::new(None),
            without_keyring: false,
            cache: CachePlace::default(),
            cache_budget: None,
            engine: EngineConfig::default(),
        }
    }
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

    /// Registers a sender, for `sender: { sender: name }` in the webview. A later one of the same name takes its place.
    pub fn sender(mut self, name: impl Into<String>, sender: impl Sender + 'static) -> Self {
        self.outbox = self.outbox.sender(NamedSender::new(name, sender));
        self
    }

    /// Where the SQLite file of waiting writes is; `contrail-sync-outbox.sqlite` in the app's data directory by default. It
    /// is made with the first write. Without the feature `cache` there is none: writes end with the app, and the app does not
    /// start with this.
    pub fn outbox_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.outbox.path = Some(path.into());
        self
    }

    /// Bounds of the outbox: how many writes wait, how large, how long, and how many are sent side by side.
    pub fn outbox_limits(mut self, limits: Limits) -> Self {
        self.outbox.limits = limits;
        self
    }

    /// Longest time for one mint; 15 s by default.
    pub fn mint_timeout(mut self, time: Duration) -> Self {
        self.engine.mint_timeout = time;
        self
    }

    /// Keeps tickets and secrets in memory only, instead of the OS keyring. So it is without the feature `keyring`.
    pub fn without_keyring(mut self) -> Self {
        self.without_keyring = true;
        self
    }

    /// Where the cache's SQLite file is; `contrail-sync.sqlite` in the app's data directory by default, on phones in its
    /// cache directory. Without the feature `cache` there is none, and the app does not start with this.
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

    /// Between two looks at whether anything changed, where a server has no stream; 10 s by default, from 2 s to an hour.
    /// A watch may want another one.
    pub fn poll_interval(mut self, time: Duration) -> Self {
        self.surroundings.poll_interval = Some(time);
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
                commands::refresh_watch,
                commands::renew_session,
                commands::wake_watches,
                commands::answer_mint,
                commands::put_record,
                commands::delete_record,
                commands::retry_write,
                commands::discard_write,
                commands::watch_writes,
                commands::pending_writes,
                commands::discard_writes,
                commands::next_tid,
                commands::answer_send,
                commands::set_secret,
                commands::delete_secret,
                commands::clear_tickets,
                commands::clear_cache,
                commands::cache_info,
                commands::cache_warnings,
                commands::inspect_watches,
                commands::inspect_act,
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
                #[cfg(mobile)]
                RunEvent::WindowEvent {
                    event: tauri::WindowEvent::Suspended,
                    ..
                } => {
                    let engine = app.contrail_sync().engine().clone();
                    wait_for(async move { engine.suspend(LAST_WRITE).await });
                }
                // A phone that only showed something above the app says no more than that it has the focus again.
                #[cfg(mobile)]
                RunEvent::WindowEvent {
                    event: tauri::WindowEvent::Resumed | tauri::WindowEvent::Focused(true),
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
            mut outbox,
            without_keyring,
            cache,
            cache_budget,
            mut engine,
        } = self;
        // Without one, reqwest elsewhere in the app would panic. If there is one already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tauri::async_runtime::RuntimeHandle::Tokio(runtime) = tauri::async_runtime::handle();
        surroundings.base_url = surroundings.base_url.or(config.base_url);
        if !without_keyring {
            engine.vault = Vault::keyring(app.config().identifier.clone());
        }
        let warnings = Arc::new(Warnings::default());
        if let Some(cache) = files::open_cache(app, cache, cache_budget, &runtime)? {
            runtime.spawn(warnings.clone().pass_on(cache.warnings(), app.clone()));
            engine.cache = Some(cache);
        }
        surroundings.cached = engine.cache.is_some();
        surroundings.senders = outbox
            .senders
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        outbox.path = files::of_outbox(app, outbox.path)?;
        engine.outbox = Some(outbox);
        let engine = Engine::new(runtime.clone(), engine)?;
        if let Some(outbox) = engine.outbox() {
            runtime.spawn(warnings.clone().pass_on(outbox.warnings(), app.clone()));
        }
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
    wait_for(async move { engine.flush(LAST_WRITE).await });
}

/// Waits on the event loop's thread until it is done. That thread may belong to a runtime itself, as under `#[tokio::main]`,
/// where nothing may block on a future.
fn wait_for(done: impl Future<Output = ()> + Send + 'static) {
    let (end, ended) = std::sync::mpsc::channel();
    tauri::async_runtime::spawn(async move {
        done.await;
        let _ = end.send(());
    });
    // What is waited for has this bound by itself, unless the runtime is stuck.
    let _ = ended.recv_timeout(2 * LAST_WRITE);
}

/// The plugin with its defaults.
pub fn init<R: Runtime>() -> TauriPlugin<R, Option<Config>> {
    Builder::new().build()
}
