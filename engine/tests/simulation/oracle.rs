//! What must hold: after each step, and after a quiet time in which everything has to agree with the server.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use contrail_sync_engine::{
    Edit, Entry, Record, Status, internals::Cacheable, pure::protocol::wire,
};

use crate::{
    schedule::Order,
    server::{Row, space_uri},
    world::{SECOND, World},
};

/// Longest time until a watch is live again: the longest `Retry-After`, and what the bounds on connects add.
const UNTIL_LIVE: u64 = 760 * SECOND;
/// Longest time until a watch has compared itself with the server, and looked through the pages below.
const UNTIL_TRUE: u64 = 700 * SECOND;

impl World {
    /// What holds after each step.
    pub(crate) fn check(&mut self) {
        let store = self.watch.replica.store();
        assert_eq!(store.entries().count(), store.len(), "how many are shown");
        let most = self.setup.max_records.unwrap_or(usize::MAX);
        assert!(store.len() <= most, "more records than maxRecords");
        let forbidden: BTreeSet<String> = self.forbidden.iter().map(|it| space_uri(*it)).collect();
        let is_forbidden = |space: Option<&str>| space.is_some_and(|it| forbidden.contains(it));
        let shown = store
            .entries()
            .find(|it| is_forbidden(it.record.space.as_deref()));
        assert!(
            shown.is_none(),
            "shown, and not the account's to see: {shown:?}"
        );
        let mut rows = self.rows.kept.keys();
        let kept = rows.find(|it| is_forbidden(it.0.as_deref()));
        assert!(
            kept.is_none(),
            "cached, and not the account's to see: {kept:?}"
        );
        if self.is_closing() {
            return;
        }
        for follower in self.followers.iter_mut().filter(|it| it.is_awake) {
            assert!(
                follower.pull(&self.watch.replica, 500),
                "deltas without end"
            );
            follower.check(&self.watch.replica);
        }
    }

    /// All is well from now on, for long enough.
    pub(crate) fn quiet(&mut self) {
        self.faults = Default::default();
        self.server.list_well();
        self.connection
            .iter_mut()
            .for_each(|it| it.ends_after = None);
        self.wall_ahead = 0;
        self.admit();
        if self.watch.is_suspended {
            self.wake();
        }
        if self.followers.is_empty() || self.watch.is_stopped() {
            self.come();
        }
        self.followers.iter_mut().for_each(|it| it.is_awake = true);
        while !self.edits.is_empty() {
            let is_confirmed = self.network.bool();
            self.settle(0, is_confirmed);
        }
        self.until_live();
        self.advance(self.at + UNTIL_TRUE);
        if self.watch.distrusts {
            // Quiet snapshots count for nothing here: a new connection tells.
            self.cut_now();
            self.until_live();
            self.advance(self.at + 60 * SECOND);
        }
        self.until_live();
        self.check();
        self.take_back();
        self.check();
        self.agrees();
        (self.is_calm, self.is_blind) = (true, false);
        self.ghosts = self.ghosts();
    }

    /// What is shown although the server has it no more.
    fn ghosts(&self) -> BTreeSet<String> {
        let shown = self.watch.replica.store().entries();
        let gone = shown.filter(|it| self.row_of(it).is_none());
        gone.map(|it| it.record.uri.as_str().to_owned()).collect()
    }

    fn until_live(&mut self) {
        let end = self.at + UNTIL_LIVE;
        while self.watch.status() != Status::Live {
            assert!(
                self.at < end,
                "not live: {:?}",
                self.watch.replica.machine()
            );
            self.advance(self.at + 5 * SECOND);
            // A kick was still on its way.
            if self.watch.is_stopped() {
                self.come();
            }
        }
    }

