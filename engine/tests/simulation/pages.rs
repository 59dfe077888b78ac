//! Pages beside the connection: what `watch/pager.rs` and `watch/older.rs` of the engine do, on the simulated clock.

use std::{collections::BTreeMap, time::Duration};

use contrail_sync_engine::{
    internals::{Failure, Refusal},
    pure::{
        lifecycle::machine::Input,
        protocol::{listed::Listed, wire},
        store::window::{Outdated, Page, Wanted},
    },
};

use crate::{
    server,
    stream::cut,
    world::{Answer, Event, SECOND, Ticket, World},
};

/// One fetch at a time, and those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    pub(crate) fetching: Option<Fetch>,
    /// Followers, by number.
    pub(crate) waiting: Vec<u64>,
    pub(crate) compare: bool,
    /// Those who want the list of after their call, with how much was written by then: the next one has it …
    pub(crate) refreshing: Vec<(u64, u64)>,
    /// … and those for whom it is on its way.
    pub(crate) served: Vec<(u64, u64)>,
    due: Option<u64>,
    attempts: u32,
}

#[derive(Debug)]
pub(crate) struct Fetch {
    id: u64,
    page: Page,
    ticket: Option<Ticket>,
    is_second: bool,
    is_list: bool,
}

impl Pager {
    /// The connection failed: nobody gets the list soon.
    pub(crate) fn not_refreshed(&mut self) {
        self.refreshing.clear();
        self.served.clear();
    }

    /// The quiet snapshot is not on its way any more: gives those whom it was for.
    fn arrived(&mut self) -> Vec<(u64, u64)> {
        self.compare = false;
        std::mem::take(&mut self.served)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            first: self.compare,
            older: !self.waiting.is_empty(),
        }
    }
}

impl World {
    pub(crate) fn load_more(&mut self, follower: u64) {
        self.watch.pager.waiting.push(follower);
        self.page();
    }

    /// Somebody wants the list as it is from now on.
    pub(crate) fn refresh(&mut self, follower: u64) {
        if self.watch.is_stopped() {
            return;
        }
        let (at, writes) = (self.steady(), self.server.lists.writes);
        self.watch.list_asks.push(at);
        self.watch.pager.refreshing.push((follower, writes));
        self.input(Input::Refresh);
    }

    /// Fetches a page if one is wanted, or answers that there is none.
    pub(crate) fn page(&mut self) {
        let pager = &self.watch.pager;
        if pager.fetching.is_some() || self.watch.replica.store().is_arriving() {
            return;
        }
        let wanted = pager.wanted();
        match self.watch.replica.begin_page(wanted) {
            Some(page) => {
                let (id, is_list) = (self.number(), self.watch.replica.machine().is_listing());
                let pager = &mut self.watch.pager;
                pager.due = None;
                if page == Page::First {
                    pager.served.append(&mut pager.refreshing);
                }
                self.watch.pager.fetching = Some(Fetch {
                    id,
                    page,
                    ticket: None,
                    is_second: false,
                    is_list,
                });
                self.ask_for_page(id);
            }
            None => self.answer_pages(),
        }
    }

    fn ask_for_page(&mut self, id: u64) {
        match self.ticket() {
            Some(ticket) => self.minted_for_page(id, Ok(ticket)),
            None => {
                let (delay, minted) = self.mint();
                self.after(delay, Event::MintedForPage(id, minted));
            }
        }
    }

    pub(crate) fn minted_for_page(&mut self, id: u64, minted: Result<Ticket, Failure>) {
        let fetch = self.watch.pager.fetching.as_mut();
        let Some(fetch) = fetch.filter(|it| it.id == id) else {
            return;
        };
        match minted {
            Ok(ticket) => {
                fetch.ticket = Some(ticket);
                let cursor = fetch.page.cursor().map(ToString::to_string);
                self.desk.held = Some(ticket);
                let request = match fetch.is_list {
                    true => Event::ListPageAsked(id, cursor),
                    false => Event::PageRequest(id, ticket, cursor),
                };
                let latency = self.latency();
                self.after(latency, request);
            }
            Err(failure) => {
                let page = fetch.page.clone();
                self.watch.pager.fetching = None;
                self.no_page(&page, failure);
            }
        }
    }

