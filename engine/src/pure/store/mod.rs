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
mod placing;
pub mod profiles;
pub mod window;
pub mod written;

use std::sync::Arc;

use crate::pure::{
    protocol::{profile::Profile, record::Record},
    view::{MAX_RECORDS, View, filter::Filter},
};
use change::{Change, Unknowable};
use children::index::ChildIndex;
use entries::Entries;
use entry::Entry;
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

    /// A snapshot was whole, and took away what it lacked.
    fn synced(&mut self) {
        self.synced = true;
        self.confirm_deletions();
        self.trim();
    }
}

#[cfg(test)]
mod tests;
