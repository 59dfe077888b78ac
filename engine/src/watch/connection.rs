//! The connection of a watch, from the attempt to its end, as one source of happenings.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::Instant;
use tracing::warn;

use super::error::WatchError;
use crate::{
    failure::Failure,
    id::WatchId,
    pure::{
        lifecycle::machine::{Input, SNAPSHOT_SPACING},
        protocol::{profile::Profile, ticket::Ticket, wire::WireError},
    },
    transport::{Events, Incoming, TransportError},
};

/// What a connection brings.
pub(super) enum Happening {
    Input(Input),
    Ticket(Ticket),
    Profiles(Vec<Profile>),
    /// It ended because nothing was heard any more.
    Silence(Failure),
}

pub(super) enum Connection {
    None,
    Opening(WatchId, BoxFuture<'static, Result<Events, WatchError>>),
    Open(Events, Skips),
}

/// Events of a connection that are warned of one by one. A server that sends one bad event may send a million.
const WARNED_OF: u64 = 3;
/// Between two warnings of how many more there were.
const SUMMED_UP: Duration = Duration::from_secs(60);

/// The unreadable events of one connection, told in a few lines however many there are.
pub(super) struct Skips {
    watch: WatchId,
    count: u64,
    /// Those that no warning has told of.
    untold: u64,
    told: Instant,
}

impl Connection {
    /// The next thing that happens to it; never, if there is none. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Happening {
        loop {
            match self {
                Self::None => return std::future::pending().await,
                Self::Opening(watch, opening) => match opening.await {
                    Ok(events) => *self = Self::Open(events, Skips::new(*watch)),
                    Err(error) => {
                        *self = Self::None;
                        return Happening::Input(Input::Failed(Failure::from(&error)));
                    }
                },
                Self::Open(events, skips) => {
                    let item = events.next().await;
                    // Once for all that has arrived with it: what is unreadable may come by the million.
                    skips.sum_up_if_due();
                    return incoming(item, skips);
                }
            }
        }
    }

    /// What has arrived already.
    pub(super) fn ready(&mut self) -> Option<Happening> {
        match self {
            Self::Open(events, skips) => {
                let item = events.next().now_or_never()?;
                Some(incoming(item, skips))
            }
            _ => None,
        }
    }
}

impl Skips {
    fn new(watch: WatchId) -> Self {
        Self {
            watch,
            count: 0,
            untold: 0,
            told: Instant::now(),
        }
    }

    fn skipped(&mut self, error: &WireError) {
        self.count += 1;
        if self.count <= WARNED_OF {
            warn!(watch = %self.watch, %error, "skipped an event");
            return;
        }
        self.untold += 1;
    }

    fn sum_up_if_due(&mut self) {
        if self.untold > 0 && self.told.elapsed() >= SUMMED_UP {
            self.sum_up();
        }
    }

    fn sum_up(&mut self) {
        if self.untold > 0 {
            warn!(watch = %self.watch, more = self.untold, "skipped unreadable events");
        }
        self.untold = 0;
        self.told = Instant::now();
    }
}

impl Drop for Skips {
    fn drop(&mut self) {
        self.sum_up();
    }
}

fn incoming(item: Option<Result<Incoming, TransportError>>, skips: &mut Skips) -> Happening {
    Happening::Input(match item {
        Some(Ok(Incoming::Event(event))) => Input::Event(event),
        Some(Ok(Incoming::Skipped(error))) => {
            skips.skipped(&error);
            Input::Skipped(error.uri().cloned())
        }
        Some(Ok(Incoming::Gap)) => Input::NeedSnapshot(SNAPSHOT_SPACING),
        Some(Ok(Incoming::Lists)) => Input::Lists,
        Some(Ok(Incoming::Changed)) => Input::Refresh,
        Some(Ok(Incoming::Ticket(ticket))) => return Happening::Ticket(ticket),
        Some(Ok(Incoming::Profiles(profiles))) => return Happening::Profiles(profiles),
        Some(Err(error @ TransportError::IdleTimeout { .. })) => {
            return Happening::Silence(Failure::from(&error));
        }
        Some(Err(error)) => Input::Failed(Failure::from(&error)),
        None => Input::Failed(Failure::from(&WatchError::Disconnected)),
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::time::advance;

    use super::*;
    use crate::watch::logged::logged;

    #[tokio::test(start_paused = true)]
    async fn however_many_events_are_unreadable_a_few_lines_tell_of_them() {
        let (log, _guard) = logged();
        let bad = || Ok(Incoming::Skipped(WireError::NotUtf8));
        let events = stream::repeat_with(bad).boxed();
        let mut connection = Connection::Open(events, Skips::new(WatchId::next()));
        for _ in 0..100_000 {
            connection.next().await;
        }
        let lines = log.lines();
        assert_eq!(lines.len() as u64, WARNED_OF, "{lines:?}");

        advance(SUMMED_UP).await;
        connection.next().await;
        let lines = log.lines();
        assert!(
            lines.len() == 1 && lines[0].contains("more=99997"),
            "{lines:?}"
        );
        connection = Connection::None;
        let lines = log.lines();
        assert!(lines.len() == 1 && lines[0].contains("more=1"), "{lines:?}");
        drop(connection);
        assert!(log.lines().is_empty());
    }
}
