//! Keeps one watch's records in the cache: reads them at the start, writes what changes, never in the way.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{sync::oneshot, time::Instant};
use tracing::debug;

use super::{keys, spec::WatchSpec};
use crate::{
    cache::{Cache, CacheError, CacheKey, Cacheable, Changes, Lease, Row, Standing},
    clock::now_ms,
    id::WatchId,
    pure::{
        ledger::rows::{RowChanges, RowLedger},
        protocol::{profile::Profile, record::Record},
        store::{Store, change::Change, entry::Entry, profiles::Profiles},
    },
    timer::{Timer, or_never},
};

/// Changes of this long become one write.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// After a write, this many times its length belong to others: a watch that changes without end must not keep
/// the disk and a core busy without end.
const REST: u32 = 20;
/// Longest rest.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// Rows of the first page of a large watch: about a screenful, at once.
const FIRST_PAGE: usize = 50;
/// The other pages wait for this long, two frames: on few cores they would hold up the painting of the first one.
const FIRST_PAINT: Duration = Duration::from_millis(33);
/// A watch that keeps no more than this is read in one go: a page more would cost as much as the rows.
const ONE_PAGE: usize = 200;
/// Longest wait for the last write of a watch that ends.
const LAST_WRITE: Duration = Duration::from_millis(500);
/// After its rows were cleared, a watch writes nothing for so long: those who cleared them may be about to let go of it.
const QUIET: Duration = Duration::from_secs(5);

impl Cacheable for Entry {
    fn record(&self) -> &Record {
        &self.record
    }

    fn live_time(&self) -> bool {
        self.live_time
    }
}

/// What the cache has for its watch.
pub(super) enum News {
    /// Of last time; `None` after the last one.
    Page(Option<Page>),
    /// It is time to write.
    Due,
    /// A write is done.
    Written(Result<(), CacheError>),
}

/// Records of last time, in order, and the profiles with the first of them.
#[derive(Default)]
pub(super) struct Page {
    pub rows: Vec<Row>,
    pub profiles: Vec<Profile>,
}

/// One watch's side of the cache.
pub(super) struct Persist {
    watch: WatchId,
    cache: Cache,
    key: CacheKey,
    lease: Arc<Lease>,
    /// What the cache has not heard yet.
    ledger: RowLedger,
    /// The profiles that were written last.
    profiles: Profiles,
    /// Those that were heeded: once a clear has discarded them, they are to be written no more than records are.
    known: Profiles,
    pages: Option<BoxStream<'static, Page>>,
    /// The store has heard the server: rows of last time know less.
    outdated: bool,
    due: Timer,
    /// When the write under way began, and until when to rest after the last one.
    began: Instant,
    rested: Instant,
    /// Until when nothing is written after a clear.
    quiet: Instant,
    writing: Option<BoxFuture<'static, Result<(), CacheError>>>,
    flushing: Vec<oneshot::Sender<()>>,
}

/// What comes next for a watch that may have no cache.
pub(super) async fn next(persist: &mut Option<Persist>) -> News {
    or_never(persist.as_mut().map(Persist::next)).await
}

impl Persist {
    /// Of a watch that wants one, where there is a cache.
    pub(super) fn of(watch: WatchId, spec: &WatchSpec, cache: Option<&Cache>) -> Option<Self> {
        let max_records = spec.cache.as_ref()?.max_records;
        Some(Self::new(
            watch,
            cache?.clone(),
            keys::rows_of(spec)?,
            max_records,
        ))
    }

    fn new(watch: WatchId, cache: Cache, key: CacheKey, max_records: usize) -> Self {
        Self {
            watch,
            lease: cache.lease(key.clone()),
            cache,
            key,
            ledger: RowLedger::new(max_records),
            profiles: Profiles::default(),
            known: Profiles::default(),
            pages: None,
            outdated: false,
            due: Timer::default(),
            began: Instant::now(),
            rested: Instant::now(),
            quiet: Instant::now(),
            writing: None,
            flushing: Vec::new(),
        }
    }

    /// Starts to read what there was last time, beside the connection.
    pub(super) fn read(&mut self) {
        if self.outdated || self.pages.is_some() {
            return;
        }
        let (watch, cache, key) = (self.watch, self.cache.clone(), self.key.clone());
        let first = match self.ledger.keep() {
            few @ ..=ONE_PAGE => few,
            _ => FIRST_PAGE,
        };
        let pages = async move {
            let loaded = cache.load(&key, first).await;
            let loaded =
                loaded.inspect_err(|error| debug!(%watch, %error, "nothing from the cache"));
            let (page, rest) = match loaded {
                Ok(Some(loaded)) => {
                    let (rows, profiles) = (loaded.first, loaded.profiles);
                    (vec![Page { rows, profiles }], Some(loaded.rest))
                }
                _ => (Vec::new(), None),
            };
            let painted = tokio::time::sleep(FIRST_PAINT);
            let rest = painted.map(|()| {
                stream::unfold(rest, |rest| async move {
                    let mut rest = rest?;
                    let rows = rest.next().await?;
                    let page = Page {
                        rows,
                        ..Page::default()
                    };
                    Some((page, Some(rest)))
                })
            });
            stream::iter(page).chain(rest.flatten_stream())
        };
        self.pages = Some(pages.flatten_stream().boxed());
    }

    /// What its rows go by.
    pub(super) fn key(&self) -> &CacheKey {
        &self.key
    }

    /// Whether there may be more records of last time.
    pub(super) fn is_reading(&self) -> bool {
        self.pages.is_some()
    }

    /// The snapshot is complete: the records are the server's, and what was cached matters no more.
    pub(super) fn synced(&mut self) {
        self.pages = None;
        self.outdated = true;
        self.ledger.synced();
        self.debounce();
    }

