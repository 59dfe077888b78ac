//! The registry of shared watches: one task per distinct watch, however many follow it.

pub(crate) mod config;
pub(crate) mod inspector;
mod registry;
pub(crate) mod sleep;
pub(crate) mod writes;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::{
    cache::{Cache, CacheError, Clear},
    outbox::Outbox,
    tickets::{self, DeskConfig, Logouts, Minter, SECRET_PREFIX, TICKET_PREFIX},
    transport::{
        Transport,
        auto::Auto,
        http::{Http, HttpError},
        poll::Poll,
        sse::Sse,
        ws::Ws,
    },
    vault::{Secret, Vault, VaultError},
    watch::{
        Watch,
        command::Command,
        error::WatchError,
        keys,
        presence::{Alive, Presence},
        settings::Shared,
        spec::{TransportKind, WatchKey, WatchSpec},
        statistics::Statistics,
        subscription::Subscription,
        writes::Notes,
    },
};
use config::EngineConfig;
use registry::{Registry, Remote};

/// Commands that may wait for a watch's task; more of them wait at the sender.
const COMMAND_QUEUE: usize = 64;

/// A watch that ends may refuse a follower; its successor takes it. More refusals than that have another cause.
const ADMISSION_ATTEMPTS: usize = 8;

/// The registry of shared watches. Cheap to clone.
///
/// Whoever asks for the same watch shares its connection, and a watch goes on as long as somebody follows it:
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use contrail_sync_engine::{Engine, EngineConfig, Status, WatchSpec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let appview = appview::Server::start(appview::Options::default()).await?;
/// # let space = appview.open_space("lounge", "did:plc:alice")?;
/// # let say = |rkey: &str, text: &str| {
/// #     appview.put(appview::Put {
/// #         space_uri: Some(space.uri.clone()),
/// #         collection: "message".into(),
/// #         did: "did:plc:alice".into(),
/// #         rkey: rkey.into(),
/// #         record: serde_json::json!({ "text": text }),
/// #         ..Default::default()
/// #     })
/// # };
/// # say("1", "hello")?;
/// # let url = format!("{}/xrpc/com.example.message.watchRecords?{}", appview.url(), space.query);
/// # let url: url::Url = url.parse()?;
/// let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default())?;
/// let spec = WatchSpec::new(url, Arc::new(|_| true));
/// let (list, badge) = (engine.watch(spec.clone()).await, engine.watch(spec).await);
/// assert_eq!(engine.watch_count(), 1);
///
/// while list.state().await.ok_or("the engine ended")?.status != Status::Live {
///     list.next().await.ok_or("the engine ended")?;
/// }
/// assert_eq!(badge.state().await.ok_or("the engine ended")?.entries.len(), 1);
///
/// // Before the end: what is not in the cache yet.
/// engine.flush(Duration::from_millis(500)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    config: EngineConfig,
    desk: DeskConfig,
    transports: Transports,
    watches: Registry,
    /// Carries nothing: refused subscriptions see by it that the engine is gone.
    refusals: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    shared: Shared,
    outbox: Option<Outbox>,
    /// What watches tell the outbox.
    notes: Option<Arc<Notes>>,
}

/// One of each kind, shared by all watches.
struct Transports {
    sse: Arc<dyn Transport>,
    ws: Arc<dyn Transport>,
    auto: Arc<dyn Transport>,
    poll: Arc<dyn Transport>,
}

impl Transports {
    fn new(http: &Http) -> Self {
        let (sse, ws) = (Sse::new(http.clone()), Ws::new(http.clone()));
        let poll = Poll::new(http.clone());
        Self {
            auto: Arc::new(Auto::new(
                http.clone(),
                ws.clone(),
                sse.clone(),
                poll.clone(),
            )),
            poll: Arc::new(poll),
            sse: Arc::new(sse),
            ws: Arc::new(ws),
        }
    }

    fn of(&self, kind: TransportKind) -> Arc<dyn Transport> {
        match kind {
            TransportKind::Sse => self.sse.clone(),
            TransportKind::Ws => self.ws.clone(),
            TransportKind::Auto => self.auto.clone(),
            TransportKind::Poll => self.poll.clone(),
        }
    }
}

