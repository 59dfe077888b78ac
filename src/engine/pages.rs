//! Older records: pages below the window that a snapshot covers.

use std::sync::Arc;

use super::{
    record::Record,
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
    /// Place of the oldest record of the snapshot under way.
    end: Option<Place>,
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
        let is_older =
            |end: &Place| (record.time_us.div_euclid(1000), record.rkey()) < (end.0, &*end.1);
        if self.newest_first && self.end.as_ref().is_none_or(is_older) {
            self.end = Some(place(record));
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
        let below = window.paged && window.newest_first && cursor.is_some();
        if evict {
            for id in unconfirmed {
                let Some(entry) = self.entry(id).cloned() else {
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
            let Some(entry) = self.entry(id).cloned() else {
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
mod tests {
    use super::*;

    const T: i64 = 1_795_432_906_000_000;

    fn record(n: i64, text: &str) -> Record {
        let json = format!(
            r#"{{"uri":"at://d/c/{n:03}","time_us":{},"value":"{text}"}}"#,
            T + n * 1000
        );
        serde_json::from_str(&json).unwrap()
    }

    fn records(numbers: impl IntoIterator<Item = i64>) -> Vec<Record> {
        numbers.into_iter().map(|n| record(n, "x")).collect()
    }

    fn snapshot(store: &mut Store, numbers: impl IntoIterator<Item = i64>, cursor: Option<&str>) {
        store.begin_snapshot();
        for record in records(numbers) {
            store.confirm(record);
        }
        store.end_snapshot(cursor.map(str::to_owned), true);
    }

    fn listed(records: Vec<Record>, cursor: Option<String>) -> Listed {
        Listed {
            is_empty: records.is_empty(),
            is_whole: true,
            records,
            cursor,
        }
    }

    fn shown(store: &Store) -> Vec<i64> {
        let numbers = store.entries().map(|it| (it.record.time_us - T) / 1000);
        numbers.collect()
    }

    fn older(text: &str) -> Page {
        Page::Older(text.into())
    }

    fn stale(text: &str) -> Page {
        Page::Stale(text.into())
    }

    /// 10..20 from the snapshot, 5..10 from a page.
    fn paged() -> Store {
        let mut store = Store::default();
        snapshot(&mut store, 10..20, Some("10"));
        let page = store.begin_page(true).unwrap();
        assert_eq!(page, older("10"));
        store
            .end_page(&page, listed(records(5..10), Some("5".into())))
            .unwrap();
        store
    }

    #[test]
    fn an_older_page_joins_below_the_snapshot_until_there_is_no_more() {
        let mut store = paged();
        assert_eq!(shown(&store), (5..20).rev().collect::<Vec<_>>());
        let page = store.begin_page(true).unwrap();
        assert_eq!(page, older("5"));
        store.end_page(&page, listed(records(0..5), None)).unwrap();
        assert_eq!(shown(&store), (0..20).rev().collect::<Vec<_>>());
        assert!(store.begin_page(true).is_none() && store.cursor().is_none());
    }

    #[test]
    fn a_reconnect_evicts_within_its_window_and_refreshes_the_pages_below() {
        let mut store = paged();
        // 20..22 are new, 15 was deleted; 10 and 11 slid below the window.
        let window = (12..22).filter(|n| *n != 15);
        snapshot(&mut store, window, Some("12"));
        assert!(!shown(&store).contains(&15));
        assert!(shown(&store).contains(&10) && shown(&store).contains(&5));
        assert_eq!(store.cursor().map(|it| &**it), Some("5"));

        // 8 was deleted meanwhile, and 7 edited.
        let page = store.begin_page(false).unwrap();
        assert_eq!(page, stale("12"));
        let mut first = records([11, 10, 9]);
        first.push(record(7, "edited"));
        store
            .end_page(&page, listed(first, Some("7".into())))
            .unwrap();
        assert!(!shown(&store).contains(&8) && shown(&store).contains(&6));
        assert!(store.has_stale_pages());
        let page = store.begin_page(false).unwrap();
        store
            .end_page(&page, listed(records([6, 5, 4]), Some("4".into())))
            .unwrap();
        assert!(!store.has_stale_pages());
        let edited = store
            .entries()
            .find(|it| it.record.rkey() == "007")
            .unwrap();
        assert_eq!(edited.record.value.get(), "\"edited\"");
        assert_eq!(store.cursor().map(|it| &**it), Some("5"));
    }

    #[test]
    fn without_older_pages_a_snapshot_is_all_there_is() {
        let mut store = Store::default();
        snapshot(&mut store, 10..20, Some("10"));
        store.upsert(record(21, "x"));
        snapshot(&mut store, 15..25, Some("15"));
        assert_eq!(shown(&store), (15..25).rev().collect::<Vec<_>>());
        assert_eq!(store.cursor().map(|it| &**it), Some("15"));
    }

    #[test]
    fn a_snapshot_without_a_cursor_covers_everything() {
        let mut store = paged();
        snapshot(&mut store, 12..20, None);
        assert_eq!(shown(&store), (12..20).rev().collect::<Vec<_>>());
        assert!(store.cursor().is_none() && !store.has_stale_pages());
    }

    #[test]
    fn a_page_does_not_undo_what_happened_while_it_was_on_its_way() {
        let mut store = Store::default();
        snapshot(&mut store, 10..20, Some("10"));
        let page = store.begin_page(true).unwrap();
        store.delete("at://d/c/007").unwrap();
        store.upsert(record(8, "newer"));
        store.end_page(&page, listed(records(5..10), None)).unwrap();
        assert!(!shown(&store).contains(&7));
        let known = store
            .entries()
            .find(|it| it.record.rkey() == "008")
            .unwrap();
        assert_eq!(known.record.value.get(), "\"newer\"");

        let mut store = Store::default();
        snapshot(&mut store, 10..20, Some("10"));
        let page = store.begin_page(true).unwrap();
        snapshot(&mut store, 10..20, Some("10"));
        assert_eq!(
            store.end_page(&page, listed(records(5..10), None)),
            Err(Outdated)
        );
    }

    #[test]
    fn an_empty_page_is_the_last_one_whatever_it_says() {
        let mut store = paged();
        let page = store.begin_page(true).unwrap();
        store
            .end_page(&page, listed(vec![], Some("more".into())))
            .unwrap();
        assert!(store.cursor().is_none());
    }

    #[test]
    fn a_server_that_makes_no_progress_is_not_asked_for_ever() {
        let refresh = |pages: &mut dyn FnMut(usize) -> Listed| {
            let mut store = paged();
            snapshot(&mut store, 12..22, Some("12"));
            let mut asked = 0;
            while let Some(page) = store.begin_page(false) {
                store.end_page(&page, pages(asked)).unwrap();
                asked += 1;
                assert!(asked < 5);
            }
            assert!(shown(&store).contains(&7), "what nobody told about stays");
        };
        refresh(&mut |n| listed(records([30, 31]), Some(format!("cursor {n}"))));
        let mut store = paged();
        let page = store.begin_page(true).unwrap();
        store
            .end_page(&page, listed(records([4]), Some("5".into())))
            .unwrap();
        assert!(
            store.cursor().is_none(),
            "a page that leads to itself is the last one"
        );
    }

    #[test]
    fn a_page_that_cannot_be_read_whole_takes_nothing_away() {
        let mut store = paged();
        snapshot(&mut store, 12..22, Some("12"));
        let page = store.begin_page(false).unwrap();
        let part = Listed {
            is_whole: false,
            ..listed(records([11, 9]), Some("9".into()))
        };
        store.end_page(&page, part).unwrap();
        assert!(shown(&store).contains(&10) && shown(&store).contains(&5));
        assert!(!store.has_stale_pages());
        assert_eq!(store.cursor().map(|it| &**it), Some("5"));
    }

    #[test]
    fn what_happens_to_children_while_a_page_is_on_its_way_is_not_lost() {
        let mut store = Store::default();
        snapshot(&mut store, 10..20, Some("10"));
        let page = store.begin_page(true).unwrap();
        let added =
            r#"{"parentUri":"at://d/c/007","relation":"likes","child":{"did":"a","rkey":"1"}}"#;
        store
            .add_child(&serde_json::from_str(added).unwrap())
            .unwrap();
        store.end_page(&page, listed(records(5..10), None)).unwrap();
        let parent = store
            .entries()
            .find(|it| it.record.rkey() == "007")
            .unwrap();
        assert!(parent.record.extra("likes").is_some());
    }
}
