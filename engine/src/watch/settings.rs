//! What a watch has of its engine's settings.

use std::{sync::Arc, time::Duration};

use super::{statistics::Counters, writes::Notes};
use crate::{cache::Cache, pure::lifecycle::backoff::BackoffPolicy};

/// What all watches of an engine share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long a watch stays connected after its last follower left.
    pub linger: Duration,
    /// Bounds of the delays between connects.
    pub backoff: BackoffPolicy,
    /// Most bytes that one event may have.
    pub max_event_bytes: usize,
    /// Most bytes of JSON that the records of one watch may have.
    pub(crate) max_watch_bytes: usize,
    /// Longest time between two comparisons with the server.
    pub(crate) compare_every: Duration,
    /// What is counted.
    pub(crate) statistics: Counters,
    /// Seed of the jitter; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Where records outlive the process.
    pub cache: Option<Cache>,
    /// What the outbox is told, where there is one.
    pub notes: Option<Arc<Notes>>,
}