impl Engine {
    /// An engine whose tasks run on `runtime`.
    pub fn new(runtime: Handle, config: EngineConfig) -> Result<Self, HttpError> {
        let http = Http::new(config.tls.clone())?;
        let notes = config.outbox.is_some().then(Arc::<Notes>::default);
        let outbox = config.outbox.clone().zip(notes.clone());
        let outbox = outbox.map(|(it, notes)| {
            Outbox::open(it, http.clone(), config.vault.clone(), notes, &runtime)
        });
        let inner = Inner {
            runtime,
            transports: Transports::new(&http),
            desk: DeskConfig {
                vault: config.vault.clone(),
                http,
                mint_timeout: config.mint_timeout,
                revoked: Arc::default(),
                logouts: Logouts::default(),
            },
            config,
            watches: Registry::default(),
            refusals: mpsc::channel(1),
            outbox,
            notes,
            shared: Shared::default(),
        };
        let inner = Arc::new(inner);
        let slept = sleep::watch(Arc::downgrade(&inner), SystemTime::now);
        inner.runtime.spawn(slept);
        Ok(Self { inner })
    }

    /// Follows a watch, sharing the connection with everyone who follows the same one.
    ///
    /// Of more watches than [`EngineConfig::max_watches`] those that nobody follows end; where there is none, the
    /// subscription's state is closed, with an error that says so. Once the runtime shuts down, it has no state.
    pub async fn watch(&self, spec: WatchSpec) -> Subscription {
        self.watch_minting(spec, None).await
    }

    /// Follows a watch and mints for it, where its tickets come from
    /// [`TicketSource::Followers`](crate::TicketSource::Followers).
    pub async fn watch_minting(
        &self,
        spec: WatchSpec,
        minter: Option<Arc<dyn Minter>>,
    ) -> Subscription {
        if let Err(why) = spec.check() {
            return Subscription::refused(why, self.inner.refusals.0.clone());
        }
        let spec = spec.within_bounds();
        if let Some(outbox) = &self.inner.outbox {
            outbox.sign_in(spec.account.clone()).await;
        }
        for _ in 0..ADMISSION_ATTEMPTS {
            let key = spec.key();
            let limit = self.inner.config.max_watches;
            let start = || self.start(&spec, &key);
            let Some((remote, alive)) = self.inner.watches.enter(&key, limit, start) else {
                let why = WatchError::TooManyWatches { limit };
                return Subscription::refused(why, self.inner.refusals.0.clone());
            };
            let (reply, subscribed) = oneshot::channel();
            // A task that is just ending takes no followers any more: the next round starts a new one.
            let command = Command::Subscribe {
                alive,
                minter: minter.clone(),
                reply,
            };
            if remote.commands.send(command).await.is_ok()
                && let Ok(admission) = subscribed.await
            {
                return Subscription::new(admission, remote.commands);
            }
        }
        // The runtime shuts down: there is nothing to follow any more.
        Subscription::ended()
    }

    /// What the watches have done since the engine began.
    pub fn statistics(&self) -> Statistics {
        self.inner.shared.statistics.read()
    }

    /// How many watches are held, lingering ones included.
    pub fn watch_count(&self) -> usize {
        self.inner.watches.len()
    }

    /// Tells every watch that the network may be back.
    pub async fn wake(&self) {
        if let Some(outbox) = &self.inner.outbox {
            outbox.wake().await;
        }
        let tasks = self.inner.watches.tasks();
        // One that is busy holds up no other.
        join_all(tasks.iter().map(|it| it.send(Command::Wake))).await;
    }

    /// Closes all connections until [`wake`](Self::wake), and writes what is not in the cache yet, for no longer
    /// than `deadline`. For moments before the app sleeps.
    pub async fn suspend(&self, deadline: Duration) {
        // Who wakes up does not know which connections outlived the sleep: not one that wakes meanwhile, either.
        self.inner.desk.http.doubt_all();
        let suspended = self.ask_all(|done| Command::Suspend { done });
        let _ = tokio::time::timeout(deadline, suspended).await;
        self.inner.desk.http.doubt_all();
    }

    /// Forgets all tickets, here and in the vault, as a logout does. Open connections live on: the server
    /// checks a ticket only when one opens.
    ///
    /// From the call on no watch uses one of them to connect, nor one whose minting began before, whatever it is busy with.
    /// Watches that nobody follows any more end. What waits to be written stays, and is sent once a watch of its account is
    /// opened again: see [`Outbox::discard_all`].
    ///
    /// # Errors
    /// As [`Vault::clear`].
    pub async fn clear_tickets(&self) -> Result<(), VaultError> {
        if let Some(outbox) = &self.inner.outbox {
            outbox.sign_out().await;
        }
        self.inner.desk.logouts.log_out();
        self.inner.watches.retire(|_| true);
        self.inner.config.vault.clear(TICKET_PREFIX).await
    }

