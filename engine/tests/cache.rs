//! What the cache promises while nothing is wrong with its file.

mod cache_support;

use std::sync::Arc;

use cache_support::*;
use contrail_sync_engine::{
    Cache, CacheConfig, CacheError, Profile, WarningKind,
    internals::{Changes, Row},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::tempdir;
use tokio::{runtime::Handle, sync::broadcast::error::TryRecvError};

const BODY: usize = 200;

fn numbers(rows: &[Row]) -> Vec<usize> {
    rows.iter().map(|row| genuine(row, BODY).0).collect()
}

#[tokio::test]
async fn what_was_written_is_there_in_the_next_session_in_order() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data/app/contrail-sync.sqlite");
    let cache = open(&path);
    assert!(cache.load(&key("a"), 50).await.unwrap().is_none());
    let mut shuffled = records(1_200, 1, BODY);
    fastrand::Rng::with_seed(1).shuffle(&mut shuffled);
    write(&cache, &key("a"), changes(shuffled, true))
        .await
        .unwrap();
    cache.close().await.unwrap();

    let cache = open(&path);
    let loaded = cache.load(&key("a"), 50).await.unwrap().unwrap();
    assert_eq!(loaded.cursor.as_deref(), Some("older"));
    assert_eq!(loaded.synced_at, 1_795_000_000_000);
    assert_eq!(loaded.first.len(), 50);
    let rows = drain(loaded).await;
    assert!(numbers(&rows).into_iter().eq((0..1_200).rev()));
    assert_eq!(
        cache.warnings().try_recv().unwrap_err(),
        TryRecvError::Empty
    );
}

#[tokio::test]
async fn records_of_one_time_are_in_the_order_of_a_watch() {
    let text = |rkey: &str, did: &str, space: &str| {
        let json = format!(
            r#"{{"uri":"at://{did}/c/{rkey}","cid":null,"value":0,"time_us":1795000000000000{space}}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let expected = vec![
        text("b", "did:plc:a", ""),
        text("a", "did:plc:b", r#","space":"ats://did:plc:o/t/2""#),
        text("a", "did:plc:b", r#","space":"ats://did:plc:o/t/1""#),
        text("a", "did:plc:b", ""),
        text("a", "did:plc:a", ""),
    ];
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let mut given = expected.clone();
    given.reverse();
    write(&cache, &key("a"), changes(given, true))
        .await
        .unwrap();
    let loaded = cache.load(&key("a"), 2).await.unwrap().unwrap();
    assert_eq!(loaded.first.len(), 2);
    let rows = drain(loaded).await;
    assert!(
        rows.iter()
            .map(|row| json(&row.record))
            .eq(expected.iter().map(json))
    );
}

#[tokio::test]
async fn the_first_page_reads_no_more_than_its_rows() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let whole = changes(records(2_000, 1, BODY), true);
    let lease = cache.lease(key("a"));
    cache.write(&lease, whole).await.unwrap();
    let loaded = cache.load(&key("a"), 50).await.unwrap().unwrap();
    assert!(numbers(&loaded.first).into_iter().eq((1_950..2_000).rev()));
    // What is read only now shows what has changed since.
    let newer = vec![record(0, 2, BODY)];
    cache.write(&lease, changes(newer, false)).await.unwrap();
    let rows = drain(loaded).await;
    assert_eq!(genuine(rows.last().unwrap(), BODY), (0, 2));
    assert_eq!(rows.len(), 2_000);
}

#[tokio::test]
async fn large_records_come_in_small_pages() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let body = 300_000;
    write(&cache, &key("a"), changes(records(10, 1, body), true))
        .await
        .unwrap();
    let loaded = cache.load(&key("a"), 50).await.unwrap().unwrap();
    assert_eq!(loaded.first.len(), 4, "a page ends beyond 1 MiB");
    let rows = drain(loaded).await;
    assert!(
        rows.iter()
            .map(|row| genuine(row, body).0)
            .eq((0..10).rev())
    );
}

#[tokio::test]
async fn changes_alone_are_refused_for_a_watch_that_is_not_there() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let some = || changes(records(3, 1, BODY), false);
    assert_eq!(
        write(&cache, &key("a"), some()).await,
        Err(CacheError::Incomplete)
    );
    assert!(all(&cache, &key("a")).await.is_none());
}