    /// Edits that the server took are not waited for any more; the app takes back those that will never come.
    fn take_back(&mut self) {
        for _ in 0..1000 {
            let store = self.watch.replica.store();
            let waiting = store.entries().find(|it| it.optimistic.is_some()).cloned();
            let Some(waiting) = waiting else { break };
            let record = &waiting.record;
            let is_it = |it: &&Row| {
                let space = it.space.map(space_uri);
                it.uri() == record.uri.as_str()
                    && record
                        .space
                        .as_ref()
                        .is_none_or(|it| space.as_deref() == Some(&**it))
            };
            let list = self.told_list();
            let (reach, vague) = (self.reach(&list), self.vague(&list));
            let row = list[..reach].iter().copied().find(is_it);
            let row = row.filter(|it| !vague.contains(&it.uri()));
            assert!(
                row.is_none_or(|it| it.value() != record.value.get()),
                "an edit outlives its confirmation: {waiting:?}"
            );
            self.edit(Edit::Remove {
                rkey: record.rkey().to_owned(),
                did: Some(record.did().to_owned()),
            });
            self.deliver();
        }
        // Those beyond maxRecords nobody sees.
        for row in std::mem::take(&mut self.made) {
            self.edit(Edit::Remove {
                rkey: row.rkey,
                did: Some(row.did.to_owned()),
            });
        }
        self.deliver();
        // A comparison may have begun just now.
        for _ in 0..120 {
            self.advance(self.at + SECOND);
            let pager = &self.watch.pager;
            let is_idle = pager.fetching.is_none() && !pager.compare;
            let is_written = !self.rows.ledger.is_dirty();
            if is_idle && is_written && !self.watch.replica.store().has_stale_pages() {
                break;
            }
        }
    }

    /// The watch shows what the server has, as far down as it says that it knows the list.
    fn agrees(&self) {
        let store = self.watch.replica.store();
        let list = self.told_list();
        let reach = self.reach(&list);
        assert!(
            reach >= self.setup.limit.min(list.len()),
            "the cursor is above the end of the first page"
        );
        let mut expected: Vec<&Row> = list[..reach].to_vec();
        expected.retain(|it| it.in_room || !self.setup.only_room);
        expected.sort_by(|a, b| compare(self.setup.order, self.is_listing(), a, b));
        let most = self.setup.max_records.unwrap_or(usize::MAX);
        let vague = self.vague(&list);
        if !vague.is_empty() && self.setup.max_records.is_some() {
            return;
        }
        let is_ghost = |it: &Entry| self.row_of(it).is_none() && self.may_outlive(it, &list);
        // They take a place each.
        let ghosts = store.entries().filter(|it| is_ghost(it)).count();
        let expected = expected.into_iter().take(most.saturating_sub(ghosts));
        let expected = expected.filter(|it| !vague.contains(&it.uri()));
        let expected: Vec<String> = expected.map(|it| self.line_of(it)).collect();
        let shown = store.entries();
        let shown = shown.filter(|it| !vague.contains(it.record.uri.as_str()) && !is_ghost(it));
        let shown: Vec<String> = shown.map(|it| line(&it.record)).collect();
        let first = std::iter::zip(&shown, &expected).position(|(a, b)| a != b);
        let at = first.unwrap_or(shown.len().min(expected.len()));
        assert!(
            shown == expected,
            "{} shown, {} expected; at {at}\nshown    {:?}\nexpected {:?}\n{reach} of {} known",
            shown.len(),
            expected.len(),
            shown.get(at),
            expected.get(at),
            list.len(),
        );
        self.nothing_is_pending();
        self.rows_agree();
    }

