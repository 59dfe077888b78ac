//! How a record comes among the others, moves and goes: order, counts and bounds stay true.

use std::sync::Arc;

use super::{
    Store,
    change::{Change, Touch},
    entry::{Entry, Optimistic, same_json},
};
use crate::pure::protocol::record::Record;

impl Store {
    /// The server's word on a record that may be known: a stored version, or what is new in it.
    pub(super) fn arrive(
        &mut self,
        known: Option<Arc<Entry>>,
        record: Record,
        live_time: bool,
        is_stored: bool,
    ) {
        if let Some(known) = &known {
            self.name(known.slot);
            // No page has to confirm it any more, and none below would have it.
            self.window.stale.remove(&known.id);
        }
        if is_stored {
            self.children.earn(record.bytes());
        }
        let matches = self.filter.matches(&record);
        let Some(known) = known else {
            if matches {
                self.put(None, record, live_time, None);
            }
            return;
        };
        // Before the first snapshot an edit does not know what it changes.
        let may_be_base = is_stored && !self.synced;
        let waits = known
            .optimistic
            .as_ref()
            .is_some_and(|it| !it.is_confirmed_by(&known.record.value, &record, may_be_base));
        match (matches, waits) {
            (true, true) => self.put_under(&known, Some((record, live_time))),
            (true, false) if known.optimistic.is_none() && known.record.same_content(&record) => {}
            (true, false) => {
                self.confirm_write(&known);
                self.put(Some(&known), record, live_time, None);
            }
            (false, true) => self.put_under(&known, None),
            (false, false) => {
                self.confirm_write(&known);
                self.remove(known);
            }
        }
    }

    /// Another version of what the server has, under an edit that may still wait.
    pub(super) fn rebase(&mut self, entry: &Arc<Entry>, record: Record) {
        let live_time = entry.confirmed().is_some_and(|it| it.live_time);
        match &entry.optimistic {
            Some(optimistic) if optimistic.base.is_some() => {
                self.put_under(entry, Some((record, live_time)));
            }
            Some(_) => {}
            None if entry.record.same_content(&record) => {}
            None => self.put(Some(entry), record, live_time, None),
        }
    }

    /// Changes what an optimistic entry stands on; the entry stays.
    pub(super) fn put_under(&mut self, entry: &Arc<Entry>, base: Option<(Record, bool)>) {
        let Some(optimistic) = &entry.optimistic else {
            return;
        };
        let sort = self.order.sort();
        let base = base.map(|(record, live_time)| {
            Arc::new(Entry::confirmed_with(entry.id, record, live_time, sort))
        });
        let mut record = base.as_ref().unwrap_or(entry).record.clone();
        record.value.clone_from(&entry.record.value);
        let live_time = base.as_ref().unwrap_or(entry).live_time;
        let is_new = |it: &Arc<Entry>| {
            let old = optimistic.base.as_ref();
            old.is_none_or(|old| !same_json(&old.record.value, &it.record.value))
        };
        let optimistic = Box::new(Optimistic {
            rebased: optimistic.rebased || base.as_ref().is_some_and(is_new),
            base,
            ..Optimistic::clone(optimistic)
        });
        self.put(Some(entry), record, live_time, Some(optimistic));
    }

    /// The server has it no longer. An edit of it may still bring it back.
    pub(super) fn lose(&mut self, entry: Arc<Entry>) {
        match &entry.optimistic {
            // Which it was to be, whoever did it.
            Some(edit) if edit.written.as_ref().is_some_and(|it| it.deletes) => {
                self.confirm_write(&entry);
                self.keep_deletion(&entry);
                self.remove(entry);
            }
            Some(_) => self.put_under(&entry, None),
            None => self.remove(entry),
        }
    }

    /// The entry of a record's identity, or the optimistic one that guessed it.
    pub(super) fn known(&self, record: &Record) -> Option<Arc<Entry>> {
        let known = self.entries.same(record);
        known.or_else(|| self.guessed(record)).cloned()
    }

