//! Which client carries a request: several per origin where HTTP/2 limits what one connection can carry.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, Version};
use rustls::ClientConfig;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout},
};
use url::Url;

use super::client::{STREAMS, streaming};

/// How long the first answer of a connection is waited for. Requests that all start at once would each open one.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a client that nobody uses keeps its connection: a ticket's request is followed by its watch's.
const LINGER: Duration = Duration::from_secs(2);
/// A request given up after this long without an answer casts doubt on its connection: it may be dead, or the
/// server allows fewer streams than usual.
const HANG: Duration = Duration::from_secs(10);

/// Clients by origin, made when needed and dropped when unused. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: ClientConfig,
    /// Holds the origins in use only.
    origins: Mutex<HashMap<String, Origin>>,
}

#[derive(Debug)]
struct Origin {
    /// Each of its streams is a connection of its own, so a client carries any number.
    http1: bool,
    clients: Vec<Pooled>,
}

#[derive(Debug, Clone)]
struct Pooled {
    client: Client,
    made: Instant,
    /// Lets one request through at a time, until the first answer closes it.
    gate: Arc<Semaphore>,
    /// How many leases there are. It rises under the lock only.
    leases: Arc<watch::Sender<usize>>,
    /// Takes no more requests.
    doubtful: Arc<AtomicBool>,
}

/// The use of a client for one request and its answer. Dropping it gives the place to another one.
#[derive(Debug)]
pub(super) struct Lease {
    pooled: Pooled,
    shared: Weak<Shared>,
    origin: String,
    /// When the request might start, as long as there is no answer.
    unanswered: Option<Instant>,
    /// Whoever has it goes first; the next one does if that fails.
    _first: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let origins = Mutex::default();
        Self {
            shared: Arc::new(Shared { tls, origins }),
        }
    }

    /// A place for one request to the URL's origin, once that may start. Cancelling gives it back.
    pub(super) async fn lease(&self, url: &Url) -> reqwest::Result<Lease> {
        let (mut lease, http1) = self.shared.take(url)?;
        if !http1 {
            let gate = lease.pooled.gate.clone();
            match timeout(WARM_UP, gate.acquire_owned()).await {
                Ok(first) => lease._first = first.ok(),
                // The one ahead may hang for long. Nobody else waits for it.
                Err(_) => lease.pooled.gate.close(),
            }
        }
        lease.unanswered = Some(Instant::now());
        Ok(lease)
    }

    /// A connection to the URL's origin has been silent since then: what was connected before, idle connections included,
    /// takes no more requests.
    pub(super) fn doubt(&self, url: &Url, silent_since: Instant) {
        let origins = self.shared.lock();
        let known = origins.get(&url.origin().ascii_serialization());
        let clients = known.into_iter().flat_map(|it| &it.clients);
        let older = clients.filter(|it| it.made <= silent_since);
        older.for_each(Pooled::doubt);
    }

    /// The machine slept, or is about to: no connection that there is takes more requests.
    pub(super) fn doubt_all(&self) {
        let origins = self.shared.lock();
        let clients = origins.values().flat_map(|it| &it.clients);
        clients.for_each(Pooled::doubt);
    }
}

impl Shared {
    /// Takes a place at the first client that has one, and tells whether the origin is known for HTTP/1.1.
    fn take(self: &Arc<Self>, url: &Url) -> reqwest::Result<(Lease, bool)> {
        let name = url.origin().ascii_serialization();
        let mut origins = self.lock();
        let known = origins.get_mut(&name);
        let http1 = known.as_ref().map_or(url.scheme() == "http", |it| it.http1);
        let has_room = |it: &&mut Pooled| it.has_room(http1);
        let pooled = match known.and_then(|it| it.clients.iter_mut().find(has_room)) {
            Some(pooled) => {
                // Nobody knows whether an unused client still has a connection.
                if *pooled.leases.borrow() == 0 {
                    pooled.gate = Arc::new(Semaphore::new(1));
                }
                pooled.clone()
            }
            None => {
                let pooled = Pooled {
                    client: streaming(self.tls.clone())?,
                    made: Instant::now(),
                    gate: Arc::new(Semaphore::new(1)),
                    leases: Arc::default(),
                    doubtful: Arc::default(),
                };
                let leases = pooled.leases.subscribe();
                tokio::spawn(retire(Arc::downgrade(self), name.clone(), leases));
                let clients = Vec::new();
                let origin = origins.entry(name.clone());
                let origin = origin.or_insert(Origin { http1, clients });
                origin.clients.push(pooled.clone());
                pooled
            }
        };
        pooled.leases.send_modify(|leases| *leases += 1);
        let lease = Lease {
            pooled,
            shared: Arc::downgrade(self),
            origin: name,
            unanswered: None,
            _first: None,
        };
        Ok((lease, http1))
    }

