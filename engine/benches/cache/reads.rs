//! From the file to the store, against the same rows merely selected.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use contrail_sync_engine::{Cache, pure::store::Store};
use sqlx::{ConnectOptions, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    changes,
    common::{self, Row},
    key, open, set,
};

/// Rows that a watch asks for at first.
const FIRST_PAGE: usize = 50;

pub(crate) async fn run(quick: bool) {
    let rounds = if quick { 40 } else { 400 };
    let dir = tempfile::tempdir().expect("a directory");
    let small = Watch::of(&dir.path().join("small.sqlite"), 200).await;
    let large = Watch::of(&dir.path().join("large.sqlite"), 10_000).await;
    against_select(
        small,
        "cached rows into the store / bare SELECT",
        Some(2.0),
        rounds,
    )
    .await;
    let large = against_select(
        large,
        "cached rows into the store / bare SELECT",
        None,
        rounds / 10,
    )
    .await;
    let small = Watch::of(&dir.path().join("other.sqlite"), 200).await;
    first_page(&large, &small, rounds).await;
}

struct Watch {
    cache: Cache,
    bare: SqliteConnection,
    rows: usize,
}

impl Watch {
    async fn of(file: &Path, rows: usize) -> Self {
        let cache = open(file);
        let all = changes(set(0..rows, 0), true);
        cache
            .write(&cache.lease(key()), all)
            .await
            .expect("it is written");
        let bare = SqliteConnectOptions::new()
            .filename(file)
            .disable_statement_logging();
        let bare = bare.connect().await.expect("it opens");
        Self { cache, bare, rows }
    }
}

async fn against_select(watch: Watch, case: &str, bound: Option<f64>, rounds: usize) -> Watch {
    let Watch {
        cache,
        mut bare,
        rows,
    } = watch;
    let (ours, base) = common::in_turns(
        rounds,
        async || restore(&cache, rows).await,
        async || select(&mut bare, rows).await,
    )
    .await;
    Row {
        case,
        n: rows,
        unit: "µs",
        ours: common::median(ours),
        base: common::median(base),
        bound,
    }
    .print();
    Watch { cache, bare, rows }
}

/// As a watch does it: the first page, the others, each record into the store.
async fn restore(cache: &Cache, rows: usize) -> Duration {
    let start = Instant::now();
    let mut store = Store::default();
    // A watch that keeps 200 or less is read in one go.
    let first = if rows <= 200 { rows } else { FIRST_PAGE };
    let loaded = cache.load(&key(), first).await;
    let loaded = loaded.expect("it loads").expect("the watch is there");
    let (mut page, mut rest) = (Some(loaded.first), loaded.rest);
    while let Some(rows) = page {
        for row in rows {
            store.restore(row.record, row.live_time);
        }
        page = rest.next().await;
    }
    let took = start.elapsed();
    assert_eq!(store.take_changes().count(), rows);
    settle(cache).await;
    took
}

async fn select(conn: &mut SqliteConnection, rows: usize) -> Duration {
    const SELECT: &str = "SELECT uri, space, time_us, rkey, live_time, hash, body FROM record
        WHERE watch = 1 ORDER BY time_us DESC, rkey DESC, uri DESC, space DESC";
    let start = Instant::now();
    let found = sqlx::query(SELECT)
        .fetch_all(conn)
        .await
        .expect("they are read");
    let bytes: usize = found.iter().map(|row| row.get::<&str, _>(6).len()).sum();
    let took = start.elapsed();
    assert_eq!(found.len(), rows);
    assert!(bytes > rows);
    took
}

async fn first_page(large: &Watch, small: &Watch, rounds: usize) {
    let (ours, base) = common::in_turns(
        rounds,
        async || load(&large.cache).await,
        async || load(&small.cache).await,
    )
    .await;
    Row {
        case: "first page of 50 / of a watch of 200",
        n: large.rows,
        unit: "µs",
        ours: common::median(ours),
        base: common::median(base),
        bound: Some(1.5),
    }
    .print();
}

async fn load(cache: &Cache) -> Duration {
    let start = Instant::now();
    let loaded = cache.load(&key(), FIRST_PAGE).await;
    let took = start.elapsed();
    let loaded = loaded.expect("it loads").expect("the watch is there");
    assert_eq!(loaded.first.len(), FIRST_PAGE);
    settle(cache).await;
    took
}

/// A load notes that the watch was used: that write must not disturb the next measurement.
async fn settle(cache: &Cache) {
    cache
        .flush(Duration::from_secs(5))
        .await
        .expect("it settles");
}