#[tokio::test]
async fn changes_build_on_what_the_same_hand_wrote_and_on_nothing_else() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let (ours, theirs) = (cache.lease(key("a")), cache.lease(key("a")));
    let whole = |version| changes(records(3, version, BODY), true);
    let some = |version| changes(vec![record(0, version, BODY)], false);
    cache.write(&ours, whole(1)).await.unwrap();
    cache.write(&ours, some(2)).await.unwrap();
    cache.write(&theirs, whole(3)).await.unwrap();
    assert_eq!(
        cache.write(&ours, some(4)).await,
        Err(CacheError::Incomplete)
    );
    cache.write(&theirs, some(5)).await.unwrap();
    let rows = all(&cache, &key("a")).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| genuine(row, BODY)).collect();
    assert_eq!(seen, [(2, 3), (1, 3), (0, 5)]);
}

#[tokio::test]
async fn changed_and_gone_records_leave_the_others_alone() {
    let dir = tempdir().unwrap();
    let cache = open(&dir.path().join("c.sqlite"));
    let leases = ["a", "b"].map(|name| cache.lease(key(name)));
    for lease in &leases {
        let whole = changes(records(100, 1, BODY), true);
        cache.write(lease, whole).await.unwrap();
    }
    let mut some = changes(vec![record(7, 2, BODY), record(100, 1, BODY)], false);
    some.gone = vec![
        (None, record(8, 1, 0).uri.shared().clone()),
        // Not there in this space: the public record stays.
        (
            Some("ats://did:plc:o/t/1".into()),
            record(9, 1, 0).uri.shared().clone(),
        ),
    ];
    cache.write(&leases[0], some).await.unwrap();
    let rows = all(&cache, &key("a")).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| genuine(row, BODY)).collect();
    let expected = (0..=100).rev().filter(|number| *number != 8);
    assert!(
        seen.into_iter()
            .eq(expected.map(|number| (number, 1 + usize::from(number == 7))))
    );
    assert_eq!(all(&cache, &key("b")).await.unwrap().len(), 100);
    assert_eq!(cache.info().await.unwrap().rows, 200);
}

#[tokio::test]
async fn odd_records_come_back_as_they_were() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let texts = [
        // Before 1973, where the unit of a time is guessed.
        r#"{"uri":"at://did:plc:a/c/1","cid":"x","value":{"t":"\ud83d\ude00\u0000\ud800"},"time_us":5,"n":[1,{"a":null}]}"#,
        r#"{"uri":"at://did:plc:a/c/ü'\"\\","cid":null,"value":null,"time_us":-7,"space":"ats://x/y/z"}"#,
    ];
    let records: Vec<contrail_sync_engine::Record> = texts
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    // SQLite's JSON ends a text at a NUL: such a record is left out, not cut off.
    let nul = r#"{"uri":"at://did:plc:a/c/x\u0000y","value":0,"time_us":1795000000000000}"#;
    let mut set = records.clone();
    set.push(serde_json::from_str(nul).unwrap());
    write(&cache, &key("a"), changes(set, true)).await.unwrap();
    let rows = all(&cache, &key("a")).await.unwrap();
    assert!(
        rows.iter()
            .map(|row| json(&row.record))
            .eq(records.iter().map(json))
    );
    assert_eq!(
        cache.warnings().try_recv().unwrap_err(),
        TryRecvError::Empty
    );
}

