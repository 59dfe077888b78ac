//! What the machine is told, and what it says.

use std::time::Duration;

use crate::{
    failure::Failure,
    pure::protocol::{
        record::{AtUri, Record},
        wire::{ChildAdded, ChildRemoved, ServerEvent},
    },
};

/// Where a watch stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum Status {
    /// Not started.
    #[default]
    Idle,
    /// The first connection is being made.
    Connecting,
    /// A snapshot is arriving.
    Snapshot,
    /// The records are the server's, and follow it.
    Live,
    /// The connection failed; another attempt follows.
    Reconnecting,
    /// Stopped, or ended for good: `error` says why.
    Closed,
}

/// What happens to a watch.
#[derive(Debug)]
pub enum Input {
    /// Someone wants the records.
    Start,
    /// Nobody does any more.
    Stop,
    /// The server said something.
    Event(ServerEvent),
    /// The server said something unreadable, which was skipped; the record that it was about, where that can be told.
    Skipped(Option<AtUri>),
    /// The attempt to connect, or the connection, ended.
    Failed(Failure),
    /// The wait that [`Effect::Wait`] asked for is over.
    Waited,
    /// The network may be back.
    Wake,
    /// The app goes to sleep: no connection until [`Input::Wake`].
    Suspend,
    /// The store cannot know its truth without a fresh snapshot; at most one in this time.
    NeedSnapshot(Duration),
    /// The wait that [`Effect::CompareAfter`] asked for is over.
    CompareDue,
    /// The quiet snapshot that [`Effect::Compare`] asked for is in the store.
    Compared,
    /// It could not be had.
    NotCompared,
    /// It was had, and is not believed: only a new connection can tell.
    NotBelieved,
    /// The server has no stream: what this connection tells is that its list may have changed.
    Lists,
    /// The list may have changed, or somebody wants it fresh.
    Refresh,
}

/// What the driver is to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Get a ticket where one is needed, and connect.
    Connect,
    /// Drop the connection, or the attempt at one. Nothing of it may arrive afterwards.
    Disconnect,
    /// Send [`Input::Waited`] after this time.
    Wait(Duration),
    /// Send [`Input::CompareDue`] after this time, in the place of an earlier one.
    CompareAfter(Duration),
    /// Fetch a quiet snapshot beside the open stream.
    Compare,
    /// Forget the ticket: the server does not take it.
    DropTicket,
    /// Mark every record as unconfirmed.
    BeginSnapshot,
    /// Confirm one record with the snapshot's content.
    SnapshotRecord(Record),
    /// The server has this record, but what it says of it cannot be read.
    Spare(AtUri),
    /// The snapshot is complete.
    EndSnapshot {
        /// Where older records begin.
        cursor: Option<String>,
    },
    /// Insert or update a record.
    Upsert(Record),
    /// Delete a record.
    Delete {
        /// Its `at://` URI.
        uri: String,
    },
    /// Add or change a hydrated child.
    AddChild(Box<ChildAdded>),
    /// Remove a hydrated child.
    RemoveChild(ChildRemoved),
    /// Access to one of several spaces is gone: forget its records.
    PurgeSpace {
        /// The space, `ats://<owner did>/<type>/<key>`.
        space: String,
    },
    /// Access is gone: forget records, cached rows and ticket.
    Purge {
        /// The account was removed: its ticket may still be valid to the server, and must not be used.
        kicked: bool,
    },
}

/// What the machine has to know of the watch's options.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Whether to connect again after a failure.
    pub reconnect: bool,
    /// Whether a fresh ticket can be had after a refusal.
    pub can_mint: bool,
    /// Whose watch it is, where known.
    pub account: Option<String>,
    /// Whether its records live in several spaces: then a kick from one takes only that one's.
    pub spans_spaces: bool,
    /// Longest time between two comparisons with the server; see [`COMPARE_EVERY`](super::machine::COMPARE_EVERY).
    pub compare_every: Duration,
}
