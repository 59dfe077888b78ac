//! One record as a watch shows it.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{edit::EditError, written::Written};
use crate::pure::{
    protocol::record::Record,
    view::sort::{Sort, SortValue},
};

/// One record in its place. Immutable: a changed record is a new entry under the same id.
pub struct Entry {
    /// Identifies (space, uri) for the life of the watch.
    pub id: u64,
    /// The record as it is shown.
    pub record: Record,
    /// What a page or the app expects the server to confirm; `None` for the server's own word.
    pub optimistic: Option<Box<Optimistic>>,
    /// Whether `time_us` is when the record was published live, not the server's stored creation time.
    pub(crate) live_time: bool,
    /// Where the store keeps it.
    pub(crate) slot: usize,
    pub(super) sort_value: SortValue,
    /// About how many bytes of JSON the record is.
    pub(super) size: usize,
}

/// What stands behind an optimistic entry.
#[derive(Clone, Default)]
pub struct Optimistic {
    /// Why it failed; `None` while it is pending.
    pub failed: Option<EditError>,
    /// The server's version, which a rollback restores; `None` for a new record.
    pub(super) base: Option<Arc<Entry>>,
    /// Bodies that this one replaced before the server confirmed them: their arrival confirms nothing.
    pub(super) earlier: Vec<Box<RawValue>>,
    /// Collection or space are a guess: the record is known by did and rkey alone.
    pub(super) guessed: bool,
    /// When a new record was added, in microseconds since the Unix epoch.
    pub(super) since: i64,
    /// The write of an outbox that it shows, if it is one's.
    pub(super) written: Option<Written>,
    /// The server has told another version than the one that was edited.
    pub(super) rebased: bool,
}

/// How the failure of a write is named whose record somebody else has changed meanwhile.
pub const CONFLICT: &str = "conflict";

/// Bodies that were replaced and are remembered.
const MAX_EARLIER: usize = 8;

impl Entry {
    /// The server's word.
    pub(super) fn confirmed_with(id: u64, record: Record, live_time: bool, sort: &Sort) -> Self {
        Self {
            id,
            sort_value: sort.value(&record),
            size: record.bytes(),
            record,
            optimistic: None,
            live_time,
            slot: 0,
        }
    }

    /// The server's version of it, if it has one.
    pub(crate) fn confirmed(self: &Arc<Self>) -> Option<&Arc<Self>> {
        match &self.optimistic {
            Some(optimistic) => optimistic.base.as_ref(),
            None => Some(self),
        }
    }

    /// The write of an outbox that it shows, if it is one's.
    pub fn written(&self) -> Option<&Written> {
        self.optimistic.as_ref()?.written.as_ref()
    }

    /// Whether a write is about to take it away: for lists that show what stays.
    pub fn is_going(&self) -> bool {
        let optimistic = self.optimistic.as_ref();
        optimistic.is_some_and(|it| {
            it.failed.is_none() && it.written.as_ref().is_some_and(|it| it.deletes)
        })
    }

    /// About how many bytes of JSON are held for it, the server's version under an edit included.
    pub(super) fn bytes(&self) -> usize {
        let edit = self.optimistic.as_ref();
        let base = edit
            .and_then(|it| it.base.as_ref())
            .map_or(0, |it| it.size());
        self.size() + base
    }

    /// About how many bytes of JSON it is, or less where it has much in common with others.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Optimistic {
    /// Whether `record`, which the server sent, is what the entry with this body waits for. What `may_be_base` and was
    /// there before the entry was added is not: it is what was changed.
    pub(super) fn is_confirmed_by(
        &self,
        body: &RawValue,
        record: &Record,
        may_be_base: bool,
    ) -> bool {
        if let Some(written) = &self.written
            && (!written.sent
                || written.deletes
                || written.over.is_some()
                || !written.past.is_empty())
        {
            let is_other = |base: &Arc<Entry>| {
                record.cid.is_none() && !same_json(&base.record.value, &record.value)
            };
            // Without hashes to tell by, another body than the one that was deleted is a record made anew.
            let is_anew =
                written.sent && written.deletes && self.base.as_ref().is_some_and(is_other);
            return is_anew || written.is_in(record, body);
        }
        if same_json(body, &record.value) {
            return true;
        }
        let old = match &self.base {
            Some(base) => same_json(&base.record.value, &record.value),
            None => may_be_base && record.time_us < self.since,
        };
        let earlier = || self.earlier.iter().any(|it| same_json(it, &record.value));
        !old && !earlier()
    }

    /// Whether what the server has by now may be what became of it, though the bodies differ: it is neither what was edited
    /// nor an earlier edit, and there are no hashes to tell by.
    pub(super) fn has_come(&self) -> bool {
        let Some(base) = self.base.as_ref().filter(|_| self.rebased) else {
            return false;
        };
        let value = &base.record.value;
        base.record.cid.is_none() && !self.earlier.iter().any(|it| same_json(it, value))
    }

    /// One more body took the place of `body`.
    pub(super) fn remember(&mut self, body: Box<RawValue>) {
        if self.earlier.len() >= MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push(body);
    }
}

/// Whether two JSON texts say the same.
pub(super) fn same_json(a: &RawValue, b: &RawValue) -> bool {
    let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
    a.get() == b.get() || parse(a).is_some_and(|a| Some(a) == parse(b))
}

// Bodies are the users' own words: they do not belong in debug output.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("record", &self.record)
            .field("optimistic", &self.optimistic)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic")
            .field("failed", &self.failed)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Serialize for Entry {
    /// The record, and `optimistic` (`pending` or `failed`) with `optimisticError` where it is not the server's word.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.record.serialize_identity(&mut map)?;
        self.serialize_content(&mut map)?;
        map.end()
    }
}

impl Entry {
    /// Writes what does not identify it into an object that may hold more.
    #[doc(hidden)]
    pub fn serialize_content<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.record.serialize_content(map)?;
        if let Some(optimistic) = &self.optimistic {
            let failed = optimistic.failed.is_some();
            map.serialize_entry("optimistic", if failed { "failed" } else { "pending" })?;
            if let Some(error) = &optimistic.failed {
                map.serialize_entry("optimisticError", error)?;
            }
            if let Some(written) = &optimistic.written {
                map.serialize_entry("write", &written.id)?;
                if written.deletes {
                    map.serialize_entry("deleted", &true)?;
                }
                if let (Some(error), Some(base)) = (&optimistic.failed, &optimistic.base)
                    && error.name == CONFLICT
                {
                    map.serialize_entry("serverValue", &base.record.value)?;
                }
            }
        }
        Ok(())
    }
}
