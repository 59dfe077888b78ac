//! How much a queue takes, and where a new write stands in it.

use std::time::Duration;

use super::write::WriteId;

/// Bounds of the queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Most writes of one account that are sent side by side; 4 by default. With 1 all arrive in the order in which they
    /// were queued, but for those that were refused.
    pub parallel: usize,
    /// Most writes of one account that wait; 1,000 by default.
    pub writes: usize,
    /// Most bytes of JSON that they have; 16 MiB by default.
    pub bytes: usize,
    /// A write that waited longer has failed; 30 days by default.
    pub max_age: Duration,
    /// What the server took and the watch did not show after this time is told as unconfirmed; a minute by default.
    pub unconfirmed_after: Duration,
    /// What the server took is shown for this long, should the watch never confirm it; a day by default.
    pub keep_sent: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 4,
            writes: 1000,
            bytes: 16 * 1024 * 1024,
            max_age: Duration::from_secs(30 * 24 * 3600),
            unconfirmed_after: Duration::from_secs(60),
            keep_sent: Duration::from_secs(24 * 3600),
        }
    }
}

/// Why the queue takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// Too many writes wait.
    #[error("{limit} writes of this account wait already")]
    Writes {
        /// The bound.
        limit: usize,
    },
    /// They are too large.
    #[error("the writes of this account that wait may have {limit} bytes in all")]
    Bytes {
        /// The bound.
        limit: usize,
    },
}

/// What to do with a new write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is here already.
    Known(WriteId),
    /// It takes the place of this one, which no server has seen.
    InPlaceOf(WriteId),
    /// It is a row of its own, on top of the last one of its record if `over_last`.
    Own {
        /// See `Row::over_last`.
        over_last: bool,
        /// Content hash of what it changes, where it is known.
        swap: Option<String>,
    },
}