    /// Stores a secret for minters such as [`HttpMinter`](crate::HttpMinter). In a full vault it takes the place of
    /// tickets, which can be minted again.
    ///
    /// # Errors
    /// As [`Vault::set`].
    pub async fn store_secret(&self, name: &str, secret: Secret) -> Result<(), VaultError> {
        tickets::store(self.vault(), &format!("{SECRET_PREFIX}{name}"), secret).await?;
        // What could not be sent for the lack of it can be now.
        if let Some(outbox) = &self.inner.outbox {
            outbox.wake().await;
        }
        Ok(())
    }

    /// Forgets a secret. One that is not there is fine.
    ///
    /// # Errors
    /// As [`Vault::delete`].
    pub async fn delete_secret(&self, name: &str) -> Result<(), VaultError> {
        self.vault().delete(&format!("{SECRET_PREFIX}{name}")).await
    }

    /// Writes what is not in the cache yet, for no longer than `deadline`. For moments before the end.
    pub async fn flush(&self, deadline: Duration) {
        let flushed = self.ask_all(|done| Command::Flush { done });
        let _ = tokio::time::timeout(deadline, flushed).await;
    }

    /// Removes cached records: of one cache key, of one account, of both at once, or all there are.
    ///
    /// From the call on nothing that was there is written again, whatever a watch is busy with: those that nobody follows
    /// any more end. Those that are followed write theirs again as they change, beginning a few seconds later, unless
    /// nobody follows them by then.
    pub async fn clear_cache(
        &self,
        key: Option<String>,
        account: Option<String>,
    ) -> Result<(), CacheError> {
        let Some(cache) = self.cache() else {
            return Ok(());
        };
        let key = key.as_deref().map(keys::cache_key);
        let clear = Clear::Named { key, account };
        let cleared = cache.clear_all(clear.clone());
        let is_named = |it: &Remote| it.rows.as_ref().is_some_and(|rows| clear.names(rows));
        self.inner.watches.retire(is_named);
        cleared.await
    }

    /// Most bytes that one event, or the body of an optimistic record, may have.
    pub fn max_event_bytes(&self) -> usize {
        self.inner.config.max_event_bytes
    }

    /// The cache, where there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.inner.config.cache.as_ref()
    }

    /// Where tickets and secrets are kept.
    pub fn vault(&self) -> &Vault {
        &self.inner.config.vault
    }

    /// Sends a command to every watch, then waits until each has done it.
    async fn ask_all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        let tasks = self.inner.watches.tasks();
        join_all(tasks.iter().map(|commands| {
            let (done, answer) = oneshot::channel();
            let sent = commands.send(command(done));
            async move {
                // A watch that ended meanwhile has nothing left to do.
                if sent.await.is_ok() {
                    let _ = answer.await;
                }
            }
        }))
        .await;
    }

    /// Starts the task of a watch.
    fn start(&self, spec: &WatchSpec, key: &WatchKey) -> (Remote, Alive) {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (presence, alive) = Presence::new();
        let watch = Watch::new(
            spec.clone(),
            self.inner
                .config
                .for_watches(self.inner.shared.clone(), self.inner.notes.clone()),
            self.inner.desk.clone(),
            self.inner.transports.of(spec.transport),
            receiver,
            presence.clone(),
        );
        let id = watch.id();
        let engine = Arc::downgrade(&self.inner);
        let (key, ended) = (key.clone(), presence.clone());
        let outbox = self.inner.outbox.clone();
        let (account, own) = (spec.account.clone(), commands.clone());
        self.inner.runtime.spawn(async move {
            if let Some(outbox) = outbox {
                // The watch takes what it is told as soon as it runs.
                tokio::spawn(async move { outbox.attach(account, own).await });
            }
            watch.run().await;
            if let Some(inner) = engine.upgrade() {
                inner.watches.remove(&key, &ended);
            }
        });
        let remote = Remote {
            id,
            commands,
            presence,
            rows: keys::rows_of(spec),
        };
        (remote, alive)
    }
}

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod off_tests;
