//! Fetches a watch's older pages.

use futures_util::FutureExt;
use tracing::debug;

use super::{
    Watch,
    error::WatchError,
    pager::{Paged, Waiting},
};
use crate::{
    failure::Refusal,
    pure::store::window::{Outdated, Page},
    transport::{http, list},
};

impl Watch {
    pub(super) fn load_more(&mut self, waiting: Waiting) {
        self.pager.want(waiting);
        self.page();
    }

    /// Fetches a page if one is wanted, or answers that there is none.
    fn page(&mut self) {
        if !self.pager.is_idle() {
            return;
        }
        let Some(page) = self.replica.store_mut().begin_page(self.pager.is_wanted()) else {
            return self.answer_pages();
        };
        let (http, desk, followers) = (self.http.clone(), self.desk.clone(), self.minters());
        let (mut request, cursor) = (self.request(), page.cursor().clone());
        let fetch = async move {
            request.ticket = desk.ticket(followers.clone()).await?;
            match list::list(&http, &request, &cursor).await {
                // An expired ticket matters only now: the connection outlives it.
                Err(error) if error.refusal() == Some(Refusal::Ticket) => {
                    desk.refused_this(request.ticket.as_ref());
                    request.ticket = desk.ticket(followers).await?;
                    Ok(list::list(&http, &request, &cursor).await?)
                }
                listed => Ok(listed?),
            }
        };
        self.pager.fetch(page, fetch.boxed());
    }

    pub(super) fn paged(&mut self, paged: Paged) {
        let (page, answer) = match paged {
            Paged::Due => return self.page(),
            Paged::Answer(page, answer) => (page, answer),
        };
        let joined = match answer {
            Ok(listed) => self.replica.store_mut().end_page(&page, listed),
            Err(error) => {
                debug!(url = %http::bare(&self.spec.url), %error, "no older records");
                self.pager.answer(|_| Err(error.clone()));
                if self.replica.store().has_stale_pages() {
                    self.pager.refresh_later();
                }
                return;
            }
        };
        if joined.is_ok() {
            self.pager.went_well();
        }
        match (joined, page) {
            (Err(Outdated), _) if !self.pager.may_try_again() => {
                self.pager.answer(|_| Err(WatchError::Disconnected));
                if self.replica.store().has_stale_pages() {
                    self.pager.refresh_later();
                }
            }
            (Ok(()), Page::Older(_)) => self.answer_pages(),
            _ if self.pager.is_wanted() => self.page(),
            _ if self.replica.store().has_stale_pages() => self.pager.refresh_soon(),
            _ => {}
        }
    }

    /// What there is, is there.
    fn answer_pages(&mut self) {
        self.note_changes();
        let (followers, replica) = (&self.followers, &self.replica);
        self.pager.answer(|id| {
            let follower = followers.get(&id).ok_or(WatchError::Ended)?;
            Ok(follower.next_rev(replica))
        });
    }
}
