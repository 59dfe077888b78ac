//! What an outbox is about to write, shown before the server says it.

use std::{collections::HashMap, sync::Arc};

use serde_json::value::RawValue;

use super::{
    Store,
    edit::{EditError, EditRecord},
    entry::{Entry, Optimistic, same_json},
    optimistic::MAX_OPTIMISTIC,
};
use crate::pure::protocol::record::{AtUri, Record};

/// What a write means for the record that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its number in the outbox.
    pub id: u64,
    /// It takes the record away.
    pub deletes: bool,
    /// The server has taken it: what comes next from there confirms it.
    pub sent: bool,
    /// The content hash that the server gave it, where it told.
    pub cid: Option<String>,
    /// The content hash of the version that it changes, where it is known.
    pub over: Option<String>,
    /// The content hashes of versions from before that, as far as they are known: a list that has one is old.
    pub past: Vec<String>,
}

/// A record as a write of an outbox leaves it.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// The write.
    pub written: Written,
    /// Where the record lives.
    pub uri: AtUri,
    /// The space that holds it.
    pub space: Option<Arc<str>>,
    /// Its body; none for a deletion.
    pub value: Option<Arc<RawValue>>,
    /// When it is said to have been made, in microseconds since the Unix epoch.
    pub time_us: i64,
    /// Why it was refused, if it was.
    pub failed: Option<EditError>,
    /// Whether it is also shown where no such record is known.
    pub adds: bool,
}

/// Which record a write is of.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it lives.
    pub uri: AtUri,
    /// The space that holds it.
    pub space: Option<Arc<str>>,
    /// Content hash of the version that the server has, where it is known.
    pub over: Option<String>,
    /// When it is said to have been made, in microseconds since the Unix epoch.
    pub time_us: i64,
}

/// Space and URI.
type Place = (Option<Arc<str>>, Arc<str>);

impl Overlay {
    fn place(&self) -> Place {
        (self.space.clone(), self.uri.shared().clone())
    }
}

/// What is shown of an outbox, and what of it the server has confirmed.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Deletions of records that are not here, by space and URI: they may come yet.
    deletions: HashMap<Place, Overlay>,
    confirmed: Vec<u64>,
    /// Entries that still show what another list has confirmed.
    settled: Vec<u64>,
}

impl Writes {
    pub(super) fn clear(&mut self) {
        self.deletions.clear();
        self.settled.clear();
    }

    pub(super) fn purge_space(&mut self, space: &str) {
        self.deletions
            .retain(|_, it| it.space.as_deref() != Some(space));
    }
}

impl Store {
    /// Shows what a write makes of its record. Nothing that a page edits by itself is touched.
    pub fn show_write(&mut self, overlay: Overlay, now_us: i64) {
        let id = overlay.written.id;
        let had = self.writes.deletions.remove(&overlay.place()).is_some();
        let known = self.written_entry(&overlay.uri, overlay.space.as_ref());
        let was_known = known.is_some();
        let was = known.as_ref().is_some_and(|it| it.written().is_some());
        let fits = was || self.optimistic.len() < MAX_OPTIMISTIC;
        match (&overlay.value, known) {
            (Some(_), None) if !overlay.adds => {}
            _ if !fits => {}
            (Some(value), known) => {
                let value = RawValue::to_owned(value);
                self.show_put(&overlay, known, value, now_us);
            }
            (None, Some(known)) => self.show_deletion(&overlay, &known),
            (None, None) if self.synced && overlay.written.sent => {}
            (None, None) => {
                if self.writes.deletions.len() < MAX_OPTIMISTIC {
                    let place = overlay.place();
                    self.writes.deletions.insert(place, overlay.clone());
                }
            }
        }
        // One that has nothing to do with the record has no say.
        let is_concerned = overlay.adds || had || was_known;
        let is_here = self.optimistic.iter().any(|it| {
            let entry = self.entries.get(*it);
            entry.is_some_and(|it| it.written().is_some_and(|it| it.id == id))
        });
        let waits = is_here || self.writes.deletions.contains_key(&overlay.place());
        if overlay.written.sent && is_concerned && !waits {
            self.writes.confirmed.push(id);
        }
    }

