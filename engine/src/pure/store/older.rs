//! What a snapshot and pages of older records say of the list, each of its own range.

use std::sync::Arc;

use super::{
    Store,
    change::{Change, Touch},
    entry::Entry,
    window::{ChildChange, Depth, Listing, MAX_CURSOR, Meanwhile, Outdated, Page, Refresh, Wanted},
};
use crate::{
    maps::FastSet,
    pure::protocol::{listed::Listed, record::Record},
};

/// Pages below a quiet snapshot that are looked through: a list of any length costs the server a bounded number of requests.
const QUIET_PAGES: usize = 20;

impl Store {
    /// Where older records begin, if there are any.
    pub fn cursor(&self) -> Option<&Arc<str>> {
        self.window.cursor.as_ref()
    }

    /// Whether records below the snapshot have to be asked for again.
    pub fn has_stale_pages(&self) -> bool {
        self.window.refresh.is_some()
    }

    /// The snapshot is complete. What it lacks is gone, but for what lies below its range.
    pub fn end_snapshot(&mut self, cursor: Option<String>) {
        self.unnamed = None;
        let listed = std::mem::take(&mut self.window.listed);
        let absent = self.unnamed();
        self.close(absent, listed, cursor.map(Arc::from), usize::MAX);
        self.synced();
    }

    /// The list from its top on down to `listed`: what is absent and stands above that is gone; what was known below
    /// stays, and is asked for again.
    fn close(
        &mut self,
        absent: Vec<Arc<Entry>>,
        listed: Listing,
        cursor: Option<Arc<str>>,
        pages: usize,
    ) {
        let window = &mut self.window;
        window.top = listed.count;
        (window.stale, window.refresh) = (FastSet::default(), None);
        let cursor = cursor.filter(|it| listed.count > 0 && it.len() <= MAX_CURSOR);
        let Some(cursor) = cursor else {
            (window.depth, window.cursor) = (Depth::All, None);
            absent.into_iter().for_each(|it| self.lose(it));
            return;
        };
        for entry in absent {
            if self.window.newest_first && self.is_past(&listed, &entry) {
                self.lose(entry);
            } else {
                self.window.stale.insert(entry.id);
            }
        }
        let window = &mut self.window;
        let reached = match &window.depth {
            Depth::Nothing => true,
            Depth::To(known) => listed.reaches(known, window.newest_first),
            Depth::All => false,
        };
        if reached {
            (window.depth, window.cursor) = (Depth::To(listed.clone()), Some(cursor.clone()));
        }
        if !reached || !window.stale.is_empty() {
            window.refresh = Some(Refresh {
                cursor,
                listed,
                pages,
            });
        }
    }

    fn is_past(&self, listed: &Listing, entry: &Arc<Entry>) -> bool {
        entry.confirmed().is_some_and(|it| listed.is_past(it))
    }

    /// The page to fetch next, if any: a quiet snapshot, then one that may be out of date, then the next older one.
    /// None while a snapshot arrives: it decides where pages begin.
    pub fn begin_page(&mut self, wanted: Wanted) -> Option<Page> {
        let full = self.is_full();
        let window = &mut self.window;
        let page = match (&window.refresh, &window.cursor) {
            _ if self.unnamed.is_some() => return None,
            _ if wanted.first => Page::First,
            (Some(refresh), _) => Page::Stale(refresh.cursor.clone()),
            (None, Some(cursor)) if wanted.older && !full => Page::Older(cursor.clone()),
            _ => return None,
        };
        window.meanwhile = Some(Meanwhile::default());
        Some(page)
    }

    /// Whether a quiet snapshot would take away most of what the last snapshot had, or all that came live since.
    pub fn is_implausible(&self, listed: &Listed) -> bool {
        let count = listed.records.len() + listed.unreadable.len();
        count < self.window.top.div_ceil(2) || count == 0 && self.has_older_than_page()
    }

    /// Whether the server has said a record that the page on its way could have.
    fn has_older_than_page(&self) -> bool {
        let came_meanwhile = |uri: &str| {
            let meanwhile = self.window.meanwhile.as_ref();
            meanwhile.is_some_and(|it| it.records.contains(uri))
        };
        let mut confirmed = self.entries.iter().filter(|it| it.confirmed().is_some());
        confirmed.any(|it| !came_meanwhile(it.record.uri.as_str()))
    }

