//! What the cache has not heard yet.

use std::sync::Arc;

use super::touches::Touches;
use crate::{
    maps::FastMap,
    pure::{
        protocol::record::Identity,
        store::{
            Store,
            change::{Change, Touch},
            entry::Entry,
        },
    },
};

/// Merges what happens until the cache is ready for it, and knows what the cache has: so a write names exactly what
/// entered, changed or left the first records of the order, whatever the order is.
#[derive(Debug)]
pub struct RowLedger {
    /// Most records that are kept, the first ones of the order.
    keep: usize,
    /// Whose content changed.
    touched: Touches,
    /// What the cache has, by id. The flag is that of the write that found it kept last.
    written: FastMap<u64, (Identity, bool)>,
    /// Turns with each write.
    flag: bool,
    /// Something changed since the last write.
    dirty: bool,
    /// The next rows must be all there are: the cache may have others.
    replace: bool,
    /// The records were the server's at least once; before that there is nothing to keep.
    synced: bool,
}

/// What to write.
#[derive(Debug)]
pub struct RowChanges {
    /// New and changed records, as the server has them, in order.
    pub set: Vec<Arc<Entry>>,
    /// Records that are gone, or kept no longer.
    pub gone: Vec<Identity>,
    /// Whether `set` is all there is.
    pub replace: bool,
}

impl RowLedger {
    /// Of a cache that keeps so many records, and may hold anything yet.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            touched: Touches::default(),
            written: FastMap::default(),
            flag: false,
            dirty: false,
            replace: true,
            synced: false,
        }
    }

    /// Most records that are kept.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// The records are the server's from now on.
    pub fn synced(&mut self) {
        self.synced = true;
        self.dirty |= self.replace;
    }

    /// Merges a change into what is still to be written.
    pub fn note(&mut self, change: &Change) {
        self.dirty = true;
        match change {
            Change::Set(entry, _) => self.touched.merge(entry.slot, Touch::Content),
            // The next one in its slot is new.
            Change::Gone(entry) => drop(self.touched.take(entry.slot)),
        }
    }

    /// Something else than records is to be written, too.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// The cache may hold anything: the next rows are all there are.
    pub fn start_over(&mut self) {
        self.dirty = true;
        self.replace = true;
    }

    /// The cache has no room for as many: from now on at most half of what it was given.
    pub fn keep_fewer(&mut self) {
        self.keep = self.written.len() / 2;
        self.start_over();
    }

    /// The rows were cleared: nothing is written until something changes, and then all there is.
    pub fn discard(&mut self) {
        self.written.clear();
        self.dirty = false;
        self.replace = true;
    }

    /// Access is gone: nothing may be written until the records are the server's again, and then all of them.
    pub fn purge(&mut self) {
        self.discard();
        self.synced = false;
    }

    /// Whether there is something to write.
    pub fn is_dirty(&self) -> bool {
        self.synced && self.dirty
    }

    /// Takes what there is to write. What it costs beside the changes is one walk along the records that are kept.
    pub fn take(&mut self, store: &Store) -> RowChanges {
        let replace = std::mem::take(&mut self.replace);
        if replace {
            self.written.clear();
        }
        self.flag = !self.flag;
        let mut set = Vec::new();
        let confirmed = store.entries().filter(|it| it.confirmed().is_some());
        for shown in confirmed.take(self.keep) {
            let is_there = match self.written.get_mut(&shown.id) {
                Some((_, flag)) => {
                    *flag = self.flag;
                    true
                }
                None => {
                    let written = (shown.record.identity(), self.flag);
                    self.written.insert(shown.id, written);
                    false
                }
            };
            if !is_there || self.touched.get(shown.slot).is_some() {
                set.extend(shown.confirmed().cloned());
            }
        }
        let gone = self.written.extract_if(|_, (_, flag)| *flag != self.flag);
        let gone = gone.map(|(_, (identity, _))| identity).collect();
        self.touched.clear();
        self.dirty = false;
        RowChanges { set, gone, replace }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
