//! How a watch stands with its ticket, without the ticket.

use serde::Serialize;

/// How a watch stands with its ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum TicketState {
    /// It has none: it needs none, or has not asked for one yet.
    None,
    /// It has one.
    Held,
    /// One is being fetched, from the vault or a minter.
    Minting,
    /// The server did not take the last one.
    Refused,
    /// The one it has is over, or as good as that: the next connect gets another one.
    Expired,
}

/// How a watch stands with its ticket. Never the ticket itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct TicketStanding {
    /// In a word.
    pub state: TicketState,
    /// When it expires, in milliseconds since the Unix epoch, where it says so.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub expires_at: Option<i64>,
}