    /// Whether the last page had more to say of a record, its children say, which changed while the page was on its way.
    pub fn was_overtaken(&self) -> bool {
        self.window.overtaken
    }

    /// The page on its way is not wanted any more.
    pub fn drop_page(&mut self) {
        self.window.meanwhile = None;
    }

    /// Whether the server has lists only: of public records, in one order, with their times in microseconds.
    pub fn has_lists_only(&mut self, yes: bool) {
        if self.window.of_lists == yes {
            return;
        }
        let is_public = self.home.space.is_none();
        self.home.any_space = is_public && !yes;
        self.window.newest_first = self.home.in_default_order && (yes || !is_public);
        self.window.of_lists = yes;
        self.rank_ties();
    }

    /// Puts records of one time into the order that such a server, or any other, lists them in.
    fn rank_ties(&mut self) {
        let before: Vec<u64> = self.entries().map(|it| it.id).collect();
        let by_uri = self.window.of_lists;
        if !self.order.set_ties_by_uri(by_uri, &self.entries) {
            return;
        }
        let after: Vec<_> = self.entries().cloned().collect();
        let kept: FastSet<u64> = after.iter().map(|it| it.id).collect();
        let gone = before.iter().filter(|id| !kept.contains(id));
        let gone = gone.filter_map(|id| self.entries.get(*id).cloned());
        self.changes.extend(gone.map(Change::Gone));
        let known: FastSet<u64> = before.iter().copied().collect();
        for (entry, old) in after.into_iter().zip(before) {
            let touch = match known.contains(&entry.id) {
                true if entry.id == old => continue,
                true => Touch::Moved,
                false => Touch::New,
            };
            self.changes.push(Change::Set(entry, touch));
        }
    }

    /// Whether a page is the first one again: such servers take a cursor that they do not know for none, and say nothing.
    fn begins_anew(&self, page: &Page, listed: &Listed) -> bool {
        self.window.of_lists && (self.begins_above(page, listed) || self.is_mostly_named(listed))
    }

    /// Whether it begins above the place down to which the list is known.
    fn begins_above(&self, page: &Page, listed: &Listed) -> bool {
        let known = match (page, &self.window.depth) {
            (Page::Stale(_), _) => self.window.refresh.as_ref().map(|it| &it.listed),
            (Page::Older(_), Depth::To(known)) => Some(known),
            _ => None,
        };
        let (Some(known), Some(first)) = (known, listed.records.first()) else {
            return false;
        };
        let mut begin = Listing::default();
        begin.add(first, true);
        self.window.newest_first && known.end.is_some() && known.ends_below(&begin)
    }

    /// Whether most of it was listed since the last snapshot began.
    fn is_mostly_named(&self, listed: &Listed) -> bool {
        let is_named = |it: &&Record| {
            let known = self.known(it);
            known.is_some_and(|known| self.entries.snapshot(known.slot) == Some(self.snapshot))
        };
        let named = listed.records.iter().filter(is_named).count();
        named * 2 > listed.records.len()
    }