#[tokio::test]
async fn a_record_remembers_that_its_time_is_that_of_its_event() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let row = |number, live_time| {
        Arc::new(Row {
            record: record(number, 1, BODY),
            live_time,
        })
    };
    let both = Changes {
        set: vec![row(1, true), row(0, false)],
        ..changes(Vec::new(), true)
    };
    write(&cache, &key("a"), both).await.unwrap();
    let rows = all(&cache, &key("a")).await.unwrap();
    assert!(rows.iter().map(|row| row.live_time).eq([true, false]));
}

#[tokio::test]
async fn profiles_are_kept_until_others_are_written_and_damaged_ones_are_dropped() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let profile = |json: &str| Profile::parse(json).unwrap();
    let bob = profile(r#"{"did":"did:plc:bob","handle":"bob.test"}"#);
    let lease = cache.lease(key("a"));
    let write = async |profiles: Option<Vec<Profile>>, replace: bool| {
        let changes = Changes {
            profiles,
            ..changes(records(1, 1, BODY), replace)
        };
        cache.write(&lease, changes).await.unwrap();
    };
    let read = async || cache.load(&key("a"), 50).await.unwrap().unwrap().profiles;
    write(Some(vec![bob.clone()]), true).await;
    write(None, false).await;
    assert_eq!(read().await, [bob]);
    write(Some(Vec::new()), false).await;
    assert!(read().await.is_empty());
    assert!(cache.warnings().try_recv().is_err());

    let ann = profile(r#"{"did":"did:plc:ann"}"#);
    write(Some(vec![ann]), false).await;
    let options = SqliteConnectOptions::new().filename(&path);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    let damage = "UPDATE watch SET profiles = replace(profiles, 'ann', 'eve')";
    sqlx::query(damage).execute(&mut other).await.unwrap();
    let mut warnings = cache.warnings();
    let loaded = cache.load(&key("a"), 50).await.unwrap().unwrap();
    assert!(loaded.profiles.is_empty());
    assert_eq!(loaded.first.len(), 1);
    assert_eq!(
        warnings.recv().await.unwrap().kind,
        WarningKind::DamagedRows
    );
}

#[tokio::test]
async fn a_flush_waits_for_what_was_asked_before_and_no_longer_than_it_may() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let whole = changes(records(2_000, 1, BODY), true);
    {
        // Asked for and not waited for, as at an exit.
        let (name, flush) = (key("a"), cache.flush(PATIENCE));
        let write = write(&cache, &name, whole);
        tokio::pin!(write);
        let now = std::future::poll_fn(|cx| {
            assert!(write.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        });
        now.await;
        flush.await.unwrap();
    }
    let mut conn = raw(&path).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM record")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(rows, 2_000);

    // Another connection holds the file for as long as the writer waits for it.
    let mut slow = config(&path);
    slow.busy_timeout = PATIENCE;
    let slow = Cache::open(slow, &Handle::current());
    slow.info().await.unwrap();
    let lock = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let name = key("b");
    let write = write(&slow, &name, changes(records(1, 1, BODY), true));
    let flush = slow.flush(std::time::Duration::from_millis(50));
    let (written, flushed) = tokio::join!(write, async {
        let flushed = flush.await;
        lock.rollback().await.unwrap();
        flushed
    });
    assert_eq!(flushed, Err(CacheError::TimedOut));
    written.unwrap();
}

#[tokio::test]
async fn a_closed_cache_says_so() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let clone = cache.clone();
    cache.close().await.unwrap();
    let one = || changes(records(1, 1, BODY), true);
    assert_eq!(
        write(&clone, &key("a"), one()).await,
        Err(CacheError::Closed)
    );
    assert!(matches!(
        clone.load(&key("a"), 1).await,
        Err(CacheError::Closed)
    ));
    assert_eq!(clone.info().await, Err(CacheError::Closed));
    assert_eq!(clone.flush(PATIENCE).await, Err(CacheError::Closed));
    assert_eq!(clone.close().await, Err(CacheError::Closed));
}
