//! How others follow a watch: a state to begin with, then deltas, pulled.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    WatchError,
    command::Command,
    edit::Edit,
    entry::Entry,
    machine::{Machine, Status},
    store::{Change, FastMap, FastSet, Store, Touch},
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
    /// Whether more is waiting already, or about to arrive with a snapshot: worth asking for at once.
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
    /// About how many bytes of JSON a delta may have.
    budget: usize,
    _alive: Arc<Alive>,
}

impl Subscription {
    pub(super) fn new(admission: Admission, commands: mpsc::Sender<Command>) -> Self {
        Self {
            id: admission.id,
            commands,
            seen: AtomicU64::new(0),
            budget: usize::MAX,
            _alive: admission.alive,
        }
    }

    /// A subscription to nothing.
    pub(super) fn ended() -> Self {
        Self {
            id: 0,
            commands: mpsc::channel(1).0,
            seen: AtomicU64::new(0),
            budget: usize::MAX,
            _alive: Arc::new(Alive(Arc::default())),
        }
    }

    /// Takes states and deltas in parts of about this many bytes of JSON; in one part by default.
    pub fn in_parts(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The whole state. Deltas after it build on it. `None` once the engine is gone.
    ///
    /// In parts, it is the first one, smaller than the others: what is on top of the list is wanted most.
    pub async fn state(&self) -> Option<State> {
        let (reply, state) = oneshot::channel();
        let command = Command::State {
            id: self.id,
            budget: self.budget.div_ceil(FIRST_PART),
            reply,
        };
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
            budget: self.budget,
            reply,
        };
        self.commands.send(command).await.ok()?;
        let delta = delta.await.ok()?;
        self.seen.fetch_max(delta.rev, Ordering::Relaxed);
        Some(delta)
    }
}

/// The first part of a state is by this factor smaller than the others.
const FIRST_PART: usize = 4;

impl Subscription {
    /// Shows an edit before the server confirms it, to all who follow the watch.
    pub async fn edit(&self, edit: Edit) -> Result<(), WatchError> {
        let (reply, done) = oneshot::channel();
        self.ask(Command::Edit { edit, reply }, done).await
    }

    /// Fetches the next page of older records, if there is one. Gives the revision of the delta, or state, from which
    /// on they are told.
    pub async fn load_more(&self) -> Result<u64, WatchError> {
        let (reply, done) = oneshot::channel();
        self.ask(Command::LoadMore { id: self.id, reply }, done)
            .await
    }

    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, WatchError>>,
    ) -> Result<T, WatchError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| WatchError::Ended)?;
        answer.await.map_err(|_| WatchError::Ended)?
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
    set: FastMap<u64, Touch>,
    gone: FastSet<u64>,
    /// What the last delta told, in case it never arrived.
    sent: Sent,
    told: Option<Heading>,
    /// It was told that the watch is live, with all there was, and nothing else since.
    was_live: bool,
    waiting: Option<Waiting>,
}

#[derive(Default)]
struct Sent {
    set: Vec<(u64, Touch)>,
    gone: Vec<u64>,
}

struct Waiting {
    budget: usize,
    reply: oneshot::Sender<Delta>,
}

/// What a delta says beside the records.
type Heading = (Status, Option<ErrorPayload>, Option<Arc<str>>);

impl Subscriber {
    pub fn new(alive: Weak<Alive>, minter: Option<Arc<dyn Minter>>) -> Self {
        Self {
            alive,
            minter,
            rev: 0,
            set: FastMap::default(),
            gone: FastSet::default(),
            sent: Sent::default(),
            told: None,
            was_live: false,
            waiting: None,
        }
    }