    /// A page arrived. Says whether it told anything new.
    pub fn end_page(&mut self, page: &Page, listed: Listed) -> Result<bool, Outdated> {
        let meanwhile = self.window.meanwhile.take().ok_or(Outdated)?;
        let begin = match page {
            Page::First => None,
            Page::Stale(_) => self.window.refresh.as_ref().map(|it| &it.cursor),
            Page::Older(_) => self.window.cursor.as_ref(),
        };
        if begin != page.cursor() || begin.is_some() && self.begins_anew(page, &listed) {
            return Err(Outdated);
        }
        let before = self.changes.len();
        if *page == Page::First {
            self.snapshot = self.snapshot.wrapping_add(1);
            self.children.begin_snapshot();
        }
        // A page that is empty, or leads to itself, would lead on for ever.
        let leads_on = |it: &String| {
            let itself = page.cursor().is_some_and(|cursor| **cursor == **it);
            !listed.is_empty && it.len() <= MAX_CURSOR && !itself
        };
        let cursor = listed.cursor.filter(leads_on).map(Arc::from);
        self.learn(listed.profiles);
        self.window.overtaken = false;
        let mut has = Listing::default();
        for record in listed.records {
            has.add(&record, self.window.of_lists);
            let known = self.known(&record);
            if let Some(known) = &known {
                self.window.stale.remove(&known.id);
                self.name(known.slot);
            }
            if !meanwhile.records.contains(record.uri.as_str()) {
                self.arrive(known, record, false, true);
            } else if known.is_some_and(|it| !it.record.has_same_extras(&record)) {
                self.window.overtaken = true;
            }
        }
        has.add_unreadable(listed.unreadable.len());
        for uri in &listed.unreadable {
            self.spare(uri.as_str());
            for entry in self.entries.of(uri.as_str()) {
                self.window.stale.remove(&entry.id);
            }
        }
        match page {
            Page::First => {
                let mut absent = self.unnamed();
                absent.retain(|it| !meanwhile.records.contains(it.record.uri.as_str()));
                // A refresh after a reconnect goes on as far as it wanted to.
                let pages = self.window.refresh.as_ref().map_or(0, |it| it.pages);
                self.close(absent, has, cursor, pages.max(QUIET_PAGES));
            }
            Page::Older(_) => self.extended(has, cursor),
            Page::Stale(_) => self.refreshed(&meanwhile, has, cursor),
        }
        // What the page has of them already changes nothing.
        for change in meanwhile.children {
            let _ = match change {
                ChildChange::Added(added) => self.add_child(&added),
                ChildChange::Removed(removed) => self.remove_child(&removed),
            };
        }
        Ok(self.changes.len() > before)
    }

    /// An older page joined below.
    fn extended(&mut self, has: Listing, cursor: Option<Arc<str>>) {
        let window = &mut self.window;
        let known = std::mem::replace(&mut window.depth, Depth::Nothing);
        window.depth = match (&cursor, known) {
            (None, _) => Depth::All,
            (Some(_), Depth::To(known)) => Depth::To(known.and(has)),
            (Some(_), _) => Depth::To(has),
        };
        window.cursor = cursor;
    }

    /// What lies above the end of a page and was not in it is gone.
    fn refreshed(&mut self, meanwhile: &Meanwhile, has: Listing, cursor: Option<Arc<str>>) {
        let Some(before) = self.window.refresh.take() else {
            return;
        };
        let newest_first = self.window.newest_first;
        let is_further = !newest_first || has.count == 0 || has.ends_below(&before.listed);
        let listed = before.listed.clone().and(has);
        let pages = before.pages - 1;
        if !is_further || pages == 0 {
            // What cannot be told from such pages stays as it is, until the next snapshot.
            self.window.stale = FastSet::default();
            return;
        }
        for id in std::mem::take(&mut self.window.stale) {
            let Some(entry) = self.entries.get(id).cloned() else {
                continue;
            };
            // A page begins strictly below the last record of the one before: of others of the very same time nobody
            // can tell, unless URIs decide between them.
            let time = entry.confirmed().map(|it| it.record.time_us);
            let tied = newest_first && time.is_some_and(|it| before.listed.is_tied(it));
            let covered = cursor.is_none() || newest_first && self.is_past(&listed, &entry);
            if tied || meanwhile.records.contains(entry.record.uri.as_str()) {
                continue;
            } else if covered {
                self.lose(entry);
            } else {
                self.window.stale.insert(id);
            }
        }
        let Some(cursor) = cursor else {
            (self.window.depth, self.window.cursor) = (Depth::All, None);
            return;
        };
        let reached = match &self.window.depth {
            Depth::Nothing => true,
            Depth::To(known) => listed.reaches(known, newest_first),
            Depth::All => false,
        };
        if reached && !newest_first {
            // As many as were known: what was not among them stands elsewhere now, or is gone.
            for id in std::mem::take(&mut self.window.stale) {
                let gone = self.entries.get(id).cloned();
                gone.into_iter().for_each(|it| self.lose(it));
            }
        }
        let window = &mut self.window;
        if reached {
            (window.depth, window.cursor) = (Depth::To(listed.clone()), Some(cursor.clone()));
        }
        if !reached || !window.stale.is_empty() {
            window.refresh = Some(Refresh {
                cursor,
                listed,
                pages,
            });
        }
    }
}

#[cfg(test)]
#[path = "older_tests.rs"]
mod tests;