    fn show_put(
        &mut self,
        overlay: &Overlay,
        known: Option<Arc<Entry>>,
        value: Box<RawValue>,
        now_us: i64,
    ) {
        let base = known.as_ref().and_then(Entry::confirmed).cloned();
        let before = known.as_ref().and_then(|it| it.optimistic.as_deref());
        let is_there = |it: &Arc<Entry>| {
            overlay.written.is_in(&it.record, &value)
                || (overlay.written.sent && before.is_some_and(Optimistic::has_come))
        };
        if base.as_ref().is_some_and(is_there) {
            // The server was faster.
            if let (Some(known), Some(base)) = (known, base)
                && known.optimistic.is_some()
            {
                self.put(Some(&known), base.record.clone(), base.live_time, None);
            }
            return;
        }
        let mut record = match &known {
            Some(known) => known.record.clone(),
            None => Record {
                uri: overlay.uri.clone(),
                space: overlay.space.clone(),
                cid: None,
                time_us: overlay.time_us,
                value: value.clone(),
                extras: Default::default(),
            },
        };
        let mut optimistic = before.cloned().unwrap_or_else(|| Optimistic {
            base,
            since: now_us,
            ..Optimistic::default()
        });
        // A deletion shows the server's body, or one that is remembered already.
        let was_edit = before.is_some_and(|it| it.written.as_ref().is_none_or(|it| !it.deletes));
        if was_edit && !same_json(&record.value, &value) {
            optimistic.remember(record.value.clone());
        }
        optimistic.failed.clone_from(&overlay.failed);
        optimistic.written = Some(overlay.written.clone());
        record.value = value;
        let live_time = known.as_ref().is_some_and(|it| it.live_time);
        self.put(
            known.as_ref(),
            record,
            live_time,
            Some(Box::new(optimistic)),
        );
    }

    fn show_deletion(&mut self, overlay: &Overlay, known: &Arc<Entry>) {
        let mut optimistic = match &known.optimistic {
            Some(before) => Optimistic::clone(before),
            None => Optimistic {
                base: Some(known.clone()),
                ..Optimistic::default()
            },
        };
        if optimistic.base.is_none() && overlay.written.sent && self.synced {
            // It was never there, or is gone already.
            return self.remove(known.clone());
        }
        optimistic.failed.clone_from(&overlay.failed);
        optimistic.written = Some(overlay.written.clone());
        let record = known.record.clone();
        self.put(
            Some(known),
            record,
            known.live_time,
            Some(Box::new(optimistic)),
        );
    }

    /// Nothing is written to this record any more: shows what the server has. If that was `confirmed`, by this list or
    /// another one, what was sent stays until this list has it, or comes whole without it.
    pub fn withdraw_write(&mut self, uri: &str, space: Option<&Arc<str>>, confirmed: bool) {
        self.writes.deletions.remove(&(space.cloned(), uri.into()));
        let written =
            |it: &&Arc<Entry>| it.written().is_some() && it.record.space.as_ref() == space;
        let Some(entry) = self.entries.of(uri).find(written).cloned() else {
            return;
        };
        if confirmed && entry.written().is_some_and(|it| it.sent) {
            self.writes.settled.push(entry.id);
            return;
        }
        self.take_back(entry);
    }

    fn take_back(&mut self, entry: Arc<Entry>) {
        match entry.confirmed().cloned() {
            Some(base) => self.put(Some(&entry), base.record.clone(), base.live_time, None),
            None => self.remove(entry),
        }
    }

