//! Files of earlier versions.

use sqlx::{Connection, SqliteConnection, migrate::Migrator, sqlite::SqliteConnectOptions};
use tokio::runtime::Handle;

use super::{Cache, CacheConfig, CacheKey, db};

#[tokio::test]
async fn rows_that_do_not_say_what_they_are_of_are_gone_after_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    let first = db::MIGRATOR.iter().take(1).cloned().collect();
    let migrator = Migrator::with_migrations(first);
    migrator.run_direct(None, &mut old, false).await.unwrap();
    let rows = "INSERT INTO watch VALUES (1, 'the watch', NULL, NULL, 1, 1, 1, 1);
        INSERT INTO record VALUES (1, 1, 'at://d/c/r', '', 1, 'r', 0, 1, '{\"text\":\"from before\"}')";
    sqlx::raw_sql(rows).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    let cache = Cache::open(CacheConfig::new(Some(path.clone())), &Handle::current());
    let mut warnings = cache.warnings();
    let key = CacheKey {
        key: "the watch".into(),
        source: String::new(),
        realm: String::new(),
        account: None,
    };
    assert!(cache.load(&key, 50).await.unwrap().is_none());
    let info = cache.info().await.unwrap();
    assert_eq!((info.watches, info.rows, info.memory_only), (0, 0, false));
    assert!(warnings.try_recv().is_err(), "it is no trouble");
    cache.close().await.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("from before"));
}