    /// What was told live shows, as far as it can be told: all but times, labels, and the children themselves.
    pub(crate) fn says_the_same(&self, with_counts: bool) {
        let list = self.told_list();
        let expected = &list[..self.reach(&list)];
        let is_vague = !self.vague(&list).is_empty() || self.may_skip(&list);
        if is_vague || self.setup.max_records.is_some() {
            return;
        }
        let expected = expected
            .iter()
            .filter(|it| it.in_room || !self.setup.only_room);
        let counts = |extras: &BTreeMap<String, String>| {
            let counts = extras
                .iter()
                .filter(|it| with_counts && it.0.ends_with("Count"));
            format!("{:?}", counts.collect::<Vec<_>>())
        };
        let expected: BTreeSet<String> = expected
            .map(|it| {
                format!(
                    "{} {} {}",
                    it.uri(),
                    it.value(),
                    counts(&self.server.extras(it))
                )
            })
            .collect();
        let shown = self.watch.replica.store().entries().filter(|it| {
            let is_known = self.row_of(it).is_some();
            let was_ghost = self.ghosts.contains(it.record.uri.as_str());
            is_known || !(was_ghost || self.may_outlive(it, &list))
        });
        let shown: BTreeSet<String> = shown
            .map(|it| {
                let (uri, value) = (it.record.uri.as_str(), it.record.value.get());
                format!("{uri} {value} {}", counts(&extras(&it.record)))
            })
            .collect();
        let missing = expected.difference(&shown).next();
        let more = shown.difference(&expected).next();
        assert!(
            missing.is_none() && more.is_none(),
            "told live, and not shown: {missing:?}; shown instead: {more:?}"
        );
    }

    /// How far down the server's list the watch says that it knows it.
    fn reach(&self, list: &[&Row]) -> usize {
        let cursor = self.watch.replica.store().cursor();
        self.server.above(list, cursor.map(|it| &**it))
    }

    /// How far down the watch says by now that it knows the list.
    pub(crate) fn known_reach(&self) -> usize {
        self.reach(&self.told_list())
    }

    /// Whether the server's pages leave no doubt about records of one time.
    fn tells_ties(&self) -> bool {
        self.is_listing() && self.server.lists.only
    }

    /// Whether records of one time may be skipped at the edges of pages.
    fn may_skip(&self, list: &[&Row]) -> bool {
        self.setup.ties && self.setup.limit <= list.len() && !self.tells_ties()
    }

    /// A record that went while nobody was told stays if it may tie with the end of a page: nobody can tell.
    fn may_outlive(&self, entry: &Entry, list: &[&Row]) -> bool {
        let time = u64::try_from(entry.record.time_us).unwrap_or_default();
        let is_paged = self.setup.limit <= list.len();
        is_paged
            && !self.tells_ties()
            && (self.setup.ties || list.iter().any(|it| it.micros() == time))
    }

    /// Records of which nobody can say whether and how they are shown: unreadable ones, and those that tie at edges.
    fn vague(&self, list: &[&Row]) -> BTreeSet<String> {
        let tied = |row: &Row| list.iter().filter(|it| it.time == row.time).count() > 1;
        let may_skip = self.may_skip(list);
        let vague = list.iter().filter(|it| it.odd || may_skip && tied(it));
        vague.map(|it| it.uri()).collect()
    }

    /// What the server lists first shows, and is no older.
    pub(crate) fn shows_first_page(&self) {
        let store = self.watch.replica.store();
        let list = self.told_list();
        if self.setup.max_records.is_some() || !self.vague(&list).is_empty() {
            return;
        }
        let version = |row: &Row| {
            let mut entries = store.entries();
            let shown = entries.find(|it| it.record.uri.as_str() == row.uri());
            let cid = shown?.record.cid.as_deref()?;
            cid.strip_prefix('v')?.parse::<u64>().ok()
        };
        for row in list.iter().take(self.setup.limit) {
            let is_edited = store
                .entries()
                .any(|it| it.optimistic.is_some() && it.record.uri.as_str() == row.uri());
            let is_filtered = self.setup.only_room && !row.in_room;
            assert!(
                is_edited || is_filtered || version(row) == Some(row.version),
                "a list that was asked for lacks what was written before: {row:?}"
            );
        }
    }

