//! The sync engine: shared watches over an appview. Nothing in here knows Tauri.
//!
//! An [`Engine`] holds one task per distinct watch. Each subscriber pulls what changed at its own pace;
//! meanwhile changes merge, so a slow one costs bounded memory and gets the latest state.

pub mod backoff;
mod hydration;
mod keeper;
pub mod machine;
pub mod order;
pub mod record;
pub mod store;
pub mod subscription;
mod watch;
pub mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot},
};
use url::Url;

pub use keeper::CacheOptions;
pub use machine::Status;
pub use order::Entry;
pub use record::Record;
pub use subscription::{Changed, Delta, State, Subscription};

use crate::{
    cache::Cache,
    error::{ErrorKind, ErrorPayload},
    tickets::{
        DeskConfig, Minter, TICKET_PREFIX, TicketError, TicketSource,
        vault::{Vault, VaultError},
    },
    transport::{
        DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_EVENT_BYTES, Refusal, Transport, TransportError,
        UrlGuard,
        auto::Auto,
        http::{Http, HttpError},
        sse::Sse,
        ws::Ws,
    },
};
use backoff::BackoffPolicy;
use watch::{Command, Watch};

/// Commands that may wait for a watch's task; more of them wait at the sender.
const COMMAND_QUEUE: usize = 64;

/// Why a watch is not live, or ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no ticket to connect with.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The server said that it failed.
    #[error("the server failed: {message}")]
    Server {
        /// The server's words.
        message: String,
    },
    /// The account was removed from the space.
    #[error("no longer a member of {space}")]
    AccessLost {
        /// The space that was left.
        space: String,
    },
    /// The server ended the stream.
    #[error("the server ended the connection")]
    Disconnected,
}

impl WatchError {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Ticket(error) => error.kind(),
            Self::Server { .. } => ErrorKind::Server,
            Self::AccessLost { .. } => ErrorKind::AccessLost,
            Self::Disconnected => ErrorKind::Disconnected,
        }
    }

    /// The error as webviews see it.
    pub fn payload(&self) -> ErrorPayload {
        ErrorPayload {
            kind: self.kind(),
            message: self.to_string(),
        }
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Transport(error) => error.refusal(),
            Self::AccessLost { .. } => Some(Refusal::AccessLost),
            Self::Ticket(_) | Self::Server { .. } | Self::Disconnected => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transport(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// How a watch reaches the server.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, rename = "Transport"))]
pub enum TransportKind {
    /// Server-sent events.
    #[default]
    Sse,
    /// WebSocket.
    Ws,
    /// WebSocket where the host offers it and the query does not hydrate, else server-sent events.
    Auto,
}

/// One watch, as the engine needs it.
#[derive(Clone)]
pub struct WatchSpec {
    /// The absolute `watchRecords` URL with its query, without a ticket.
    pub url: Url,
    /// How to reach the server.
    pub transport: TransportKind,
    /// DID of the account whose watch it is.
    pub account: Option<String>,
    /// Where tickets come from.
    pub tickets: TicketSource,
    /// Whether to connect again after a failure.
    pub reconnect: bool,
    /// Longest silence before a connection counts as dead.
    pub idle_timeout: Duration,
    /// What may be requested: asked for the URL and every redirect.
    pub guard: UrlGuard,
    /// How the records are cached, where the engine has a cache; `None` for not at all.
    pub cache: Option<CacheOptions>,
    /// Names the guard: watches share a connection only under the same one.
    pub guard_id: String,
}

impl WatchSpec {
    /// A public watch over server-sent events that may request what `guard` allows.
    pub fn new(url: Url, guard: UrlGuard) -> Self {
        Self {
            url,
            transport: TransportKind::default(),
            account: None,
            tickets: TicketSource::default(),
            reconnect: true,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            guard,
            cache: None,
            guard_id: String::new(),
        }
    }

    fn key(&self) -> WatchKey {
        WatchKey {
            url: self.url.clone(),
            transport: self.transport,
            account: self.account.clone(),
            tickets: self.tickets.clone(),
            reconnect: self.reconnect,
            idle_timeout: self.idle_timeout,
            cache: self.cache.clone(),
            guard_id: self.guard_id.clone(),
        }
    }
}

/// What must agree for two subscribers to share a watch. The ticket is part of it: records are shared only
/// with those who hold the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct WatchKey {
    url: Url,
    transport: TransportKind,
    account: Option<String>,
    tickets: TicketSource,
    reconnect: bool,
    idle_timeout: Duration,
    cache: Option<CacheOptions>,
    guard_id: String,
}

/// Settings that all watches of an engine share.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How long a watch stays connected after its last subscriber left: a page reload takes less.
    pub linger: Duration,
    /// Bounds of the delays between connects.
    pub backoff: BackoffPolicy,
    /// Most bytes that one event may have.
    pub max_event_bytes: usize,
    /// Seed of the jitter; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Replaces the platform's trust roots.
    pub tls: Option<rustls::ClientConfig>,
    /// Where tickets outlive the process.
    pub vault: Vault,
    /// Longest time for one mint.
    pub mint_timeout: Duration,
    /// Where records outlive the process, for the watches that want that.
    pub cache: Option<Cache>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(5),
            backoff: BackoffPolicy::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            seed: None,
            tls: None,
            vault: Vault::memory(),
            mint_timeout: Duration::from_secs(15),
            cache: None,
        }
    }
}

