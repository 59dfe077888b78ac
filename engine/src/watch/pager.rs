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
        if self.waiting.len() >= MAX_WAITING {
            let _ = waiting.1.send(Err(WatchError::TooMany {
                what: "requests for older records",
                limit: MAX_WAITING,
            }));
            return;
        }
        self.waiting.push(waiting);
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
    pub(super) fn answer(&mut self, mut result: impl FnMut(u64) -> Result<u64, WatchError>) {
        self.attempts = 0;
        for (follower, reply) in self.waiting.drain(..) {
            let _ = reply.send(result(follower));
        }
    }

    /// The watch stops: nobody gets a page any more.
    pub(super) fn stop(&mut self) {
        self.fetching = None;
        self.compare = false;
        self.due.stop();
        self.answer(|_| Err(WatchError::Ended));
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
