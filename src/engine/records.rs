//! The entries of a watch by identity. A record that changes where it stands changes its slot, and nothing else.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use super::{entry::Entry, record::Record, store::FastMap};

/// Entries, found by slot, by id, or by URI.
#[derive(Debug, Default)]
pub struct Records {
    slots: Slab<Slot>,
    by_id: FastMap<u64, usize>,
    /// The slots of a URI, one for each space.
    by_uri: HashTable<usize>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Slot {
    /// Of the URI: the table grows without looking at entries.
    hash: u64,
    entry: Arc<Entry>,
}

impl Records {
    /// The slot that the next new entry must name.
    pub fn free_slot(&self) -> usize {
        self.slots.vacant_key()
    }

    /// The entry in a slot.
    pub fn at(&self, slot: usize) -> Option<&Arc<Entry>> {
        self.slots.get(slot).map(|it| &it.entry)
    }

    /// The entry of an id.
    pub fn get(&self, id: u64) -> Option<&Arc<Entry>> {
        self.at(*self.by_id.get(&id)?)
    }

    /// The entry of a record's identity.
    pub fn same(&self, record: &Record) -> Option<&Arc<Entry>> {
        let is_same = |it: &Record| it.uri == record.uri && it.space == record.space;
        let hash = self.hasher.hash_one(record.uri.as_str());
        let listed = self.by_uri.find(hash, |slot| {
            self.at(*slot).is_some_and(|it| is_same(&it.record))
        });
        self.at(*listed?)
    }

    /// The entries of a URI, one for each space.
    pub fn of(&self, uri: &str) -> impl Iterator<Item = &Arc<Entry>> {
        let alike = self.by_uri.iter_hash(self.hasher.hash_one(uri));
        alike
            .filter_map(|slot| self.at(*slot))
            .filter(move |it| it.record.uri.as_str() == uri)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.slots.iter().map(|(_, it)| &it.entry)
    }

    /// Adds an entry, in the slot that it names: the free one.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        let hash = self.hasher.hash_one(entry.record.uri.as_str());
        self.by_id.insert(entry.id, entry.slot);
        let slot = self.slots.insert(Slot { hash, entry });
        self.list(slot, hash);
    }

    /// Puts an entry in the place of the one in its slot.
    pub fn replace(&mut self, entry: Arc<Entry>) {
        let slot = entry.slot;
        let Some(found) = self.slots.get_mut(slot) else {
            return;
        };
        let moves = (found.entry.record.uri != entry.record.uri)
            .then(|| (found.hash, self.hasher.hash_one(entry.record.uri.as_str())));
        found.entry = entry;
        // The server knows it by another URI than was guessed.
        if let Some((old, new)) = moves {
            found.hash = new;
            self.unlist(slot, old);
            self.list(slot, new);
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, entry: &Entry) {
        if let Some(gone) = self.slots.try_remove(entry.slot) {
            self.by_id.remove(&entry.id);
            self.unlist(entry.slot, gone.hash);
        }
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.by_id.clear();
        self.by_uri.clear();
    }

    fn list(&mut self, slot: usize, hash: u64) {
        let hash_of = |slot: &usize| self.slots.get(*slot).map_or(0, |it| it.hash);
        self.by_uri.insert_unique(hash, slot, hash_of);
    }

    fn unlist(&mut self, slot: usize, hash: u64) {
        if let Ok(listed) = self.by_uri.find_entry(hash, |it| *it == slot) {
            listed.remove();
        }
    }
}
