//! One watch, whatever carries it: its snapshot, then its live events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use crate::auth::Caller;
use crate::fault::Fault;
use crate::hydrate::hydrate;
use crate::query::Query;
use crate::reach::Reach;
use crate::record::{Change, What};
use crate::settings::Losses;
use crate::tracker::Tracker;
use crate::wire::{Event, Snapshot};
use crate::world::World;

/// A watch that is open.
pub(crate) struct Watch {
    world: Arc<World>,
    query: Query,
    reach: Reach,
    did: Option<String>,
    tracker: Tracker,
    changes: Receiver<Arc<Change>>,
    /// Taken from the feed, or replayed, and not told yet.
    queue: VecDeque<Arc<Change>>,
    losses: Losses,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Event(Event),
    /// The caller lost access.
    Revoked(Event),
    /// The watch fell too far behind.
    Lost,
}

/// A snapshot, read.
pub(crate) struct SnapshotRead {
    pub(crate) records: Vec<Snapshot>,
    pub(crate) cursor: Option<String>,
}

/// Reads the query's page, or fails as the fault says.
pub(crate) async fn read_snapshot(
    world: &World,
    query: &Query,
    reach: &Reach,
    fault: &Fault,
) -> Result<SnapshotRead, String> {
    wait(fault.snapshot_delay_ms).await;
    if let Some(message) = &fault.snapshot_error {
        return Err(message.clone());
    }
    let records = reach.records(world, query);
    let page = query.page(records, |record| reach.time(record));
    let records = hydrate(world, query, &page, |record| reach.time(record));
    Ok(SnapshotRead {
        records,
        cursor: page.cursor,
    })
}

/// Waits as long as a fault says.
pub(crate) async fn wait(ms: Option<u64>) {
    if let Some(ms) = ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Watch {
    /// Follows changes from now on; the snapshot comes later and misses nothing.
    pub(crate) fn open(world: Arc<World>, query: Query, caller: Caller) -> Self {
        Self {
            tracker: Tracker::in_worker(&query),
            changes: world.follow(),
            queue: VecDeque::new(),
            losses: world.losses(),
            reach: caller.reach,
            did: caller.did,
            query,
            world,
        }
    }

    /// Ended in a Durable Object: no snapshot, but what it replays since `since_ms`.
    pub(crate) fn open_object(
        world: Arc<World>,
        query: Query,
        caller: Caller,
        space_uri: &str,
        since_ms: Option<i64>,
    ) -> Self {
        let since_ms = since_ms.unwrap_or(i64::MAX);
        let (queue, changes) = world.follow_since(space_uri, since_ms);
        let tracker = Tracker::in_object(&query, caller.spec.hydrate.clone());
        let mut losses = world.losses();
        // An object pushes to its sockets itself.
        losses.queue_bound = None;
        Self {
            tracker,
            changes,
            queue,
            losses,
            reach: caller.reach,
            did: caller.did,
            query,
            world,
        }
    }

    /// `snapshot.start`, sent before the query runs.
    pub(crate) fn start(&self) -> Event {
        Event::snapshot_start(&self.reach, self.query.collection.nsid)
    }

    /// The rest of the snapshot, or the one error event that ends the watch.
    pub(crate) async fn snapshot(
        &mut self,
        fault: &Fault,
    ) -> Result<impl Iterator<Item = Event> + use<>, Event> {
        let read = read_snapshot(&self.world, &self.query, &self.reach, fault).await;
        let read = read.map_err(|message| Event::error(&message))?;
        if let Some(ms) = self.losses.subscribes_after_ms {
            wait(Some(ms)).await;
            self.changes = self.changes.resubscribe();
        }
        self.tracker.see(&self.query, &read.records);
        let end = Event::snapshot_end(read.cursor.as_deref());
        let records = read.records.into_iter();
        let events = records.map(|record| Event::snapshot_record(&record));
        Ok(events.chain(std::iter::once(end)))
    }

    /// The next live event. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if let Some(next) = self.ready() {
                return next;
            }
            match self.changes.recv().await {
                Ok(change) => self.queue.push_back(change),
                Err(RecvError::Lagged(_)) if self.losses.queue_bound.is_some() => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Next::Lost,
            }
        }
    }

    /// The next live event, if it is there already.
    pub(crate) fn ready(&mut self) -> Option<Next> {
        loop {
            if let Some(bound) = self.losses.queue_bound {
                self.keep_the_newest(bound);
            }
            let change = match self
                .queue
                .pop_front()
                .map_or_else(|| self.changes.try_recv(), Ok)
            {
                Ok(change) => change,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Lagged(_)) if self.losses.queue_bound.is_some() => continue,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return Some(Next::Lost),
            };
            if let Some(next) = self.look_at(&change) {
                return Some(next);
            }
        }
    }

    /// Takes what there is from the feed, and loses the oldest beyond the bound in silence.
    fn keep_the_newest(&mut self, bound: usize) {
        loop {
            match self.changes.try_recv() {
                Ok(change) if self.reach.includes(&change) => self.queue.push_back(change),
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let excess = self.queue.len().saturating_sub(bound);
        self.queue.drain(..excess);
    }

    fn look_at(&mut self, change: &Change) -> Option<Next> {
        if !self.reach.includes(change) {
            return None;
        }
        if let What::Kicked { did } = &change.what {
            let is_me = self.did.as_ref() == Some(did);
            let space = change.space.as_deref().filter(|_| is_me)?;
            return Some(Next::Revoked(Event::member_removed(space, did)));
        }
        self.tracker.translate(change).map(Next::Event)
    }
}
