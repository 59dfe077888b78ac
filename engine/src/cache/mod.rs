//! The cache: last session's records in SQLite, so that a watch paints before the network answers.
//!
//! One file, one writer task, one reader. Nothing that happens to the file reaches a watch: whatever the
//! trouble, the file is set aside or left alone, the cache goes on with a fresh file or in memory, and a
//! [`CacheWarning`] says so. A row is shown only if its hash proves it to be what was written for this
//! watch and account.
//!
//! It knows no store: it takes and gives records. Neither warnings nor
//! logs contain keys, URIs or bodies.

mod clears;
mod damage;
mod db;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod job;
mod pages;
#[cfg(test)]
mod plan_tests;
mod reader;
mod row;
#[cfg(test)]
mod schema_tests;
mod terms;
mod upkeep;
mod write;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Mutex, broadcast, mpsc, oneshot},
};

/// What the outbox, which keeps a file of its own, does about trouble with it.
pub(crate) mod files {
    pub(crate) use super::damage::{
        Remedy, Trouble, prepare, remove_aside, remove_with_sides, rename, set_aside,
    };
    #[cfg(test)]
    pub(crate) use super::db::tests::has_all_files_of;
    pub(crate) use super::db::{migrate_in, migrator};
}

pub(crate) use clears::Clear;
pub use clears::{Lease, Standing};
pub use damage::{CacheWarning, WarningKind};
pub use reader::Rest;
pub use row::{Cacheable, Row};
pub use terms::{CacheConfig, CacheError, CacheInfo, CacheKey, Changes, Loaded};

use clears::Clears;
use job::{Change, Job};
use reader::Reader;
use writer::Writer;

/// Changes that may wait for the writer; more wait at their watch.
const QUEUE: usize = 64;
/// Warnings that a receiver may be behind.
const WARNINGS: usize = 32;

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
    clears: Arc<Clears>,
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
                clears: Arc::default(),
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
    /// if it cannot be read. Rows of another account or query are purged and never shown, damaged ones dropped. Waits for
    /// a clear of these rows that is under way.
    #[doc(hidden)]
    pub async fn load(&self, key: &CacheKey, first: usize) -> Result<Option<Loaded>, CacheError> {
        self.inner.clears.pass(key).await;
        reader::load(&self.inner, key, first).await
    }

    /// The right to write the rows of a watch, until a clear names them.
    #[doc(hidden)]
    pub fn lease(&self, key: CacheKey) -> Arc<Lease> {
        self.inner.clears.lease(key)
    }

    /// Writes what changed, in one transaction, and returns when it is committed.
    ///
    /// Once it waits for the writer, dropping the future does not undo it. Await it before the next one under the same
    /// lease: changes that happen meanwhile then merge there.
    #[doc(hidden)]
    pub async fn write(&self, lease: &Arc<Lease>, changes: Changes) -> Result<(), CacheError> {
        self.change(Change::Write(lease.clone(), changes)).await
    }

    /// Waits until all that was asked before is written, no longer than `deadline`.
    pub async fn flush(&self, deadline: Duration) -> Result<(), CacheError> {
        let flushed = self.inner.ask(Job::Flush);
        tokio::time::timeout(deadline, flushed)
            .await
            .map_err(|_| CacheError::TimedOut)?
    }

    /// Removes the rows of this key and its views, of this account, of both at once, or all there are.
    ///
    /// From the call on, before it is awaited, no write under a lease of these rows succeeds any more. Files that were set
    /// aside go too. If the file cannot be changed, it is removed as a whole; if that fails too, a
    /// [`WarningKind::PurgeOwed`] says so and it is made good as soon as the file can be changed.
    pub fn clear(
        &self,
        key: Option<String>,
        account: Option<String>,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<> {
        self.clear_all(Clear::Named { key, account })
    }

    /// Access is lost: removes the watch's rows, and those of every other watch of the same realm and account. As
    /// [`clear`](Self::clear) beyond that.
    #[doc(hidden)]
    pub fn purge(
        &self,
        key: &CacheKey,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<> {
        self.clear_all(Clear::Lost(key.clone()))
    }

    /// Access to a space is lost: removes its records from all watches of this account. Leases stay good: each watch hears
    /// of it itself.
    #[doc(hidden)]
    pub fn purge_space(
        &self,
        account: Option<String>,
        space: String,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<> {
        self.clear_all(Clear::LostSpace { account, space })
    }

    pub(crate) fn clear_all(
        &self,
        clear: Clear,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<> {
        let clearing = self.inner.clears.begin(clear);
        let cache = self.clone();
        async move { cache.change(Change::Clear(clearing)).await }
    }

    /// What the cache holds.
    pub async fn info(&self) -> Result<CacheInfo, CacheError> {
        reader::info(&self.inner).await
    }

    /// How many rows there are of a watch, and when they were saved; `None` if there are none.
    pub(crate) async fn rows_of(&self, key: &str) -> Option<(u64, i64)> {
        reader::rows_of(&self.inner, key).await
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