    /// Drops the client whose leases these are, unless it is used again.
    fn drop_unused(&self, origin: &str, leases: &watch::Receiver<usize>) -> bool {
        let mut origins = self.lock();
        let Some(known) = origins.get_mut(origin) else {
            return true;
        };
        if *leases.borrow() > 0 {
            return false;
        }
        let others = |it: &Pooled| !it.leases.subscribe().same_channel(leases);
        known.clients.retain(others);
        if known.clients.is_empty() {
            origins.remove(origin);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Origin>> {
        // Nothing in here panics while it holds the lock; if something did, the map is still whole.
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a client has been unused for a while, and drops it.
async fn retire(shared: Weak<Shared>, origin: String, mut leases: watch::Receiver<usize>) {
    // An error means that the pool and all leases are gone.
    while leases.wait_for(|leases| *leases == 0).await.is_ok() {
        let used_again = leases.wait_for(|leases| *leases > 0);
        match timeout(LINGER, used_again).await {
            Ok(Ok(_)) => continue,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.drop_unused(&origin, &leases) {
            return;
        }
    }
}

impl Pooled {
    fn has_room(&self, http1: bool) -> bool {
        let full = !http1 && *self.leases.borrow() >= STREAMS;
        !full && !self.doubtful.load(Ordering::Relaxed)
    }

    fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }
}

impl Lease {
    pub(super) fn client(&self) -> &Client {
        &self.pooled.client
    }

    /// The head of an answer is there: others need not wait any more.
    pub(super) fn answered(&mut self, version: Version) {
        self.unanswered = None;
        self.pooled.gate.close();
        if let Some(shared) = self.shared.upgrade()
            && let Some(origin) = shared.lock().get_mut(&self.origin)
        {
            origin.http1 = version < Version::HTTP_2;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.unanswered.is_some_and(|since| since.elapsed() >= HANG) {
            self.pooled.doubt();
        }
        self.pooled.leases.send_modify(|leases| *leases -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::transport::client::default_tls;

    fn cold() -> (Pool, Url) {
        let pool = Pool::new(default_tls().unwrap());
        (pool, "https://appview.example/x".parse().unwrap())
    }

    /// A pool that knows its origin's version, and the lease that it knows it from.
    async fn warm(version: Version) -> (Pool, Url, Vec<Lease>) {
        let (pool, url) = cold();
        let mut first = pool.lease(&url).await.unwrap();
        first.answered(version);
        (pool, url, vec![first])
    }

    /// How many places are taken at each client.
    fn taken(pool: &Pool) -> Vec<usize> {
        let origins = pool.shared.lock();
        let clients = origins.values().flat_map(|origin| &origin.clients);
        clients.map(|it| *it.leases.borrow()).collect()
    }

    #[tokio::test]
    async fn one_request_goes_ahead_until_there_is_an_answer() {
        let (pool, url) = cold();
        let first = pool.lease(&url).await.unwrap();
        let (mut second, mut third) = (pin!(pool.lease(&url)), pin!(pool.lease(&url)));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let mut second = second
            .now_or_never()
            .expect("the first one failed")
            .unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        second.answered(Version::HTTP_2);
        assert!(third.now_or_never().is_some());
        assert!(pool.lease(&url).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_holds_up_no_other_for_long() {
        let (pool, url) = cold();
        let _hangs = pool.lease(&url).await.unwrap();
        let start = Instant::now();
        let _second = pool.lease(&url).await.unwrap();
        assert_eq!(start.elapsed(), WARM_UP);
        assert!(pool.lease(&url).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_request_that_is_cancelled_gives_its_place_back() {
        let (pool, url) = cold();
        let first = pool.lease(&url).await.unwrap();
        assert!(pool.lease(&url).now_or_never().is_none());
        assert_eq!(taken(&pool), [1]);
        drop(first);
        assert_eq!(taken(&pool), [0]);
        // Nothing is known about an unused connection: again one goes ahead.
        let _first = pool.lease(&url).now_or_never().unwrap();
        assert!(pool.lease(&url).now_or_never().is_none());
    }

    #[tokio::test]
    async fn streams_beyond_the_limit_go_to_another_client_and_fill_gaps_first() {
        let (pool, url, mut leases) = warm(Version::HTTP_2).await;
        for _ in 1..STREAMS {
            leases.push(pool.lease(&url).await.unwrap());
        }
        let over = pool.lease(&url).await.unwrap();
        assert_eq!(taken(&pool), [STREAMS, 1]);
        leases.pop();
        leases.push(pool.lease(&url).await.unwrap());
        assert_eq!(taken(&pool), [STREAMS, 1]);
        drop(over);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_before_a_silence_began_is_left_whatever_the_version_and_what_came_after_is_not()
     {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let (pool, url, _leases) = warm(version).await;
            sleep(LINGER).await;
            let silent_since = Instant::now();
            sleep(LINGER).await;
            pool.doubt(&"https://another.example/".parse().unwrap(), silent_since);
            let _same = pool.lease(&url).await.unwrap();
            assert_eq!(taken(&pool), [2], "{version:?}");
            // Many notice the same silence, one after the other.
            for others in 1..=3 {
                pool.doubt(&url, silent_since);
                let lease = pool.lease(&url).await.unwrap();
                assert_eq!(taken(&pool), [2, others], "{version:?}");
                std::mem::forget(lease);
            }
            pool.doubt_all();
            let _new = pool.lease(&url).await.unwrap();
            assert_eq!(taken(&pool), [2, 3, 1], "{version:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_request_that_hung_others_use_another_connection() {
        let (pool, url, _leases) = warm(Version::HTTP_2).await;
        let hangs = pool.lease(&url).await.unwrap();
        let cancelled = pool.lease(&url).await.unwrap();
        sleep(HANG / 2).await;
        drop(cancelled);
        let _good = pool.lease(&url).await.unwrap();
        assert_eq!(taken(&pool), [3]);
        sleep(HANG / 2).await;
        drop(hangs);
        let _next = pool.lease(&url).await.unwrap();
        assert_eq!(taken(&pool), [2, 1]);
    }

    #[tokio::test]
    async fn over_http_1_1_one_client_is_enough_and_nobody_waits() {
        let (pool, url, mut leases) = warm(Version::HTTP_11).await;
        let plain: Url = "http://appview.example/x".parse().unwrap();
        for _ in 0..2 * STREAMS {
            leases.push(pool.lease(&url).now_or_never().unwrap().unwrap());
            leases.push(pool.lease(&plain).now_or_never().unwrap().unwrap());
        }
        let mut clients = taken(&pool);
        clients.sort_unstable();
        assert_eq!(clients, [2 * STREAMS, 2 * STREAMS + 1]);
    }

    #[tokio::test]
    async fn a_pool_that_is_gone_keeps_no_task_busy() {
        let (pool, url) = cold();
        drop(pool.lease(&url).await.unwrap());
        let leases = pool.shared.lock()["https://appview.example"].clients[0]
            .leases
            .subscribe();
        drop(pool);
        let retired = retire(Weak::new(), String::new(), leases);
        assert!(retired.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn unused_clients_are_dropped_and_nothing_is_remembered() {
        let (pool, url, mut leases) = warm(Version::HTTP_2).await;
        for _ in 0..STREAMS {
            leases.push(pool.lease(&url).await.unwrap());
        }
        leases.pop();
        sleep(2 * LINGER).await;
        assert_eq!(taken(&pool), [STREAMS]);
        leases.clear();
        sleep(LINGER / 2).await;
        assert_eq!(taken(&pool), [0]);
        sleep(2 * LINGER).await;
        assert!(pool.shared.lock().is_empty());
    }
}
