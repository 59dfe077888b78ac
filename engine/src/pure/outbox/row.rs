//! One write in the queue, with what only the queue needs to know of it.

use std::{sync::Arc, time::Duration};

use super::write::{Action, SendError, Write, WriteId, WriteState};
use crate::pure::protocol::record::AtUri;

/// What identifies a record for the queue: account, space, URI.
pub type RecordKey = (Option<String>, Option<String>, Arc<str>);

/// What an account may not see any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Everything of one query.
    View(String),
    /// Everything of one space.
    Space(String),
}

/// Who sends a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentBy {
    /// The sender of this name.
    Name(String),
    /// Whoever follows a watch of the same query, as a webview does by a function of its own.
    Followers,
}

/// What is asked to be written.
#[derive(Debug, Clone)]
pub struct NewWrite {
    /// See [`Write::key`]. The same key again is the same write.
    pub key: String,
    /// See [`Write::account`].
    pub account: Option<String>,
    /// The record.
    pub uri: AtUri,
    /// The space that holds it.
    pub space: Option<String>,
    /// What to do to it.
    pub action: Action,
    /// Content hash of the version that is changed.
    pub swap: Option<String>,
    /// When the record is said to have been made, in microseconds since the Unix epoch.
    pub time_us: i64,
    /// Names the query through whose watch it came.
    pub view: String,
    /// Who sends it.
    pub sent_by: SentBy,
    /// In milliseconds since the Unix epoch.
    pub queued_at: i64,
}

/// A write in the queue. Its public fields outlive the process.
#[derive(Debug, Clone)]
pub struct Row {
    /// What the sender gets. `attempt` counts the attempts that began.
    pub write: Write,
    /// Names the query through whose watch it came.
    pub view: String,
    /// Who sends it.
    pub sent_by: SentBy,
    /// When the record is said to have been made, in microseconds since the Unix epoch.
    pub time_us: i64,
    /// How far it has come.
    pub state: WriteState,
    /// Why it failed, or why the last attempt did not arrive.
    pub error: Option<SendError>,
    /// It changes what the write of its record before it makes, whose hash is not known yet.
    pub over_last: bool,
    /// The hash that the server gave it.
    pub cid: Option<String>,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub sent_ms: Option<i64>,
    /// The user wants it tried once more.
    pub(super) asked: bool,
    /// It ends with the attempt that is under way, for this reason, should that attempt fail.
    pub(super) ends: Option<Option<SendError>>,
    /// How often in a row it may not have arrived.
    pub(super) laters: u32,
    /// Not sent before.
    pub(super) not_before: Duration,
    /// When the server took it, on the queue's clock.
    pub(super) sent_at: Option<Duration>,
}

impl Row {
    /// A write that was just queued.
    pub fn new(id: WriteId, new: NewWrite, over_last: bool) -> Self {
        let write = Write {
            id,
            key: new.key,
            account: new.account,
            uri: new.uri,
            space: new.space,
            action: new.action,
            swap: new.swap.filter(|_| !over_last),
            attempt: 0,
            queued_at: new.queued_at,
        };
        Self::of(write, new.view, new.sent_by, new.time_us, over_last)
    }

    /// A write of an earlier process, still to be told how far it had come.
    pub fn of(write: Write, view: String, sent_by: SentBy, time_us: i64, over_last: bool) -> Self {
        Self {
            write,
            view,
            sent_by,
            time_us,
            state: WriteState::Queued,
            error: None,
            over_last,
            cid: None,
            sent_ms: None,
            asked: false,
            ends: None,
            laters: 0,
            not_before: Duration::ZERO,
            sent_at: None,
        }
    }

    /// What identifies its record.
    pub fn record(&self) -> RecordKey {
        let write = &self.write;
        (
            write.account.clone(),
            write.space.clone(),
            write.uri.shared().clone(),
        )
    }

    /// Whether later writes of its record wait for it.
    pub(super) fn holds_up(&self) -> bool {
        !self.state.is_sent()
    }

    /// Whether a later write of its record may take its place: no server has seen it.
    pub(super) fn is_untried(&self) -> bool {
        self.state == WriteState::Queued && self.write.attempt == 0
    }
}
