//! The cache: last session's records in SQLite, so that a watch paints before the network answers.
//!
//! One file, one writer task, one reader. Nothing that happens to the file reaches a watch: whatever the
//! trouble, the file is set aside or left alone, the cache goes on with a fresh file or in memory, and a
//! [`CacheWarning`] says so. A row is shown only if its hash proves it to be what was written for this
//! watch and account.
//!
//! Nothing in here knows Tauri or the engine's store; it takes and gives [`Record`]s. Neither warnings nor
//! logs contain keys, URIs or bodies.

mod damage;
mod db;
mod job;
mod pages;
#[cfg(test)]
mod plan_tests;
mod reader;
mod row;
mod upkeep;
mod write;
mod writer;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Mutex, broadcast, mpsc, oneshot},
};

use crate::engine::Record;

pub use damage::{CacheWarning, WarningKind};
pub use reader::{CacheInfo, Loaded, Rest};
pub use row::{Cacheable, Row};

use job::{Change, Job};
use reader::Reader;
use writer::Writer;

/// Changes that may wait for the writer; more wait at their watch.
const QUEUE: usize = 64;
/// Warnings that a receiver may be behind.
const WARNINGS: usize = 32;

/// How a cache is kept.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// The database file; its directory is made if it is missing. `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes of the database beyond which the least recently used watches are dropped; 64 MiB by default.
    pub budget_bytes: u64,
    /// How long to wait for another process that holds the file; 1 s by default.
    pub busy_timeout: Duration,
    /// How long to go on in memory before the file is tried again; 30 s by default.
    pub retry_after: Duration,
}

impl CacheConfig {
    /// The defaults, for this file or for memory only.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            budget_bytes: 64 << 20,
            busy_timeout: Duration::from_secs(1),
            retry_after: Duration::from_secs(30),
        }
    }
}

/// What identifies a watch's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// Where the rows come from: rows that were written under another source prove nothing here.
    pub source: String,
    /// The watch: its URL and whatever else decides what it holds. Must not contain a ticket.
    pub key: String,
    /// DID that the rows were fetched as; `None` for a watch without an account.
    pub account: Option<String>,
}

/// (space, uri) of a record.
pub type Identity = (Option<Arc<str>>, Arc<str>);

/// What happened to a watch since its last [`Cache::write`].
pub struct Changes {
    /// Records that are new or changed, at most one per (space, uri).
    pub set: Vec<Arc<dyn Cacheable>>,
    /// Records that are gone.
    pub gone: Vec<Identity>,
    /// Where the snapshot ended, if older records exist.
    pub cursor: Option<Arc<str>>,
    /// When the watch was last known to agree with the server, in milliseconds since the Unix epoch.
    pub synced_at: i64,
    /// Most records to keep; the last ones of the order go first.
    pub keep: usize,
    /// Whether `set` is all that the watch holds. The first write of a watch must be one of these.
    pub replace: bool,
}

/// Why a call on the cache did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The cache does not hold this watch, so changes alone would leave it with gaps: write all of it,
    /// with [`Changes::replace`].
    #[error("the cache does not hold this watch: everything must be written")]
    Incomplete,
    /// The deadline passed; the work goes on.
    #[error("the cache was not done in time")]
    TimedOut,
    /// The cache was closed.
    #[error("the cache is closed")]
    Closed,
    /// SQLite failed in a way that neither a fresh file nor memory mends.
    #[error("the cache failed: {0}")]
    Failed(String),
}

/// A handle on the cache. Clones share it; when the last one is gone, it closes.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

struct Inner {
    jobs: mpsc::Sender<Job>,
    reader: Arc<Mutex<Reader>>,
    warnings: broadcast::Sender<CacheWarning>,
    /// Receives from the very first warning on, for the first to ask.
    early: std::sync::Mutex<Option<broadcast::Receiver<CacheWarning>>>,
}