    /// Puts an entry in the place of `known`, or adds it.
    pub(super) fn put(
        &mut self,
        known: Option<&Arc<Entry>>,
        mut record: Record,
        live_time: bool,
        optimistic: Option<Box<Optimistic>>,
    ) {
        let id = known.map_or(self.next_id, |known| known.id);
        if let Some(known) = known.filter(|it| it.record.uri == record.uri) {
            record.uri = known.record.uri.clone();
        }
        let slot = known.map_or_else(|| self.entries.free_slot(), |known| known.slot);
        let entry = Entry::confirmed_with(id, record, live_time, self.order.sort());
        let entry = Arc::new(Entry {
            optimistic,
            slot,
            ..entry
        });
        self.track(known, &entry);
        let was_shown = known.is_some_and(|it| self.is_shown(it));
        let touch = match known {
            Some(known) if self.order.sort().is_same_place(known, &entry) => {
                self.entries.replace(entry.clone());
                Touch::Content
            }
            Some(known) => {
                self.order.remove(known, &self.entries);
                self.entries.replace(entry.clone());
                self.order.insert(&entry, &self.entries);
                Touch::Moved
            }
            None => {
                self.next_id += 1;
                self.entries.insert(entry.clone(), self.snapshot);
                self.order.insert(&entry, &self.entries);
                Touch::New
            }
        };
        match (was_shown, self.is_shown(&entry)) {
            (true, true) => self.changes.push(Change::Set(entry.clone(), touch)),
            (false, true) => {
                self.changes.push(Change::Set(entry.clone(), Touch::New));
                self.leave_at(self.shown);
            }
            (true, false) => {
                self.changes.push(Change::Gone(entry.clone()));
                self.enter_at(self.shown - 1);
            }
            (false, false) => {}
        }
        if touch == Touch::New && entry.optimistic.is_none() {
            self.delete_arrived(&entry);
        }
        self.trim();
    }

    pub(super) fn is_shown(&self, entry: &Entry) -> bool {
        // Nearly all watches show what they hold.
        let rank = || self.order.rank(entry, &self.entries);
        self.order.len() <= self.shown || rank().is_some_and(|it| it < self.shown)
    }

    /// The record at this index is not shown any more.
    pub(super) fn leave_at(&mut self, index: usize) {
        let gone = self.order.nth(index, &self.entries).cloned();
        self.changes.extend(gone.map(Change::Gone));
    }

    /// The record at this index is shown from now on.
    pub(super) fn enter_at(&mut self, index: usize) {
        let come = self.order.nth(index, &self.entries).cloned();
        self.changes
            .extend(come.map(|it| Change::Set(it, Touch::New)));
    }

    /// Keeps the counts, and the lists of optimistic entries and of children, true.
    pub(super) fn track(&mut self, known: Option<&Arc<Entry>>, entry: &Arc<Entry>) {
        self.count(known, Some(entry));
        let was = known.is_some_and(|it| it.optimistic.is_some());
        match (was, entry.optimistic.is_some()) {
            (true, false) => self.optimistic.retain(|id| *id != entry.id),
            (false, true) => self.optimistic.push(entry.id),
            _ => {}
        }
        self.children
            .moved(known.map(|it| &**it), Some(entry), &self.home);
    }

    pub(super) fn count(&mut self, old: Option<&Arc<Entry>>, new: Option<&Arc<Entry>>) {
        let confirmed =
            |it: Option<&Arc<Entry>>| usize::from(it.is_some_and(|it| it.confirmed().is_some()));
        let bytes = |it: Option<&Arc<Entry>>| it.map_or(0, |it| it.bytes());
        self.confirmed = self.confirmed + confirmed(new) - confirmed(old);
        self.bytes = self.bytes + bytes(new) - bytes(old);
    }

    /// The last confirmed records go. What somebody just did stays in sight, and what a snapshot under way has yet to
    /// name does not count: it may go anyway.
    pub(super) fn trim(&mut self) {
        let over = |it: &Self| {
            let records = it.order.len().saturating_sub(it.unnamed.unwrap_or(0));
            records > it.capacity || it.bytes > it.max_bytes
        };
        while over(self) {
            let last = self
                .order
                .iter(&self.entries)
                .rev()
                .find(|it| it.optimistic.is_none());
            let Some(last) = last.cloned() else { return };
            self.remove(last);
        }
    }

    pub(super) fn remove(&mut self, entry: Arc<Entry>) {
        let was_shown = self.is_shown(&entry);
        // One that the snapshot under way has yet to name is not waited for any more.
        self.name(entry.slot);
        self.order.remove(&entry, &self.entries);
        self.entries.remove(&entry);
        self.count(Some(&entry), None);
        if entry.optimistic.is_some() {
            self.optimistic.retain(|id| *id != entry.id);
        }
        self.children.moved(Some(&entry), None, &self.home);
        if was_shown {
            self.changes.push(Change::Gone(entry));
            self.enter_at(self.shown - 1);
        }
    }
}
