//! The connection of a watch, from the attempt to its end, as one source of happenings.

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tracing::warn;

use super::error::WatchError;
use crate::{
    failure::Failure,
    pure::{lifecycle::machine::Input, protocol::ticket::Ticket},
    transport::{Events, Incoming, TransportError},
};

/// What a connection brings.
pub(super) enum Happening {
    Input(Input),
    Ticket(Ticket),
}

pub(super) enum Connection {
    None,
    Opening(BoxFuture<'static, Result<Events, WatchError>>),
    Open(Events),
}

impl Connection {
    /// The next thing that happens to it; never, if there is none. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Happening {
        loop {
            match self {
                Self::None => return std::future::pending().await,
                Self::Opening(opening) => match opening.await {
                    Ok(events) => *self = Self::Open(events),
                    Err(error) => {
                        *self = Self::None;
                        return Happening::Input(Input::Failed(Failure::from(&error)));
                    }
                },
                Self::Open(events) => return incoming(events.next().await),
            }
        }
    }

    /// What has arrived already.
    pub(super) fn ready(&mut self) -> Option<Happening> {
        match self {
            Self::Open(events) => events.next().now_or_never().map(incoming),
            _ => None,
        }
    }
}

fn incoming(item: Option<Result<Incoming, TransportError>>) -> Happening {
    Happening::Input(match item {
        Some(Ok(Incoming::Event(event))) => Input::Event(event),
        Some(Ok(Incoming::Skipped(error))) => {
            warn!(%error, "skipped an event");
            Input::Skipped(None)
        }
        Some(Ok(Incoming::Ticket(ticket))) => return Happening::Ticket(ticket),
        Some(Err(error)) => Input::Failed(Failure::from(&error)),
        None => Input::Failed(Failure::from(&WatchError::Disconnected)),
    })
}
