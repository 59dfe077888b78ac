//! Two sessions of an app on one file: what the second shows after something happened to the file.

use std::path::{Path, PathBuf};

use contrail_sync_engine::{Cache, CacheInfo, CacheWarning};
use tempfile::{TempDir, tempdir};

use super::*;

pub(crate) const ROWS: usize = 300;
/// Larger than a page: such a body has overflow pages.
pub(crate) const LARGE: usize = 10_000;
pub(crate) const SMALL: usize = 200;

/// A closed cache file with one watch of small and one of large records.
pub(crate) async fn seeded() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("contrail-sync.sqlite");
    let cache = open(&path);
    for (name, body) in [("small", SMALL), ("large", LARGE)] {
        let whole = changes(records(ROWS, 1, body), true);
        write(&cache, &key(name), whole).await.unwrap();
    }
    cache.close().await.unwrap();
    (dir, path)
}

pub(crate) struct Outcome {
    /// Rows of both watches that the damaged cache still shows; each is one that was written.
    pub shown: usize,
    /// What it said meanwhile.
    pub warnings: Vec<CacheWarning>,
    /// What it is on at the end.
    pub info: CacheInfo,
}

/// Starts on the file as an app does: shows what is there, then writes what the server sends and reads it back.
pub(crate) async fn start(case: &str, path: &Path) -> Outcome {
    let cache = open(path);
    let mut warnings = cache.warnings();
    let mut shown = 0;
    for (name, body) in [("small", SMALL), ("large", LARGE)] {
        for row in all(&cache, &key(name)).await.unwrap_or_default() {
            assert_eq!(genuine(&row, body).1, 1);
            shown += 1;
        }
    }
    for (name, body) in [("small", SMALL), ("large", LARGE)] {
        resync(&cache, name, ROWS, body).await;
    }
    cache.flush(PATIENCE).await.unwrap();
    let info = cache.info().await.unwrap();
    assert_eq!((info.rows, info.watches), (2 * ROWS as u64, 2));
    let mut all = Vec::new();
    while let Ok(warning) = warnings.try_recv() {
        all.push(warning);
    }
    let outcome = Outcome {
        shown,
        warnings: all,
        info,
    };
    table(case, &outcome);
    cache.close().await.unwrap();
    outcome
}

/// The whole watch anew, as after a snapshot.
pub(crate) async fn resync(cache: &Cache, name: &str, rows: usize, body: usize) {
    let whole = || changes(records(rows, 2, body), true);
    write(cache, &key(name), whole()).await.unwrap();
    // The trouble may show only now; what is in use then must be whole all the same.
    if all(cache, &key(name)).await.is_none() {
        write(cache, &key(name), whole()).await.unwrap();
    }
    let read = all(cache, &key(name)).await.unwrap();
    assert_eq!(read.len(), rows);
    assert!(read.iter().all(|row| genuine(row, body).1 == 2));
}

pub(crate) fn table(case: &str, outcome: &Outcome) {
    let seen: Vec<_> = outcome
        .warnings
        .iter()
        .map(|it| {
            let aside = it.moved_to.as_ref().map_or("", |_| ", file set aside");
            format!("{:?}{aside}: {}", it.kind, it.message)
        })
        .collect();
    let seen = if seen.is_empty() {
        "nothing".to_owned()
    } else {
        seen.join("; ")
    };
    let place = if outcome.info.memory_only {
        "memory"
    } else {
        "file"
    };
    let lost = 2 * ROWS - outcome.shown;
    println!(
        "| {case} | {seen}; goes on in {place} | {lost} of {} |",
        2 * ROWS
    );
}

pub(crate) async fn whole_next_time(path: &Path) {
    let cache = open(path);
    for (name, body) in [("small", SMALL), ("large", LARGE)] {
        let rows = all(&cache, &key(name)).await.unwrap();
        assert_eq!(rows.len(), ROWS);
        assert!(rows.iter().all(|row| genuine(row, body).1 == 2));
    }
    assert!(cache.warnings().try_recv().is_err());
    cache.close().await.unwrap();
}
