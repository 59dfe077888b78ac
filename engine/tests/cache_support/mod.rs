//! What the cache's tests share: watches whose every record can be told from a wrong one.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod session;

use std::{fmt::Write, path::Path, sync::Arc, time::Duration};

use contrail_sync_engine::{
    Cache, CacheConfig, CacheError, CacheWarning, Record, WarningKind,
    internals::{CacheKey, Cacheable, Changes, Loaded, Row},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{runtime::Handle, sync::broadcast};

/// Nothing here takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey {
        source: "a query of the appview".into(),
        realm: format!("the space of {name}"),
        key: format!("http://127.0.0.1/xrpc/com.example.{name}.watchRecords"),
        account: Some("did:plc:alice".into()),
    }
}

/// The record that the server has under this number, in this version. The number decides time and URI,
/// number and version the body.
pub(crate) fn record(number: usize, version: usize, body_bytes: usize) -> Record {
    let mut rng = fastrand::Rng::with_seed((number * 1_000_003 + version) as u64);
    let mut text = String::with_capacity(body_bytes + 16);
    while text.len() < body_bytes {
        write!(text, "{:016x}", rng.u64(..)).unwrap();
    }
    let time_us = 1_795_000_000_000_000 + number * 1_000;
    let json = format!(
        r#"{{"uri":"at://did:plc:alice/com.example.chat.message/r{number:06}","cid":null,"value":{{"version":{version},"text":"{text}"}},"time_us":{time_us}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

pub(crate) fn records(count: usize, version: usize, body_bytes: usize) -> Vec<Record> {
    (0..count)
        .map(|number| record(number, version, body_bytes))
        .collect()
}

pub(crate) fn changes(set: Vec<Record>, replace: bool) -> Changes {
    Changes {
        set: set
            .into_iter()
            .map(|record| Arc::new(record) as Arc<dyn Cacheable>)
            .collect(),
        gone: Vec::new(),
        cursor: Some("older".into()),
        profiles: None,
        synced_at: 1_795_000_000_000,
        replace,
    }
}

/// Writes as a hand that has written nothing before.
pub(crate) async fn write(
    cache: &Cache,
    key: &CacheKey,
    changes: Changes,
) -> Result<(), CacheError> {
    cache.write(&cache.lease(key.clone()), changes).await
}

/// A cache that gives up waiting soon, and tries again soon.
pub(crate) fn config(path: &Path) -> CacheConfig {
    let mut config = CacheConfig::new(Some(path.to_owned()));
    config.busy_timeout = Duration::from_millis(100);
    config.retry_after = Duration::from_millis(50);
    config
}

pub(crate) fn open(path: &Path) -> Cache {
    Cache::open(config(path), &Handle::current())
}

/// Every row of a watch, in the order it was given.
pub(crate) async fn all(cache: &Cache, key: &CacheKey) -> Option<Vec<Row>> {
    let loaded = cache.load(key, 50).await.unwrap()?;
    Some(drain(loaded).await)
}

pub(crate) async fn drain(loaded: Loaded) -> Vec<Row> {
    let (mut rows, mut rest) = (loaded.first, loaded.rest);
    while let Some(page) = rest.next().await {
        rows.extend(page);
    }
    rows
}

pub(crate) fn json(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

/// The number and version that a record says it has; fails unless it is exactly that record.
pub(crate) fn genuine(row: &Row, body_bytes: usize) -> (usize, usize) {
    let number = row.record.rkey()[1..].parse().unwrap();
    let value: serde_json::Value = serde_json::from_str(row.record.value.get()).unwrap();
    let version = value["version"].as_u64().unwrap() as usize;
    assert_eq!(
        json(&row.record),
        json(&record(number, version, body_bytes)),
        "a row that nobody wrote is shown"
    );
    (number, version)
}

pub(crate) async fn warning(warnings: &mut broadcast::Receiver<CacheWarning>) -> CacheWarning {
    tokio::time::timeout(PATIENCE, warnings.recv())
        .await
        .expect("no warning came")
        .unwrap()
}

/// Waits for a warning of this kind, past others.
pub(crate) async fn warned(
    warnings: &mut broadcast::Receiver<CacheWarning>,
    kind: WarningKind,
) -> CacheWarning {
    loop {
        let warning = warning(warnings).await;
        if warning.kind == kind {
            return warning;
        }
    }
}

/// A connection of another hand than the cache's.
pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path))
        .await
        .unwrap()
}
