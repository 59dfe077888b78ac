//! What is shown before the server says it.

use std::sync::Arc;

use super::{
    Store,
    edit::{Edit, EditError, EditRecord},
    entry::{Entry, Optimistic, same_json},
};
use crate::pure::{
    protocol::{
        extra::Extras,
        record::{AtUri, Record},
    },
    view::sort::SortBy,
};

/// Most optimistic entries of one watch.
pub const MAX_OPTIMISTIC: usize = 1000;

/// Why an edit shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditRefused {
    /// There are [`MAX_OPTIMISTIC`] optimistic entries already.
    TooMany,
    /// Nobody knows the record's URI: neither it nor its collection was given, and no other record of the watch has one.
    Nameless,
}

impl Store {
    /// Takes an edit. `now_us`: microseconds since the Unix epoch.
    pub fn edit(&mut self, edit: Edit, now_us: i64) -> Result<(), EditRefused> {
        match edit {
            Edit::Add { record } => self.add_optimistic(record, now_us)?,
            Edit::Fail { rkey, did, error } => self.mark_failed(&rkey, did.as_deref(), error),
            Edit::Remove { rkey, did } => self.remove_optimistic(&rkey, did.as_deref()),
        }
        Ok(())
    }

    fn add_optimistic(&mut self, new: EditRecord, now_us: i64) -> Result<(), EditRefused> {
        let record = self.expected(&new, now_us).ok_or(EditRefused::Nameless)?;
        let known = self.known_edit(&new, &record);
        if let Some(known) = known.as_ref().filter(|it| it.optimistic.is_none())
            && same_json(&known.record.value, &record.value)
        {
            // The server was faster.
            return Ok(());
        }
        let is_more = known.as_ref().is_none_or(|it| it.optimistic.is_none());
        if is_more && self.optimistic.len() >= MAX_OPTIMISTIC {
            return Err(EditRefused::TooMany);
        }
        let Some(known) = known else {
            let optimistic = Optimistic {
                guessed: self.is_guess(&new),
                since: now_us,
                ..Optimistic::default()
            };
            self.put(None, record, false, Some(Box::new(optimistic)));
            return Ok(());
        };
        let mut edited = known.record.clone();
        edited.value = record.value;
        let mut optimistic = match &known.optimistic {
            Some(before) => Optimistic::clone(before),
            None => Optimistic {
                base: Some(known.clone()),
                ..Optimistic::default()
            },
        };
        if known.optimistic.is_some() {
            optimistic.remember(known.record.value.clone());
        }
        optimistic.failed = None;
        self.put(
            Some(&known),
            edited,
            known.live_time,
            Some(Box::new(optimistic)),
        );
        // The newest edit of all is what an rkey alone means.
        self.optimistic.retain(|id| *id != known.id);
        self.optimistic.push(known.id);
        Ok(())
    }

    /// Whether the record may turn out to live in another collection or space.
    fn is_guess(&self, new: &EditRecord) -> bool {
        let collection = new.collection.is_none() && self.sibling().is_none();
        let space = new.space.is_none() && self.home.any_space;
        new.uri.is_none() && (collection || space)
    }

    /// All records of a watch are of one collection, which its URL names only in short.
    pub(super) fn sibling(&self) -> Option<&Arc<Entry>> {
        self.entries().find(|it| it.confirmed().is_some())
    }

    fn mark_failed(&mut self, rkey: &str, did: Option<&str>, error: EditError) {
        let Some(entry) = self.newest_optimistic(rkey, did) else {
            return;
        };
        if let Some(optimistic) = &entry.optimistic {
            let failed = Optimistic {
                failed: Some(error),
                ..Optimistic::clone(optimistic)
            };
            let record = entry.record.clone();
            self.put(
                Some(&entry),
                record,
                entry.live_time,
                Some(Box::new(failed)),
            );
        }
    }

    fn remove_optimistic(&mut self, rkey: &str, did: Option<&str>) {
        let Some(entry) = self.newest_optimistic(rkey, did) else {
            return;
        };
        match entry.confirmed().cloned() {
            Some(base) => self.put(Some(&entry), base.record.clone(), base.live_time, None),
            None => self.remove(entry),
        }
    }

    fn newest_optimistic(&self, rkey: &str, did: Option<&str>) -> Option<Arc<Entry>> {
        let entries = self
            .optimistic
            .iter()
            .rev()
            .filter_map(|id| self.entries.get(*id));
        // Those of an outbox are not the page's to take back.
        let mut meant = entries
            .filter(|it| it.written().is_none())
            .filter(|it| it.record.rkey() == rkey && did.is_none_or(|did| it.record.did() == did));
        meant.next().cloned()
    }

    /// The optimistic entry that a record of the server stands for, though its identity was only guessed.
    pub(super) fn guessed(&self, record: &Record) -> Option<&Arc<Entry>> {
        let mut entries = self
            .optimistic
            .iter()
            .filter_map(|id| self.entries.get(*id));
        entries.find(|it| {
            it.optimistic
                .as_ref()
                .is_some_and(|it| it.guessed && it.base.is_none())
                && it.record.rkey() == record.rkey()
                && it.record.did() == record.did()
        })
    }

    /// The entry that an edit is of. Where the space is not told, one record of that URI is enough.
    pub(super) fn known_edit(&self, new: &EditRecord, record: &Record) -> Option<Arc<Entry>> {
        self.known(record).or_else(|| {
            let mut spaces = self.entries.of(record.uri.as_str());
            let only = spaces.next().filter(|_| new.space.is_none())?;
            spaces.next().is_none().then(|| only.clone())
        })
    }

    /// The record as it will probably be.
    pub(super) fn expected(&self, new: &EditRecord, now_us: i64) -> Option<Record> {
        let collection = new.collection.as_deref();
        let collection = collection
            .or_else(|| Some(self.sibling()?.record.collection()))
            .or(self.home.collection.as_deref())?;
        let uri = match &new.uri {
            Some(uri) => uri.clone(),
            None => format!("at://{}/{collection}/{}", new.did, new.rkey),
        };
        let space = new.space.as_deref().map(Arc::from);
        Some(Record {
            uri: AtUri::parse(uri)?,
            space: space.or_else(|| self.home.space.clone()),
            cid: None,
            time_us: new.time_us.unwrap_or_else(|| self.after_newest(now_us)),
            value: new.value.clone(),
            extras: Extras::default(),
        })
    }

    /// A clock that is late must not put what was just written below what was there.
    fn after_newest(&self, now_us: i64) -> i64 {
        let sort = self.order.sort();
        let newest = match (&sort.by, sort.ascending) {
            (SortBy::TimeUs, false) => self.order.iter(&self.entries).next(),
            (SortBy::TimeUs, true) => self.order.iter(&self.entries).next_back(),
            _ => None,
        };
        newest.map_or(now_us, |it| now_us.max(it.record.time_us.saturating_add(1)))
    }
}

#[cfg(test)]
#[path = "optimistic_tests.rs"]
mod tests;
