//! What becomes of cached rows that must go, and who can see those that stay.

mod cache_support;

use cache_support::*;
use contrail_sync_engine::{
    Cache, CacheConfig, CacheError, WarningKind,
    internals::{CacheKey, Changes, Standing},
};
use futures_util::FutureExt;
use tempfile::tempdir;
use tokio::{runtime::Handle, sync::broadcast::error::TryRecvError};

const BODY: usize = 200;

#[tokio::test]
async fn another_account_or_query_on_the_same_key_finds_nothing_and_leaves_nothing() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let alice = key("a");
    let account = |account| CacheKey {
        account,
        ..alice.clone()
    };
    let query = CacheKey {
        source: "another query".into(),
        ..alice.clone()
    };
    for other in [account(Some("did:plc:bob".into())), account(None), query] {
        write(&cache, &alice, changes(records(60, 1, BODY), true))
            .await
            .unwrap();
        let mut rest = cache.load(&alice, 10).await.unwrap().unwrap().rest;
        assert!(cache.load(&other, 50).await.unwrap().is_none());
        // Purged, and not only hidden; not even for one who was reading.
        assert!(rest.next().await.is_none());
        assert!(cache.load(&alice, 50).await.unwrap().is_none());
        // A write purges as well as a read, and changes alone are not enough.
        write(&cache, &alice, changes(records(60, 1, BODY), true))
            .await
            .unwrap();
        let some = changes(records(1, 1, BODY), false);
        assert_eq!(
            write(&cache, &other, some).await,
            Err(CacheError::Incomplete)
        );
        let one = changes(records(1, 1, BODY), true);
        write(&cache, &other, one).await.unwrap();
        assert_eq!(all(&cache, &other).await.unwrap().len(), 1);
        // Nor does the first one see anything of the other.
        assert!(cache.load(&alice, 50).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_purged_text_is_in_no_file_any_more() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let secret = json(&record(42, 1, BODY));
    let found = || {
        std::fs::read_dir(dir.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let needle = &secret.as_bytes()[secret.len() - 80..];
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    let (a, b) = (cache.lease(key("a")), cache.lease(key("b")));
    // Two watches whose rows share pages: those stay when one of the watches goes.
    for number in 0..60 {
        for name in ["a", "b"] {
            let number = if name == "a" { number } else { number + 100 };
            let lease = if name == "a" { &a } else { &b };
            let one = changes(vec![record(number, 1, BODY)], number % 100 == 0);
            cache.write(lease, one).await.unwrap();
        }
    }
    assert!(found());
    cache.purge(&key("a")).await.unwrap();
    assert!(!found());
    assert!(all(&cache, &key("a")).await.is_none());
    assert_eq!(all(&cache, &key("b")).await.unwrap().len(), 60);
}

#[tokio::test]
async fn clearing_takes_a_key_an_account_both_or_all() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let bob = |name| CacheKey {
        account: Some("did:plc:bob".into()),
        ..key(name)
    };
    let watches = [key("a"), key("b"), bob("c"), bob("d")];
    for watch in &watches {
        let one = changes(records(1, 1, BODY), true);
        write(&cache, watch, one).await.unwrap();
    }
    let bobs = || Some("did:plc:bob".to_owned());
    for (name, account, left) in [
        (Some("a"), bobs(), 4),
        (Some("a"), None, 3),
        (Some("c"), bobs(), 2),
        (None, bobs(), 1),
        (None, None, 0),
    ] {
        let name = name.map(|name| key(name).key);
        cache.clear(name, account).await.unwrap();
        assert_eq!(cache.info().await.unwrap().watches, left);
    }
}

#[tokio::test]
async fn access_lost_takes_every_watch_of_its_realm_and_account_and_no_other() {
    let lost = |name| CacheKey {
        realm: "the lost space".into(),
        ..key(name)
    };
    let of = |account: Option<&str>, name| CacheKey {
        account: account.map(str::to_owned),
        ..lost(name)
    };
    let sorted = format!("{}.by-score", key("list").key);
    let goes = [
        lost("list"),
        CacheKey {
            key: sorted,
            ..lost("list")
        },
        CacheKey {
            source: "its reactions".into(),
            ..lost("named by the app")
        },
    ];
    let stays = [
        of(Some("did:plc:bob"), "bob's"),
        of(None, "anybody's"),
        key("another space"),
    ];
    let dir = tempdir().unwrap();
    for path in [None, Some(dir.path().join("c.sqlite"))] {
        let cache = Cache::open(CacheConfig::new(path), &Handle::current());
        let mut leases = Vec::new();
        for watch in goes.iter().chain(&stays) {
            let lease = cache.lease(watch.clone());
            let whole = changes(records(1, 1, BODY), true);
            cache.write(&lease, whole).await.unwrap();
            leases.push(lease);
        }
        cache.purge(&goes[1]).await.unwrap();
        for (lease, watch) in leases.iter().zip(goes.iter().chain(&stays)) {
            let lost = goes.contains(watch);
            assert_eq!(all(&cache, watch).await.is_none(), lost, "{watch:?}");
            let standing = if lost { Standing::Lost } else { Standing::Good };
            assert_eq!(lease.standing(), standing, "{watch:?}");
        }
    }
}

#[tokio::test]
async fn a_space_that_is_lost_leaves_its_records_in_no_watch_of_the_account() {
    let text = |number: usize, space: &str| {
        let json = format!(
            r#"{{"uri":"at://did:plc:a/c/{number}","value":0,"time_us":179500000000000{number},"space":"{space}"}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let bob = CacheKey {
        account: Some("did:plc:bob".into()),
        ..key("c")
    };
    for watch in [&key("a"), &key("b"), &bob] {
        let both = vec![text(1, "lost"), text(2, "kept")];
        write(&cache, watch, changes(both, true)).await.unwrap();
    }
    let account = key("a").account;
    cache.purge_space(account, "lost".into()).await.unwrap();
    for (watch, left) in [(&key("a"), 1), (&key("b"), 1), (&bob, 2)] {
        let rows = all(&cache, watch).await.unwrap();
        assert_eq!(rows.len(), left, "{watch:?}");
        assert_eq!(rows[0].record.space.as_deref(), Some("kept"));
    }
    assert_eq!(cache.info().await.unwrap().rows, 4);
}

#[tokio::test]
async fn from_the_call_of_a_clear_on_nothing_named_is_written_or_read() {
    let dir = tempdir().unwrap();
    for path in [None, Some(dir.path().join("c.sqlite"))] {
        let cache = Cache::open(CacheConfig::new(path), &Handle::current());
        let whole = || changes(records(9, 1, BODY), true);
        let (lease, other) = (cache.lease(key("a")), cache.lease(key("b")));
        cache.write(&lease, whole()).await.unwrap();
        let clearing = cache.clear(Some(key("a").key), None);
        assert_eq!(lease.standing(), Standing::Cleared);
        let written = cache.write(&lease, whole()).await;
        assert_eq!(written, Err(CacheError::Cleared));
        cache.write(&other, whole()).await.unwrap();
        // What is left until the clear is done, nobody sees.
        let a = key("a");
        let mut loading = std::pin::pin!(cache.load(&a, 50));
        assert!(loading.as_mut().now_or_never().is_none());
        assert_eq!(all(&cache, &key("b")).await.unwrap().len(), 9);
        clearing.await.unwrap();
        assert!(loading.await.unwrap().is_none());
        assert_eq!(all(&cache, &key("b")).await.unwrap().len(), 9);
        // One who asks anew may write anew.
        write(&cache, &key("a"), whole()).await.unwrap();
        assert_eq!(all(&cache, &key("a")).await.unwrap().len(), 9);
    }
}

#[tokio::test]
async fn the_budget_drops_the_least_recently_used_watches() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let budget = 1 << 20;
    let mut config = config(&path);
    config.budget_bytes = budget;
    let cache = Cache::open(config, &Handle::current());
    let fill = async |name: &str, rows| {
        let whole = changes(records(rows, 1, 1_000), true);
        write(&cache, &key(name), whole).await.unwrap();
    };
    for name in ["a", "b", "c"] {
        fill(name, 200).await;
    }
    // Reading is using; the flush makes sure that it is noted before the next write.
    assert!(all(&cache, &key("a")).await.is_some());
    cache.flush(PATIENCE).await.unwrap();
    for name in ["d", "e"] {
        fill(name, 200).await;
        assert!(cache.info().await.unwrap().bytes <= budget);
    }
    assert!(all(&cache, &key("b")).await.is_none());
    for name in ["a", "d", "e"] {
        assert_eq!(all(&cache, &key(name)).await.unwrap().len(), 200, "{name}");
    }
    // Of one watch alone beyond the budget the newest stay until fewer are written.
    let whole = changes(records(2_000, 1, 1_000), true);
    let written = write(&cache, &key("f"), whole).await;
    assert_eq!(written, Err(CacheError::TooLarge));
    let info = cache.info().await.unwrap();
    assert_eq!(info.watches, 1);
    assert!(info.bytes <= budget && info.rows >= 200, "{info:?}");
    let rows = all(&cache, &key("f")).await.unwrap();
    let first = 2_000 - info.rows as usize;
    assert!(
        rows.iter()
            .map(|row| genuine(row, 1_000).0)
            .eq((first..2_000).rev())
    );
    cache.close().await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() <= budget);
}

#[tokio::test]
async fn info_says_what_there_is() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let empty = cache.info().await.unwrap();
    assert_eq!((empty.rows, empty.watches, empty.oldest_sync), (0, 0, None));
    for (name, synced_at) in [("a", 5), ("b", 9)] {
        let whole = Changes {
            synced_at,
            ..changes(records(300, 1, 1_000), true)
        };
        write(&cache, &key(name), whole).await.unwrap();
    }
    let info = cache.info().await.unwrap();
    assert_eq!((info.rows, info.watches), (600, 2));
    assert_eq!((info.oldest_sync, info.newest_sync), (Some(5), Some(9)));
    assert!((600_000..1_200_000).contains(&info.bytes), "{}", info.bytes);
    assert_eq!(info.file.as_deref(), Some(&*path));
    assert!(!info.memory_only);
    let memory = Cache::open(CacheConfig::new(None), &Handle::current());
    assert!(memory.info().await.unwrap().memory_only);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempdir().unwrap();
    let cache = open(&dir.path().join("c.sqlite"));
    let one = changes(records(1, 1, BODY), true);
    write(&cache, &key("a"), one).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let mode = file.metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn warnings_and_errors_contain_no_key_and_no_body() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let cache = open(&path);
    let whole = changes(records(10, 1, BODY), true);
    write(&cache, &key("a"), whole).await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::query(
        "UPDATE record SET body = replace(body, 'version', 'VERSION') WHERE rkey = 'r000003'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let mut warnings = cache.warnings();
    assert_eq!(all(&cache, &key("a")).await.unwrap().len(), 9);
    let warning = warning(&mut warnings).await;
    assert_eq!(warning.kind, WarningKind::DamagedRows);
    assert_eq!(warning.message, "1 damaged rows are dropped");
    // Dropped for good: the next one to read hears nothing of it.
    cache.flush(PATIENCE).await.unwrap();
    assert_eq!(all(&cache, &key("a")).await.unwrap().len(), 9);
    assert_eq!(warnings.try_recv().unwrap_err(), TryRecvError::Empty);
    assert_eq!(cache.info().await.unwrap().rows, 9);
}
