//! How far down a store knows the server's list, and what of it may be out of date.

use std::sync::Arc;

use crate::{
    maps::FastSet,
    pure::protocol::{
        record::{AtUri, Record},
        wire::{ChildAdded, ChildRemoved},
    },
};

/// Longest cursor of a server, in bytes: it is told with every delta.
pub(super) const MAX_CURSOR: usize = 4096;
/// Live changes that are remembered while a page is on its way; with more, the page is asked for again.
const MAX_MEANWHILE: usize = 10_000;

/// How far down the store knows the server's list, and what of it may be out of date.
#[derive(Debug)]
pub(super) struct Window {
    /// Whether the server lists newest first; in another order nobody can tell what a window covers.
    pub(super) newest_first: bool,
    /// Where the next older page begins, if there is one.
    pub(super) cursor: Option<Arc<str>>,
    /// The oldest record of the snapshot under way: creation time in milliseconds, and URI.
    pub(super) end: Option<(i64, AtUri)>,
    /// Whether pages were loaded below the snapshot.
    pub(super) paged: bool,
    /// Ids below the last snapshot that it could not confirm.
    pub(super) stale: FastSet<u64>,
    /// Where the page begins that can.
    pub(super) refresh: Option<Arc<str>>,
    /// How far down the stale records were confirmed.
    pub(super) refreshed: Option<Place>,
    /// What happened while a page is on its way, which knows less of it; `None` without a page.
    pub(super) meanwhile: Option<Meanwhile>,
}

/// Live changes during a fetch.
#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    /// URIs of records that changed or went.
    pub(super) records: FastSet<Box<str>>,
    /// What happened to children, in order: some of their parents may be on the page.
    pub(super) children: Vec<ChildChange>,
}

/// A live change of a child.
#[derive(Debug, Clone)]
pub(super) enum ChildChange {
    Added(ChildAdded),
    Removed(ChildRemoved),
}

/// Where a record stands in the server's list, newest first: by creation time in milliseconds, then by rkey.
pub(super) type Place = (i64, Box<str>);

pub(super) fn place(record: &Record) -> Place {
    (record.time_us.div_euclid(1000), record.rkey().into())
}

/// A page cannot be used: what it says may be older than what the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outdated;

/// Which page to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// One that was loaded before a reconnect and may have changed: it begins here.
    Stale(Arc<str>),
    /// The next older one, which begins here.
    Older(Arc<str>),
}

impl Page {
    /// Where it begins, in the server's words.
    pub fn cursor(&self) -> &Arc<str> {
        let (Self::Stale(cursor) | Self::Older(cursor)) = self;
        cursor
    }
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
            cursor: None,
            end: None,
            paged: false,
            stale: FastSet::default(),
            refresh: None,
            refreshed: None,
            meanwhile: None,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.newest_first);
    }

    pub(super) fn begin_snapshot(&mut self) {
        self.end = None;
        // A page that is on its way may be older than the snapshot.
        self.meanwhile = None;
    }

    /// The snapshot has this record.
    pub(super) fn covers(&mut self, record: &Record) {
        let ms = record.time_us.div_euclid(1000);
        let is_older = |(end_ms, end): &(i64, AtUri)| (ms, record.rkey()) < (*end_ms, end.rkey());
        if self.newest_first && self.end.as_ref().is_none_or(is_older) {
            self.end = Some((ms, record.uri.clone()));
        }
    }

    /// A live event knows better than a page that is on its way.
    pub(super) fn touched(&mut self, uri: &str) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.records.insert(uri.into());
            if meanwhile.records.len() > MAX_MEANWHILE {
                self.meanwhile = None;
            }
        }
    }

    /// So does it of children.
    pub(super) fn touched_child(&mut self, change: impl FnOnce() -> ChildChange) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.children.push(change());
            if meanwhile.children.len() > MAX_MEANWHILE {
                self.meanwhile = None;
            }
        }
    }
}