    /// Notes a change, to be written later.
    pub(super) fn note(&mut self, change: &Change) {
        self.ledger.note(change);
        self.debounce();
    }

    /// Notes what profiles there are, to be written later if they are others than before.
    pub(super) fn heed_profiles(&mut self, profiles: &Profiles) {
        if *profiles == self.known {
            return;
        }
        self.known.clone_from(profiles);
        if *profiles != self.profiles {
            self.ledger.touch();
            self.debounce();
        }
    }

    /// Looks whether the rows were cleared. Then what is not written yet is not written any more.
    pub(super) fn heed_clears(&mut self) {
        match self.lease.standing() {
            Standing::Good => return,
            Standing::Cleared => self.ledger.discard(),
            Standing::Lost => self.ledger.purge(),
        }
        self.pages = None;
        self.due.stop();
        self.quiet = Instant::now() + QUIET;
        self.lease = self.cache.lease(self.key.clone());
    }

    /// Access is gone: nothing may be left, in no view.
    pub(super) fn purge(&mut self) {
        self.pages = None;
        self.outdated = false;
        self.due.stop();
        self.ledger.purge();
        self.clear(self.cache.purge(&self.key));
        self.lease = self.cache.lease(self.key.clone());
    }

    /// Access to one of several spaces is gone: no view may keep its rows.
    pub(super) fn purge_space(&mut self, space: String) {
        self.pages = None;
        let account = self.key.account.clone();
        self.clear(self.cache.purge_space(account, space));
    }

    /// Clears after what is being written.
    fn clear(&mut self, clearing: impl Future<Output = Result<(), CacheError>> + Send + 'static) {
        let before = self.writing.take();
        self.writing = Some(
            async move {
                if let Some(before) = before {
                    let _ = before.await;
                }
                clearing.await
            }
            .boxed(),
        );
    }

    /// What comes next; never, if nothing is under way. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> News {
        let idle = self.writing.is_none();
        let news = tokio::select! {
            page = or_never(self.pages.as_mut().map(StreamExt::next)) => News::Page(page),
            () = self.due.elapsed(), if idle => News::Due,
            done = or_never(self.writing.as_mut()) => News::Written(done),
        };
        match &news {
            News::Page(None) => self.pages = None,
            News::Page(Some(_)) | News::Due => {}
            News::Written(result) => {
                self.writing = None;
                let rest = (self.began.elapsed() * REST).min(LONGEST_REST);
                self.rested = Instant::now() + rest;
                self.written(result);
            }
        }
        news
    }

    fn written(&mut self, result: &Result<(), CacheError>) {
        match result {
            Ok(()) => {}
            Err(CacheError::Cleared) => self.heed_clears(),
            // Another hand was at the rows: what is here is still the truth.
            Err(CacheError::Incomplete) => {
                self.ledger.start_over();
                self.debounce();
            }
            Err(CacheError::TooLarge) => {
                self.ledger.keep_fewer();
                self.debounce();
            }
            Err(error) => {
                debug!(watch = %self.watch, %error, "not cached");
                self.ledger.start_over();
                // Nobody is to wait for the next attempt: it comes with the next change.
                self.flushed();
            }
        }
        if !self.ledger.is_dirty() {
            self.flushed();
        } else if !self.flushing.is_empty() {
            // Somebody waits: no rest now.
            self.due.at(Instant::now());
        }
    }

    /// Writes what changed, if anything did and nothing is being written.
    pub(super) fn write(&mut self, store: &Store) {
        if self.writing.is_some() {
            return self.debounce();
        }
        self.heed_clears();
        let is_quiet = Instant::now() < self.quiet;
        if is_quiet || !self.ledger.is_dirty() {
            self.debounce();
            return self.flushed();
        }
        self.due.stop();
        self.began = Instant::now();
        let changes = self.changes(store);
        let (cache, lease) = (self.cache.clone(), self.lease.clone());
        self.writing = Some(async move { cache.write(&lease, changes).await }.boxed());
    }

    /// Writes at once, and says so when it is done.
    pub(super) fn flush(&mut self, store: &Store, done: oneshot::Sender<()>) {
        self.flushing.push(done);
        self.write(store);
    }

    /// The watch ends: writes what is left, for a bounded time.
    pub(super) async fn finish(mut self, store: &Store) {
        let last = async {
            if let Some(writing) = self.writing.take() {
                let _ = writing.await;
            }
            self.write(store);
            if let Some(writing) = self.writing.take() {
                let _ = writing.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WRITE, last).await;
        self.flushed();
    }

    fn changes(&mut self, store: &Store) -> Changes {
        let RowChanges { set, gone, replace } = self.ledger.take(store);
        let set = set.into_iter().map(|it| it as Arc<dyn Cacheable>);
        let profiles = store.profiles();
        let others = replace || *profiles != self.profiles;
        self.profiles.clone_from(profiles);
        Changes {
            set: set.collect(),
            gone,
            cursor: store.cursor().cloned(),
            profiles: others.then(|| profiles.iter().cloned().collect()),
            synced_at: now_ms(),
            replace,
        }
    }

    fn debounce(&mut self) {
        if !self.due.is_set() && self.ledger.is_dirty() {
            let soon = Instant::now() + DEBOUNCE;
            self.due.at(soon.max(self.rested).max(self.quiet));
        }
    }

    fn flushed(&mut self) {
        for done in self.flushing.drain(..) {
            let _ = done.send(());
        }
    }
}

#[cfg(all(test, feature = "cache"))]
#[path = "persist_tests.rs"]
mod tests;
