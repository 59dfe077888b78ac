//! What the writer task is asked for.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{CacheError, Changes, Lease, clears::Clearing, damage::Trouble};

/// Answers a job; the asker may be gone.
type Reply<T> = oneshot::Sender<T>;

/// What the writer is asked for.
pub(super) enum Job {
    /// Change the database.
    Change(Change, Reply<Result<(), CacheError>>),
    /// A read on the database of this generation ran into trouble.
    Trouble(u64, Trouble, Reply<()>),
    /// Answer when everything before is done.
    Flush(Reply<()>),
    /// Let go of the file.
    Close(Reply<()>),
}

/// A change of the database. Ids belong to the database of their generation only.
pub(super) enum Change {
    /// Write what changed in a watch.
    Write(Arc<Lease>, Changes),
    /// A watch was used.
    Touch { generation: u64, watch: i64 },
    /// Remove damaged rows.
    Forget {
        generation: u64,
        watch: i64,
        rows: Vec<i64>,
    },
    /// Remove a watch that must not be shown.
    Evict { generation: u64, watch: i64 },
    /// Remove rows.
    Clear(Clearing),
}
