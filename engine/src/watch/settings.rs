//! What a watch has of its engine's settings.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{statistics::Counters, writes::Notes};
use crate::{cache::Cache, gauge::Live, pure::lifecycle::backoff::BackoffPolicy};

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
    /// What is counted, and told to those who look.
    pub(crate) shared: Shared,
    /// Seed of the jitter; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Where records outlive the process.
    pub cache: Option<Cache>,
    /// What the outbox is told, where there is one.
    pub notes: Option<Arc<Notes>>,
}

/// What the watches of an engine share with those who look into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// What is counted.
    pub statistics: Counters,
    /// Where what happens is told, while somebody follows it.
    pub live: Live,
    /// No watch may connect for now: somebody looks how the app does without a network.
    pub offline: Arc<AtomicBool>,
}
