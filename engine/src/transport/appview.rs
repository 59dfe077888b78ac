//! One appview without a stream, for all watches that follow it: where it stands, and how often it is asked.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;
use url::Url;

use super::{
    ConnectRequest, TransportError,
    http::{Http, bare},
    polling::{DEFAULT_POLL_INTERVAL, RELIST},
    position::{self, Position},
};

/// Lists that all watches together ask one appview for: one in this time, so at most 600 a minute.
pub(super) const LIST_SPACING: Duration = Duration::from_millis(100);
/// The first look at where the appview stands may take so long, until the list is asked for without.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// However long it asks to be left alone.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Asks where the appview stands as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Appview {
    shared: Arc<Shared>,
    /// Ends with this.
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    url: Url,
    /// Counts the looks that found a change, or could not tell. Zero before the first one.
    moved: watch::Sender<u64>,
    members: Mutex<Vec<Weak<ConnectRequest>>>,
    joined: Notify,
    /// When the next list may be asked for.
    turn: Mutex<Instant>,
}

impl Appview {
    /// Begins to ask.
    pub(super) fn new(http: Http, url: Url) -> Self {
        let shared = Arc::new(Shared {
            url,
            moved: watch::channel(0).0,
            members: Mutex::default(),
            joined: Notify::new(),
            turn: Mutex::new(Instant::now()),
        });
        let mut task = JoinSet::new();
        task.spawn(look(http, shared.clone()));
        Self {
            shared,
            _task: task,
        }
    }

    /// One more watch follows it, as long as it holds `request`. Gives what changes whenever the list may have, once
    /// the first look is done.
    pub(super) async fn join(&self, request: &Arc<ConnectRequest>) -> watch::Receiver<u64> {
        let members = || {
            let members = self.shared.members.lock();
            members.unwrap_or_else(PoisonError::into_inner)
        };
        members().retain(|it| it.strong_count() > 0);
        members().push(Arc::downgrade(request));
        self.shared.joined.notify_one();
        let mut moved = self.shared.moved.subscribe();
        let looked = moved.wait_for(|it| *it > 0);
        let _ = timeout(FIRST_LOOK, looked).await;
        moved.mark_unchanged();
        moved
    }

    /// Waits until one more list of so many pages may be asked for. First come, first served.
    pub(super) async fn turn(&self, pages: u32) {
        let at = {
            let turn = self.shared.turn.lock();
            let mut turn = turn.unwrap_or_else(PoisonError::into_inner);
            let at = Instant::now().max(*turn);
            *turn = at + LIST_SPACING * pages.max(1);
            at
        };
        sleep_until(at).await;
    }
}

impl Shared {
    /// One of those who follow, who asks on behalf of all, and the shortest interval of theirs.
    fn member(&self) -> Option<(Arc<ConnectRequest>, Duration)> {
        let members = self.members.lock();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        let alive: Vec<_> = members.iter().filter_map(Weak::upgrade).collect();
        let shortest = alive.iter().map(|it| it.polling.interval()).min()?;
        Some((alive.into_iter().next()?, shortest))
    }

    /// Lets those who follow say where it stands.
    fn note(&self, position: &Position) {
        let Position::At(Some(position)) = position else {
            return;
        };
        let members = self.members.lock();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        for member in members.iter().filter_map(Weak::upgrade) {
            member.gauge.stands_at(position);
        }
    }

    fn interval(&self) -> Duration {
        self.member()
            .map_or(DEFAULT_POLL_INTERVAL, |(_, interval)| interval)
    }
}

async fn look(http: Http, shared: Arc<Shared>) {
    let mut before = None;
    let mut failures = 0;
    loop {
        let Some((request, _)) = shared.member() else {
            shared.joined.notified().await;
            continue;
        };
        let found = position::read(&http, &shared.url, &request).await;
        drop(request);
        let rest = match found {
            Ok(position) => {
                failures = 0;
                shared.note(&position);
                if position == Position::Untold || before.as_ref() != Some(&position) {
                    shared.moved.send_modify(|it| *it += 1);
                }
                before = Some(position);
                Duration::ZERO
            }
            Err(error) => {
                debug!(url = %bare(&shared.url), %error, "the appview does not say where it stands");
                // The watches see for themselves whether it is there.
                if failures == 0 {
                    shared.moved.send_modify(|it| *it += 1);
                }
                failures += 1;
                rest(&error, failures, shared.interval())
            }
        };
        let looked = Instant::now();
        loop {
            let next = looked + shared.interval().max(rest);
            tokio::select! {
                () = sleep_until(next) => break,
                // Perhaps with a shorter interval.
                () = shared.joined.notified() => {}
            }
        }
    }
}

/// How long an appview is left alone that did not answer so many times.
fn rest(error: &TransportError, failures: u32, interval: Duration) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(5)).min(RELIST);
    let asked = error.retry_after().unwrap_or_default();
    asked.min(LONGEST_REST).max(doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appview_that_does_not_answer_is_left_alone_ever_longer_and_as_it_asks() {
        let error = |retry_after| TransportError::Status {
            at: String::new(),
            status: 429,
            message: String::new(),
            retry_after,
        };
        let interval = Duration::from_secs(10);
        let rests = [1, 2, 3, 9].map(|failures| rest(&error(None), failures, interval).as_secs());
        assert_eq!(rests, [20, 40, 80, 90]);
        let asked = |seconds| rest(&error(Some(Duration::from_secs(seconds))), 1, interval);
        assert_eq!(
            [asked(1), asked(300), asked(86_400)].map(|it| it.as_secs()),
            [20, 300, 600]
        );
    }
}
