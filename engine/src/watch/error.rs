//! Why a watch is not live, or ended.

use crate::{
    failure::{ErrorKind, ErrorPayload, Failure},
    tickets::TicketError,
    transport::TransportError,
};

/// Why a watch is not live, or ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no ticket to connect with.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// 401 where there is nothing to show: asking again would be answered the same.
    #[error("this watch needs a ticket: give it mintTicket, or an inviteToken in its URL ({0})")]
    NoTicket(TransportError),
    /// The server ended the stream.
    #[error("the server ended the connection")]
    Disconnected,
    /// Somebody who looks into the engine ended the connection.
    #[error("the connection was dropped on purpose, to see what happens")]
    Dropped,
    /// The connection failed, for this reason.
    #[error("{}", .0.message)]
    Failed(ErrorPayload),
    /// A page of records was overtaken by news again and again, or the server did not know its own cursor.
    #[error(
        "the list changes faster than its pages arrive, or the server does not know its own cursor"
    )]
    Outdated,
    /// The watch is over, or the engine is.
    #[error("the watch has ended")]
    Ended,
    /// What the transport `poll` cannot heed: the list would be everybody's.
    #[error("transport \"poll\" cannot follow {what}: lists know public records only")]
    NotForLists {
        /// The part of the URL, or option.
        what: String,
    },
    /// An edit without a URI or a collection, where no record tells the collection.
    #[error("collection is missing, and neither the URL nor a record tells it")]
    Nameless,
    /// More was asked for than a watch holds.
    #[error("too many {what}: a watch holds {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The engine holds as many watches as it may, and somebody follows each of them.
    #[error("too many watches: {limit} are followed at once")]
    TooManyWatches {
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
            Self::NoTicket(_) => ErrorKind::AuthRequired,
            Self::Disconnected | Self::Dropped => ErrorKind::Disconnected,
            Self::Outdated => ErrorKind::BadPage,
            Self::Failed(payload) => payload.kind,
            Self::Ended => ErrorKind::UnknownWatch,
            Self::Nameless | Self::NotForLists { .. } => ErrorKind::InvalidOptions,
            Self::TooMany { .. } => ErrorKind::TooMany,
            Self::TooManyWatches { .. } => ErrorKind::TooManyWatches,
        }
    }

    /// The error as webviews see it.
    pub fn payload(&self) -> ErrorPayload {
        ErrorPayload {
            kind: self.kind(),
            message: self.to_string(),
        }
    }
}

impl From<&WatchError> for Failure {
    fn from(error: &WatchError) -> Self {
        match error {
            WatchError::Transport(error) => error.into(),
            WatchError::Ticket(error) => error.into(),
            WatchError::NoTicket(_) => Self::for_good(error.kind(), error.to_string()),
            other => Self::new(other.kind(), other.to_string()),
        }
    }
}
