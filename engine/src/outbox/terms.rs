//! What an outbox is told, and what it tells.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::NamedSender;
use crate::{
    failure::{ErrorKind, ErrorPayload},
    pure::{
        outbox::{
            limits::{Limits, QueueFull},
            row::Row,
            write::{Action, SendError, WriteId, WriteState},
        },
        store::edit::InvalidEdit,
    },
    watch::error::WatchError,
};

/// Most bytes of JSON that a record may have: what a PDS takes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Where writes wait, and who sends them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutboxConfig {
    /// The SQLite file; `None` keeps writes in memory, so that they end with the process. It is made with the first write.
    /// Without the feature `cache` only memory is there: with a file every write is refused.
    pub path: Option<PathBuf>,
    /// The senders that watches may name.
    pub senders: Vec<NamedSender>,
    /// Longest time for one attempt; a minute by default.
    pub send_timeout: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl OutboxConfig {
    /// An outbox in this file, without senders.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            senders: Vec::new(),
            send_timeout: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }

    /// The same with another sender. A later one of the same name takes the place of the first.
    pub fn sender(mut self, sender: NamedSender) -> Self {
        self.senders.retain(|it| *it != sender);
        self.senders.push(sender);
        self
    }
}

/// A record to be written.
#[derive(Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewRecord {
    /// Record key, at most 512 bytes; a new TID by default.
    pub rkey: Option<String>,
    /// DID of the author, in whose repository it lives.
    pub did: String,
    /// NSID of the collection; by default that of the watch's records.
    pub collection: Option<String>,
    /// The record's body, raw JSON.
    #[cfg_attr(feature = "ts", ts(type = "unknown"))]
    pub value: Box<RawValue>,
    /// The space that holds it, `ats://<owner did>/<type>/<key>`; by default the watch's.
    pub space: Option<String>,
    /// Creation time in microseconds since the Unix epoch; now by default.
    #[serde(default)]
    #[cfg_attr(feature = "ts", ts(optional, type = "number"))]
    pub time_us: Option<f64>,
}

impl std::fmt::Debug for NewRecord {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRecord")
            .field("rkey", &self.rkey)
            .field("did", &self.did)
            .finish_non_exhaustive()
    }
}

impl NewRecord {
    /// A record of this author with this body, under a new key; the rest by default.
    pub fn new(did: impl Into<String>, value: Box<RawValue>) -> Self {
        Self {
            rkey: None,
            did: did.into(),
            collection: None,
            value,
            space: None,
            time_us: None,
        }
    }

    /// The same under this key.
    pub fn with_rkey(mut self, rkey: impl Into<String>) -> Self {
        self.rkey = Some(rkey.into());
        self
    }

    /// The same in this collection.
    pub fn in_collection(mut self, nsid: impl Into<String>) -> Self {
        self.collection = Some(nsid.into());
        self
    }
}

/// How far a write has come, for those who only look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "ts",
    derive(ts_rs::TS),
    ts(export, rename = "WritePayload", optional_fields)
)]
#[non_exhaustive]
pub struct WriteInfo {
    /// Its number.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub id: WriteId,
    /// `at://<did>/<collection>/<rkey>`.
    pub uri: String,
    /// DID of the author.
    pub did: String,
    /// NSID of the collection.
    pub collection: String,
    /// Record key.
    pub rkey: String,
    /// The space that holds the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// DID of the account whose write it is, where the app named one.
    #[serde(skip)]
    #[cfg_attr(feature = "ts", ts(skip))]
    pub account: Option<String>,
    /// Whether it puts the record or deletes it.
    pub action: ActionKind,
    /// How far it has come.
    pub state: WriteState,
    /// Why it failed, why the last attempt did not arrive, or why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<SendError>,
    /// Attempts that began.
    pub attempts: u32,
    /// When it was queued, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub queued_at: i64,
}

/// What a write does to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum ActionKind {
    /// Gives it a body.
    Put,
    /// Takes it away.
    Delete,
}

impl From<&Action> for ActionKind {
    fn from(action: &Action) -> Self {
        match action {
            Action::Put(_) => Self::Put,
            Action::Delete => Self::Delete,
        }
    }
}

impl From<&Row> for WriteInfo {
    fn from(row: &Row) -> Self {
        let uri = &row.write.uri;
        Self {
            id: row.write.id,
            uri: uri.as_str().to_owned(),
            did: uri.did().to_owned(),
            collection: uri.collection().to_owned(),
            rkey: uri.rkey().to_owned(),
            space: row.write.space.clone(),
            account: row.write.account.clone(),
            action: (&row.write.action).into(),
            state: row.state,
            error: row.error.clone(),
            attempts: row.write.attempt,
            queued_at: row.write.queued_at,
        }
    }
}

impl WriteInfo {
    /// Whether it waits for the user's word.
    pub(super) fn error_is_final(&self) -> bool {
        self.state == WriteState::Failed
    }
}

/// What has changed in the queue of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct WriteChanges {
    /// What to ask for next.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub rev: u64,
    /// These are all that there are, and those that are over since a moment ago; not only those that changed.
    pub whole: bool,
    /// In the order in which they were queued. Those that are over are in the queue no longer.
    pub writes: Vec<WriteInfo>,
}

impl WriteChanges {
    /// Nothing has changed since this revision.
    pub fn none(rev: u64) -> Self {
        Self {
            rev,
            ..Self::default()
        }
    }
}

/// Why a record is not written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The engine has no outbox.
    #[error("this engine keeps no writes: its configuration has no outbox")]
    NoOutbox,
    /// The outbox is to have a file, and the program was built without the feature `cache`.
    #[error(
        "this app was built without SQLite, the feature \"cache\" of its crate: writes can wait in memory only"
    )]
    NoFiles,
    /// The watch names no sender, or one that does not exist.
    #[error("{0}")]
    NoSender(String),
    /// The watch cannot tell the record, or has ended.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// It cannot be what was meant.
    #[error(transparent)]
    Invalid(#[from] InvalidEdit),
    /// As many writes wait as may.
    #[error(transparent)]
    Full(#[from] QueueFull),
    /// It could not be kept on disk.
    #[error("the write could not be kept: {0}")]
    Disk(String),
    /// It was refused, or given up.
    #[error("{}", .0.message)]
    Failed(SendError),
    /// It was taken back.
    #[error("the write was discarded")]
    Discarded,
    /// There is no such write, or there is none any more.
    #[error("there is no such write")]
    Unknown,
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
}

impl WriteError {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Watch(error) => error.kind(),
            Self::Invalid(_) | Self::NoSender(_) => ErrorKind::InvalidOptions,
            Self::NoOutbox | Self::NoFiles => ErrorKind::Unsupported,
            Self::Full(_) => ErrorKind::TooMany,
            Self::Disk(_) | Self::Ended => ErrorKind::Outbox,
            Self::Failed(_) | Self::Discarded | Self::Unknown => ErrorKind::NotWritten,
        }
    }

    /// The error as webviews see it.
    pub fn payload(&self) -> ErrorPayload {
        ErrorPayload::new(self.kind(), self.to_string())
    }
}
