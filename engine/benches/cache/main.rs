//! What the cache costs, as ratios to what it is measured against in the same run.

#[path = "../common/mod.rs"]
mod common;
mod events;
mod flushes;
mod reads;
#[path = "../../tests/common/mod.rs"]
mod world;

use std::{path::Path, sync::Arc};

use contrail_sync_engine::{
    Cache, CacheConfig,
    internals::{CacheKey, Cacheable, Changes},
};
use tokio::runtime::{Handle, Runtime};

/// Bytes of a record, as JSON.
const BYTES: usize = 1000;

fn main() {
    let quick = common::quick();
    let runtime = Runtime::new().expect("a runtime starts");
    runtime.block_on(reads::run(quick));
    runtime.block_on(flushes::run(quick));
    drop(runtime);
    events::run(quick);
}

fn open(file: &Path) -> Cache {
    let mut config = CacheConfig::new(Some(file.to_owned()));
    config.budget_bytes = u64::MAX;
    Cache::open(config, &Handle::current())
}

fn key() -> CacheKey {
    CacheKey {
        source: "a query".into(),
        realm: "a space".into(),
        key: "the watch".into(),
        account: Some("did:plc:alice".into()),
    }
}

/// These records in this version.
fn set(records: impl Iterator<Item = usize>, version: usize) -> Vec<Arc<dyn Cacheable>> {
    records
        .map(|n| Arc::new(common::record(n, version, BYTES)) as Arc<dyn Cacheable>)
        .collect()
}

/// A write of `set`.
fn changes(set: Vec<Arc<dyn Cacheable>>, replace: bool) -> Changes {
    Changes {
        set,
        gone: Vec::new(),
        cursor: None,
        profiles: None,
        synced_at: 1_795_000_000_000,
        replace,
    }
}
