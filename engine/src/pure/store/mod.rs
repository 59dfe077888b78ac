//! The reconciled set of a watch's records. Pure: it takes effects and notes what they changed.

pub mod change;
mod children;
pub mod edit;
mod entries;
pub mod entry;
pub mod home;
mod older;
pub mod optimistic;
mod order;
pub mod profiles;
pub mod window;
pub mod written;

use std::sync::Arc;

use crate::pure::{
    protocol::{profile::Profile, record::Record},
    view::{MAX_RECORDS, View, filter::Filter},
};
use change::{Change, Touch, Unknowable};
use children::index::ChildIndex;
use entries::Entries;
use entry::{Entry, Optimistic, same_json};
use home::Home;
use order::Order;
use profiles::{Known, Profiles};
use window::Window;
use written::Writes;

/// Most bytes of JSON that the records of one watch have: beyond it, the last ones of the order go.
pub const MAX_BYTES: usize = 24 * 1024 * 1024;

/// Records by identity and in order.
///
/// Identity is (space, uri): the same URI can stand in several spaces.
#[derive(Debug)]
pub struct Store {
    home: Home,
    filter: Filter,
    /// Most records to show; the others wait for their turn.
    shown: usize,
    /// Most records to hold.
    capacity: usize,
    /// Most bytes of JSON to hold.
    max_bytes: usize,
    /// Bytes that the records have.
    bytes: usize,
    /// How many records the server has said, an edit above them or not.
    confirmed: usize,
    /// There was a whole snapshot already.
    synced: bool,
    entries: Entries,
    order: Order,
    next_id: u64,
    /// Ids of optimistic entries, the oldest edit first.
    optimistic: Vec<u64>,
    writes: Writes,
    /// Counts the snapshots: what the last one named carries its number.
    snapshot: u32,
    /// While a snapshot arrives: how many records it has not named yet.
    unnamed: Option<usize>,
    window: Window,
    children: ChildIndex,
    profiles: Known,
    changes: Vec<Change>,
}

impl Default for Store {
    fn default() -> Self {
        Self::with_limit(MAX_RECORDS)
    }
}

impl Store {
    /// An empty store for what `view` shows of the records of `home`.
    pub fn new(view: View, home: Home) -> Self {
        Self {
            shown: view.max_records.unwrap_or(MAX_RECORDS),
            capacity: MAX_RECORDS,
            max_bytes: MAX_BYTES,
            bytes: 0,
            confirmed: 0,
            synced: false,
            window: Window::new(home.newest_first),
            home,
            filter: view.filter,
            order: Order::new(view.sort),
            entries: Entries::default(),
            next_id: 0,
            optimistic: Vec::new(),
            writes: Writes::default(),
            snapshot: 0,
            unnamed: None,
            children: ChildIndex::default(),
            profiles: Known::default(),
            changes: Vec::new(),
        }
    }