impl Cache {
    /// Opens the cache on a task of its own: this returns at once and never fails.
    ///
    /// Trouble with the file ends in a fresh file or in memory, and in a warning.
    pub fn open(config: CacheConfig, runtime: &Handle) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (warnings, early) = broadcast::channel(WARNINGS);
        let reader = Arc::new(Mutex::new(Reader::default()));
        // Taken before anyone else can: reads wait until there is something to read from.
        if let Ok(opening) = reader.clone().try_lock_owned() {
            let writer = Writer::new(config, queue, reader.clone(), warnings.clone());
            runtime.spawn(writer.run(opening));
        }
        let early = std::sync::Mutex::new(Some(early));
        Self {
            inner: Arc::new(Inner {
                jobs,
                reader,
                warnings,
                early,
            }),
        }
    }

    /// What goes wrong from now on; for the first caller, from the opening on.
    ///
    /// A receiver that is far behind misses the oldest warnings.
    pub fn warnings(&self) -> broadcast::Receiver<CacheWarning> {
        let early = self.inner.early.lock().ok().and_then(|mut it| it.take());
        early.unwrap_or_else(|| self.inner.warnings.subscribe())
    }

    /// The watch's cursor, time of last sync and its first `first` records in the order of a watch.
    ///
    /// The others come from [`Loaded::rest`], page by page. `None` if the cache holds nothing of this watch, or
    /// if it cannot be read. Rows of another account are purged and never shown, damaged ones dropped.
    pub async fn load(&self, key: &CacheKey, first: usize) -> Result<Option<Loaded>, CacheError> {
        reader::load(&self.inner, key, first).await
    }

    /// Writes what changed, in one transaction, and returns when it is committed.
    ///
    /// Once it waits for the writer, dropping the future does not undo it. Await it before the next one of
    /// the same watch: changes that happen meanwhile then merge there.
    pub async fn write(&self, key: &CacheKey, changes: Changes) -> Result<(), CacheError> {
        self.change(Change::Write(key.clone(), changes)).await
    }

    /// Waits until all that was asked before is written, no longer than `deadline`.
    pub async fn flush(&self, deadline: Duration) -> Result<(), CacheError> {
        let flushed = self.inner.ask(Job::Flush);
        tokio::time::timeout(deadline, flushed)
            .await
            .map_err(|_| CacheError::TimedOut)?
    }

    /// Removes the watch's rows, whichever account they belong to.
    pub async fn purge(&self, key: &CacheKey) -> Result<(), CacheError> {
        self.clear(Some(key.key.clone()), None).await
    }

    /// Removes the rows of this watch, of this account, of both at once, or all there are.
    ///
    /// Files that were set aside go too. If the file cannot be changed, it is removed as a whole; if that
    /// fails too, a [`WarningKind::PurgeOwed`] says so and it is made good as soon as the file can be changed.
    pub async fn clear(
        &self,
        key: Option<String>,
        account: Option<String>,
    ) -> Result<(), CacheError> {
        self.change(Change::Clear { key, account }).await
    }

    /// What the cache holds.
    pub async fn info(&self) -> Result<CacheInfo, CacheError> {
        reader::info(&self.inner).await
    }

    /// Writes what waits, then lets go of the file. Every later call fails with [`CacheError::Closed`].
    pub async fn close(&self) -> Result<(), CacheError> {
        self.inner.ask(Job::Close).await
    }

    async fn change(&self, change: Change) -> Result<(), CacheError> {
        self.inner.ask(|reply| Job::Change(change, reply)).await?
    }
}

impl Inner {
    /// Sends a job to the writer and waits for its answer.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, CacheError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(job(reply)).await;
        sent.map_err(|_| CacheError::Closed)?;
        answer.await.map_err(|_| CacheError::Closed)
    }

    /// Sends a change whose outcome nobody waits for. A full queue drops it.
    fn mention(&self, change: Change) {
        let (reply, _) = oneshot::channel();
        let _ = self.jobs.try_send(Job::Change(change, reply));
    }
}
