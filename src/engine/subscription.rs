//! How others follow a watch: a state to begin with, then deltas, pulled.

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    machine::{Machine, Status},
    order::Entry,
    store::{Change, Store},
    watch::Command,
};
use crate::{error::ErrorPayload, tickets::Minter};

/// Everything about a watch at one moment.
#[derive(Debug, Clone)]
pub struct State {
    /// Revision for this subscriber; the next delta has the next one.
    pub rev: u64,
    /// Where the watch stands.
    pub status: Status,
    /// The last failure, until live again.
    pub error: Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    pub cursor: Option<Arc<str>>,
    /// The records in order; only the first ones if there is `more`.
    pub entries: Vec<Arc<Entry>>,
    /// Whether more is waiting right now, which the next deltas tell.
    pub more: bool,
}

/// What changed since the revision before.
#[derive(Debug, Clone)]
pub struct Delta {
    /// One more than the revision this applies to.
    pub rev: u64,
    /// Where the watch stands.
    pub status: Status,
    /// The last failure, until live again.
    pub error: Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    pub cursor: Option<Arc<str>>,
    /// How many records there are now.
    pub len: usize,
    /// Ids that are gone.
    pub removed: Vec<u64>,
    /// New, changed and moved records, by ascending index.
    pub changed: Vec<Changed>,
    /// Whether more is waiting right now, which the next deltas tell.
    pub more: bool,
}

/// A record with the index it has once the delta is applied.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Final index.
    pub index: usize,
    /// The record.
    pub entry: Arc<Entry>,
}

/// One follower of a watch. Dropping it ends it; the watch goes on for the others.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    commands: mpsc::Sender<Command>,
    /// The last revision that arrived here.
    seen: AtomicU64,
    _alive: Arc<Alive>,
}

impl Subscription {
    pub(super) fn new(admission: Admission, commands: mpsc::Sender<Command>) -> Self {
        Self {
            id: admission.id,
            commands,
            seen: AtomicU64::new(0),
            _alive: admission.alive,
        }
    }

    /// A subscription to nothing.
    pub(super) fn ended() -> Self {
        Self {
            id: 0,
            commands: mpsc::channel(1).0,
            seen: AtomicU64::new(0),
            _alive: Arc::new(Alive(Arc::default())),
        }
    }

    /// The whole state. Deltas after it build on it. `None` once the engine is gone.
    pub async fn state(&self) -> Option<State> {
        let (reply, state) = oneshot::channel();
        let command = Command::State { id: self.id, reply };
        self.commands.send(command).await.ok()?;
        let state = state.await.ok()?;
        self.seen.fetch_max(state.rev, Ordering::Relaxed);
        Some(state)
    }

    /// Waits for something to change and gives all that did since the last state or delta.
    /// `None` once the engine is gone. Cancelling loses nothing.
    pub async fn next(&self) -> Option<Delta> {
        self.pull(false).await
    }

    /// Gives what changed since the last state or delta, without waiting for anything to change. `None` if
    /// nothing did, or the engine is gone. Ends a [`next`](Self::next) that waits meanwhile.
    pub async fn try_next(&self) -> Option<Delta> {
        self.pull(true).await
    }

    async fn pull(&self, now: bool) -> Option<Delta> {
        let (reply, delta) = oneshot::channel();
        let command = Command::Pull {
            id: self.id,
            seen: self.seen.load(Ordering::Relaxed),
            now,
            reply,
        };
        self.commands.send(command).await.ok()?;
        let delta = delta.await.ok()?;
        self.seen.fetch_max(delta.rev, Ordering::Relaxed);
        Some(delta)
    }
}