    /// The writes whose outcome the server has shown since the last call.
    pub fn take_confirmed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.writes.confirmed)
    }

    /// The record that is to be put. `None` if its collection is neither told nor that of another record here: the short name
    /// in the URL is no name to write to.
    pub fn put_target(&self, new: &EditRecord, now_us: i64) -> Option<Target> {
        if new.uri.is_none() && new.collection.is_none() {
            self.sibling()?;
        }
        let record = self.expected(new, now_us)?;
        let known = self.known_edit(new, &record);
        let known = known.as_ref().and_then(Entry::confirmed);
        Some(Target {
            over: known.and_then(|it| it.record.cid.as_deref().map(str::to_owned)),
            time_us: known.map_or(record.time_us, |it| it.record.time_us),
            space: known.map_or(record.space, |it| it.record.space.clone()),
            uri: record.uri,
        })
    }

    /// The record that is to be deleted: one that is here, or else the one of this author in the watch's collection.
    pub fn delete_target(&self, rkey: &str, did: Option<&str>) -> Option<Target> {
        let is_meant = |it: &&Arc<Entry>| {
            it.record.rkey() == rkey && did.is_none_or(|did| it.record.did() == did)
        };
        // The first of the list: by default the newest.
        if let Some(entry) = self.order.iter(&self.entries).find(is_meant) {
            let cid = entry.confirmed().and_then(|it| it.record.cid.as_deref());
            return Some(Target {
                uri: entry.record.uri.clone(),
                space: entry.record.space.clone(),
                over: cid.map(str::to_owned),
                time_us: entry.record.time_us,
            });
        }
        let collection = self.sibling()?.record.collection();
        Some(Target {
            uri: AtUri::parse(format!("at://{}/{collection}/{rkey}", did?))?,
            space: self.home.space.clone(),
            over: None,
            time_us: 0,
        })
    }

    /// The entry that a write is of. What a page shows by itself is none.
    fn written_entry(&self, uri: &AtUri, space: Option<&Arc<str>>) -> Option<Arc<Entry>> {
        let mut of_space = self.entries.of(uri.as_str());
        of_space
            .find(|it| it.record.space.as_ref() == space)
            .cloned()
    }

    /// The server has spoken of a record with a write on it, and the write is over with it.
    pub(super) fn confirm_write(&mut self, entry: &Entry) {
        if let Some(written) = entry.written().filter(|it| it.sent) {
            self.writes.confirmed.push(written.id);
        }
    }

    /// A record is gone that is still going to be deleted: it may come back before that.
    pub(super) fn keep_deletion(&mut self, entry: &Entry) {
        let Some(written) = entry.written().filter(|it| !it.sent) else {
            return;
        };
        let overlay = Overlay {
            written: written.clone(),
            uri: entry.record.uri.clone(),
            space: entry.record.space.clone(),
            value: None,
            time_us: entry.record.time_us,
            failed: entry.optimistic.as_ref().and_then(|it| it.failed.clone()),
            // It was here.
            adds: true,
        };
        if self.writes.deletions.len() < MAX_OPTIMISTIC {
            self.writes.deletions.insert(overlay.place(), overlay);
        }
    }

    /// A record that was not here has come: hides it again if it is to be deleted.
    pub(super) fn delete_arrived(&mut self, entry: &Arc<Entry>) {
        if self.writes.deletions.is_empty() {
            return;
        }
        let record = &entry.record;
        let place = (record.space.clone(), record.uri.shared().clone());
        if let Some(overlay) = self.writes.deletions.remove(&place) {
            self.show_deletion(&overlay, entry);
        }
    }

    /// A record was deleted that the server never showed here: a write may wait for that.
    pub(super) fn deleted_unseen(&mut self, uri: &str) {
        let confirmed = &mut self.writes.confirmed;
        self.writes.deletions.retain(|(_, it), overlay| {
            let is_over = &**it == uri && overlay.written.sent;
            if is_over && overlay.adds {
                confirmed.push(overlay.written.id);
            }
            !is_over
        });
        let waits = |it: &&Arc<Entry>| it.written().is_some_and(|it| it.deletes && it.sent);
        let waiting = self.entries.of(uri).find(waits).cloned();
        if let Some(entry) = waiting {
            self.confirm_write(&entry);
            self.remove(entry);
        }
    }

    /// A whole snapshot is here: deletions of what it does not have are confirmed.
    pub(super) fn confirm_deletions(&mut self) {
        let confirmed = &mut self.writes.confirmed;
        self.writes.deletions.retain(|_, it| {
            if it.written.sent && it.adds {
                confirmed.push(it.written.id);
            }
            !it.written.sent
        });
        for id in std::mem::take(&mut self.writes.settled) {
            let entry = self.entries.get(id).cloned();
            if let Some(entry) = entry.filter(|it| it.written().is_some_and(|it| it.sent)) {
                self.take_back(entry);
            }
        }
        let gone = |it: &Arc<Entry>| {
            it.optimistic.as_ref().is_some_and(|it| it.base.is_none())
                && it.written().is_some_and(|it| it.deletes && it.sent)
        };
        let ids = self.optimistic.iter();
        let entries = ids.filter_map(|id| self.entries.get(*id));
        let entries: Vec<_> = entries.filter(|it| gone(it)).cloned().collect();
        for entry in entries {
            self.confirm_write(&entry);
            self.remove(entry);
        }
    }
}

impl Written {
    /// Whether this version of the record, which the server has, is what the write made, or came after it.
    pub(super) fn is_in(&self, record: &Record, body: &RawValue) -> bool {
        if !self.sent {
            // Even if it is the same: it is still going to be sent, and may take the place of what comes meanwhile.
            return false;
        }
        if self.deletes {
            // It is there again: somebody has made it anew since.
            return self.differs(record);
        }
        same_json(body, &record.value) || self.is_mine(record) || self.differs(record)
    }

    fn is_mine(&self, record: &Record) -> bool {
        self.cid.is_some() && self.cid.as_deref() == record.cid.as_deref()
    }

    /// Whether it is another version than the one that the write changes, and those before it.
    fn differs(&self, record: &Record) -> bool {
        let Some(cid) = record.cid.as_deref() else {
            return false;
        };
        if self.past.iter().any(|it| it == cid) {
            return false;
        }
        match &self.over {
            Some(over) => over != cid,
            // What it took the place of is not known. With the hash of its own version, others are taken for newer ones.
            None => self.cid.is_some(),
        }
    }
}

#[cfg(test)]
#[path = "written_tests.rs"]
mod tests;
