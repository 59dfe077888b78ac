//! Which watches there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::{
    cache::CacheKey,
    id::WatchId,
    watch::{
        command::Command,
        presence::{Alive, Presence},
        spec::WatchKey,
    },
};

/// How to reach a watch's task.
#[derive(Clone)]
pub(super) struct Remote {
    pub id: WatchId,
    pub commands: mpsc::Sender<Command>,
    pub presence: Arc<Presence>,
    /// What its rows go by in the cache, if it has any.
    pub rows: Option<CacheKey>,
}

/// The watches of an engine, those that end included.
#[derive(Default)]
pub(super) struct Registry {
    watches: Mutex<HashMap<WatchKey, Remote>>,
}

impl Registry {
    /// Follows the watch of this key. A new one is made by `start`, if there is room for it among `limit`.
    pub(super) fn enter(
        &self,
        key: &WatchKey,
        limit: usize,
        start: impl FnOnce() -> (Remote, Alive),
    ) -> Option<(Remote, Alive)> {
        let mut watches = self.lock();
        let known = watches.get(key).filter(|it| !it.commands.is_closed());
        if let Some(remote) = known
            && let Some(alive) = remote.presence.enter()
        {
            return Some((remote.clone(), alive));
        }
        if watches.len() >= limit && !make_room(&watches, limit) {
            return None;
        }
        let (remote, alive) = start();
        watches.insert(key.clone(), remote.clone());
        Some((remote, alive))
    }

    /// Takes out a watch that ended, unless another one has taken its place.
    pub(super) fn remove(&self, key: &WatchKey, ended: &Arc<Presence>) {
        let mut watches = self.lock();
        let is_it = |it: &Remote| Arc::ptr_eq(&it.presence, ended);
        if watches.get(key).is_some_and(is_it) {
            watches.remove(key);
        }
    }

    /// Lets watches end with their last follower, instead of lingering.
    pub(super) fn retire(&self, is_meant: impl Fn(&Remote) -> bool) {
        for remote in self.lock().values().filter(|it| is_meant(it)) {
            remote.presence.retire();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn remotes(&self) -> Vec<Remote> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn tasks(&self) -> Vec<mpsc::Sender<Command>> {
        self.lock().values().map(|it| it.commands.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WatchKey, Remote>> {
        // Nothing in here panics while it holds the lock; if something did, the map is still whole.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more among `limit`: of those that nobody follows the one ends that lingers longest. Says whether
/// there is room.
fn make_room(watches: &HashMap<WatchKey, Remote>, limit: usize) -> bool {
    let mut held = 0;
    let mut longest = None;
    for remote in watches.values() {
        if remote.commands.is_closed() || remote.presence.is_over() {
            continue;
        }
        held += 1;
        if let Some(since) = remote.presence.alone_since()
            && longest.is_none_or(|(earliest, _)| since < earliest)
        {
            longest = Some((since, &remote.presence));
        }
    }
    if held < limit {
        return true;
    }
    longest.map(|(_, presence)| presence.retire()).is_some()
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