    pub(crate) fn answered(&mut self, id: u64, answer: Answer) {
        let fetch = self.watch.pager.fetching.as_mut();
        let Some(fetch) = fetch.filter(|it| it.id == id) else {
            return;
        };
        let page = fetch.page.clone();
        match answer {
            Answer::Refused(failure)
                if failure.refusal == Some(Refusal::Ticket) && !fetch.is_second =>
            {
                fetch.is_second = true;
                if self.desk.held == fetch.ticket {
                    self.desk.held = None;
                }
                self.ask_for_page(id);
            }
            Answer::Refused(failure) => {
                self.watch.pager.fetching = None;
                self.no_page(&page, failure);
            }
            Answer::Page(told, ticket) => {
                self.watch.pager.fetching = None;
                self.desk.held = ticket.or(self.desk.held);
                self.paged(&page, told);
            }
        }
    }

    fn paged(&mut self, page: &Page, told: server::Page) {
        let mut actions = Vec::new();
        let now = self.now();
        let told_uris: Vec<String> = told.records.iter().map(|(uri, _)| uri.clone()).collect();
        let is_true = told.is_true;
        let listed = listed(told);
        let (is_first, is_listing) = (
            *page == Page::First,
            self.watch.replica.machine().is_listing(),
        );
        let served = match is_first {
            true => self.watch.pager.arrived(),
            false => Vec::new(),
        };
        let implausible =
            is_first && !is_listing && self.watch.replica.store().is_implausible(&listed);
        let (before, edits) = (self.versions(), self.edits_of_nothing(&told_uris));
        let (is_older, reach) = (matches!(page, Page::Older(_)), self.known_reach());
        let done = self.watch.replica.end_page(now, page, listed, &mut actions);
        if is_older && done.is_ok() {
            let next = self.watch.replica.store().cursor();
            assert_ne!(next, page.cursor(), "an older page leads nowhere");
        }
        let after = self.versions();
        let older = after.iter().find(|(id, it)| before.get(id) > Some(it));
        assert!(older.is_none(), "a page that was overtaken wins: {older:?}");
        assert_eq!(
            edits,
            self.edits_of_nothing(&told_uris),
            "a page takes an edit away"
        );
        // Where a filter hides most of a page, the first one again is not known for what it is until the next list.
        let leads_back = is_older
            && !self.setup.only_room
            && done.is_ok()
            && self.server.lists.is_orderly
            && self.known_reach() < reach;
        assert!(!(is_listing && leads_back), "an older page leads back up");
        if is_first && done.is_ok() {
            self.watch.not_believed = if implausible {
                self.watch.not_believed + 1
            } else {
                0
            };
            self.watch.distrusts |= self.watch.not_believed > 1;
        }
        self.perform_all(actions);
        self.check_machine();
        match done {
            Ok(_) => {
                // A fresh list may be but the way to an older page that was not to be had so far.
                if !is_first || self.watch.pager.waiting.is_empty() {
                    self.watch.pager.attempts = 0;
                }
                self.promise_list(served, is_true);
            }
            Err(Outdated) => {
                self.watch.pager.attempts += 1;
                if self.watch.pager.attempts >= 3 {
                    return self.no_page(page, cut("overtaken"));
                }
                if self.watch.replica.machine().is_listing() && !is_first {
                    return self.cursor_unknown();
                }
                if is_first {
                    self.watch.pager.compare = true;
                    self.watch.pager.refreshing.extend(served);
                }
            }
        }
        if done.is_ok() && matches!(page, Page::Older(_)) {
            self.answer_pages();
        }
        if self.watch.pager.wanted() != Wanted::default() {
            self.page();
        } else if self.watch.replica.store().has_stale_pages() {
            self.page_soon(SECOND);
        }
    }

