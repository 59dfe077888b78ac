//! How far down a store knows the server's list, and what of it may be out of date.

use std::sync::Arc;

use super::entry::Entry;
use crate::{
    maps::FastSet,
    pure::protocol::{
        record::Record,
        wire::{ChildAdded, ChildRemoved},
    },
};

/// Longest cursor of a server, in bytes: it is told with every delta.
pub(super) const MAX_CURSOR: usize = 4096;
/// Live changes that are remembered while a page is on its way; with more, the page is asked for again.
const MAX_MEANWHILE: usize = 10_000;
/// The same in bytes of JSON, where children are remembered.
const MAX_MEANWHILE_BYTES: usize = 16 * 1024 * 1024;

/// How much later than its stored time a record of a space is published, at most, in microseconds.
const SPACE_LAG_US: i64 = 2_000_000;
/// The same of a public record: appviews take records in by the minute.
const PUBLIC_LAG_US: i64 = 90_000_000;

/// How far down the store knows the server's list, and what of it may be out of date.
#[derive(Debug)]
pub(super) struct Window {
    /// Whether the server lists newest first; in another order nobody can tell what a window covers.
    pub(super) newest_first: bool,
    /// Whether the server has lists only.
    pub(super) of_lists: bool,
    /// Where the next older page begins, if there is one.
    pub(super) cursor: Option<Arc<str>>,
    /// How far down the list was asked for, matching records or not.
    pub(super) depth: Depth,
    /// The snapshot under way: how far down it has come.
    pub(super) listed: Listing,
    /// How many records the last snapshot had, without those that went since.
    pub(super) top: usize,
    /// Ids below the last snapshot that it could not confirm.
    pub(super) stale: FastSet<u64>,
    /// The pages that can.
    pub(super) refresh: Option<Refresh>,
    /// What happened while a page is on its way, which knows less of it; `None` without a page.
    pub(super) meanwhile: Option<Meanwhile>,
    /// The last page had more to say of a record that changed while the page was on its way.
    pub(super) overtaken: bool,
}

/// How far down a list is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Depth {
    /// Nothing of it yet.
    Nothing,
    /// Down to what a snapshot and pages listed.
    To(Listing),
    /// To its end.
    All,
}

/// What a snapshot, and the pages that follow it, have listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The place of the last record; `None` if there was none that could be read.
    pub(super) end: Option<End>,
    /// How many records.
    pub(super) count: usize,
}

/// A place in a list that is newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// In microseconds since the Unix epoch.
    pub(super) time_us: i64,
    /// It decides between equal times where the server has lists only; elsewhere nothing does.
    uri: Option<Arc<str>>,
}

/// What lies below a snapshot is being asked for again, page by page.
#[derive(Debug, Clone)]
pub(super) struct Refresh {
    /// Where the next page begins.
    pub(super) cursor: Arc<str>,
    /// How far down the list was confirmed.
    pub(super) listed: Listing,
    /// How many pages it may take.
    pub(super) pages: usize,
}

impl Listing {
    /// One more record, whose URI may decide between equal times.
    pub(super) fn add(&mut self, record: &Record, by_uri: bool) {
        let end = End {
            time_us: record.time_us,
            uri: by_uri.then(|| record.uri.shared().clone()),
        };
        if self.end.as_ref().is_none_or(|it| end.is_below(it)) {
            self.end = Some(end);
        }
        self.count += 1;
    }

    /// Records that cannot be read: nobody knows where they stand.
    pub(super) fn add_unreadable(&mut self, count: usize) {
        self.count += count;
    }

    /// This one, and what follows it.
    pub(super) fn and(self, next: Self) -> Self {
        Self {
            end: match (self.end, next.end) {
                (Some(end), Some(next)) if end.is_below(&next) => Some(end),
                (Some(_), Some(next)) => Some(next),
                (end, next) => end.or(next),
            },
            count: self.count + next.count,
        }
    }

    /// Whether it goes as far down as `other`, in a list that is newest first or in some other order.
    pub(super) fn reaches(&self, other: &Self, newest_first: bool) -> bool {
        match newest_first {
            true => match (&self.end, &other.end) {
                (Some(end), Some(other)) => !other.is_below(end),
                (end, _) => end.is_none() && self.count == 0,
            },
            false => self.count >= other.count,
        }
    }