/// Says that a subscription is gone, without a queue that could be full.
#[derive(Debug)]
pub(super) struct Alive(pub Arc<Notify>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// What a watch's task gives a new subscriber.
#[derive(Debug)]
pub(super) struct Admission {
    pub id: u64,
    pub alive: Arc<Alive>,
}

/// A subscriber as its watch's task sees it: what it has not been told yet.
pub(super) struct Subscriber {
    pub alive: Weak<Alive>,
    pub minter: Option<Arc<dyn Minter>>,
    rev: u64,
    set: HashSet<u64>,
    gone: HashSet<u64>,
    /// What the last delta told, in case it never arrived.
    sent: (Vec<u64>, Vec<u64>),
    /// Ids below this may be known to the subscriber: of later ones it need not hear that they are gone.
    known: u64,
    told: Option<Heading>,
    waiting: Option<oneshot::Sender<Delta>>,
}

/// What a delta says beside the records.
type Heading = (Status, Option<ErrorPayload>, Option<Arc<str>>);

fn heading(machine: &Machine, store: &Store) -> Heading {
    (
        machine.status(),
        machine.error().cloned(),
        store.cursor().cloned(),
    )
}

impl Subscriber {
    pub fn new(alive: Weak<Alive>, minter: Option<Arc<dyn Minter>>) -> Self {
        Self {
            alive,
            minter,
            rev: 0,
            set: HashSet::new(),
            gone: HashSet::new(),
            sent: (Vec::new(), Vec::new()),
            known: 0,
            told: None,
            waiting: None,
        }
    }

    /// Merges a change into what is still to be told.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Set(id) => {
                self.gone.remove(id);
                self.set.insert(*id);
            }
            Change::Gone(entry) => {
                self.set.remove(&entry.id);
                if entry.id < self.known {
                    self.gone.insert(entry.id);
                }
            }
        }
    }

    /// Tells everything, whatever was told before.
    pub fn state(&mut self, machine: &Machine, store: &Store) -> State {
        self.set.clear();
        self.gone.clear();
        self.known = store.next_id();
        let told = heading(machine, store);
        self.told = Some(told.clone());
        State {
            rev: self.rev,
            status: told.0,
            error: told.1,
            cursor: told.2,
            entries: store.entries().cloned().collect(),
            more: false,
        }
    }

    /// Wants the next delta as soon as there is one. If the last one never arrived, that one tells it too.
    pub fn wait(&mut self, seen: u64, reply: oneshot::Sender<Delta>) {
        if seen < self.rev {
            let (set, gone) = std::mem::take(&mut self.sent);
            self.set
                .extend(set.into_iter().filter(|id| !self.gone.contains(id)));
            self.gone.extend(gone);
            self.told = None;
            self.rev = seen;
        }
        self.waiting = Some(reply);
    }

    /// Does not wait any longer: nothing is new.
    pub fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Tells what is new to one who waits for it.
    pub fn flush(&mut self, machine: &Machine, store: &Store) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let now = heading(machine, store);
        let nothing_new =
            self.set.is_empty() && self.gone.is_empty() && self.told.as_ref() == Some(&now);
        // One who stopped waiting takes no delta: what it would say is kept for the next one.
        if waiting.is_closed() {
            return;
        }
        if nothing_new {
            self.waiting = Some(waiting);
            return;
        }
        self.rev += 1;
        self.told = Some(now.clone());
        self.known = store.next_id();
        let mut changed: Vec<Changed> = self
            .set
            .drain()
            .filter_map(|id| {
                let (index, entry) = store.find(id)?;
                Some(Changed {
                    index,
                    entry: entry.clone(),
                })
            })
            .collect();
        changed.sort_unstable_by_key(|changed| changed.index);
        let mut removed: Vec<u64> = self.gone.drain().collect();
        removed.sort_unstable();
        self.sent = (
            changed.iter().map(|it| it.entry.id).collect(),
            removed.clone(),
        );
        let delta = Delta {
            rev: self.rev,
            status: now.0,
            error: now.1,
            cursor: now.2,
            len: store.len(),
            removed,
            changed,
            more: false,
        };
        let _ = waiting.send(delta);
    }
}
