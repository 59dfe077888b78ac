//! One watch, whatever carries it: its snapshot, then its live events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use crate::auth::Caller;
use crate::fault::Fault;
use crate::hydrate::{Hydrated, Tracker, hydrate};
use crate::query::{Query, Scope};
use crate::record::{Change, What};
use crate::ticket::QuerySpec;
use crate::wire::{Body, Event, Snapshot};
use crate::world::World;

/// A watch that is open.
pub(crate) struct Watch {
    world: Arc<World>,
    query: Query,
    spec: QuerySpec,
    did: Option<String>,
    body: Body,
    tracker: Tracker,
    changes: Receiver<Arc<Change>>,
    replay: std::vec::IntoIter<Arc<Change>>,
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
    tracker: Tracker,
}

/// Reads the query's page, or fails as the fault says.
pub(crate) async fn read_snapshot(
    world: &World,
    query: &Query,
    fault: &Fault,
) -> Result<SnapshotRead, String> {
    wait(fault.snapshot_delay_ms).await;
    if let Some(message) = &fault.snapshot_error {
        return Err(message.clone());
    }
    let page = query.run(world);
    let Hydrated { records, tracker } = hydrate(world, query, &page.records);
    Ok(SnapshotRead {
        records,
        cursor: page.cursor,
        tracker,
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
        let changes = world.follow();
        Self {
            world,
            query,
            spec: caller.spec,
            did: caller.did,
            body: Body::Value,
            tracker: Tracker::default(),
            changes,
            replay: Vec::new().into_iter(),
        }
    }

    /// Ended in a Durable Object: no snapshot, but what the replay buffer holds since `since_ms`.
    pub(crate) fn open_object(
        world: Arc<World>,
        query: Query,
        caller: Caller,
        space_uri: &str,
        since_ms: Option<i64>,
    ) -> Self {
        let since_ms = since_ms.unwrap_or(i64::MAX);
        let (replay, changes) = world.follow_since(space_uri, since_ms);
        let opened = Self::open(world, query, caller);
        Self {
            body: Body::Record,
            changes,
            replay: replay.into_iter(),
            ..opened
        }
    }

    /// `snapshot.start`, sent before the query runs.
    pub(crate) fn start(&self) -> Event {
        Event::snapshot_start(&self.query.scope, self.query.collection.nsid)
    }

    /// The rest of the snapshot, or the one error event that ends the watch.
    pub(crate) async fn snapshot(
        &mut self,
        fault: &Fault,
    ) -> Result<impl Iterator<Item = Event> + use<>, Event> {
        let read = read_snapshot(&self.world, &self.query, fault).await;
        let read = read.map_err(|message| Event::error(&message))?;
        self.tracker = read.tracker;
        let end = Event::snapshot_end(read.cursor.as_deref());
        let records = read.records.into_iter();
        let events = records.map(|record| Event::snapshot_record(&record));
        Ok(events.chain(std::iter::once(end)))
    }

    /// The next live event. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            let change = match self.replay.next() {
                Some(change) => change,
                None => match self.changes.recv().await {
                    Ok(change) => change,
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return Next::Lost,
                },
            };
            if let Some(next) = self.look_at(&change) {
                return next;
            }
        }
    }

    /// The next live event, if it is there already.
    pub(crate) fn ready(&mut self) -> Option<Next> {
        loop {
            let change = match self
                .replay
                .next()
                .map_or_else(|| self.changes.try_recv(), Ok)
            {
                Ok(change) => change,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return Some(Next::Lost),
            };
            if let Some(next) = self.look_at(&change) {
                return Some(next);
            }
        }
    }

    fn look_at(&mut self, change: &Change) -> Option<Next> {
        match (&change.what, &self.query.scope) {
            (What::Kicked { did }, Scope::Space(space)) => {
                let mine = change.space.as_deref() == Some(space) && self.did.as_ref() == Some(did);
                return mine.then(|| Next::Revoked(Event::member_removed(space, did)));
            }
            (_, Scope::Space(space)) if change.space.as_deref() != Some(space) => return None,
            // An actor's feed carries what that actor writes, in every space and outside.
            (What::Put(record), Scope::Actor(actor)) if record.did != *actor => return None,
            (What::Deleted { did, .. }, Scope::Actor(actor)) if did != actor => return None,
            _ => {}
        }
        self.tracker
            .translate(change, &self.spec, self.body)
            .map(Next::Event)
    }
}