    fn nothing_is_pending(&self) {
        let pager = &self.watch.pager;
        assert!(pager.fetching.is_none(), "a page is on its way: {pager:?}");
        assert!(!pager.compare, "a comparison is pending: {pager:?}");
        assert!(pager.waiting.is_empty(), "somebody waits for a page");
        let waits = !(pager.refreshing.is_empty() && pager.served.is_empty());
        assert!(!waits, "somebody waits for a fresh list");
        let store = self.watch.replica.store();
        assert!(!store.has_stale_pages(), "pages are out of date for ever");
        assert!(
            !self.rows.ledger.is_dirty(),
            "rows are not written for ever"
        );
    }

    /// The cache has the first records.
    fn rows_agree(&self) {
        if self.rows.was_cleared {
            // Until something changes.
            return;
        }
        let read = |row: &(String, bool)| {
            let record = wire::decode_record(&row.0).expect("a row is a record");
            (line(&record), row.1)
        };
        let kept: BTreeSet<_> = self.rows.kept.values().map(read).collect();
        let first = self
            .watch
            .replica
            .store()
            .entries()
            .take(self.rows.ledger.keep());
        let first: BTreeSet<_> = first
            .map(|it| (line(&it.record), Cacheable::live_time(&**it)))
            .collect();
        let missing = first.difference(&kept).next();
        let more = kept.difference(&first).next();
        assert!(
            missing.is_none() && more.is_none(),
            "not cached: {missing:?}, cached: {more:?}"
        );
    }

    /// What a reader sees of a record.
    fn line_of(&self, row: &Row) -> String {
        let (uri, space, time) = (row.uri(), row.space.map(space_uri), row.micros());
        let (cid, value) = (format!("v{}", row.version), row.value());
        let extras = self.server.extras(row);
        format!("{uri} {space:?} {time} {cid} {value} {extras:?}")
    }
}

fn line(record: &Record) -> String {
    let extras = extras(record);
    let (uri, space, time) = (record.uri.as_str(), &record.space, record.time_us);
    let cid = record.cid.as_deref().unwrap_or_default();
    format!(
        "{uri} {space:?} {time} {cid} {} {extras:?}",
        record.value.get()
    )
}

fn extras(record: &Record) -> BTreeMap<String, String> {
    let extras = record.extras();
    extras
        .map(|(name, raw)| (name.to_owned(), raw.get().to_owned()))
        .collect()
}

/// The order that is promised.
fn compare(order: Order, is_listing: bool, a: &Row, b: &Row) -> Ordering {
    if is_listing {
        return compare_in_lists(order, a, b);
    }
    let rest = |a: &Row, b: &Row| (a.uri(), a.space).cmp(&(b.uri(), b.space));
    let by_time = |a: &Row, b: &Row| {
        let keys = (a.micros(), &a.rkey).cmp(&(b.micros(), &b.rkey));
        keys.then_with(|| rest(a, b))
    };
    match order {
        Order::Newest => by_time(b, a),
        Order::Oldest => by_time(a, b),
        Order::Rkey => {
            let keys = (&a.rkey, a.micros()).cmp(&(&b.rkey, b.micros()));
            keys.then_with(|| rest(a, b))
        }
        Order::Number => b.number.cmp(&a.number).then_with(|| by_time(b, a)),
    }
}

/// The order that is promised where there are but lists: URIs ascend where nothing else decides.
fn compare_in_lists(order: Order, a: &Row, b: &Row) -> Ordering {
    let newest = |it: &Row| std::cmp::Reverse(it.micros());
    let rest = (newest(a), a.uri()).cmp(&(newest(b), b.uri()));
    match order {
        Order::Newest => rest,
        Order::Oldest => (a.micros(), a.uri()).cmp(&(b.micros(), b.uri())),
        Order::Rkey => a.rkey.cmp(&b.rkey).then(rest),
        Order::Number => b.number.cmp(&a.number).then(rest),
    }
}
