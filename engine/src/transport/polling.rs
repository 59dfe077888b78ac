//! How often a watch wants its list, where the server has no stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// Between two looks at whether anything changed, by default.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest time that a server can be asked to bear.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The longest one: an hour of not noticing is not noticing.
pub const MAX_POLL_INTERVAL: Duration = Duration::from_secs(3600);

/// The position of an appview does not tell of every change, so each watch lists anew after this time anyway.
pub(super) const RELIST: Duration = Duration::from_secs(90);
/// So many times longer than its interval waits a watch that nobody looks at.
const UNSEEN: u32 = 6;
/// A list that takes longer than this is asked for less often …
const SLOW: Duration = Duration::from_secs(1);
/// … so that it keeps the server busy for a tenth of the time at most.
const REST: u32 = 10;

/// What a watch wants of polling, and what it learns meanwhile. Shared between the watch and its connection.
#[derive(Debug)]
pub struct Polling {
    wanted: Duration,
    /// Whether somebody looks at the watch.
    seen: AtomicBool,
    /// How long its last list took, in milliseconds.
    took: AtomicU64,
    /// Pages that it asked for since its last turn.
    pages: AtomicU32,
    hurry: Notify,
}

impl Polling {
    /// At this interval, brought to one that makes sense.
    pub fn every(interval: Duration) -> Arc<Self> {
        Arc::new(Self {
            wanted: interval.clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL),
            seen: AtomicBool::new(true),
            took: AtomicU64::new(0),
            pages: AtomicU32::new(0),
            hurry: Notify::new(),
        })
    }

    /// A list, or a page of it, arrived after this time.
    pub(crate) fn listed(&self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.took.store(millis, Ordering::Relaxed);
        self.pages.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody looks at the watch, or nobody does any more.
    pub(crate) fn seen(&self, seen: bool) {
        if !self.seen.swap(seen, Ordering::Relaxed) && seen {
            self.hurry();
        }
    }

    /// The list is wanted as soon as the server can bear it.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits until the list is wanted soon.
    pub(super) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// The shortest time between two lists, as things stand.
    pub(crate) fn interval(&self) -> Duration {
        let seen = self.seen.load(Ordering::Relaxed);
        let wanted = if seen {
            self.wanted
        } else {
            self.wanted.saturating_mul(UNSEEN)
        };
        let took = Duration::from_millis(self.took.load(Ordering::Relaxed));
        let rest = if took > SLOW {
            took.saturating_mul(REST)
        } else {
            Duration::ZERO
        };
        wanted.max(rest).min(MAX_POLL_INTERVAL)
    }

    /// The longest time between two lists.
    pub(super) fn at_least_every(&self) -> Duration {
        self.interval().max(RELIST)
    }

    /// How many pages it asked for since the last call.
    pub(super) fn take_pages(&self) -> u32 {
        self.pages.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_nobody_sees_and_a_list_that_takes_long_are_asked_for_less_often() {
        let polling = Polling::every(Duration::from_secs(10));
        assert_eq!(polling.interval(), Duration::from_secs(10));
        assert_eq!(polling.at_least_every(), RELIST);
        polling.listed(Duration::from_secs(4));
        assert_eq!(polling.interval(), Duration::from_secs(40));
        polling.listed(Duration::from_millis(900));
        polling.seen(false);
        assert_eq!(polling.interval(), Duration::from_secs(60));
        polling.seen(true);
        assert_eq!(polling.interval(), Duration::from_secs(10));
        assert_eq!(polling.take_pages(), 2);
    }

    #[test]
    fn an_interval_is_brought_to_one_that_a_server_can_bear() {
        assert_eq!(Polling::every(Duration::ZERO).interval(), MIN_POLL_INTERVAL);
        let long = Polling::every(Duration::MAX);
        long.seen(false);
        assert_eq!(long.interval(), MAX_POLL_INTERVAL);
        assert_eq!(long.at_least_every(), MAX_POLL_INTERVAL);
    }
}
