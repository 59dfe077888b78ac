//! The words of the cache: how it is kept, what identifies rows, what changes, what can go wrong.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    Rest,
    row::{Cacheable, Row},
};
use crate::pure::protocol::{profile::Profile, record::Identity};

/// How a cache is kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CacheConfig {
    /// The database file; its directory is made if it is missing. `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes of the database beyond which the least recently used watches are dropped; 64 MiB by default.
    pub budget_bytes: u64,
    /// How long to wait for another process that holds the file; 1 s by default.
    pub busy_timeout: Duration,
    /// How long to go on in memory before the file is tried again; 30 s by default.
    pub retry_after: Duration,
}

impl CacheConfig {
    /// The defaults, for this file or for memory only.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            budget_bytes: 64 << 20,
            busy_timeout: Duration::from_secs(1),
            retry_after: Duration::from_secs(30),
        }
    }
}

/// What identifies a watch's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// Names the watch. What follows a dot tells views of one watch apart. Must not contain a ticket.
    pub key: String,
    /// The query that the rows are of, as a hash: rows of another one are purged and never shown.
    pub source: String,
    /// What is lost together with access, as a hash: the space on its server, or whatever else the server gives access to.
    pub realm: String,
    /// DID that the rows were fetched as; `None` for a watch without an account. Rows of another one are purged and never
    /// shown.
    pub account: Option<String>,
}

impl CacheKey {
    /// Whether the watch goes by this key, with whatever view.
    pub(super) fn is_view_of(&self, key: &str) -> bool {
        let view = self.key.strip_prefix(key);
        view.is_some_and(|it| it.is_empty() || it.starts_with('.'))
    }
}

/// A watch as the cache has it.
pub struct Loaded {
    /// Where the watch's last snapshot ended, if older records exist.
    pub cursor: Option<String>,
    /// When the watch was last known to agree with the server, in milliseconds since the Unix epoch.
    pub synced_at: i64,
    /// The first records, in the order of a watch: `time_us`, rkey, URI, space, each descending.
    ///
    /// May be fewer than asked for and still not all, if they are large.
    pub first: Vec<Row>,
    /// What the server told of the accounts that the list names.
    pub profiles: Vec<Profile>,
    /// The others.
    pub rest: Rest,
}

/// What the cache holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheInfo {
    /// Records of all watches.
    pub rows: u64,
    /// Bytes of the database that are in use.
    pub bytes: u64,
    /// Watches.
    pub watches: u64,
    /// The longest and the shortest time ago that a watch was in sync, as milliseconds since the Unix epoch.
    pub oldest_sync: Option<i64>,
    /// See `oldest_sync`.
    pub newest_sync: Option<i64>,
    /// The file; `None` if the cache is in memory, by choice or because of trouble.
    pub file: Option<PathBuf>,
    /// Whether nothing of this outlives the process.
    pub memory_only: bool,
}

/// What happened to a watch since the last [`Cache::write`](super::Cache::write) under the same lease.
pub struct Changes {
    /// Records that are new or changed, at most one per (space, uri).
    pub set: Vec<Arc<dyn Cacheable>>,
    /// Records that are gone.
    pub gone: Vec<Identity>,
    /// Where the snapshot ended, if older records exist.
    pub cursor: Option<Arc<str>>,
    /// All profiles, if they are others than before.
    pub profiles: Option<Vec<Profile>>,
    /// When the watch was last known to agree with the server, in milliseconds since the Unix epoch.
    pub synced_at: i64,
    /// Whether `set` is all that the watch holds. The first write under a lease must be one of these.
    pub replace: bool,
}

/// Why a call on the cache did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The cache does not hold what was written under this lease, so changes alone would leave gaps: write all of it,
    /// with [`Changes::replace`].
    #[error("the cache does not hold what this builds on: everything must be written")]
    Incomplete,
    /// The rows were cleared, and the lease with them: see [`Lease::standing`](super::Lease::standing).
    #[error("the rows were cleared")]
    Cleared,
    /// The watch alone is more than the cache's budget. The older half of its rows is gone, or more: write all of it,
    /// with [`Changes::replace`], and fewer.
    #[error("the watch alone is more than the cache's budget")]
    TooLarge,
    /// The deadline passed; the work goes on.
    #[error("the cache was not done in time")]
    TimedOut,
    /// The cache was closed.
    #[error("the cache is closed")]
    Closed,
    /// SQLite failed in a way that neither a fresh file nor memory mends.
    #[error("the cache failed: {0}")]
    Failed(String),
}
