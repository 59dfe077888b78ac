//! Keeps one watch's records in the cache: reads them at the start, writes what changes, never in the way.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, time::Instant};
use tracing::debug;

use super::spec::WatchSpec;
use crate::{
    cache::{Cache, CacheError, CacheKey, Cacheable, Changes, Row},
    clock::now_ms,
    pure::{
        ledger::rows::{RowChanges, RowLedger},
        protocol::record::Record,
        store::{Store, change::Change, entry::Entry},
        view::View,
    },
    timer::{Timer, or_never},
    transport::http,
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

/// What a watch is called in the file. URLs can carry invite tokens, which do not belong there.
pub(crate) fn cache_key(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// Another view keeps other rows. `clear` of a key finds them all by their beginning.
fn rows_key(key: &str, view: &View) -> String {
    let key = cache_key(key);
    match *view == View::default() {
        true => key,
        false => format!("{key}.{}", cache_key(&format!("{view:?}"))),
    }
}

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
    /// Records of last time, in order; `None` after the last ones.
    Page(Option<Vec<Row>>),
    /// It is time to write.
    Due,
    /// A write is done.
    Written(Result<(), CacheError>),
}

/// One watch's side of the cache.
pub(super) struct Persist {
    cache: Cache,
    key: CacheKey,
    /// What the cache has not heard yet.
    ledger: RowLedger,
    pages: Option<BoxStream<'static, Vec<Row>>>,
    due: Timer,
    /// When the write under way began, and until when to rest after the last one.
    began: Instant,
    rested: Instant,
    writing: Option<BoxFuture<'static, Result<(), CacheError>>>,
    /// What is being written is a purge: until it is done, there is nothing to read.
    purging: bool,
    flushing: Vec<oneshot::Sender<()>>,
}

/// What comes next for a watch that may have no cache.
pub(super) async fn next(persist: &mut Option<Persist>) -> News {
    or_never(persist.as_mut().map(Persist::next)).await
}

impl Persist {
    /// Of a watch that wants one, where there is a cache.
    pub(super) fn of(spec: &WatchSpec, cache: Option<&Cache>) -> Option<Self> {
        let options = spec.cache.as_ref()?;
        let key = CacheKey {
            key: rows_key(
                options.key.as_deref().unwrap_or(spec.url.as_str()),
                &spec.view,
            ),
            // One who names another's key gets nothing from it.
            source: http::bare(&spec.url),
            account: spec.account.clone(),
        };
        Some(Self::new(cache?.clone(), key, options.max_records))
    }

    fn new(cache: Cache, key: CacheKey, max_records: usize) -> Self {
        Self {
            cache,
            key,
            ledger: RowLedger::new(max_records),
            pages: None,
            due: Timer::default(),
            began: Instant::now(),
            rested: Instant::now(),
            writing: None,
            purging: false,
            flushing: Vec::new(),
        }
    }

    /// Starts to read what there was last time, beside the connection.
    pub(super) fn read(&mut self) {
        if self.ledger.is_synced() || self.pages.is_some() {
            return;
        }
        let (cache, key) = (self.cache.clone(), self.key.clone());
        let first = match self.ledger.keep() {
            few @ ..=ONE_PAGE => few,
            _ => FIRST_PAGE,
        };
        let pages = async move {
            let loaded = cache.load(&key, first).await;
            let loaded = loaded.inspect_err(|error| debug!(%error, "nothing from the cache"));
            let (page, rest) = match loaded {
                Ok(Some(loaded)) => (vec![loaded.first], Some(loaded.rest)),
                _ => (Vec::new(), None),
            };
            let painted = tokio::time::sleep(FIRST_PAINT);
            let rest = painted.map(|()| {
                stream::unfold(rest, |rest| async move {
                    let mut rest = rest?;
                    Some((rest.next().await?, Some(rest)))
                })
            });
            stream::iter(page).chain(rest.flatten_stream())
        };
        self.pages = Some(pages.flatten_stream().boxed());
    }

    /// The snapshot is complete: the records are the server's, and what was cached matters no more.
    pub(super) fn synced(&mut self) {
        self.pages = None;
        self.ledger.synced();
        self.debounce();
    }

    /// Notes a change, to be written later.
    pub(super) fn note(&mut self, change: &Change) {
        self.ledger.note(change);
        self.debounce();
    }

    /// The rows are being cleared: what is not written yet is not written any more.
    pub(super) fn discard(&mut self) {
        self.pages = None;
        self.due.stop();
        self.ledger.discard();
    }

    /// Whether a clear of this key or account, hashed as in the file, means this watch.
    pub(super) fn is_meant(&self, key: Option<&str>, account: Option<&str>) -> bool {
        let mine = &self.key.key;
        key.is_none_or(|key| {
            mine.strip_prefix(key)
                .is_some_and(|it| it.is_empty() || it.starts_with('.'))
        }) && account.is_none_or(|account| self.key.account.as_deref() == Some(account))
    }

    /// Access is gone: nothing may be left.
    pub(super) fn purge(&mut self) {
        self.discard();
        self.ledger.purge();
        self.purging = true;
        let (cache, key) = (self.cache.clone(), self.key.clone());
        let before = self.writing.take();
        self.writing = Some(
            async move {
                if let Some(before) = before {
                    let _ = before.await;
                }
                cache.purge(&key).await
            }
            .boxed(),
        );
    }

    /// Access to one of several spaces is gone: no other view may keep its rows, and this one is written anew.
    pub(super) fn purge_space(&mut self) {
        let synced = self.ledger.is_synced();
        self.purge();
        if synced {
            self.ledger.synced();
        }
    }

    /// What comes next; never, if nothing is under way. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> News {
        let (idle, purging) = (self.writing.is_none(), self.purging);
        let news = tokio::select! {
            page = or_never(self.pages.as_mut().map(StreamExt::next)), if !purging => News::Page(page),
            () = self.due.elapsed(), if idle => News::Due,
            done = or_never(self.writing.as_mut()) => News::Written(done),
        };
        match &news {
            News::Page(None) => self.pages = None,
            News::Page(Some(_)) | News::Due => {}
            News::Written(result) => {
                self.writing = None;
                self.purging = false;
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
            // Somebody cleared the cache meanwhile: what is here is still the truth.
            Err(CacheError::Incomplete) => {
                self.ledger.start_over();
                self.debounce();
            }
            Err(CacheError::TooLarge) => {
                self.ledger.keep_fewer();
                self.debounce();
            }
            Err(error) => {
                debug!(%error, "not cached");
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
        if !self.ledger.is_dirty() {
            return self.flushed();
        }
        self.due.stop();
        self.began = Instant::now();
        let changes = self.changes(store);
        let (cache, key) = (self.cache.clone(), self.key.clone());
        self.writing = Some(async move { cache.write(&key, changes).await }.boxed());
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
        Changes {
            set: set.collect(),
            gone,
            cursor: store.cursor().cloned(),
            synced_at: now_ms(),
            replace,
        }
    }

    fn debounce(&mut self) {
        if !self.due.is_set() && self.ledger.is_dirty() {
            self.due.at(self.rested.max(Instant::now() + DEBOUNCE));
        }
    }

    fn flushed(&mut self) {
        for done in self.flushing.drain(..) {
            let _ = done.send(());
        }
    }
}
