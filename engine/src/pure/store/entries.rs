//! The entries of a watch by identity. A record that changes where it stands changes its slot, and nothing else.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::HashTable;
use slab::Slab;

use super::entry::Entry;
use crate::{
    maps::{FastHasher, FastMap},
    pure::protocol::record::Record,
};

/// Entries, found by slot, by id, or by URI.
#[derive(Debug, Default)]
pub(super) struct Entries {
    slots: Slab<Slot>,
    by_id: FastMap<u64, usize>,
    /// The slots of a URI, one for each space.
    by_uri: HashTable<usize>,
    hasher: FastHasher,
}

#[derive(Debug)]
struct Slot {
    /// Of the URI: the table grows without looking at entries.
    hash: u64,
    /// The last snapshot that named it, or what came with it.
    snapshot: u32,
    entry: Arc<Entry>,
}

impl Entries {
    /// The slot that the next new entry must name.
    pub(super) fn free_slot(&self) -> usize {
        self.slots.vacant_key()
    }

    /// The entry in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<&Arc<Entry>> {
        self.slots.get(slot).map(|it| &it.entry)
    }

    /// The entry of an id.
    pub(super) fn get(&self, id: u64) -> Option<&Arc<Entry>> {
        self.at(*self.by_id.get(&id)?)
    }

    /// The entry of a record's identity.
    pub(super) fn same(&self, record: &Record) -> Option<&Arc<Entry>> {
        let is_same = |it: &Record| it.uri == record.uri && it.space == record.space;
        let hash = self.hasher.hash_one(record.uri.as_str());
        let listed = self.by_uri.find(hash, |slot| {
            self.at(*slot).is_some_and(|it| is_same(&it.record))
        });
        self.at(*listed?)
    }

    /// The entries of a URI, one for each space.
    pub(super) fn of(&self, uri: &str) -> impl Iterator<Item = &Arc<Entry>> {
        let alike = self.by_uri.iter_hash(self.hasher.hash_one(uri));
        alike
            .filter_map(|slot| self.at(*slot))
            .filter(move |it| it.record.uri.as_str() == uri)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.slots.iter().map(|(_, it)| &it.entry)
    }

    /// The last snapshot that named the record in a slot, as a count.
    pub(super) fn snapshot(&self, slot: usize) -> Option<u32> {
        self.slots.get(slot).map(|it| it.snapshot)
    }

    /// A snapshot named the record in a slot.
    pub(super) fn name(&mut self, slot: usize, snapshot: u32) {
        if let Some(found) = self.slots.get_mut(slot) {
            found.snapshot = snapshot;
        }
    }

    /// Adds an entry that the given snapshot names, in the slot that the entry has: the free one.
    pub(super) fn insert(&mut self, entry: Arc<Entry>, snapshot: u32) {
        let hash = self.hasher.hash_one(entry.record.uri.as_str());
        self.by_id.insert(entry.id, entry.slot);
        let slot = self.slots.insert(Slot {
            hash,
            snapshot,
            entry,
        });
        self.list(slot, hash);
    }

    /// Puts an entry in the place of the one in its slot.
    pub(super) fn replace(&mut self, entry: Arc<Entry>) {
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
    pub(super) fn remove(&mut self, entry: &Entry) {
        if let Some(gone) = self.slots.try_remove(entry.slot) {
            self.by_id.remove(&entry.id);
            self.unlist(entry.slot, gone.hash);
        }
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::view::sort::Sort;

    fn entry(id: u64, slot: usize, rkey: &str, space: &str) -> Arc<Entry> {
        let json =
            format!(r#"{{"uri":"at://d/c/{rkey}","space":"{space}","time_us":1,"value":{id}}}"#);
        let record = serde_json::from_str(&json).unwrap();
        let entry = Entry::confirmed_with(id, record, false, &Sort::default());
        Arc::new(Entry { slot, ..entry })
    }

    fn ids(entries: &Entries, uri: &str) -> Vec<u64> {
        let mut ids: Vec<_> = entries.of(uri).map(|it| it.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn an_entry_is_found_by_slot_by_id_and_by_uri_until_it_is_taken_out() {
        let mut entries = Entries::default();
        for id in 0..1000 {
            let rkey = (id / 2).to_string();
            let space = if id % 2 == 0 { "s" } else { "t" };
            entries.insert(entry(id, entries.free_slot(), &rkey, space), 0);
        }
        for id in 0..1000 {
            let found = entries.get(id).cloned().unwrap();
            assert_eq!(entries.at(found.slot).map(|it| it.id), Some(id));
            assert_eq!(entries.same(&found.record).map(|it| it.id), Some(id));
        }
        assert_eq!(ids(&entries, "at://d/c/7"), [14, 15]);
        let gone = entries.get(14).cloned().unwrap();
        entries.remove(&gone);
        assert_eq!(ids(&entries, "at://d/c/7"), [15]);
        assert!(entries.get(14).is_none() && entries.same(&gone.record).is_none());
        assert_eq!(entries.free_slot(), gone.slot);
        entries.insert(entry(2000, gone.slot, "new", "s"), 0);
        assert_eq!(ids(&entries, "at://d/c/new"), [2000]);
        assert_eq!(entries.iter().count(), 1000);
    }

    #[test]
    fn an_entry_that_turns_out_to_have_another_uri_is_found_by_that_alone() {
        let mut entries = Entries::default();
        let guess = entry(1, entries.free_slot(), "guess", "s");
        entries.insert(guess.clone(), 0);
        entries.replace(entry(1, guess.slot, "true", "s"));
        assert!(ids(&entries, "at://d/c/guess").is_empty());
        assert_eq!(ids(&entries, "at://d/c/true"), [1]);
        assert_eq!(
            entries.get(1).map(|it| it.record.rkey().to_owned()),
            Some("true".into())
        );
    }
}
