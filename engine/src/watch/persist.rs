//! Keeps one watch's records in the cache: reads them at the start, writes what changes, never in the way.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};
use tracing::debug;

use super::{
    WatchSpec,
    entry::Entry,
    marks::Marks,
    store::{Change, FastMap, FastSet, Store, Touch, View},
};
use crate::cache::{Cache, CacheError, CacheKey, Cacheable, Changes, Identity, Row};
use crate::transport::http;

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

/// How a watch is cached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheOptions {
    /// Names the watch in the cache; its URL by default.
    pub key: Option<String>,
    /// Most records to keep.
    pub max_records: usize,
}

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

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            key: None,
            max_records: 200,
        }
    }
}

impl Cacheable for Entry {
    fn record(&self) -> &super::Record {
        &self.record
    }

    fn live_time(&self) -> bool {
        self.live_time
    }
}

/// What the keeper has for its watch.
pub(super) enum News {
    /// Records of last time, in order; `None` after the last ones.
    Page(Option<Vec<Row>>),
    /// It is time to write.
    Due,
    /// A write is done.
    Written(Result<(), CacheError>),
}

pub(super) struct Keeper {
    cache: Cache,
    key: CacheKey,
    max_records: usize,
    pages: Option<BoxStream<'static, Vec<Row>>>,
    /// What changed since the last write.
    set: Marks,
    gone: FastMap<u64, Identity>,
    /// The next write must hold everything: the cache may have gaps.
    replace: bool,
    /// The records were the server's at least once; before that there is nothing to keep.
    synced: bool,
    due: Option<Pin<Box<Sleep>>>,
    /// When the write under way began, and until when to rest after the last one.
    began: Instant,
    rested: Instant,
    writing: Option<BoxFuture<'static, Result<(), CacheError>>>,
    /// What is being written is a purge: until it is done, there is nothing to read.
    purging: bool,
    flushing: Vec<oneshot::Sender<()>>,
}

/// What comes next for a watch that may have no cache.
pub(super) async fn next(keeper: &mut Option<Keeper>) -> News {
    or_never(keeper.as_mut().map(Keeper::next)).await
}

