//! The reconciled set of a watch's records. Pure: it takes effects and notes what they changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    hydration,
    order::{Entry, Order},
    record::Record,
    wire::{ChildAdded, ChildRemoved},
};

/// What one change did to the records, for those who follow them.
#[derive(Debug, Clone)]
pub enum Change {
    /// The record of this id is new, changed or moved.
    Set(u64),
    /// This record is gone.
    Gone(Arc<Entry>),
}

/// The store cannot know what is true: only a fresh snapshot can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknowable;

/// Records by identity and in order.
///
/// Identity is (space, uri): the same URI can stand in several spaces.
#[derive(Debug)]
pub struct Store {
    limit: usize,
    by_uri: HashMap<Arc<str>, Vec<Arc<Entry>>>,
    by_id: HashMap<u64, Arc<Entry>>,
    order: Order,
    next_id: u64,
    /// Ids that the snapshot under way has not confirmed yet.
    unconfirmed: Option<HashSet<u64>>,
    cursor: Option<Arc<str>>,
    changes: Vec<Change>,
}

/// Most records that a watch holds: beyond it, the last ones of the order go.
pub const MAX_RECORDS: usize = 200_000;

impl Default for Store {
    fn default() -> Self {
        Self::with_limit(MAX_RECORDS)
    }
}

