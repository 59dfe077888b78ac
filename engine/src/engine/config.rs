//! Settings of an engine.

use std::time::Duration;

use crate::{
    cache::Cache, pure::lifecycle::backoff::BackoffPolicy, transport::DEFAULT_MAX_EVENT_BYTES,
    vault::Vault, watch::settings::Settings,
};

/// A longer delay between connects is none that anybody waits for.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// Settings that all watches of an engine share.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How long a watch stays connected after its last subscriber left: a page reload takes less.
    pub linger: Duration,
    /// Bounds of the delays between connects, each an hour at most.
    pub backoff: BackoffPolicy,
    /// Most bytes that one event may have.
    pub max_event_bytes: usize,
    /// Seed of the jitter; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Replaces the platform's trust roots.
    pub tls: Option<rustls::ClientConfig>,
    /// Where tickets outlive the process.
    pub vault: Vault,
    /// Longest time for one mint.
    pub mint_timeout: Duration,
    /// Where records outlive the process, for the watches that want that.
    pub cache: Option<Cache>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(5),
            backoff: BackoffPolicy::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            seed: None,
            tls: None,
            vault: Vault::memory(),
            mint_timeout: Duration::from_secs(15),
            cache: None,
        }
    }
}

impl EngineConfig {
    pub(super) fn for_watches(&self) -> Settings {
        Settings {
            linger: self.linger,
            backoff: BackoffPolicy {
                base: self.backoff.base.min(MAX_BACKOFF),
                cap: self.backoff.cap.min(MAX_BACKOFF),
            },
            max_event_bytes: self.max_event_bytes,
            seed: self.seed,
            cache: self.cache.clone(),
        }
    }
}
