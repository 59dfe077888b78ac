//! Every damage on a real file: the cache works afterwards, says what happened, and shows nothing wrong.
//!
//! `cargo test --test cache_damage -- --nocapture` prints the table: case, what the user sees, rows lost.

mod cache_support;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use cache_support::{session::*, *};
use contrail_sync_engine::{CacheError, WarningKind};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::tempdir;

/// Pages of the record table, by dbstat's name for what they are.
async fn pages(path: &Path, object: &str, kind: &str) -> Vec<i64> {
    let mut conn = raw(path).await;
    let pages = sqlx::query_scalar("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2")
        .bind(object)
        .bind(kind)
        .fetch_all(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    pages
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn page_start(page: i64) -> u64 {
    (page as u64 - 1) * 4096
}

/// The file was set aside for this reason, and the next start is like any other.
async fn is_set_aside(case: &str, path: &Path, kind: WarningKind) -> Outcome {
    let outcome = start(case, path).await;
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    assert_eq!(outcome.warnings[0].kind, kind);
    let aside = outcome.warnings[0].moved_to.as_ref().unwrap();
    assert!(fs::metadata(aside).unwrap().len() > 0);
    assert!(!outcome.info.memory_only);
    whole_next_time(path).await;
    outcome
}

#[tokio::test]
async fn no_damage_loses_nothing() {
    let (_dir, path) = seeded().await;
    let outcome = start("none", &path).await;
    assert_eq!((outcome.shown, outcome.warnings.len()), (2 * ROWS, 0));
    whole_next_time(&path).await;
}

#[tokio::test]
async fn a_truncated_file_is_set_aside() {
    for (case, keep) in [
        ("truncated in the middle", 500_000),
        ("truncated in the header", 50),
    ] {
        let (_dir, path) = seeded().await;
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(keep).unwrap();
        is_set_aside(case, &path, WarningKind::DamagedFile).await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    let (_dir, path) = seeded().await;
    fs::write(&path, "Dear diary, today I was no database. ".repeat(400)).unwrap();
    is_set_aside("foreign file", &path, WarningKind::ForeignFile).await;
}

#[tokio::test]
async fn a_database_of_another_application_is_set_aside_as_it_is() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("contrail-sync.sqlite");
    let mut conn = SqliteConnection::connect_with(
        &SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true),
    )
    .await
    .unwrap();
    sqlx::raw_sql("CREATE TABLE watch (brand TEXT); INSERT INTO watch VALUES ('Omega')")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let outcome = is_set_aside("another app's database", &path, WarningKind::ForeignFile).await;
    let mut conn = raw(outcome.warnings[0].moved_to.as_ref().unwrap()).await;
    let brand: String = sqlx::query_scalar("SELECT brand FROM watch")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(brand, "Omega");
}

#[tokio::test]
async fn a_damaged_page_is_found_by_the_read_that_needs_it() {
    for (case, object, kind) in [
        ("damaged page of the table", "record", "leaf"),
        ("damaged page of the order's index", "record_order", "leaf"),
        ("damaged inner page", "record", "internal"),
    ] {
        let (_dir, path) = seeded().await;
        let page = *pages(&path, object, kind).await.last().unwrap();
        overwrite(&path, page_start(page), &[0xa5; 4096]);
        is_set_aside(case, &path, WarningKind::DamagedFile).await;
    }
}

#[tokio::test]
async fn a_page_that_is_damaged_while_the_app_runs_is_found_too() {
    let (_dir, path) = seeded().await;
    let cache = open(&path);
    let mut warnings = cache.warnings();
    assert!(!cache.info().await.unwrap().memory_only);
    let lease = cache.lease(key("small"));
    let whole = changes(records(ROWS, 1, SMALL), true);
    cache.write(&lease, whole).await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let page = *pages(&path, "record", "leaf").await.last().unwrap();
    overwrite(&path, page_start(page), &[0xa5; 4096]);
    // The changes alone would leave gaps in the fresh file, and the cache says so.
    let shown = all(&cache, &key("small")).await.unwrap_or_default();
    assert!(shown.iter().all(|row| genuine(row, SMALL).1 == 1));
    let warning = warning(&mut warnings).await;
    assert_eq!(warning.kind, WarningKind::DamagedFile);
    let some = changes(records(1, 2, SMALL), false);
    assert_eq!(cache.write(&lease, some).await, Err(CacheError::Incomplete));
    resync(&cache, "small", ROWS, SMALL).await;
    cache.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_overflow_page_costs_its_row_only() {
    let (_dir, path) = seeded().await;
    // Behind the pointer to the next one everything is text: SQLite itself finds nothing wrong here.
    for page in pages(&path, "record", "overflow").await.iter().take(3) {
        overwrite(&path, page_start(*page) + 100, b"not what the server sent");
    }
    let outcome = start("damaged overflow pages", &path).await;
    assert!(
        outcome
            .warnings
            .iter()
            .all(|it| it.kind == WarningKind::DamagedRows)
    );
    assert!(
        (1..=3).contains(&(2 * ROWS - outcome.shown)),
        "{}",
        outcome.shown
    );
    whole_next_time(&path).await;
}

#[tokio::test]
async fn a_damaged_row_costs_itself_only() {
    let damages = [
        (
            "damaged body",
            "body = substr(body, 1, 150) || 'X' || substr(body, 152)",
        ),
        ("body that is no text", "body = CAST(x'ff00fe' AS TEXT)"),
        ("damaged time", "time_us = time_us + 1"),
        ("damaged URI", "uri = uri || 'x'"),
        ("damaged type", "time_us = 'soon'"),
        ("row of another watch", "watch = 1 - watch + 2"),
    ];
    for (case, damage) in damages {
        let (_dir, path) = seeded().await;
        let mut conn = raw(&path).await;
        let statement = format!("UPDATE record SET {damage} WHERE watch = 1 AND rkey = 'r000123'");
        // The stray row needs a place in the other watch.
        if case == "row of another watch" {
            sqlx::query("DELETE FROM record WHERE watch = 2 AND rkey = 'r000123'")
                .execute(&mut conn)
                .await
                .unwrap();
        }
        let changed = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1);
        conn.close().await.unwrap();
        let outcome = start(case, &path).await;
        let stray = usize::from(case == "row of another watch");
        assert_eq!(outcome.shown, 2 * ROWS - 1 - stray, "{case}");
        assert_eq!(outcome.warnings.len(), 1, "{case}: {:?}", outcome.warnings);
        assert_eq!(outcome.warnings[0].kind, WarningKind::DamagedRows);
        whole_next_time(&path).await;
    }
}

#[tokio::test]
async fn damaged_rows_hide_no_other_of_their_page() {
    let (_dir, path) = seeded().await;
    let mut conn = raw(&path).await;
    // The newest forty of a page of fifty: its first reads give nothing that could be trusted.
    let damaged = sqlx::query("UPDATE record SET uri = uri || 'x' WHERE watch = 1 AND rkey >= ?1")
        .bind(format!("r{:06}", ROWS - 40))
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(damaged.rows_affected(), 40);
    conn.close().await.unwrap();
    let outcome = start("forty damaged rows", &path).await;
    assert_eq!(outcome.shown, 2 * ROWS - 40);
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    whole_next_time(&path).await;
}

#[tokio::test]
async fn a_damaged_row_of_the_watch_costs_that_watch() {
    for damage in ["cursor = 'elsewhere'", "synced_at = 'soon'", "hash = 0"] {
        let (_dir, path) = seeded().await;
        let mut conn = raw(&path).await;
        let statement = format!("UPDATE watch SET {damage} WHERE id = 1");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
        let outcome = start("damaged row of a watch", &path).await;
        assert_eq!(outcome.shown, ROWS);
        assert_eq!(outcome.warnings.len(), 1);
        assert_eq!(outcome.warnings[0].kind, WarningKind::DamagedRows);
        whole_next_time(&path).await;
    }
}

#[tokio::test]
async fn an_empty_file_is_a_fresh_start() {
    let (_dir, path) = seeded().await;
    fs::write(&path, "").unwrap();
    let outcome = start("empty file", &path).await;
    assert_eq!((outcome.shown, outcome.warnings.len()), (0, 0));
    whole_next_time(&path).await;
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_set_aside() {
    let (_dir, path) = seeded().await;
    let mut conn = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    conn.close().await.unwrap();
    is_set_aside("newer schema", &path, WarningKind::NewerSchema).await;
}

#[tokio::test]
async fn missing_tables_are_damage() {
    let (_dir, path) = seeded().await;
    let mut conn = raw(&path).await;
    sqlx::query("DROP TABLE record")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    is_set_aside("table missing", &path, WarningKind::DamagedFile).await;
}

#[tokio::test]
async fn at_most_two_damaged_files_are_kept_and_a_purge_removes_them() {
    let (dir, path) = seeded().await;
    for _ in 0..4 {
        fs::write(&path, "no database").unwrap();
        let cache = open(&path);
        let warning = warning(&mut cache.warnings()).await;
        assert_eq!(warning.kind, WarningKind::ForeignFile);
        let aside = warning.moved_to.unwrap();
        assert_eq!(fs::read(&aside).unwrap(), b"no database");
        cache.close().await.unwrap();
    }
    let files = || {
        let files = fs::read_dir(dir.path()).unwrap().flatten();
        let names = files.map(|it| it.file_name().into_string().unwrap());
        names.filter(|it| !it.ends_with("-shm")).count()
    };
    assert_eq!(files(), 1 + 2, "the file, and two set aside");
    let cache = open(&path);
    cache.purge(&key("small")).await.unwrap();
    cache.close().await.unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
