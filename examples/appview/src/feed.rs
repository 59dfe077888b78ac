//! The feed of changes: who hears of them, when they are said to have happened, and what a Durable Object replays.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::record::{Change, What};
use crate::world::{State, World, now_ms};

/// How far back a Durable Object's replay buffer reaches, in milliseconds.
const REPLAY_MS: i64 = 15_000;
/// How many events it holds.
const REPLAY_EVENTS: usize = 500;
/// Changes a watch may lag behind before its connection is cut. The real server would let it lag for ever.
pub(crate) const FEED_CAPACITY: usize = 8192;
/// What lies between storing a record and publishing it, in milliseconds.
const PUBLICATION_MS: i64 = 2;

/// Times that only go forward.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    stored_ms: i64,
    /// Time of the last change, and of the last handshake: a change lies after every earlier handshake, and
    /// not after a later one, even within one millisecond.
    change_ms: i64,
    handshake_ms: i64,
}

impl Clock {
    /// When a record that is published now was stored.
    pub(crate) fn stored_now() -> i64 {
        now_ms() - PUBLICATION_MS
    }

    /// Would a record that is stored now be later than all before?
    pub(crate) fn has_moved_on(&self) -> bool {
        Self::stored_now() > self.stored_ms
    }

    /// The time of a record that is stored now; perhaps that of the one before.
    pub(crate) fn store(&mut self) -> i64 {
        self.stored_ms = self.stored_ms.max(Self::stored_now());
        self.stored_ms
    }

    fn publish(&mut self) -> i64 {
        let after = self.change_ms.max(self.handshake_ms + 1);
        self.change_ms = now_ms().max(after);
        self.change_ms
    }
}

/// What a space's Durable Object remembers.
#[derive(Debug, Default)]
pub(crate) struct Object {
    recent: VecDeque<Arc<Change>>,
    /// When something was last asked of it.
    asked_ms: i64,
}

impl Object {
    /// Something is asked of it: if it slept, it has forgotten everything.
    fn wake(&mut self, at_ms: i64, sleeps_after_ms: Option<i64>) {
        if sleeps_after_ms.is_some_and(|ms| at_ms - self.asked_ms > ms) {
            self.recent.clear();
        }
        self.asked_ms = at_ms;
    }

    fn push(&mut self, change: Arc<Change>) {
        let oldest_ms = change.at_ms - REPLAY_MS;
        let is_old = |old: &Arc<Change>| old.at_ms < oldest_ms;
        while self.recent.len() >= REPLAY_EVENTS || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.recent.push_back(change);
    }
}

impl World {
    /// Every change from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Change>> {
        self.feed.subscribe()
    }

    /// Changes that the slowest of those who follow has not taken yet.
    pub(crate) fn behind(&self) -> usize {
        self.feed.len()
    }

    /// A time that lies between the changes so far and the ones to come.
    pub(crate) fn mark(&self) -> i64 {
        let clock = &mut self.lock().clock;
        clock.handshake_ms = now_ms().max(clock.change_ms);
        clock.handshake_ms
    }

    /// Every change from now on, and what the space's Durable Object still has that is newer than `since_ms`.
    pub(crate) fn follow_since(
        &self,
        space_uri: &str,
        since_ms: i64,
    ) -> (VecDeque<Arc<Change>>, broadcast::Receiver<Arc<Change>>) {
        let mut state = self.lock();
        let losses = state.losses;
        let now = now_ms();
        let newer = since_ms.max(now - REPLAY_MS);
        let replay = state.spaces.get_mut(space_uri).map(|space| {
            space.object.wake(now, losses.object_sleeps_after_ms);
            let recent = space.object.recent.iter();
            let told = |change: &Change| {
                !losses.replayed_kicks || !matches!(change.what, What::Kicked { .. })
            };
            recent
                .filter(|change| change.at_ms > newer && told(change))
                .cloned()
                .collect()
        });
        (replay.unwrap_or_default(), self.feed.subscribe())
    }

    /// Called under the lock, so that everyone sees changes in the order in which they were made.
    pub(crate) fn publish(&self, state: &mut State, space: Option<Arc<str>>, what: What) {
        let at_ms = state.clock.publish();
        let sleeps_after_ms = state.losses.object_sleeps_after_ms;
        let change = Arc::new(Change { at_ms, space, what });
        let space = change.space.as_ref();
        if let Some(space) = space.and_then(|uri| state.spaces.get_mut(uri)) {
            space.object.wake(now_ms(), sleeps_after_ms);
            space.object.push(change.clone());
        }
        // Nobody listening is no error.
        let _ = self.feed.send(change);
    }
}

impl State {
    /// Is what happens in the space told to anybody? Not what a community does in a space of its own, if that is lost:
    /// `author` wrote or deleted something there, or nobody in particular changed the members.
    pub(crate) fn is_published(&self, space_uri: Option<&str>, author: Option<&str>) -> bool {
        let owner = space_uri.and_then(|uri| Some(self.spaces.get(uri)?.owner.as_str()));
        let Some(owner) = owner.filter(|owner| self.communities.contains(*owner)) else {
            return true;
        };
        !self.losses.community_events || author.is_some_and(|author| author != owner)
    }
}
