//! Tickets: what opens a watch that is not public.

use std::{fmt, sync::Arc};

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

/// Where a watch gets its tickets from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum TicketSource {
    /// The watch is public.
    #[default]
    Public,
    /// One ticket, sent at every connect.
    Static(Ticket),
}

impl TicketSource {
    /// The ticket for the next connect, if one is needed.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Public => None,
            Self::Static(ticket) => Some(ticket.clone()),
        }
    }

    /// Whether another ticket can be had after a refusal.
    pub(crate) fn can_mint(&self) -> bool {
        match self {
            Self::Public | Self::Static(_) => false,
        }
    }
}
