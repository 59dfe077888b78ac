//! Who follows a watch, as its task and its engine see it: without a queue that could be full, and true at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

/// Most watches that are remembered of those whose edits another one was told.
const MAX_INHERITED: usize = 16;

/// How many follow a watch.
#[derive(Debug)]
pub(crate) struct Presence {
    counted: Mutex<Counted>,
    changed: Notify,
}

#[derive(Debug)]
struct Counted {
    followers: usize,
    /// Since when there is nobody, if there is nobody.
    alone_since: Instant,
    /// It ends with its last follower, instead of lingering.
    retired: bool,
    /// The watches before it whose edits it was told, the last ones.
    inherited: VecDeque<u64>,
}

impl Presence {
    /// Of a new watch, with the one who wanted it.
    pub(crate) fn new() -> (Arc<Self>, Alive) {
        let counted = Counted {
            followers: 1,
            alone_since: Instant::now(),
            retired: false,
            inherited: VecDeque::new(),
        };
        let presence = Arc::new(Self {
            counted: Mutex::new(counted),
            changed: Notify::new(),
        });
        (presence.clone(), Alive(presence))
    }

    /// One more follows, unless the watch is over.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Alive> {
        let mut counted = self.lock();
        if counted.is_over() {
            return None;
        }
        counted.followers += 1;
        Some(Alive(self.clone()))
    }

    /// From now on the watch ends with its last follower; at once, if there is none.
    pub(crate) fn retire(&self) {
        self.lock().retired = true;
        self.changed.notify_one();
    }

    /// Whether the watch must end: nobody follows, and nobody can any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// Since when nobody follows; `None` if somebody does.
    pub(crate) fn alone_since(&self) -> Option<Instant> {
        let counted = self.lock();
        (counted.followers == 0).then_some(counted.alone_since)
    }

    /// Waits until somebody left, or the watch was retired, since the last call. Cancelling loses nothing.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn is_over(&self) -> bool {
        self.retired && self.followers == 0
    }
}

/// One who follows. Dropping it says that it is gone.
#[derive(Debug)]
pub(crate) struct Alive(Arc<Presence>);

impl Alive {
    /// The watch was told all edits of the one of this number, which ended before.
    pub(crate) fn inherit(&self, watch: u64) {
        let inherited = &mut self.0.lock().inherited;
        if inherited.contains(&watch) {
            return;
        }
        if inherited.len() == MAX_INHERITED {
            inherited.pop_front();
        }
        inherited.push_back(watch);
    }

    /// The watches whose edits it was told.
    pub(crate) fn inherited(&self) -> Vec<u64> {
        self.0.lock().inherited.iter().copied().collect()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        {
            let mut counted = self.0.lock();
            counted.followers -= 1;
            counted.alone_since = Instant::now();
        }
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_retired_watch_is_over_with_its_last_follower_and_takes_no_other() {
        let (presence, first) = Presence::new();
        assert!(presence.changed().now_or_never().is_none());
        presence.retire();
        assert!(presence.changed().now_or_never().is_some());
        let second = presence.enter().unwrap();
        drop(first);
        assert!(!presence.is_over() && presence.alone_since().is_none());
        drop(second);
        assert!(presence.is_over() && presence.alone_since().is_some());
        assert!(presence.enter().is_none());
        assert!(presence.changed().now_or_never().is_some());
    }

    #[test]
    fn a_watch_remembers_some_of_those_whose_edits_it_was_told() {
        let (presence, second) = Presence::new();
        let third = presence.enter().unwrap();
        let many = 100..100 + MAX_INHERITED as u64;
        for it in [1].into_iter().chain(many.clone()).chain([100]) {
            second.inherit(it);
        }
        assert_eq!(third.inherited(), many.collect::<Vec<_>>());
    }

    #[test]
    fn a_watch_that_nobody_follows_takes_others_until_it_is_retired() {
        let (presence, first) = Presence::new();
        drop(first);
        assert!(!presence.is_over());
        drop(presence.enter().unwrap());
        presence.retire();
        assert!(presence.is_over());
    }
}