    /// The server does not know the cursor of a page any more: a fresh list has another one.
    fn cursor_unknown(&mut self) {
        match self.watch.pager.waiting.is_empty() {
            false => {
                let at = self.steady();
                self.watch.list_asks.push(at);
                self.input(Input::Refresh);
            }
            true => self.page_soon(30 * SECOND),
        }
        if self.watch.pager.compare {
            self.page();
        }
    }

    fn no_page(&mut self, page: &Page, failure: Failure) {
        if failure.refusal == Some(Refusal::AccessLost) {
            return self.input(Input::Failed(failure));
        }
        if *page == Page::First {
            self.watch.pager.arrived();
            // A list that is not to be had is all that there would be of a connection.
            self.input(match self.watch.replica.machine().is_listing() {
                true => Input::Failed(failure),
                false => Input::NotCompared,
            });
            return self.page();
        }
        self.watch.pager.waiting.clear();
        self.watch.pager.attempts = 0;
        if self.watch.replica.store().has_stale_pages() {
            self.page_soon(30 * SECOND);
        }
        if self.watch.pager.compare {
            self.page();
        }
    }

    pub(crate) fn page_soon(&mut self, delay: u64) {
        let delay = Duration::from_micros(delay);
        self.watch.pager.due = self.timer(delay, Event::PageDue);
    }

    pub(crate) fn page_due(&mut self, number: u64) {
        if self.watch.pager.due == Some(number) {
            self.watch.pager.due = None;
            self.page();
        }
    }

    /// What there is, is there: those who waited are promised the revision that has it.
    fn answer_pages(&mut self) {
        if self.watch.pager.waiting.is_empty() {
            return;
        }
        self.note_changes();
        self.watch.pager.attempts = 0;
        for id in std::mem::take(&mut self.watch.pager.waiting) {
            let follower = self.followers.iter_mut().find(|it| it.id == id);
            if let Some(follower) = follower {
                follower.promise(&self.watch.replica);
            }
        }
    }
}

/// What is asked for out of turn.
impl World {
    /// The list is there for those who waited for it: whatever was written before they asked shows.
    fn promise_list(&mut self, served: Vec<(u64, u64)>, is_true: bool) {
        if served.is_empty() {
            return;
        }
        self.note_changes();
        let writes = self.server.lists.writes;
        let is_fresh = served.iter().any(|(_, asked)| *asked == writes);
        if is_fresh && self.is_listing() && is_true {
            self.shows_first_page();
        }
        for (id, _) in served {
            let follower = self.followers.iter_mut().find(|it| it.id == id);
            if let Some(follower) = follower {
                follower.promise(&self.watch.replica);
            }
        }
    }

    /// The edits that show of records that neither the server nor this page has.
    fn edits_of_nothing(&self, page: &[String]) -> Vec<u64> {
        if self.setup.max_records.is_some() {
            return Vec::new();
        }
        let edits = self.watch.replica.store().entries().filter(|it| {
            let uri = it.record.uri.as_str();
            let is_told = page.iter().any(|told| told == uri);
            it.optimistic.is_some()
                && !is_told
                && !self.server.rows.iter().any(|row| row.uri() == uri)
        });
        edits.map(|it| it.id).collect()
    }
}

fn listed(page: server::Page) -> Listed {
    let mut listed = Listed {
        is_empty: page.records.is_empty(),
        cursor: page.cursor,
        ..Listed::default()
    };
    for (_, record) in page.records {
        match wire::decode_record(&record) {
            Ok(record) => listed.records.push(record),
            Err(error) => listed.unreadable.extend(error.uri().cloned()),
        }
    }
    listed
}

impl World {
    /// The versions that the server has given to the records that are shown, by id.
    fn versions(&self) -> BTreeMap<u64, u64> {
        let entries = self.watch.replica.store().entries();
        let confirmed = entries.filter(|it| it.optimistic.is_none());
        let version = |cid: Option<&str>| cid?.strip_prefix('v')?.parse().ok();
        confirmed
            .filter_map(|it| Some((it.id, version(it.record.cid.as_deref())?)))
            .collect()
    }
}
