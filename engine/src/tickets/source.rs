//! Where a watch gets its tickets from.

use std::{fmt, sync::Arc};

use super::Minter;
use crate::pure::protocol::ticket::Ticket;

/// Where a watch gets its tickets from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TicketSource {
    /// Nowhere: its URL has an invite token.
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
    pub(super) minter: Arc<dyn Minter>,
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