    /// Whether an entry certainly stands above its end, so that it would have been listed.
    pub(super) fn is_past(&self, entry: &Entry) -> bool {
        // What was told live carries the time of its publication; the server stored it a little earlier.
        let lag = match (entry.live_time, &entry.record.space) {
            (false, _) => 0,
            (true, Some(_)) => SPACE_LAG_US,
            (true, None) => PUBLIC_LAG_US,
        };
        let time_us = entry.record.time_us.saturating_sub(lag);
        self.end.as_ref().is_some_and(|end| {
            let uri = end.uri.as_deref();
            let is_before = || uri.is_some_and(|it| entry.record.uri.as_str() < it);
            time_us > end.time_us || time_us == end.time_us && is_before()
        })
    }

    /// Whether it ends further down than `other`, as a page of what follows should.
    pub(super) fn ends_below(&self, other: &Self) -> bool {
        match (&self.end, &other.end) {
            (Some(end), Some(other)) => end.is_below(other),
            // Where one of them tells no place, it may.
            _ => true,
        }
    }

    /// Whether nobody can tell on which side of its end a record of this time stands.
    pub(super) fn is_tied(&self, time_us: i64) -> bool {
        let end = self.end.as_ref();
        end.is_some_and(|it| it.uri.is_none() && it.time_us == time_us)
    }
}

impl End {
    fn is_below(&self, other: &Self) -> bool {
        let is_after = || match (&self.uri, &other.uri) {
            (Some(uri), Some(other)) => uri > other,
            _ => false,
        };
        self.time_us < other.time_us || self.time_us == other.time_us && is_after()
    }
}

/// Live changes during a fetch.
#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    /// URIs of records that changed or went.
    pub(super) records: FastSet<Arc<str>>,
    /// What happened to children, in order: some of their parents may be on the page.
    pub(super) children: Vec<ChildChange>,
    /// About how many bytes these are.
    bytes: usize,
}

/// A live change of a child.
#[derive(Debug, Clone)]
pub(super) enum ChildChange {
    Added(ChildAdded),
    Removed(ChildRemoved),
}

impl ChildChange {
    fn bytes(&self) -> usize {
        match self {
            Self::Added(it) => it.parent_uri.len() + it.relation.len() + it.child.get().len(),
            Self::Removed(it) => {
                let did = it.child_did.as_ref().map_or(0, String::len);
                it.parent_uri.len() + it.relation.len() + it.child_rkey.len() + did
            }
        }
    }
}

/// A page cannot be used: what it says may be older than what the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outdated;

/// Which page to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The first one again, beside the open stream: a quiet snapshot.
    First,
    /// One that was loaded before a reconnect and may have changed: it begins here.
    Stale(Arc<str>),
    /// The next older one, which begins here.
    Older(Arc<str>),
}

impl Page {
    /// Where it begins, in the server's words; `None` for the first one.
    pub fn cursor(&self) -> Option<&Arc<str>> {
        match self {
            Self::First => None,
            Self::Stale(cursor) | Self::Older(cursor) => Some(cursor),
        }
    }
}

/// Which pages are wanted, beside those that may be out of date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A quiet snapshot.
    pub first: bool,
    /// The next older page.
    pub older: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Window {
    pub(super) fn new(newest_first: bool) -> Self {
        Self {
            newest_first,
            of_lists: false,
            cursor: None,
            depth: Depth::Nothing,
            listed: Listing::default(),
            top: 0,
            overtaken: false,
            stale: FastSet::default(),
            refresh: None,
            meanwhile: None,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            of_lists: self.of_lists,
            ..Self::new(self.newest_first)
        };
    }

    pub(super) fn begin_snapshot(&mut self) {
        self.listed = Listing::default();
        // A page that is on its way may be older than the snapshot.
        self.meanwhile = None;
    }

    /// The snapshot has this record.
    pub(super) fn covers(&mut self, record: &Record) {
        self.listed.add(record, self.of_lists);
    }

    /// A live event knows better than a page that is on its way.
    pub(super) fn touched(&mut self, uri: impl FnOnce() -> Arc<str>) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.records.insert(uri());
            if meanwhile.records.len() > MAX_MEANWHILE {
                self.meanwhile = None;
            }
        }
    }

    /// So does it of children.
    pub(super) fn touched_child(&mut self, change: impl FnOnce() -> ChildChange) {
        if let Some(meanwhile) = &mut self.meanwhile {
            let change = change();
            meanwhile.bytes += change.bytes();
            meanwhile.children.push(change);
            let is_too_much =
                meanwhile.children.len() > MAX_MEANWHILE || meanwhile.bytes > MAX_MEANWHILE_BYTES;
            if is_too_much {
                self.meanwhile = None;
            }
        }
    }
}
