//! The cache of the device: rows by identity, and what `watch/persist.rs` of the engine does with them, on the simulated
//! clock.

use std::collections::BTreeMap;

use contrail_sync_engine::{
    Status,
    internals::{Cacheable, Identity},
    pure::{
        ledger::rows::{RowChanges, RowLedger},
        protocol::wire,
    },
};

use crate::world::{Event, MS, SECOND, World};

/// Changes of this long become one write.
const DEBOUNCE: u64 = 200 * MS;
/// After its rows were cleared, nothing is written for so long.
const QUIET: u64 = 5 * SECOND;

/// One row: the record's JSON, and whether its time is that of its publication.
pub(crate) type Row = (String, bool);

/// The cache, and the watch's side of it.
pub(crate) struct Rows {
    pub(crate) ledger: RowLedger,
    pub(crate) kept: BTreeMap<Identity, Row>,
    /// Rows of last time that were read and not yet shown.
    reading: Option<(u64, Vec<Row>)>,
    /// The store has heard the server: rows of last time know less.
    outdated: bool,
    due: Option<u64>,
    quiet_until: u64,
    /// The rows were cleared, and nothing changed since.
    pub(crate) was_cleared: bool,
    /// What goes wrong with the next write.
    pub(crate) next_write: Option<Trouble>,
}

/// What may go wrong with a write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// Another hand was at the rows.
    Incomplete,
    /// There is no room.
    TooLarge,
}

impl Rows {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            ledger: RowLedger::new(keep),
            kept: BTreeMap::new(),
            reading: None,
            outdated: false,
            due: None,
            quiet_until: 0,
            was_cleared: false,
            next_write: None,
        }
    }

    /// A new life with the rows of the last one.
    pub(crate) fn begin(&mut self, keep: usize) {
        let kept = std::mem::take(&mut self.kept);
        *self = Self {
            kept,
            ..Self::new(keep)
        };
    }
}

impl World {
    /// Begins to read what there was last time.
    pub(crate) fn read_rows(&mut self) {
        if self.rows.outdated || self.rows.reading.is_some() {
            return;
        }
        let number = self.number();
        let rows = self.rows.kept.values().cloned().collect();
        self.rows.reading = Some((number, rows));
        let delay = self.network.u64(MS..60 * MS);
        self.after(delay, Event::CacheRead(number));
    }

    /// A part of the rows is read.
    pub(crate) fn cache_read(&mut self, number: u64) {
        let Some((_, mut rows)) = self.rows.reading.take_if(|(it, _)| *it == number) else {
            return;
        };
        let rest = rows.split_off(rows.len().min(4));
        self.note_changes();
        for (record, live_time) in &rows {
            let record = wire::decode_record(record).expect("a row is a record");
            self.watch.replica.store_mut().restore(record, *live_time);
        }
        // They came from the cache: only the followers have to hear of them.
        for change in self.watch.replica.store_mut().take_changes() {
            self.followers.iter_mut().for_each(|it| it.note(&change));
        }
        if !rows.is_empty() {
            self.rows.reading = Some((number, rest));
            self.after(33 * MS, Event::CacheRead(number));
        }
    }

    /// Nobody looks at a watch that is closed while rows of last time are still to come.
    pub(crate) fn is_closing(&self) -> bool {
        self.watch.status() == Status::Closed && self.rows.reading.is_some()
    }

    /// Tells followers and cache what changed.
    pub(crate) fn note_changes(&mut self) {
        for change in self.watch.replica.store_mut().take_changes() {
            self.followers.iter_mut().for_each(|it| it.note(&change));
            self.rows.ledger.note(&change);
        }
        self.debounce();
    }

    pub(crate) fn rows_synced(&mut self) {
        self.rows.reading = None;
        self.rows.outdated = true;
        self.rows.ledger.synced();
        self.debounce();
    }

    fn debounce(&mut self) {
        if self.rows.due.is_none() && self.rows.ledger.is_dirty() {
            let number = self.number();
            self.rows.due = Some(number);
            let delay = DEBOUNCE.max(self.rows.quiet_until.saturating_sub(self.at));
            self.after(delay, Event::WriteDue(number));
        }
    }

    pub(crate) fn write_due(&mut self, number: u64) {
        if self.rows.due == Some(number) {
            self.rows.due = None;
            self.write_rows();
        }
    }

    pub(crate) fn write_rows(&mut self) {
        if self.at < self.rows.quiet_until || !self.rows.ledger.is_dirty() {
            return self.debounce();
        }
        self.rows.due = None;
        let changes = self.rows.ledger.take(self.watch.replica.store());
        let RowChanges { set, gone, replace } = changes;
        if let Some(trouble) = self.rows.next_write.take() {
            match trouble {
                Trouble::Incomplete => self.rows.ledger.start_over(),
                Trouble::TooLarge => self.rows.ledger.keep_fewer(),
            }
            return self.debounce();
        }
        self.rows.was_cleared = false;
        if replace {
            self.rows.kept.clear();
        }
        for identity in gone {
            self.rows.kept.remove(&identity);
        }
        for entry in set {
            let json = serde_json::to_string(&entry.record).expect("a record is JSON");
            let row = (json, Cacheable::live_time(&*entry));
            self.rows.kept.insert(entry.record.identity(), row);
        }
    }

    /// Access is gone, to one space or to all there is.
    pub(crate) fn purge_rows(&mut self, space: Option<&str>) {
        self.rows.reading = None;
        if let Some(space) = space {
            let is_other = |it: &Identity| it.0.as_deref() != Some(space);
            return self.rows.kept.retain(|identity, _| is_other(identity));
        }
        self.rows.outdated = false;
        self.rows.due = None;
        self.rows.ledger.purge();
        self.rows.kept.clear();
    }

    /// Somebody clears the cache.
    pub(crate) fn clear_rows(&mut self) {
        self.rows.kept.clear();
        self.rows.reading = None;
        self.rows.due = None;
        self.rows.quiet_until = self.at + QUIET;
        self.rows.ledger.discard();
        self.rows.was_cleared = true;
    }
}