impl Store {
    /// A store that never holds more than `limit` records.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            by_uri: HashMap::new(),
            by_id: HashMap::new(),
            order: Order::default(),
            next_id: 0,
            unconfirmed: None,
            cursor: None,
            changes: Vec::new(),
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// No id so far is as large.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// The records in order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order.iter()
    }

    /// The record of an id, with its index in the order.
    pub fn find(&self, id: u64) -> Option<(usize, &Arc<Entry>)> {
        let entry = self.by_id.get(&id)?;
        Some((self.order.rank(entry)?, entry))
    }

    /// Where the last snapshot ended, if older records exist.
    pub fn cursor(&self) -> Option<&Arc<str>> {
        self.cursor.as_ref()
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> std::vec::Drain<'_, Change> {
        self.changes.drain(..)
    }

    /// A snapshot begins: what it does not name is gone at its end, and stays visible until then.
    pub fn begin_snapshot(&mut self) {
        self.unconfirmed = Some(self.by_id.keys().copied().collect());
    }

    /// One record of the snapshot. It is complete: what it does not mention is not there.
    pub fn confirm(&mut self, mut record: Record) {
        let known = self.known(&record).cloned();
        let mut live_time = false;
        if let Some(known) = &known {
            // Publish and creation time differ by the server's delay: keeping the place it was seen in
            // means that nothing moves at a reconnect.
            live_time = known.live_time;
            if live_time {
                record.time_us = known.record.time_us;
            }
        }
        self.set(known, record, live_time);
    }

    /// A record of an earlier session, which only fills a gap: whatever came from the server knows better.
    pub fn restore(&mut self, record: Record, live_time: bool) {
        if self.known(&record).is_some() {
            return;
        }
        let id = self.next_id;
        self.set(None, record, live_time);
        // A snapshot under way has yet to confirm it.
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.insert(id);
        }
    }

    /// The snapshot is complete.
    pub fn end_snapshot(&mut self, cursor: Option<String>, evict: bool) {
        self.cursor = cursor.map(Into::into);
        for id in self.unconfirmed.take().unwrap_or_default() {
            if let Some(entry) = self.by_id.get(&id).cloned().filter(|_| evict) {
                self.remove(entry);
            }
        }
    }

    /// A record was created or updated.
    pub fn upsert(&mut self, mut record: Record) {
        let known = self.known(&record).cloned();
        let mut live_time = true;
        if let Some(known) = &known {
            // A live update names the time of the update; the record was created when it was.
            record.time_us = known.record.time_us;
            record.keep_unmentioned(&known.record);
            live_time = known.live_time;
        }
        self.set(known, record, live_time);
    }

    /// A record was deleted; the event does not say in which space.
    pub fn delete(&mut self, uri: &str) -> Result<(), Unknowable> {
        match self.by_uri.get(uri).map(Vec::as_slice) {
            None | Some([]) => Ok(()),
            Some([only]) => {
                let entry = only.clone();
                self.remove(entry);
                Ok(())
            }
            Some(_) => Err(Unknowable),
        }
    }

    /// A child of a hydrated relation was added or changed.
    pub fn add_child(&mut self, added: &ChildAdded) -> Result<(), Unknowable> {
        // A parent without children does not tell whether its relation is grouped; others may.
        let grouped = |store: &Self| {
            let mut others = store
                .entries()
                .filter_map(|it| it.record.extra(&added.relation));
            others.any(|raw| raw.get().starts_with('{'))
        };
        let parents = self.parents(&added.parent_uri);
        let first = |it: &Arc<Entry>| it.record.extra(&added.relation).is_none();
        if parents.iter().any(first) && grouped(self) {
            return Err(Unknowable);
        }
        self.change_parents(&added.parent_uri, |parent| hydration::add(parent, added))
    }

    /// A child of a hydrated relation was removed.
    pub fn remove_child(&mut self, removed: &ChildRemoved) -> Result<(), Unknowable> {
        self.change_parents(&removed.parent_uri, |parent| {
            hydration::remove(parent, removed)
        })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.changes
            .extend(self.by_id.drain().map(|(_, entry)| Change::Gone(entry)));
        self.by_uri.clear();
        self.order = Order::default();
        self.unconfirmed = None;
        self.cursor = None;
    }

    fn change_parents(
        &mut self,
        parent_uri: &str,
        change: impl Fn(&Record) -> Result<Option<Record>, Unknowable>,
    ) -> Result<(), Unknowable> {
        for parent in self.parents(parent_uri) {
            if let Some(record) = change(&parent.record)? {
                let live_time = parent.live_time;
                self.set(Some(parent), record, live_time);
            }
        }
        Ok(())
    }

    /// The records that a parent URI means: rkey `_` stands for every record of its DID.
    fn parents(&self, uri: &str) -> Vec<Arc<Entry>> {
        match super::record::split_at_uri(uri) {
            Some((did, _, "_")) => self
                .entries()
                .filter(|entry| &*entry.record.did == did)
                .cloned()
                .collect(),
            _ => self.by_uri.get(uri).cloned().unwrap_or_default(),
        }
    }

    fn known(&self, record: &Record) -> Option<&Arc<Entry>> {
        let spaces = self.by_uri.get(&record.uri)?;
        spaces
            .iter()
            .find(|entry| entry.record.space == record.space)
    }

    fn set(&mut self, known: Option<Arc<Entry>>, record: Record, live_time: bool) {
        let id = known.as_ref().map_or(self.next_id, |known| known.id);
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.remove(&id);
        }
        if let Some(known) = &known {
            if known.record.same_content(&record) {
                return;
            }
            self.forget(known);
        } else {
            self.next_id += 1;
        }
        let entry = Arc::new(Entry {
            id,
            record,
            live_time,
        });
        self.by_uri
            .entry(entry.record.uri.clone())
            .or_default()
            .push(entry.clone());
        self.by_id.insert(id, entry.clone());
        self.order.insert(entry);
        self.changes.push(Change::Set(id));
        if self.len() > self.limit
            && let Some(last) = self.order.last().cloned()
        {
            self.remove(last);
        }
    }

    fn remove(&mut self, entry: Arc<Entry>) {
        self.forget(&entry);
        self.changes.push(Change::Gone(entry));
    }

    fn forget(&mut self, entry: &Entry) {
        self.order.remove(entry);
        self.by_id.remove(&entry.id);
        if let Some(spaces) = self.by_uri.get_mut(&entry.record.uri) {
            spaces.retain(|other| other.id != entry.id);
            if spaces.is_empty() {
                self.by_uri.remove(&entry.record.uri);
            }
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