    /// Merges a change into what is still to be told.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Set(entry, touch) => self.note_set(entry.id, *touch),
            Change::Gone(entry) => {
                // Of what it has never heard of, it need not hear that it is gone.
                if self.set.remove(&entry.id) != Some(Touch::New) {
                    self.gone.insert(entry.id);
                }
            }
        }
    }

    fn note_set(&mut self, id: u64, touch: Touch) {
        let noted = self.set.entry(id).or_insert(touch);
        if *noted == Touch::Content || touch == Touch::New {
            *noted = touch;
        }
    }

    /// Whether there is something to tell.
    fn has_news(&self, machine: &Machine, store: &Store) -> bool {
        let more = !self.set.is_empty();
        more || !self.gone.is_empty() || self.told != Some(self.heading(machine, store, more))
    }

    /// The revision from which on this subscriber knows what the store holds now.
    pub fn next_rev(&self, machine: &Machine, store: &Store) -> u64 {
        self.rev + u64::from(self.has_news(machine, store))
    }

    /// Tells everything, whatever was told before; only the first records if all are more than the budget.
    pub fn state(&mut self, machine: &Machine, store: &Store, budget: usize) -> State {
        // What was promised for the next revision is in it.
        self.rev = self.next_rev(machine, store);
        self.gone.clear();
        self.set.clear();
        self.sent = Sent::default();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in store.entries() {
            if bytes < budget {
                bytes += entry.size();
                entries.push(entry.clone());
            } else {
                self.set.insert(entry.id, Touch::New);
            }
        }
        let more = !self.set.is_empty();
        let (status, error, cursor) = self.tell_heading(machine, store, more);
        State {
            rev: self.rev,
            status,
            error,
            cursor,
            entries,
            more,
        }
    }

    /// Live is only said with all there is.
    fn heading(&self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let status = match machine.status() {
            Status::Live if more && !self.was_live => Status::Snapshot,
            status => status,
        };
        (status, machine.error().cloned(), store.cursor().cloned())
    }

    fn tell_heading(&mut self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let heading = self.heading(machine, store, more);
        self.was_live = heading.0 == Status::Live;
        self.told = Some(heading.clone());
        heading
    }

    /// Wants the next delta as soon as there is one. If the last one never arrived, that one tells it too.
    pub fn wait(&mut self, seen: u64, budget: usize, reply: oneshot::Sender<Delta>) {
        if seen < self.rev {
            let Sent { set, gone } = std::mem::take(&mut self.sent);
            for (id, touch) in set {
                if !self.gone.contains(&id) {
                    self.note_set(id, touch);
                }
            }
            self.gone.extend(gone);
            self.told = None;
            self.rev = seen;
        }
        self.waiting = Some(Waiting { budget, reply });
    }

    /// Does not wait any longer: nothing is new.
    pub fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Tells what is new to one who waits for it.
    pub fn flush(&mut self, machine: &Machine, store: &Store) {
        // One who stopped waiting takes no delta: what it would say is kept for the next one.
        self.waiting.take_if(|it| it.reply.is_closed());
        if self.waiting.is_none() || !self.has_news(machine, store) {
            return;
        }
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let changed = self.changed(store, waiting.budget);
        let more = !self.set.is_empty();
        let arriving = matches!(machine.status(), Status::Connecting | Status::Snapshot);
        let untold = self.set.values().filter(|it| **it == Touch::New).count();
        let mut removed: Vec<u64> = self.gone.drain().collect();
        removed.sort_unstable();
        self.rev += 1;
        self.sent.gone.clone_from(&removed);
        let (status, error, cursor) = self.tell_heading(machine, store, more);
        let delta = Delta {
            rev: self.rev,
            status,
            error,
            cursor,
            len: store.len() - untold,
            removed,
            changed,
            more: more || arriving,
        };
        let _ = waiting.reply.send(delta);
    }

    /// Takes as much of what changed as the budget allows, with the indices it has among what is told.
    fn changed(&mut self, store: &Store, budget: usize) -> Vec<Changed> {
        self.sent.set.clear();
        if self.set.len() <= FEW {
            let mut changed = Vec::with_capacity(self.set.len());
            let mut bytes = 0;
            for id in self.set.keys() {
                if let Some((index, entry)) = store.find(*id) {
                    bytes += entry.size();
                    changed.push(Changed {
                        index,
                        entry: entry.clone(),
                    });
                }
            }
            if bytes <= budget {
                changed.sort_unstable_by_key(|it| it.index);
                self.sent.set.extend(self.set.drain());
                return changed;
            }
        }
        self.first_changed(store, budget)
    }

    /// In one walk along the order. Records that moved all go at once: where they were, they must not stay. Of the
    /// others those beyond the budget wait: a new one is not there yet, a changed one still has its old content.
    fn first_changed(&mut self, store: &Store, budget: usize) -> Vec<Changed> {
        let (mut changed, mut bytes, mut index) = (Vec::new(), 0, 0);
        let mut moved = self.set.values().filter(|it| **it == Touch::Moved).count();
        for entry in store.entries() {
            if bytes >= budget && moved == 0 {
                break;
            }
            let Some(touch) = self.set.get(&entry.id).copied() else {
                index += 1;
                continue;
            };
            if bytes < budget || touch == Touch::Moved {
                bytes += entry.size();
                moved -= usize::from(touch == Touch::Moved);
                changed.push(Changed {
                    index,
                    entry: entry.clone(),
                });
                self.set.remove(&entry.id);
                self.sent.set.push((entry.id, touch));
                index += 1;
            } else if touch == Touch::Content {
                index += 1;
            }
        }
        changed
    }
}

/// Changes up to here are looked up one by one; more are found in a walk along the order.
const FEW: usize = 2048;
