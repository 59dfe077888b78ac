//! Older records: pages below the window that a snapshot covers.

use std::sync::Arc;

use super::{
    record::{AtUri, Record},
    store::{FastSet, Store},
    wire::{ChildAdded, ChildRemoved},
};
use crate::transport::list::Listed;

/// Longest cursor of a server, in bytes: it is told with every delta.
const MAX_CURSOR: usize = 4096;
/// Live changes that are remembered while a page is on its way; with more, the page is asked for again.
const MAX_MEANWHILE: usize = 10_000;

/// How far down the store knows the server's list, and what of it may be out of date.
#[derive(Debug)]
pub struct Window {
    /// Whether the server lists newest first; in another order nobody can tell what a window covers.
    newest_first: bool,
    /// Where the next older page begins, if there is one.
    cursor: Option<Arc<str>>,
    /// The oldest record of the snapshot under way: creation time in milliseconds, and URI.
    end: Option<(i64, AtUri)>,
    /// Whether pages were loaded below the snapshot.
    paged: bool,
    /// Ids below the last snapshot that it could not confirm.
    stale: FastSet<u64>,
    /// Where the page begins that can.
    refresh: Option<Arc<str>>,
    /// How far down the stale records were confirmed.
    refreshed: Option<Place>,
    /// What happened while a page is on its way, which knows less of it; `None` without a page.
    meanwhile: Option<Meanwhile>,
}

/// Live changes during a fetch.
#[derive(Debug, Default)]
struct Meanwhile {
    /// URIs of records that changed or went.
    records: FastSet<Box<str>>,
    /// What happened to children, in order: some of their parents may be on the page.
    children: Vec<ChildChange>,
}

/// A live change of a child.
#[derive(Debug, Clone)]
pub(super) enum ChildChange {
    Added(ChildAdded),
    Removed(ChildRemoved),
}

/// Where a record stands in the server's list, newest first: by creation time in milliseconds, then by rkey.
type Place = (i64, Box<str>);

fn place(record: &Record) -> Place {
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

impl Store {
    /// Where older records begin, if there are any.
    pub fn cursor(&self) -> Option<&Arc<str>> {
        self.window.cursor.as_ref()
    }

    /// Whether records below the snapshot have to be asked for again.
    pub fn has_stale_pages(&self) -> bool {
        self.window.refresh.is_some()
    }

    /// The snapshot is complete. What it lacks is gone, but for what lies below its window.
    pub fn end_snapshot(&mut self, cursor: Option<String>, evict: bool) {
        let unconfirmed = self.unconfirmed.take().unwrap_or_default();
        let window = &mut self.window;
        (window.stale, window.refresh, window.refreshed) = (FastSet::default(), None, None);
        let end = window.end.take();
        let end = end.map(|(ms, uri)| (ms, uri.rkey().into()));
        let below = window.paged && window.newest_first && cursor.is_some();
        if evict {
            for id in unconfirmed {
                let Some(entry) = self.records.get(id).cloned() else {
                    continue;
                };
                let place = entry.confirmed().map(|it| place(&it.record));
                if below && place < end {
                    self.window.stale.insert(id);
                } else {
                    self.lose(entry);
                }
            }
        }
        self.synced();
        let cursor = cursor.filter(|it| it.len() <= MAX_CURSOR);
        let window = &mut self.window;
        if window.stale.is_empty() && (evict || !window.paged) {
            window.paged = false;
            window.cursor = cursor.map(Into::into);
        } else {
            window.refresh = cursor.map(Into::into);
        }
    }

    /// The page to fetch next, if any: one that may be out of date comes first, then the next older one if it is wanted.
    pub fn begin_page(&mut self, older: bool) -> Option<Page> {
        let full = self.is_full();
        let window = &mut self.window;
        let page = match (&window.refresh, &window.cursor) {
            (Some(stale), _) => Page::Stale(stale.clone()),
            (None, Some(cursor)) if older && !full => Page::Older(cursor.clone()),
            _ => return None,
        };
        window.meanwhile = Some(Meanwhile::default());
        Some(page)
    }

    /// A page arrived.
    pub fn end_page(&mut self, page: &Page, listed: Listed) -> Result<(), Outdated> {
        let meanwhile = self.window.meanwhile.take().ok_or(Outdated)?;
        let begin = match page {
            Page::Stale(_) => &self.window.refresh,
            Page::Older(_) => &self.window.cursor,
        };
        if begin.as_ref() != Some(page.cursor()) {
            return Err(Outdated);
        }
        // A page that is empty, or leads to itself, would lead on for ever.
        let leads_on =
            |it: &String| !listed.is_empty && it.len() <= MAX_CURSOR && **it != **page.cursor();
        let cursor = listed.cursor.filter(leads_on).map(Arc::from);
        let end = listed.records.iter().map(place).min();
        for record in listed.records {
            if let Some(known) = self.known(&record) {
                self.window.stale.remove(&known.id);
            }
            if !meanwhile.records.contains(record.uri.as_str()) {
                self.hear(record);
            }
        }
        // What the page has of them already changes nothing.
        for change in meanwhile.children {
            let _ = match change {
                ChildChange::Added(added) => self.add_child(&added),
                ChildChange::Removed(removed) => self.remove_child(&removed),
            };
        }
        match page {
            Page::Older(_) => {
                self.window.cursor = cursor;
                self.window.paged = true;
            }
            Page::Stale(_) => self.refreshed(end, cursor, listed.is_whole),
        }
        Ok(())
    }

    /// What lies above the end of a page and was not in it is gone.
    fn refreshed(&mut self, end: Option<Place>, cursor: Option<Arc<str>>, is_whole: bool) {
        let window = &mut self.window;
        let is_further = end.is_none() || window.refreshed.is_none() || end < window.refreshed;
        if !is_whole || !is_further {
            // What cannot be told from such pages stays as it is, until the next snapshot.
            (window.stale, window.refresh) = (FastSet::default(), None);
            return;
        }
        window.refreshed.clone_from(&end);
        for id in std::mem::take(&mut self.window.stale) {
            let Some(entry) = self.records.get(id).cloned() else {
                continue;
            };
            let place = entry.confirmed().map(|it| place(&it.record));
            let covered = cursor.is_none() || end.is_none() || place > end;
            if covered {
                self.lose(entry);
            } else {
                self.window.stale.insert(id);
            }
        }
        if cursor.is_none() {
            self.window.cursor = None;
        }
        self.window.refresh = cursor.filter(|_| !self.window.stale.is_empty());
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
