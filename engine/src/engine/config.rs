//! Settings of an engine.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    outbox::OutboxConfig,
    pure::{
        lifecycle::{backoff::BackoffPolicy, machine::COMPARE_EVERY},
        store::MAX_BYTES,
    },
    transport::DEFAULT_MAX_EVENT_BYTES,
    vault::Vault,
    watch::{
        settings::{Settings, Shared},
        writes::Notes,
    },
};

/// A longer delay between connects is none that anybody waits for.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Nor is this one ever over for anybody, and clocks can still count it.
const MAX_COMPARE_EVERY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Settings that all watches of an engine share.
///
/// By default nothing outlives the process. A program with a disk and a keyring may want both:
///
/// ```
/// use std::time::Duration;
/// use contrail_sync_engine::{Cache, CacheConfig, Engine, EngineConfig, Vault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let data = dir.path();
/// let runtime = tokio::runtime::Handle::current();
/// let mut config = EngineConfig::default();
/// config.vault = Vault::keyring("org.example.app");
/// let file = CacheConfig::new(Some(data.join("records.sqlite")));
/// config.cache = Some(Cache::open(file, &runtime));
/// config.linger = Duration::from_secs(30);
/// let engine = Engine::new(runtime, config)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineConfig {
    /// How long a watch stays connected after its last subscriber left: a page reload takes less.
    pub linger: Duration,
    /// Bounds of the delays between connects, each an hour at most.
    pub backoff: BackoffPolicy,
    /// Most bytes that one event may have.
    pub max_event_bytes: usize,
    /// Most bytes of JSON that the records of one watch may have; 24 MiB by default. Beyond it the last ones of the order
    /// go.
    pub max_watch_bytes: usize,
    /// Longest time between two quiet snapshots that a live watch compares itself with, as servers lose events by
    /// themselves; 10 minutes by default, a fifth of it where a watch spans several spaces.
    pub compare_every: Duration,
    /// Most watches at once, those included that linger; 2,048 by default. Beyond it the one that lingers longest ends; if
    /// somebody follows each, a new one is closed from the beginning, with
    /// [`ErrorKind::TooManyWatches`](crate::ErrorKind::TooManyWatches).
    pub max_watches: usize,
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
    /// Where writes wait, and who sends them; without it watches are only read.
    pub outbox: Option<OutboxConfig>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(5),
            backoff: BackoffPolicy::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            max_watch_bytes: MAX_BYTES,
            compare_every: COMPARE_EVERY,
            max_watches: 2048,
            seed: None,
            tls: None,
            vault: Vault::memory(),
            mint_timeout: Duration::from_secs(15),
            cache: None,
            outbox: None,
        }
    }
}

impl EngineConfig {
    pub(super) fn for_watches(&self, shared: Shared, notes: Option<Arc<Notes>>) -> Settings {
        Settings {
            linger: self.linger,
            backoff: BackoffPolicy {
                base: self.backoff.base.min(MAX_BACKOFF),
                cap: self.backoff.cap.min(MAX_BACKOFF),
            },
            max_event_bytes: self.max_event_bytes,
            max_watch_bytes: self.max_watch_bytes,
            compare_every: self.compare_every.min(MAX_COMPARE_EVERY),
            shared,
            seed: self.seed,
            cache: self.cache.clone(),
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_length_become_such_as_a_clock_can_count() {
        let config = EngineConfig {
            backoff: BackoffPolicy {
                base: Duration::MAX,
                cap: Duration::MAX,
            },
            compare_every: Duration::MAX,
            ..EngineConfig::default()
        };
        let settings = config.for_watches(Shared::default(), None);
        let backoff = settings.backoff;
        assert_eq!((backoff.base, backoff.cap), (MAX_BACKOFF, MAX_BACKOFF));
        assert_eq!(settings.compare_every, MAX_COMPARE_EVERY);
    }
}
