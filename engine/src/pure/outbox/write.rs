//! One write: what it does to which record, and how far it has come.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::pure::protocol::record::AtUri;

/// Numbers the writes of one outbox, in the order in which they were queued.
pub type WriteId = u64;

/// What a write does to its record.
#[derive(Clone)]
pub enum Action {
    /// Gives it this body, raw JSON; there may be none yet.
    Put(Arc<RawValue>),
    /// Takes it away.
    Delete,
}

impl Action {
    /// About how many bytes it has.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put(value) => value.get().len(),
            Self::Delete => 0,
        }
    }
}

impl fmt::Debug for Action {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put(_) => "Put",
            Self::Delete => "Delete",
        })
    }
}

/// One write, as a sender gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Write {
    /// Its number.
    pub id: WriteId,
    /// The same at every attempt, and another one for every other write: for servers that take an idempotency key.
    pub key: String,
    /// DID of the account whose write it is, where the app named one. Only its credentials may send it.
    pub account: Option<String>,
    /// The record. Its author is whose repository it lives in.
    pub uri: AtUri,
    /// The space that holds the record, `ats://<owner did>/<type>/<key>`; `None` for public records.
    pub space: Option<String>,
    /// What it does.
    pub action: Action,
    /// Content hash of the version that was changed, where it is known: a server that has another one by now should refuse.
    pub swap: Option<String>,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
    /// When it was queued, in milliseconds since the Unix epoch.
    pub queued_at: i64,
}

impl Write {
    /// For the tests of senders: the first attempt of a public one, of no named account.
    #[doc(hidden)]
    pub fn new(key: impl Into<String>, uri: AtUri, action: Action) -> Self {
        Self {
            id: 1,
            key: key.into(),
            account: None,
            uri,
            space: None,
            action,
            swap: None,
            attempt: 1,
            queued_at: 0,
        }
    }
}

/// Why a write is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum SendReason {
    /// It was not tried yet.
    First,
    /// The last attempt did not arrive, or nobody knows whether it did.
    Again,
    /// It was refused, and the user wants it tried once more.
    Asked,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server has it.
    Sent {
        /// The record's new content hash, where the server told it.
        cid: Option<String>,
    },
    /// The server, or the sender, will not have it: a user must decide.
    Refused(SendError),
    /// It may not have arrived: to be tried again.
    Later {
        /// Not earlier than after this time; by default after a delay that grows.
        after: Option<Duration>,
        /// Why, for people.
        why: SendError,
    },
}

impl Outcome {
    /// Sent, and the server told no hash.
    pub const SENT: Self = Self::Sent { cid: None };

    /// Refused, for this reason. `kind`: a word for code, such as `conflict`.
    pub fn refused(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused(SendError::new(kind, message))
    }

    /// The same, if it is to be tried again, but not earlier than after this time.
    pub fn not_before(self, time: Option<Duration>) -> Self {
        match self {
            Self::Later { why, .. } => Self::Later { after: time, why },
            other => other,
        }
    }

    /// To be tried again, because of this.
    pub fn later(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Later {
            after: None,
            why: SendError::new(kind, message),
        }
    }
}

/// The kind of a refusal because somebody else has changed the record meanwhile.
pub use crate::pure::store::entry::CONFLICT;
/// The kind of the end of a write whose account may not see its records any more.
pub const ACCESS_LOST: &str = "access-lost";
/// The kind of a refusal of what has waited too long.
pub const EXPIRED: &str = "expired";

/// Longest kind, in characters.
const MAX_KIND_CHARS: usize = 100;
/// Longest message, in characters.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Why a write was not taken, in the sender's words. It is kept on disk and shown in windows: no secret belongs in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct SendError {
    /// A word for code: `conflict`, or the server's or the sender's own; at most 100 characters.
    pub kind: String,
    /// What happened, for people; at most 1,000 characters.
    pub message: String,
}

impl SendError {
    /// An error of this kind, in these words; what is longer than it may be is cut.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: cut(kind.into(), MAX_KIND_CHARS),
            message: cut(message.into(), MAX_MESSAGE_CHARS),
        }
    }
}

fn cut(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
    text
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum WriteState {
    /// It waits for its turn, or for the network.
    Queued,
    /// A sender has it.
    Sending,
    /// The server has taken it, and the watch has not shown it yet.
    Sent,
    /// The same, for longer than is usual.
    Unconfirmed,
    /// The watch has shown what became of it. It is in the queue no longer.
    Confirmed,
    /// It was refused: it waits for the user's word, and so do later writes of its record.
    Failed,
    /// It was taken back. It is in the queue no longer.
    Discarded,
}

impl WriteState {
    /// Whether it is in the queue no longer.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Confirmed | Self::Discarded)
    }

    /// Whether the server has taken it.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::Unconfirmed | Self::Confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_at_a_character() {
        let error = SendError::new("ü".repeat(200), "ü".repeat(2000));
        assert_eq!(error.kind.chars().count(), MAX_KIND_CHARS);
        assert_eq!(error.message.chars().count(), MAX_MESSAGE_CHARS);
    }
}
