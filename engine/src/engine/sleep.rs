//! Notices that the machine slept: sockets die silently then.

use std::{
    sync::Weak,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, MissedTickBehavior};

use super::{Engine, Inner};

/// Time between two looks at the clocks.
const TICK: Duration = Duration::from_secs(10);
/// Longest wait for the cache before the connections are made anew.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// A clock that is ahead by more than this was not merely set, or late.
const JUMP: Duration = Duration::from_secs(30);

/// Compares the readings of two clocks, taken at a slow tick. Pure: the caller reads the clocks.
///
/// The wall clock goes on while the machine sleeps; on most systems the monotonic one stands still. Where it
/// goes on as well, the tick comes late by both.
#[derive(Debug)]
pub struct SleepWatch {
    tick: Duration,
    wall: SystemTime,
    steady: Instant,
}

impl SleepWatch {
    /// Begins with these readings; the next ones come after `tick`.
    pub fn new(tick: Duration, wall: SystemTime, steady: Instant) -> Self {
        Self { tick, wall, steady }
    }

    /// Takes the readings of a tick. Says whether the machine slept since the last ones.
    pub fn slept(&mut self, wall: SystemTime, steady: Instant) -> bool {
        // A wall clock that was set back tells nothing.
        let by_wall = wall.duration_since(self.wall).unwrap_or_default();
        let by_steady = steady.saturating_duration_since(self.steady);
        (self.wall, self.steady) = (wall, steady);
        by_wall.saturating_sub(by_steady) > JUMP || by_steady > self.tick + JUMP
    }
}

/// Connects all watches anew after the machine slept, until the engine is gone. `wall` tells the time of day.
pub(super) async fn watch(engine: Weak<Inner>, wall: impl Fn() -> SystemTime) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clocks = SleepWatch::new(TICK, wall(), Instant::now());
    loop {
        ticks.tick().await;
        let Some(inner) = engine.upgrade() else {
            return;
        };
        if clocks.slept(wall(), Instant::now()) {
            tracing::debug!("the machine slept");
            let engine = Engine { inner };
            engine.suspend(LAST_WRITE).await;
            engine.wake().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::UNIX_EPOCH,
    };

    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        engine::config::EngineConfig, pure::lifecycle::machine::Status, watch::spec::WatchSpec,
    };

    #[test]
    fn a_jump_of_either_clock_is_a_sleep_and_nothing_else_is() {
        let second = Duration::from_secs(1);
        let (mut wall, mut steady) = (SystemTime::UNIX_EPOCH, Instant::now());
        let mut watch = SleepWatch::new(TICK, wall, steady);
        for (by_wall, by_steady, slept) in [
            (10, 10, false),
            // Asleep for an hour: the monotonic clock stood still, or did not.
            (3610, 10, true),
            (10, 10, false),
            (3610, 3610, true),
            // A busy machine, or a clock that was set a little.
            (25, 25, false),
            (35, 10, false),
            (41, 10, true),
        ] {
            wall += second * by_wall;
            steady += second * by_steady;
            assert_eq!(watch.slept(wall, steady), slept, "{by_wall} {by_steady}");
        }
        // Set back: not a sleep, nor is the tick after it.
        wall -= second * 3600;
        steady += TICK;
        assert!(!watch.slept(wall, steady));
        assert!(!watch.slept(wall + TICK, steady + TICK));
    }

    #[tokio::test]
    async fn after_a_sleep_watches_connect_anew() {
        let server = appview::Server::start(Default::default()).await.unwrap();
        let query = server.open_space("lounge", "did:plc:alice").unwrap().query;
        let url = "/xrpc/com.example.message.watchRecords";
        let url = format!("{}{url}?{query}", server.url()).parse().unwrap();
        let engine = Engine::new(Handle::current(), EngineConfig::default()).unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let wall = seconds.clone();
        let wall = move || UNIX_EPOCH + Duration::from_secs(wall.load(Ordering::Relaxed));
        let sleeps = watch(Arc::downgrade(&engine.inner), wall);
        tokio::spawn(sleeps);
        let follower = engine.watch(WatchSpec::new(url, Arc::new(|_| true))).await;
        let live = async |nth| {
            while follower.state().await.unwrap().status != Status::Live
                || server.stats().sse != nth
            {
                follower.next().await.unwrap();
            }
        };
        let late = Duration::from_secs(20);
        tokio::time::timeout(late, live(1)).await.unwrap();
        for (slept, connects) in [(0, 1), (3600, 2)] {
            seconds.fetch_add(TICK.as_secs() + slept, Ordering::Relaxed);
            tokio::time::pause();
            // Timers go off in the millisecond after theirs.
            tokio::time::advance(TICK + Duration::from_millis(1)).await;
            tokio::time::resume();
            tokio::time::timeout(late, live(connects)).await.unwrap();
        }
    }
}
