//! Fetches a watch's pages: older ones, and the first one again to compare with.

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::debug;

use super::{
    Watch,
    error::WatchError,
    pager::{Fetch, Paged, Waiting},
};
use crate::{
    failure::{Failure, Refusal},
    gauge::MomentKind,
    pure::{
        lifecycle::machine::{Input, Status},
        store::window::{Outdated, Page, Wanted},
    },
    transport::{ConnectRequest, TicketIn, http, list, page},
};

impl Watch {
    pub(super) fn load_more(&mut self, waiting: Waiting) {
        self.pager.want(waiting);
        self.page();
    }

    /// Fetches the list as it is now, and tells the one who wants it when it shows.
    pub(super) fn refresh(&mut self, waiting: Waiting) {
        if matches!(self.status(), Status::Idle | Status::Closed) {
            let _ = waiting.1.send(Err(WatchError::Ended));
            return;
        }
        self.pager.want_fresh(waiting);
        self.input(Input::Refresh);
    }

    /// Somebody looks at what a follower shows, or nobody does.
    pub(super) fn look(&mut self, id: u64, seen: bool) {
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.seen = seen;
        }
        self.polling.seen(self.followers.values().any(|it| it.seen));
    }

    /// The connection failed, and with it what those wait for who want the server's word.
    pub(super) fn no_connection(&mut self, error: &WatchError) {
        self.pager.not_refreshed(error);
        if self.replica.store().is_arriving() {
            // Pages wait for the end of a snapshot, and this one has no end.
            self.pager.answer(|_| Err(error.clone()));
        }
    }

    /// Fetches a quiet snapshot as soon as nothing else is on its way.
    pub(super) fn compare(&mut self) {
        self.pager.compare(true);
        self.page();
    }

    /// Fetches a page if one is wanted, or answers that there is none.
    pub(super) fn page(&mut self) {
        // What arrives decides where pages begin: they go on after it.
        if !self.pager.is_idle() || self.replica.store().is_arriving() {
            return;
        }
        match self.replica.begin_page(self.pager.wanted()) {
            Some(page) => {
                let fetch = self.fetch(&page);
                self.pager.fetch(page, fetch);
            }
            None => self.answer_pages(),
        }
    }

    fn fetch(&self, page: &Page) -> Fetch {
        let (http, desk, followers) = (self.http.clone(), self.desk.clone(), self.minters());
        let (mut request, cursor) = (self.request(), page.cursor().cloned());
        let generation = desk.generation();
        let (lists, polling) = (self.replica.machine().is_listing(), self.polling.clone());
        async move {
            let (cursor, asked) = (cursor.as_deref(), Instant::now());
            let get = async |request: &ConnectRequest| match lists {
                true => list::list(&http, request, cursor)
                    .await
                    .map(|it| (it, None)),
                false => page::page(&http, request, cursor).await,
            };
            request.ticket = desk.ticket(followers.clone()).await?;
            let fetched = match get(&request).await {
                // An expired ticket matters only now: the connection outlives it.
                Err(error) if error.refusal() == Some(Refusal::Ticket) => {
                    desk.refused_this(request.ticket.as_ref());
                    request.ticket = desk.ticket(followers).await?;
                    get(&request).await
                }
                fetched => fetched,
            };
            let (listed, ticket) = fetched?;
            polling.listed(asked.elapsed());
            if let Some(ticket) = ticket.filter(|_| request.ticket_in == TicketIn::Query) {
                desk.roll(ticket, generation);
            }
            Ok(listed)
        }
        .boxed()
    }

    pub(super) fn paged(&mut self, paged: Paged) {
        let (page, answer) = match paged {
            Paged::Due => return self.page(),
            Paged::Answer(page, answer) => (page, answer),
        };
        let listed = match answer {
            Ok(listed) => listed,
            Err(error) => return self.no_page(&page, &error),
        };
        let is_first = page == Page::First;
        let served = match is_first {
            true => self.pager.arrived(),
            false => Vec::new(),
        };
        let ended = self.end_page(&page, listed);
        match ended {
            Ok(told) => {
                // A fresh list may be but the way to an older page that was not to be had so far.
                if !(is_first && self.pager.is_wanted()) {
                    self.pager.went_well();
                }
                if is_first {
                    self.first_page(told, served);
                }
            }
            Err(Outdated) if !self.pager.may_try_again() => {
                for (_, reply) in served {
                    let _ = reply.send(Err(WatchError::Outdated));
                }
                return self.no_page(&page, &WatchError::Outdated);
            }
            Err(Outdated) if self.replica.machine().is_listing() && !is_first => {
                return self.cursor_unknown();
            }
            Err(Outdated) if is_first => self.pager.once_more(served),
            Err(Outdated) => {}
        }
        if ended.is_ok() && matches!(page, Page::Older(_)) {
            self.answer_pages();
        }
        // What was wanted meanwhile, or what was overtaken, comes next.
        if self.pager.wanted() != Wanted::default() {
            self.page();
        } else if self.replica.store().has_stale_pages() {
            self.pager.refresh_soon();
        }
    }

    /// The server does not know the cursor of a page any more: a fresh list has another one. Who waits for a page gets
    /// that list soon; what may be out of date waits for the next one, as a server may know no cursor at all.
    fn cursor_unknown(&mut self) {
        match self.pager.is_wanted() {
            true => self.input(Input::Refresh),
            false => self.pager.refresh_later(),
        }
        // A list that was wanted meanwhile has waited for this answer.
        if self.pager.wanted().first {
            self.page();
        }
    }

    /// The quiet snapshot is in the store.
    fn first_page(&mut self, told: bool, served: Vec<Waiting>) {
        let statistics = &self.settings.shared.statistics;
        match self.replica.machine().is_listing() {
            true => {
                statistics.polled();
                self.counted.polled += 1;
            }
            false => {
                statistics.compared(told);
                self.counted.compared += 1;
                self.counted.mended += u64::from(told);
                if told {
                    let words = "a quiet snapshot told something new";
                    self.gauge.note(MomentKind::Mended, words);
                }
            }
        }
        self.note_changes();
        for (id, reply) in served {
            let follower = self.followers.get_mut(&id).ok_or(WatchError::Ended);
            let _ = reply.send(follower.map(|it| it.promise(&self.replica)));
        }
    }

    fn no_page(&mut self, page: &Page, error: &WatchError) {
        debug!(watch = %self.id, url = %http::bare(&self.spec.url), %error, ?page, "no page");
        let failure = Failure::from(error);
        if failure.refusal == Some(Refusal::AccessLost) {
            // No event need say so: a page is how one hears of it.
            return self.input(Input::Failed(failure));
        }
        if *page == Page::First {
            for (_, reply) in self.pager.arrived() {
                let _ = reply.send(Err(error.clone()));
            }
            let lists = self.replica.machine().is_listing();
            // A list that is not to be had is all that there would be of a connection.
            self.input(match lists {
                true => Input::Failed(failure),
                false => Input::NotCompared,
            });
            return self.page();
        }
        self.pager.answer(|_| Err(error.clone()));
        if self.replica.store().has_stale_pages() {
            self.pager.refresh_later();
        }
        if self.pager.wanted().first {
            self.page();
        }
    }

    /// What there is, is there.
    fn answer_pages(&mut self) {
        if !self.pager.is_wanted() {
            return;
        }
        self.note_changes();
        let (followers, replica) = (&mut self.followers, &self.replica);
        self.pager.answer(|id| {
            let follower = followers.get_mut(&id).ok_or(WatchError::Ended)?;
            Ok(follower.promise(replica))
        });
    }
}
