//! Upkeep: purging, the size budget, and the way from memory back into the file.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use super::Clear;
use crate::clock::now_us;

/// The oldest records of a watch.
pub(super) const TRIM: &str =
    "DELETE FROM record WHERE id IN (SELECT id FROM record WHERE watch = ?1
    ORDER BY time_us, rkey, uri, space LIMIT ?2 + 0)";

/// Bytes of the database that are in use.
pub(super) async fn used_bytes(conn: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let used: i64 = sqlx::query_scalar(
        "SELECT (page_count - freelist_count) * page_size
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .fetch_one(conn)
    .await?;
    Ok(used.try_into().unwrap_or(0))
}

/// Notes that a watch was used.
pub(super) async fn touch(conn: &mut SqliteConnection, watch: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE watch SET used_at = ?2 WHERE id = ?1")
        .bind(watch)
        .bind(now_us())
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes damaged rows by their ids.
pub(super) async fn forget(
    conn: &mut SqliteConnection,
    watch: i64,
    rows: &[i64],
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let mut forgotten = 0_i64;
    for row in rows {
        let deleted = sqlx::query("DELETE FROM record WHERE id = ?1")
            .bind(row)
            .execute(&mut *tx)
            .await?;
        forgotten += i64::from(deleted.rows_affected() > 0);
    }
    sqlx::query("UPDATE watch SET record_count = record_count - ?2, writer = 0 WHERE id = ?1")
        .bind(watch)
        .bind(forgotten)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Removes a watch and its rows.
pub(super) async fn evict(conn: &mut SqliteConnection, watch: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM watch WHERE id = ?1")
        .bind(watch)
        .execute(&mut *conn)
        .await?;
    give_back(conn).await
}

/// Removes rows, by the rules of [`Clear::names`].
pub(super) async fn clear(conn: &mut SqliteConnection, clear: &Clear) -> Result<(), sqlx::Error> {
    let statement = match clear {
        Clear::Named { key, account } => sqlx::query(
            "DELETE FROM watch WHERE (?1 IS NULL OR key = ?1 OR substr(key, 1, length(?1) + 1) = ?1 || '.')
                AND (?2 IS NULL OR account = ?2)",
        )
        .bind(key)
        .bind(account),
        Clear::Lost(lost) => {
            sqlx::query("DELETE FROM watch WHERE key = ?1 OR (realm = ?2 AND account IS ?3)")
                .bind(&lost.key)
                .bind(&lost.realm)
                .bind(&lost.account)
        }
        Clear::LostSpace { account, space } => sqlx::query(
            "DELETE FROM record WHERE space = ?1 AND watch IN (SELECT id FROM watch WHERE account IS ?2)",
        )
        .bind(space)
        .bind(account),
    };
    statement.execute(&mut *conn).await?;
    if matches!(clear, Clear::LostSpace { .. }) {
        let recount =
            "UPDATE watch SET record_count = (SELECT count(*) FROM record WHERE watch = watch.id)";
        sqlx::query(recount).execute(&mut *conn).await?;
    }
    give_back(conn).await
}

/// Drops the least recently used watches until the database is within its budget, with a tenth to spare.
///
/// The watch that was just written goes last, and then by halves, its oldest records first. Says whether it stayed whole:
/// else whoever knows its order should write the first part of that in their place.
pub(super) async fn enforce_budget(
    conn: &mut SqliteConnection,
    budget: u64,
    current: i64,
) -> Result<bool, sqlx::Error> {
    let mut whole = true;
    if used_bytes(conn).await? <= budget {
        return Ok(whole);
    }
    while used_bytes(conn).await? > budget / 10 * 9 {
        let victim: Option<i64> =
            sqlx::query_scalar("SELECT id FROM watch WHERE id != ?1 ORDER BY used_at, id LIMIT 1")
                .bind(current)
                .fetch_optional(&mut *conn)
                .await?;
        match victim {
            Some(watch) => {
                sqlx::query("DELETE FROM watch WHERE id = ?1")
                    .bind(watch)
                    .execute(&mut *conn)
                    .await?;
            }
            None if halve(conn, current).await? => whole = false,
            None => break,
        }
    }
    give_back(conn).await?;
    Ok(whole)
}

/// Drops the older half of a watch's rows. Says whether there were any.
async fn halve(conn: &mut SqliteConnection, watch: i64) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM record WHERE watch = ?1")
        .bind(watch)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query(TRIM)
        .bind(watch)
        .bind(count - count / 2)
        .execute(&mut *tx)
        .await?;
    // The writer tells its profiles again with the fewer rows that it writes then.
    sqlx::query("UPDATE watch SET record_count = ?2, writer = 0, profiles = NULL, profiles_hash = NULL WHERE id = ?1")
        .bind(watch)
        .bind(count / 2)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(count > 0)
}

/// Gives freed pages back to the file system, and empties the log, where purged rows still are.
async fn give_back(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "PRAGMA incremental_vacuum",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        sqlx::query(statement).fetch_all(&mut *conn).await?;
    }
    Ok(())
}

/// Copies what is in memory into the file, in place of what the file has of the same watches.
///
/// The hashes stay true: they depend on keys and accounts, not on ids.
pub(super) async fn carry_over(
    memory: &mut SqliteConnection,
    file: &Path,
) -> Result<(), sqlx::Error> {
    let Some(path) = file.to_str() else {
        return Ok(());
    };
    sqlx::query("ATTACH DATABASE ?1 AS disk")
        .bind(path)
        .execute(&mut *memory)
        .await?;
    let copied = copy_watches(memory).await;
    let detached = sqlx::query("DETACH DATABASE disk").execute(memory).await;
    copied.and(detached.map(drop))
}

async fn copy_watches(memory: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // Not sqlx's transaction: SQLite ends its own when the disk is full, and sqlx would then take this
    // connection, which goes on, to be in one for ever.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *memory).await?;
    let mut copied = Ok(());
    for statement in [
        "DELETE FROM disk.watch WHERE key IN (SELECT key FROM main.watch)",
        "INSERT INTO disk.watch
                (key, account, cursor, synced_at, used_at, record_count, hash, source, realm, writer, profiles, profiles_hash)
            SELECT key, account, cursor, synced_at, used_at, record_count, hash, source, realm, writer, profiles, profiles_hash
            FROM main.watch",
        "INSERT INTO disk.record (watch, uri, space, time_us, rkey, live_time, hash, body)
            SELECT disk_watch.id, r.uri, r.space, r.time_us, r.rkey, r.live_time, r.hash, r.body
            FROM main.record r
            JOIN main.watch w ON w.id = r.watch
            JOIN disk.watch disk_watch ON disk_watch.key = w.key",
        "COMMIT",
    ] {
        if copied.is_ok() {
            copied = sqlx::query(statement).execute(&mut *memory).await.map(drop);
        }
    }
    if copied.is_err() {
        // Fails if SQLite already has.
        let _ = sqlx::query("ROLLBACK").execute(memory).await;
    }
    copied
}
