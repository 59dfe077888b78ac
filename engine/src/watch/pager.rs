//! One fetch of an older page at a time, and those who wait for it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::error::WatchError;
use crate::{
    pure::{
        protocol::listed::Listed,
        store::window::{Page, Wanted},
    },
    timer::Timer,
};

/// Between two pages that are refreshed behind the user's back.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// After a refresh that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// A page that was overtaken by a snapshot is asked for again, so many times.
const MAX_ATTEMPTS: u32 = 3;
/// Requests for a page that wait at once.
const MAX_WAITING: usize = 64;

/// Who wants a page: the follower, and where to tell it the revision that has it.
pub(super) type Waiting = (u64, oneshot::Sender<Result<u64, WatchError>>);
/// An answer of the server on its way.
pub(super) type Fetch = BoxFuture<'static, Result<Listed, WatchError>>;

/// The fetch under way and those who wait for it.
#[derive(Default)]
pub(super) struct Pager {
    fetching: Option<(Page, Fetch)>,
    waiting: Vec<Waiting>,
    /// A quiet snapshot is wanted.
    compare: bool,
    /// Those who want the list of after their call: the next quiet snapshot has it …
    refreshing: Vec<Waiting>,
    /// … and those for whom it is on its way.
    served: Vec<Waiting>,
    due: Timer,
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
    pub(super) fn want(&mut self, waiting: Waiting) {
        admit(&mut self.waiting, waiting, "requests for older records");
    }

    /// Somebody wants the list as it is from now on.
    pub(super) fn want_fresh(&mut self, waiting: Waiting) {
        admit(&mut self.refreshing, waiting, "refreshes");
    }

    /// Whether somebody waits for a quiet snapshot that has not begun.
    pub(super) fn wants_fresh(&self) -> bool {
        !self.refreshing.is_empty()
    }

    /// The quiet snapshot is not on its way any more: gives those whom it was for.
    pub(super) fn arrived(&mut self) -> Vec<Waiting> {
        self.compare = false;
        std::mem::take(&mut self.served)
    }

    /// It was of no use: another one is for them.
    pub(super) fn once_more(&mut self, waiting: Vec<Waiting>) {
        self.compare = true;
        self.refreshing.extend(waiting);
    }

    /// The connection failed: nobody gets the list soon.
    pub(super) fn not_refreshed(&mut self, error: &WatchError) {
        answer(&mut self.served, |_| Err(error.clone()));
        answer(&mut self.refreshing, |_| Err(error.clone()));
    }

    /// A quiet snapshot is wanted, or not any more.
    pub(super) fn compare(&mut self, wanted: bool) {
        self.compare = wanted;
    }

    /// What is wanted.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            first: self.compare,
            older: !self.waiting.is_empty(),
        }
    }

    /// Whether somebody waits for an older page.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.fetching.is_none()
    }

    /// Fetches this page.
    pub(super) fn fetch(&mut self, page: Page, fetch: Fetch) {
        self.due.stop();
        if page == Page::First {
            self.served.append(&mut self.refreshing);
        }
        self.fetching = Some((page, fetch));
    }

    /// Looks after stale pages in a while.
    pub(super) fn refresh_soon(&mut self) {
        self.due.after(REFRESH_PAUSE);
    }

    /// Looks after stale pages again much later.
    pub(super) fn refresh_later(&mut self) {
        self.due.after(RETRY_PAUSE);
    }

    /// Whether a page that was overtaken may be asked for once more.
    pub(super) fn may_try_again(&mut self) -> bool {
        self.attempts += 1;
        self.attempts < MAX_ATTEMPTS
    }

    /// A page was of use.
    pub(super) fn went_well(&mut self) {
        self.attempts = 0;
    }

    /// Answers all who wait.
    pub(super) fn answer(&mut self, result: impl FnMut(u64) -> Result<u64, WatchError>) {
        self.attempts = 0;
        answer(&mut self.waiting, result);
    }

    /// The watch stops: nobody gets a page any more.
    pub(super) fn stop(&mut self) {
        self.fetching = None;
        self.compare = false;
        self.due.stop();
        self.answer(|_| Err(WatchError::Ended));
        self.not_refreshed(&WatchError::Ended);
    }

    /// What comes next; never, if nothing is under way. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Paged {
        if let Some((page, fetch)) = &mut self.fetching {
            let answer = fetch.await;
            let page = page.clone();
            self.fetching = None;
            return Paged::Answer(page, answer);
        }
        self.due.elapsed().await;
        Paged::Due
    }
}

fn admit(queue: &mut Vec<Waiting>, waiting: Waiting, what: &'static str) {
    if queue.len() < MAX_WAITING {
        return queue.push(waiting);
    }
    let limit = MAX_WAITING;
    let _ = waiting.1.send(Err(WatchError::TooMany { what, limit }));
}

fn answer(queue: &mut Vec<Waiting>, mut result: impl FnMut(u64) -> Result<u64, WatchError>) {
    for (follower, reply) in queue.drain(..) {
        let _ = reply.send(result(follower));
    }
}