/// The registry of shared watches. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    config: EngineConfig,
    desk: DeskConfig,
    transports: Transports,
    watches: Mutex<HashMap<WatchKey, Remote>>,
}

/// One of each kind, shared by all watches.
struct Transports {
    sse: Arc<dyn Transport>,
    ws: Arc<dyn Transport>,
    auto: Arc<dyn Transport>,
}

impl Transports {
    fn new(http: &Http) -> Self {
        let (sse, ws) = (Sse::new(http.clone()), Ws::new(http.clone()));
        Self {
            auto: Arc::new(Auto::new(ws.clone(), sse.clone())),
            sse: Arc::new(sse),
            ws: Arc::new(ws),
        }
    }

    fn of(&self, kind: TransportKind) -> Arc<dyn Transport> {
        match kind {
            TransportKind::Sse => self.sse.clone(),
            TransportKind::Ws => self.ws.clone(),
            TransportKind::Auto => self.auto.clone(),
        }
    }
}

/// How to reach a watch's task.
#[derive(Clone)]
struct Remote {
    commands: mpsc::Sender<Command>,
    gone: Arc<Notify>,
}

impl Engine {
    /// An engine whose tasks run on `runtime`.
    pub fn new(runtime: Handle, config: EngineConfig) -> Result<Self, HttpError> {
        let http = Http::new(config.tls.clone())?;
        let inner = Inner {
            runtime,
            transports: Transports::new(&http),
            desk: DeskConfig {
                vault: config.vault.clone(),
                http,
                mint_timeout: config.mint_timeout,
            },
            config,
            watches: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Follows a watch, sharing the connection with everyone who follows the same one.
    pub async fn watch(&self, spec: WatchSpec) -> Subscription {
        self.watch_minting(spec, None).await
    }

    /// Follows a watch and mints for it, where its tickets come from [`TicketSource::Followers`].
    pub async fn watch_minting(
        &self,
        spec: WatchSpec,
        minter: Option<Arc<dyn Minter>>,
    ) -> Subscription {
        loop {
            let remote = self.remote(&spec);
            let (reply, subscribed) = oneshot::channel();
            // A task that is just ending takes no subscribers any more: the next round starts a new one.
            let command = Command::Subscribe {
                minter: minter.clone(),
                reply,
            };
            if remote.commands.send(command).await.is_ok()
                && let Ok(admission) = subscribed.await
            {
                return Subscription::new(admission, remote.commands);
            }
        }
    }

    /// How many watches are held, lingering ones included.
    pub fn watch_count(&self) -> usize {
        self.lock().len()
    }

    /// Tells every watch that the network may be back.
    pub async fn wake(&self) {
        for commands in self.tasks() {
            let _ = commands.send(Command::Wake).await;
        }
    }

    /// Forgets all tickets, here and in the vault, as a logout does. Open connections live on: the server
    /// checks a ticket only when one opens.
    pub async fn clear_tickets(&self) -> Result<(), VaultError> {
        for commands in self.tasks() {
            let _ = commands.send(Command::ForgetTicket).await;
        }
        self.inner.config.vault.clear(TICKET_PREFIX).await
    }

    /// Writes what is not in the cache yet, for no longer than `deadline`. For moments before the end.
    pub async fn flush(&self, deadline: Duration) {
        let flushed = async {
            let mut waiting = Vec::new();
            for commands in self.tasks() {
                let (done, flushed) = oneshot::channel();
                if commands.send(Command::Flush { done }).await.is_ok() {
                    waiting.push(flushed);
                }
            }
            for flushed in waiting {
                let _ = flushed.await;
            }
        };
        let _ = tokio::time::timeout(deadline, flushed).await;
    }

    /// The cache, where there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.inner.config.cache.as_ref()
    }

    /// Where tickets and secrets are kept.
    pub fn vault(&self) -> &Vault {
        &self.inner.config.vault
    }

    fn tasks(&self) -> Vec<mpsc::Sender<Command>> {
        self.lock().values().map(|it| it.commands.clone()).collect()
    }

    fn remote(&self, spec: &WatchSpec) -> Remote {
        let key = spec.key();
        let mut watches = self.lock();
        if let Some(remote) = watches.get(&key).filter(|it| !it.commands.is_closed()) {
            return remote.clone();
        }
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let remote = Remote {
            commands,
            gone: Arc::new(Notify::new()),
        };
        watches.insert(key.clone(), remote.clone());
        let watch = Watch::new(
            spec.clone(),
            &self.inner.config,
            self.inner.desk.clone(),
            self.inner.transports.of(spec.transport),
            receiver,
            remote.gone.clone(),
        );
        let (engine, mine) = (Arc::downgrade(&self.inner), remote.commands.downgrade());
        self.inner.runtime.spawn(async move {
            watch.run().await;
            if let (Some(inner), Some(mine)) = (engine.upgrade(), mine.upgrade()) {
                let engine = Engine { inner };
                let mut watches = engine.lock();
                if watches
                    .get(&key)
                    .is_some_and(|it| it.commands.same_channel(&mine))
                {
                    watches.remove(&key);
                }
            }
        });
        remote
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WatchKey, Remote>> {
        // Nothing in here panics while it holds the lock; if something did, the map is still whole.
        self.inner
            .watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
