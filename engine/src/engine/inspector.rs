//! A look into an engine: what each of its watches is about, and what is done to it to see what happens.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::oneshot, time::timeout};

use super::{Engine, registry::Remote};
use crate::{
    cache::{CacheError, Clear},
    clock::now_ms,
    gauge::LivePart,
    id::WatchId,
    watch::{command::Command, error::WatchError, report::WatchReport, statistics::Statistics},
};

/// Longest wait for a watch, the cache or the outbox: who is busy is not held up by those who look.
const PATIENCE: Duration = Duration::from_millis(400);
/// Longest wait for watches to close their connections.
const GOING_OFFLINE: Duration = Duration::from_secs(2);

/// Looks into an engine, and does to its watches what a network would. Costs next to nothing while nobody asks.
///
/// ```
/// # use std::sync::Arc;
/// # use contrail_sync_engine::{Engine, EngineConfig, Status, WatchSpec};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let appview = appview::Server::start(appview::Options::default()).await?;
/// # let space = appview.open_space("lounge", "did:plc:alice")?;
/// # let url = format!("{}/xrpc/com.example.message.watchRecords?{}", appview.url(), space.query);
/// # let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default())?;
/// # let watch = engine.watch(WatchSpec::new(url.parse()?, Arc::new(|_| true))).await;
/// # while watch.state().await.ok_or("the engine ended")?.status != Status::Live {
/// #     watch.next().await.ok_or("the engine ended")?;
/// # }
/// let inspector = engine.inspector();
/// for watch in inspector.overview().await.watches {
///     println!("{} {:?}: {} records, {} events", watch.url, watch.status, watch.records, watch.events);
///     for moment in &watch.timeline {
///         println!("  {} {:?} {}", moment.at, moment.kind, moment.words);
///     }
/// }
/// # assert_eq!(inspector.overview().await.watches.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inspector {
    engine: Engine,
}

/// What an engine is about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Overview {
    /// When it was asked, in milliseconds since the Unix epoch: times in reports are compared with it.
    pub now: i64,
    /// Whether [`Inspector::go_offline`] holds.
    pub offline: bool,
    /// What all watches together have done since the engine began.
    pub counters: Statistics,
    /// Each watch, those that linger included, the oldest first.
    pub watches: Vec<WatchReport>,
    /// Watches that were too busy to answer.
    pub unanswered: usize,
}

impl Engine {
    /// Looks into this engine.
    pub fn inspector(&self) -> Inspector {
        Inspector {
            engine: self.clone(),
        }
    }
}

impl Inspector {
    /// What the engine and its watches are about now. Waits for none of them longer than half a second.
    pub async fn overview(&self) -> Overview {
        let inner = &self.engine.inner;
        let remotes = inner.watches.remotes();
        let (asked, waiting) = tokio::join!(
            join_all(remotes.iter().map(|it| self.report(it))),
            self.waiting_writes(),
        );
        let unanswered = asked.iter().filter(|it| it.is_none()).count();
        let mut watches: Vec<_> = asked.into_iter().flatten().collect();
        watches.sort_unstable_by_key(|it| it.id);
        if let Some(accounts) = waiting {
            for watch in &mut watches {
                let same = accounts.iter().filter(|it| **it == watch.account);
                watch.waiting_writes = Some(same.count());
            }
        }
        Overview {
            now: now_ms(),
            offline: inner.shared.offline.load(Ordering::Relaxed),
            counters: self.engine.statistics(),
            watches,
            unanswered,
        }
    }

    /// What happened since the line of number `since`, and from now on is kept for five seconds, to be asked for again.
    /// While nobody asks nothing is kept.
    pub fn log(&self, since: u64) -> LivePart {
        self.engine.inner.shared.live.read(since)
    }

    /// Ends the connection of a watch as a network would that failed. It connects again by itself, unless it is not to.
    ///
    /// # Errors
    /// There is no such watch, or it is closed.
    pub async fn drop_connection(&self, watch: WatchId) -> Result<(), WatchError> {
        self.tell(watch, |reply| Command::Drop { reply }).await
    }

    /// Lets a watch fetch its list anew, or connect at once if it waits.
    ///
    /// # Errors
    /// There is no such watch, or it is closed.
    pub async fn refresh(&self, watch: WatchId) -> Result<(), WatchError> {
        self.tell(watch, |reply| Command::LookAgain { reply }).await
    }

    /// Removes the cached rows of a watch. It writes them again as they change, some seconds later.
    ///
    /// # Errors
    /// There is no such watch, or its rows could not be removed. One that is not cached is fine.
    pub async fn clear_cache(&self, watch: WatchId) -> Result<(), ClearError> {
        let remote = self.remote(watch)?;
        let (Some(rows), Some(cache)) = (remote.rows, self.engine.cache()) else {
            return Ok(());
        };
        let clear = Clear::Named {
            key: Some(rows.key),
            account: rows.account,
        };
        Ok(cache.clear_all(clear).await?)
    }

    /// No watch has a connection, and none connects, until [`go_online`](Self::go_online): as without a network. Writes
    /// go out all the same.
    pub async fn go_offline(&self) {
        self.engine
            .inner
            .shared
            .offline
            .store(true, Ordering::Relaxed);
        self.engine.suspend(GOING_OFFLINE).await;
    }

    /// Watches connect again, those that wait at once.
    pub async fn go_online(&self) {
        self.engine
            .inner
            .shared
            .offline
            .store(false, Ordering::Relaxed);
        self.engine.wake().await;
    }

    async fn report(&self, remote: &Remote) -> Option<WatchReport> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            remote.commands.send(Command::Report { reply }).await.ok()?;
            answer.await.ok()
        };
        let mut report = timeout(PATIENCE, asked).await.ok()??;
        if let (Some(rows), Some(cache)) = (&mut report.cache, self.engine.cache()) {
            let found = timeout(PATIENCE, cache.rows_of(&rows.key)).await;
            (rows.rows, rows.saved_at) = found.ok().flatten().unzip();
        }
        Some(report)
    }

    /// Whose the writes are that wait.
    async fn waiting_writes(&self) -> Option<Vec<Option<String>>> {
        let writes = timeout(PATIENCE, self.engine.outbox()?.writes(None)).await;
        let waiting = writes.ok()?.into_iter().filter(|it| !it.state.is_over());
        Some(waiting.map(|it| it.account).collect())
    }

    async fn tell(
        &self,
        watch: WatchId,
        command: impl FnOnce(oneshot::Sender<Result<(), WatchError>>) -> Command,
    ) -> Result<(), WatchError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.remote(watch)?.commands;
        let told = async {
            let sent = commands.send(command(reply)).await;
            sent.map_err(|_| WatchError::Ended)?;
            answer.await.map_err(|_| WatchError::Ended)?
        };
        // A task that is stuck is as good as ended.
        timeout(PATIENCE, told)
            .await
            .unwrap_or(Err(WatchError::Ended))
    }

    fn remote(&self, watch: WatchId) -> Result<Remote, WatchError> {
        let mut remotes = self.engine.inner.watches.remotes().into_iter();
        remotes.find(|it| it.id == watch).ok_or(WatchError::Ended)
    }
}

/// Why the rows of a watch were not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// There is no such watch.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