    /// A store that never holds more than `limit` records, newest first.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            capacity: limit,
            ..Self::new(View::default(), Home::default())
        }
    }

    /// The same store with another bound on the bytes of JSON that its records have.
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many records it shows.
    pub fn len(&self) -> usize {
        self.order.len().min(self.shown)
    }

    /// About how many bytes of JSON it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The records that it shows, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order.iter(&self.entries).take(self.shown)
    }

    /// The record of an id, with its index in the order, if it shows it.
    pub fn find(&self, id: u64) -> Option<(usize, &Arc<Entry>)> {
        self.at(self.entries.get(id)?.slot)
    }

    /// The record in a slot, shown or not.
    pub(crate) fn entry_at(&self, slot: usize) -> Option<&Arc<Entry>> {
        self.entries.at(slot)
    }

    /// The record in a slot, with its index in the order, if it shows it.
    pub(crate) fn at(&self, slot: usize) -> Option<(usize, &Arc<Entry>)> {
        let entry = self.entries.at(slot)?;
        let rank = self.order.rank(entry, &self.entries)?;
        (rank < self.shown).then_some((rank, entry))
    }

    /// The slots of the records that it shows, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> {
        self.order.slots().take(self.shown)
    }

    /// Whether there is no room for older records.
    fn is_full(&self) -> bool {
        self.order.len() >= self.shown.min(self.capacity) || self.bytes >= self.max_bytes / 8 * 7
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> std::vec::Drain<'_, Change> {
        self.changes.drain(..)
    }

    /// What the server told of the accounts that its lists name.
    pub fn profiles(&self) -> &Profiles {
        self.profiles.profiles()
    }

    /// An answer of the server has these profiles. Says whether that is news.
    pub fn learn(&mut self, profiles: Vec<Profile>) -> bool {
        self.profiles.learn(profiles)
    }

    /// Profiles of an earlier session, which only fill gaps.
    pub fn restore_profiles(&mut self, profiles: Vec<Profile>) {
        self.profiles.restore(profiles);
    }

    /// A snapshot begins: what it does not name is gone at its end, and stays visible until then.
    pub fn begin_snapshot(&mut self) {
        self.window.begin_snapshot();
        self.children.begin_snapshot();
        self.snapshot = self.snapshot.wrapping_add(1);
        self.unnamed = Some(self.confirmed);
    }

    /// Whether a snapshot is arriving.
    pub fn is_arriving(&self) -> bool {
        self.unnamed.is_some()
    }

    /// One record of the snapshot. It is complete: what it does not mention is not there.
    pub fn confirm(&mut self, record: Record) {
        self.window.covers(&record);
        self.hear(record);
    }

    /// A record of the snapshot, or of a page, that cannot be read: what is known of it stays.
    pub fn spare(&mut self, uri: &str) {
        if self.unnamed.is_some() {
            self.window.listed.add_unreadable(1);
        }
        let slots: Vec<usize> = self.entries.of(uri).map(|it| it.slot).collect();
        for slot in slots {
            self.name(slot);
        }
    }

    /// The server's stored version of a record, and the time that it has there.
    fn hear(&mut self, record: Record) {
        let known = self.known(&record);
        self.arrive(known, record, false, true);
    }

    /// The snapshot under way, or the last one, has the record in this slot.
    fn name(&mut self, slot: usize) {
        if self.entries.snapshot(slot) == Some(self.snapshot) {
            return;
        }
        self.entries.name(slot, self.snapshot);
        let is_confirmed = self
            .entries
            .at(slot)
            .is_some_and(|it| it.confirmed().is_some());
        if let Some(unnamed) = self.unnamed.as_mut().filter(|_| is_confirmed) {
            *unnamed = unnamed.saturating_sub(1);
        }
    }

    /// What the server has said that the last snapshot did not name.
    fn unnamed(&self) -> Vec<Arc<Entry>> {
        let unnamed = |it: &&Arc<Entry>| self.entries.snapshot(it.slot) != Some(self.snapshot);
        let confirmed = self.entries.iter().filter(|it| it.confirmed().is_some());
        confirmed.filter(unnamed).cloned().collect()
    }

    /// A record of an earlier session, which only fills a gap: whatever came from the server knows better.
    pub fn restore(&mut self, record: Record, live_time: bool) {
        let known = self.known(&record);
        if !self.filter.matches(&record)
            || known.as_ref().is_some_and(|it| it.confirmed().is_some())
        {
            return;
        }
        self.children.earn(record.bytes());
        // A snapshot under way has yet to name it: it must not push out what was.
        if let Some(unnamed) = &mut self.unnamed {
            *unnamed += 1;
        }
        let slot = match known {
            // An edit that came before what it changes.
            Some(edit) => {
                self.put_under(&edit, Some((record, live_time)));
                edit.slot
            }
            None => {
                let slot = self.entries.free_slot();
                self.put(None, record, live_time, None);
                slot
            }
        };
        self.entries.name(slot, self.snapshot.wrapping_sub(1));
    }

    /// A record was created or updated. Returns what only a snapshot can tell, if anything.
    pub fn upsert(&mut self, mut record: Record) -> Option<Unknowable> {
        self.window.touched(|| record.uri.shared().clone());
        self.children.earn(record.bytes());
        let known = self.known(&record);
        let doubt = match known.as_ref().and_then(Entry::confirmed) {
            Some(known) => {
                let kept = record.keep_unmentioned(&known.record);
                kept.err().map(Unknowable::TooMuch)
            }
            None => self.inherit(&mut record),
        };
        self.arrive(known, record, true, false);
        doubt
    }

    /// A record was deleted; the event does not say in which space.
    pub fn delete(&mut self, uri: &str) -> Result<(), Unknowable> {
        self.window.touched(|| uri.into());
        let confirmed = |it: &&Arc<Entry>| it.confirmed().is_some();
        let mut spaces = self.entries.of(uri).filter(confirmed);
        let Some(entry) = spaces.next().cloned() else {
            drop(spaces);
            self.deleted_unseen(uri);
            return Ok(());
        };
        if spaces.next().is_some() {
            return Err(Unknowable::Ambiguous);
        }
        drop(spaces);
        self.window.top = self.window.top.saturating_sub(1);
        self.lose(entry);
        Ok(())
    }

    /// Forgets the records of one space, edits of them included.
    pub fn purge_space(&mut self, space: &str) {
        self.writes.purge_space(space);
        // A page that is on its way may have them again: it was answered while they were to be seen.
        self.drop_page();
        let of_space = |it: &&Arc<Entry>| it.record.space.as_deref() == Some(space);
        let gone: Vec<_> = self.entries.iter().filter(of_space).cloned().collect();
        for entry in gone {
            self.remove(entry);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let shown = self.order.iter(&self.entries).take(self.shown).cloned();
        self.changes.extend(shown.map(Change::Gone));
        self.entries.clear();
        self.order.clear();
        self.optimistic.clear();
        self.writes.clear();
        (self.bytes, self.confirmed) = (0, 0);
        self.unnamed = None;
        self.synced = false;
        self.window.clear();
        self.children.clear();
        self.profiles = Known::default();
    }

    /// The server's word on a record that may be known: a stored version, or what is new in it.
    fn arrive(
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
    fn rebase(&mut self, entry: &Arc<Entry>, record: Record) {
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
    fn put_under(&mut self, entry: &Arc<Entry>, base: Option<(Record, bool)>) {
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
    fn lose(&mut self, entry: Arc<Entry>) {
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
    fn known(&self, record: &Record) -> Option<Arc<Entry>> {
        let known = self.entries.same(record);
        known.or_else(|| self.guessed(record)).cloned()
    }

    /// Puts an entry in the place of `known`, or adds it.
    fn put(
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

    fn is_shown(&self, entry: &Entry) -> bool {
        // Nearly all watches show what they hold.
        let rank = || self.order.rank(entry, &self.entries);
        self.order.len() <= self.shown || rank().is_some_and(|it| it < self.shown)
    }

    /// The record at this index is not shown any more.
    fn leave_at(&mut self, index: usize) {
        let gone = self.order.nth(index, &self.entries).cloned();
        self.changes.extend(gone.map(Change::Gone));
    }

    /// The record at this index is shown from now on.
    fn enter_at(&mut self, index: usize) {
        let come = self.order.nth(index, &self.entries).cloned();
        self.changes
            .extend(come.map(|it| Change::Set(it, Touch::New)));
    }

    /// Keeps the counts, and the lists of optimistic entries and of children, true.
    fn track(&mut self, known: Option<&Arc<Entry>>, entry: &Arc<Entry>) {
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

    fn count(&mut self, old: Option<&Arc<Entry>>, new: Option<&Arc<Entry>>) {
        let confirmed =
            |it: Option<&Arc<Entry>>| usize::from(it.is_some_and(|it| it.confirmed().is_some()));
        let bytes = |it: Option<&Arc<Entry>>| it.map_or(0, |it| it.bytes());
        self.confirmed = self.confirmed + confirmed(new) - confirmed(old);
        self.bytes = self.bytes + bytes(new) - bytes(old);
    }

    /// The last confirmed records go. What somebody just did stays in sight, and what a snapshot under way has yet to
    /// name does not count: it may go anyway.
    fn trim(&mut self) {
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

    fn remove(&mut self, entry: Arc<Entry>) {
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

    /// A snapshot was whole, and took away what it lacked.
    fn synced(&mut self) {
        self.synced = true;
        self.confirm_deletions();
        self.trim();
    }
}

#[cfg(test)]
mod tests;
