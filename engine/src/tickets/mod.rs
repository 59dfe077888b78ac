//! Tickets: what opens a watch that is not public, where they come from and how long they serve.

mod desk;
mod http_minter;
mod minter;
pub mod vault;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use desk::{Desk, DeskConfig, TICKET_PREFIX, store};
pub use http_minter::HttpMinter;
pub(crate) use http_minter::SECRET_PREFIX;
pub use minter::{MintReason, MintRequest, Minter};
/// Names a header of [`HttpMinter::header`].
pub use reqwest::header::HeaderName;

use crate::error::ErrorKind;

/// Longest ticket that is taken from a minter or a server, in bytes.
pub const MAX_TICKET_BYTES: usize = 8 * 1024;

/// A ticket as the server gave it: opaque, secret, and absent from every kind of output.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(Arc<str>);

impl Ticket {
    /// Wraps a ticket's text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

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
            Self::Failed(_) | Self::NotATicket(_) | Self::NobodyMints | Self::Cleared => {
                ErrorKind::MintFailed
            }
        }
    }
}

/// Checks a minter's answer.
pub(crate) fn checked(text: &str) -> Result<Ticket, TicketError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TicketError::NotATicket("nothing"));
    }
    if text.len() > MAX_TICKET_BYTES {
        return Err(TicketError::NotATicket("far too much"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TicketError::NotATicket("several words"));
    }
    Ok(Ticket::new(text))
}

/// Where a watch gets its tickets from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum TicketSource {
    /// The watch is public.
    #[default]
    Public,
    /// One ticket, sent as it is at every connect.
    Static(Ticket),
    /// A minter in Rust.
    Minter(NamedMinter),
    /// Whoever follows the watch mints, as a webview does by a function of its own.
    Followers,
}

impl TicketSource {
    /// Whether another ticket can be had after a refusal.
    pub(crate) fn can_mint(&self) -> bool {
        matches!(self, Self::Minter(_) | Self::Followers)
    }
}

/// A minter with the name it is registered under; the name is its identity.
#[derive(Clone)]
pub struct NamedMinter {
    name: String,
    minter: Arc<dyn Minter>,
}

impl NamedMinter {
    /// Names a minter.
    pub fn new(name: impl Into<String>, minter: impl Minter + 'static) -> Self {
        Self {
            name: name.into(),
            minter: Arc::new(minter),
        }
    }

    /// The name it is registered under.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for NamedMinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedMinter").field(&self.name).finish()
    }
}

impl PartialEq for NamedMinter {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedMinter {}

impl std::hash::Hash for NamedMinter {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
