//! Why a watch is not live, or ended.

use std::time::Duration;

use crate::{
    error::{ErrorKind, ErrorPayload},
    tickets::TicketError,
    transport::{Refusal, TransportError},
};

/// Why a watch is not live, or ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no ticket to connect with.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The server said that it failed.
    #[error("the server failed: {message}")]
    Server {
        /// The server's words.
        message: String,
    },
    /// The account was removed from the space.
    #[error("no longer a member of {space}")]
    AccessLost {
        /// The space that was left.
        space: String,
    },
    /// The server ended the stream.
    #[error("the server ended the connection")]
    Disconnected,
    /// The watch is over, or the engine is.
    #[error("the watch has ended")]
    Ended,
    /// An edit without a URI or a collection, where no record tells the collection.
    #[error("the optimistic record needs its collection")]
    Nameless,
    /// More was asked for than a watch holds.
    #[error("too many {what}: a watch holds {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

impl WatchError {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Ticket(error) => error.kind(),
            Self::Server { .. } => ErrorKind::Server,
            Self::AccessLost { .. } => ErrorKind::AccessLost,
            Self::Disconnected => ErrorKind::Disconnected,
            Self::Ended => ErrorKind::UnknownWatch,
            Self::Nameless => ErrorKind::InvalidOptions,
            Self::TooMany { .. } => ErrorKind::TooMany,
        }
    }

    /// The error as webviews see it.
    pub fn payload(&self) -> ErrorPayload {
        ErrorPayload {
            kind: self.kind(),
            message: self.to_string(),
        }
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Transport(error) => error.refusal(),
            Self::AccessLost { .. } => Some(Refusal::AccessLost),
            Self::Ticket(TicketError::Revoked) => Some(Refusal::AccessLost),
            _ => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transport(error) => error.retry_after(),
            _ => None,
        }
    }
}
