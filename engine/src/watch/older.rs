//! Fetches a watch's pages: older ones, and the first one again to compare with.

use futures_util::FutureExt;
use tracing::debug;

use super::{
    Watch,
    error::WatchError,
    pager::{Fetch, Paged, Waiting},
};
use crate::{
    failure::{Failure, Refusal},
    pure::{
        lifecycle::machine::Input,
        store::window::{Outdated, Page, Wanted},
    },
    transport::{http, page},
};

impl Watch {
    pub(super) fn load_more(&mut self, waiting: Waiting) {
        self.pager.want(waiting);
        self.page();
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
        async move {
            let cursor = cursor.as_deref();
            request.ticket = desk.ticket(followers.clone()).await?;
            let fetched = match page::page(&http, &request, cursor).await {
                // An expired ticket matters only now: the connection outlives it.
                Err(error) if error.refusal() == Some(Refusal::Ticket) => {
                    desk.refused_this(request.ticket.as_ref());
                    request.ticket = desk.ticket(followers).await?;
                    page::page(&http, &request, cursor).await
                }
                fetched => fetched,
            };
            let (listed, ticket) = fetched?;
            if let Some(ticket) = ticket {
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
        let ended = self.end_page(&page, listed);
        match ended {
            Ok(told) => {
                self.pager.went_well();
                if is_first {
                    self.pager.compare(false);
                    self.settings.statistics.compared(told);
                }
            }
            Err(Outdated) if !self.pager.may_try_again() => {
                return self.no_page(&page, &WatchError::Disconnected);
            }
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

    fn no_page(&mut self, page: &Page, error: &WatchError) {
        debug!(watch = %self.id, url = %http::bare(&self.spec.url), %error, ?page, "no page");
        let failure = Failure::from(error);
        if failure.refusal == Some(Refusal::AccessLost) {
            // No event need say so: a page is how one hears of it.
            return self.input(Input::Failed(failure));
        }
        if *page == Page::First {
            self.pager.compare(false);
            self.input(Input::NotCompared);
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
