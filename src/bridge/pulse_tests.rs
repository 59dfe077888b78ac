use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use contrail_sync_engine::{Engine, EngineConfig, Status};

use super::{
    super::{
        Send,
        sessions::LEASE,
        tests::{Lounge, PAGE},
    },
    *,
};

/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(20);

/// A bridge with one open handle on an appview, and its pulse with a wall clock that the test sets.
struct Beating {
    bridge: Arc<Bridge>,
    lounge: Lounge,
    seconds: Arc<AtomicU64>,
}

impl Beating {
    async fn start() -> Self {
        let lounge = Lounge::open().await;
        let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default());
        let engine = engine.unwrap();
        let (bridge, seconds) = (Arc::new(Bridge::new(engine)), Arc::new(AtomicU64::new(0)));
        let wall = seconds.clone();
        tokio::spawn(pulse(Arc::downgrade(&bridge), move || {
            UNIX_EPOCH + Duration::from_secs(wall.load(Ordering::Relaxed))
        }));
        let page: Send = Arc::new(|_, _| true);
        let opened = bridge.open("main", PAGE.into(), 1, lounge.spec(), page);
        opened.await.unwrap();
        let it = Self {
            bridge,
            lounge,
            seconds,
        };
        it.until_live(1).await;
        it
    }

    /// Follows the watch, too, until it is live on its nth connection.
    async fn until_live(&self, nth: u64) {
        let follower = self.bridge.engine.watch(self.lounge.spec()).await;
        let live = async {
            let is_live = async || follower.state().await.unwrap().status == Status::Live;
            while !is_live().await || self.lounge.server.stats().sse != nth {
                follower.next().await.unwrap();
            }
        };
        tokio::time::timeout(LATE, live).await.unwrap();
    }

    /// Lets one tick pass, in which the wall clock goes on by so many seconds.
    async fn tick(&self, by_wall: u64) {
        self.seconds.fetch_add(by_wall, Ordering::Relaxed);
        tokio::time::pause();
        // Timers go off in the millisecond after theirs.
        tokio::time::advance(TICK + Duration::from_millis(1)).await;
        tokio::time::resume();
        // The pulse runs in the same thread, and waits for nothing but the engine.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_page_without_a_sign_of_life_loses_its_handles_after_the_lease() {
    let it = Beating::start().await;
    let ticks = LEASE.as_secs() / TICK.as_secs();
    for _ in 0..ticks - 1 {
        it.tick(TICK.as_secs()).await;
    }
    assert_eq!(it.bridge.handle_count(), 1);
    it.bridge.renew("main", PAGE, true);
    for _ in 0..ticks - 1 {
        it.tick(TICK.as_secs()).await;
    }
    assert_eq!(it.bridge.handle_count(), 1);
    it.tick(TICK.as_secs()).await;
    it.tick(TICK.as_secs()).await;
    assert_eq!(it.bridge.handle_count(), 0);
    assert_eq!(it.bridge.renew("main", PAGE, true), [0; 0]);
}

#[tokio::test]
async fn after_a_sleep_pages_keep_their_handles_for_another_lease() {
    let it = Beating::start().await;
    let ticks = LEASE.as_secs() / TICK.as_secs();
    for _ in 0..ticks - 1 {
        it.tick(TICK.as_secs()).await;
    }
    it.tick(3600).await;
    for _ in 0..ticks - 1 {
        it.tick(TICK.as_secs()).await;
    }
    assert_eq!(it.bridge.handle_count(), 1);
}

#[tokio::test]
async fn a_wake_reaches_watches_that_wait() {
    let it = Beating::start().await;
    it.bridge.engine.suspend(LATE).await;
    it.bridge.wake();
    it.until_live(2).await;
}