impl Keeper {
    /// The keeper of a watch that wants one, where there is a cache.
    pub fn of(spec: &WatchSpec, cache: Option<&Cache>) -> Option<Self> {
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
            max_records,
            pages: None,
            set: Marks::default(),
            gone: FastMap::default(),
            replace: true,
            synced: false,
            due: None,
            began: Instant::now(),
            rested: Instant::now(),
            writing: None,
            purging: false,
            flushing: Vec::new(),
        }
    }

    /// Starts to read what there was last time, beside the connection.
    pub fn read(&mut self) {
        if self.synced || self.pages.is_some() {
            return;
        }
        let (cache, key) = (self.cache.clone(), self.key.clone());
        let first = match self.max_records {
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
    pub fn synced(&mut self) {
        self.pages = None;
        self.synced = true;
        self.debounce();
    }

    /// Notes a change, to be written later.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Set(entry, _) if entry.confirmed().is_some() => {
                if !self.gone.is_empty() {
                    self.gone.remove(&entry.id);
                }
                self.set.merge(entry.slot, Touch::Content);
            }
            // What nobody confirmed is not kept.
            Change::Set(entry, _) | Change::Gone(entry) => {
                self.set.take(entry.slot);
                self.gone.insert(entry.id, identity(entry));
            }
        }
        self.debounce();
    }

    /// The rows are being cleared: what is not written yet is not written any more.
    pub fn discard(&mut self) {
        self.pages = None;
        self.set.clear();
        self.gone.clear();
        self.due = None;
        self.replace = false;
    }

    /// Whether a clear of this key or account, hashed as in the file, means this watch.
    pub fn is_meant(&self, key: Option<&str>, account: Option<&str>) -> bool {
        let mine = &self.key.key;
        key.is_none_or(|key| {
            mine.strip_prefix(key)
                .is_some_and(|it| it.is_empty() || it.starts_with('.'))
        }) && account.is_none_or(|account| self.key.account.as_deref() == Some(account))
    }

    /// Access is gone: nothing may be left.
    pub fn purge(&mut self) {
        self.discard();
        self.replace = true;
        self.synced = false;
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

    /// What comes next; never, if nothing is under way. Cancelling loses nothing.
    pub async fn next(&mut self) -> News {
        let (idle, purging) = (self.writing.is_none(), self.purging);
        let news = tokio::select! {
            page = or_never(self.pages.as_mut().map(StreamExt::next)), if !purging => News::Page(page),
            () = or_never(self.due.as_mut()), if idle => News::Due,
            done = or_never(self.writing.as_mut()) => News::Written(done),
        };
        match &news {
            News::Page(None) => self.pages = None,
            News::Page(Some(_)) => {}
            News::Due => self.due = None,
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
                self.replace = true;
                self.debounce();
            }
            Err(error) => {
                debug!(%error, "not cached");
                self.replace = true;
            }
        }
        if !self.is_dirty() {
            self.flushed();
        } else if !self.flushing.is_empty() {
            // Somebody waits: no rest now.
            self.due = Some(Box::pin(sleep_until(Instant::now())));
        }
    }

    /// Writes what changed, if anything did and nothing is being written.
    pub fn write(&mut self, store: &Store) {
        if self.writing.is_some() {
            return self.debounce();
        }
        if !self.is_dirty() {
            return self.flushed();
        }
        self.due = None;
        self.began = Instant::now();
        let changes = self.changes(store);
        let (cache, key) = (self.cache.clone(), self.key.clone());
        self.writing = Some(async move { cache.write(&key, changes).await }.boxed());
    }

    /// Writes at once, and says so when it is done.
    pub fn flush(&mut self, store: &Store, done: oneshot::Sender<()>) {
        self.flushing.push(done);
        self.write(store);
    }

    /// The watch ends: writes what is left, for a bounded time.
    pub async fn finish(mut self, store: &Store) {
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
        let replace = std::mem::take(&mut self.replace);
        let set: Vec<Arc<dyn Cacheable>> = if replace {
            self.set.clear();
            let first = store.entries().filter_map(Entry::confirmed);
            let first = first.take(self.max_records);
            first.map(|it| it.clone() as Arc<dyn Cacheable>).collect()
        } else {
            let (mut kept, mut left) = (FastSet::default(), 0);
            let changed = self.set.len();
            let set = std::mem::take(&mut self.set);
            for slot in set.slots() {
                match store.at(slot) {
                    Some((index, entry)) if index < self.max_records => {
                        kept.insert(entry.id);
                    }
                    // It moved out of what is kept.
                    Some((_, entry)) => {
                        left += 1;
                        self.gone.insert(entry.id, identity(entry));
                    }
                    None => {}
                }
            }
            // Where records went, others moved up into what is kept.
            let risen = (self.gone.len() + left).min(self.max_records);
            // Where some came in, as many may have been pushed out: the file itself trims by time alone.
            let pushed_out = store.entries().skip(self.max_records).take(changed);
            self.gone.extend(pushed_out.map(|it| (it.id, identity(it))));
            let moved_up = store
                .entries()
                .take(self.max_records)
                .skip(self.max_records - risen);
            kept.extend(moved_up.map(|it| it.id));
            let kept = kept
                .into_iter()
                .filter_map(|id| store.records.get(id)?.confirmed());
            kept.map(|it| it.clone() as Arc<dyn Cacheable>).collect()
        };
        Changes {
            set,
            gone: self.gone.drain().map(|(_, identity)| identity).collect(),
            cursor: store.cursor().cloned(),
            synced_at: now_ms(),
            keep: self.max_records,
            replace,
        }
    }

    fn is_dirty(&self) -> bool {
        self.synced && (self.replace || !self.set.is_empty() || !self.gone.is_empty())
    }

    fn debounce(&mut self) {
        if self.due.is_none() && self.is_dirty() {
            let at = self.rested.max(Instant::now() + DEBOUNCE);
            self.due = Some(Box::pin(sleep_until(at)));
        }
    }

    fn flushed(&mut self) {
        for done in self.flushing.drain(..) {
            let _ = done.send(());
        }
    }
}

fn identity(entry: &Entry) -> Identity {
    (
        entry.record.space.clone(),
        entry.record.uri.shared().clone(),
    )
}

/// Waits for something that may not be under way.
async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
