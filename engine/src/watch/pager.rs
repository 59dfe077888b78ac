//! Fetches a watch's older pages, one at a time.

use std::{pin::Pin, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};
use tracing::debug;

use super::{
    WatchError,
    pages::{Outdated, Page},
    watch::Watch,
};
use crate::transport::{
    Refusal, http,
    list::{self, Listed},
};

/// Between two pages that are refreshed behind the user's back.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// After a refresh that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// A page that was overtaken by a snapshot is asked for again, so many times.
const MAX_ATTEMPTS: u32 = 3;
/// Requests for a page that wait at once.
const MAX_WAITING: usize = 64;

/// Who wants a page: the subscriber, and where to tell it the revision that has it.
pub(super) type Waiting = (u64, oneshot::Sender<Result<u64, WatchError>>);
/// An answer of the server on its way.
pub(super) type Fetch = BoxFuture<'static, Result<Listed, WatchError>>;

/// The fetch under way and those who wait for it.
#[derive(Default)]
pub(super) struct Pager {
    fetching: Option<(Page, Fetch)>,
    waiting: Vec<Waiting>,
    due: Option<Pin<Box<Sleep>>>,
    attempts: u32,
}

/// What happens to it.
pub(super) enum Paged {
    /// A page arrived, or will not.
    Answer(Page, Result<Listed, WatchError>),
    /// It is time to refresh one.
    Due,
}

impl Pager {
    /// Somebody wants an older page.
    pub fn want(&mut self, waiting: Waiting) {
        if self.waiting.len() >= MAX_WAITING {
            let _ = waiting.1.send(Err(WatchError::TooMany {
                what: "requests for older records",
                limit: MAX_WAITING,
            }));
            return;
        }
        self.waiting.push(waiting);
    }

    /// Whether somebody waits.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.fetching.is_none()
    }

    /// Fetches this page.
    pub fn fetch(&mut self, page: Page, fetch: Fetch) {
        self.due = None;
        self.fetching = Some((page, fetch));
    }

    /// Looks after stale pages in a while.
    pub fn refresh_soon(&mut self) {
        self.due = Some(Box::pin(sleep(REFRESH_PAUSE)));
    }

    /// Looks after stale pages again much later.
    pub fn refresh_later(&mut self) {
        self.due = Some(Box::pin(sleep(RETRY_PAUSE)));
    }

    /// Whether a page that was overtaken may be asked for once more.
    pub fn may_try_again(&mut self) -> bool {
        self.attempts += 1;
        self.attempts < MAX_ATTEMPTS
    }

    /// A page was of use.
    pub fn went_well(&mut self) {
        self.attempts = 0;
    }

    /// Answers all who wait.
    pub fn answer(&mut self, result: impl Fn(u64) -> Result<u64, WatchError>) {
        self.attempts = 0;
        for (subscriber, reply) in self.waiting.drain(..) {
            let _ = reply.send(result(subscriber));
        }
    }

    /// The watch stops: nobody gets a page any more.
    pub fn stop(&mut self) {
        self.fetching = None;
        self.due = None;
        self.answer(|_| Err(WatchError::Ended));
    }

    /// What comes next; never, if nothing is under way. Cancelling loses nothing.
    pub async fn next(&mut self) -> Paged {
        if let Some((page, fetch)) = &mut self.fetching {
            let answer = fetch.await;
            let page = page.clone();
            self.fetching = None;
            return Paged::Answer(page, answer);
        }
        match &mut self.due {
            Some(due) => {
                due.await;
                self.due = None;
                Paged::Due
            }
            None => std::future::pending().await,
        }
    }
}

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
        let Some(page) = self.store.begin_page(self.pager.is_wanted()) else {
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
            Ok(listed) => self.store.end_page(&page, listed),
            Err(error) => {
                debug!(url = %http::bare(&self.spec.url), %error, "no older records");
                self.pager.answer(|_| Err(error.clone()));
                if self.store.has_stale_pages() {
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
                if self.store.has_stale_pages() {
                    self.pager.refresh_later();
                }
            }
            (Ok(()), Page::Older(_)) => self.answer_pages(),
            _ if self.pager.is_wanted() => self.page(),
            _ if self.store.has_stale_pages() => self.pager.refresh_soon(),
            _ => {}
        }
    }

    /// What there is, is there.
    fn answer_pages(&mut self) {
        self.note_changes();
        let (subscribers, machine, store) = (&self.subscribers, &self.machine, &self.store);
        self.pager.answer(|id| {
            let subscriber = subscribers.get(&id).ok_or(WatchError::Ended)?;
            Ok(subscriber.next_rev(machine, store))
        });
    }
}
