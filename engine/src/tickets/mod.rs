//! Tickets: what opens a watch without an invite token, where they come from and how long they serve.

mod desk;
mod http_minter;
mod minter;
mod source;
mod standing;
mod stored;

use std::time::Duration;

pub(crate) use desk::{Desk, DeskConfig, Logouts};
pub use http_minter::HttpMinter;
pub(crate) use http_minter::SECRET_PREFIX;
pub use minter::{MintReason, MintRequest, Minter};
pub use source::{NamedMinter, TicketSource};
pub use standing::{TicketStanding, TicketState};
pub(crate) use stored::{TICKET_PREFIX, store};

use crate::{
    failure::{ErrorKind, Failure},
    pure::protocol::ticket::NotATicket,
};

/// Why there is no ticket. No message holds one.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The minter did not answer in time.
    #[error("no ticket within {} s", after.as_secs_f32())]
    Timeout {
        /// The bound.
        after: Duration,
    },
    /// The minter said that it failed.
    #[error("no ticket: {0}")]
    Failed(String),
    /// The app's server says that the account may not see these records (any more): the watch is closed, and what it showed
    /// and cached is erased, as where the appview itself says so. For minters that know; asking again is of no use.
    #[error("no ticket, since access is refused: {reason}")]
    Forbidden {
        /// The server's reason, such as `not-member`.
        reason: String,
    },
    /// The minter answered something that is no ticket.
    #[error("the minter answered {0} instead of a ticket")]
    NotATicket(&'static str),
    /// The account was removed from the space, and this is the ticket that it had.
    #[error("access was taken away from the one who had this ticket")]
    Revoked,
    /// All tickets were cleared while this one was fetched.
    #[error("the tickets were cleared meanwhile")]
    Cleared,
    /// No window is left that could mint.
    #[error("no window is open that could mint a ticket")]
    NobodyMints,
}

impl TicketError {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout { .. } => ErrorKind::MintTimeout,
            Self::Revoked => ErrorKind::AccessLost,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::Failed(_) | Self::NotATicket(_) | Self::NobodyMints | Self::Cleared => {
                ErrorKind::MintFailed
            }
        }
    }
}

impl From<NotATicket> for TicketError {
    fn from(NotATicket(what): NotATicket) -> Self {
        Self::NotATicket(what)
    }
}

impl From<&TicketError> for Failure {
    fn from(error: &TicketError) -> Self {
        match error {
            TicketError::Revoked | TicketError::Forbidden { .. } => {
                Self::losing_access(error.kind(), error.to_string())
            }
            _ => Self::new(error.kind(), error.to_string()),
        }
    }
}
