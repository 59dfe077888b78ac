//! Older records: pages below the window that a snapshot covers.

use std::sync::Arc;

use super::{
    Store,
    window::{ChildChange, MAX_CURSOR, Meanwhile, Outdated, Page, Place, place},
};
use crate::{maps::FastSet, pure::protocol::listed::Listed};

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
                let Some(entry) = self.entries.get(id).cloned() else {
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
            let Some(entry) = self.entries.get(id).cloned() else {
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
#[path = "older_tests.rs"]
mod tests;
