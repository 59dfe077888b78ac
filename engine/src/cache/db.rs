//! Connections: settings, migrations, and whether a file is ours at all.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::damage::{Trouble, WarningKind};

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("src/cache/migrations");

/// As the first migration sets it.
const APPLICATION_ID: i64 = 0x6353_796e;
/// Pause between attempts at a step of opening that SQLite does not itself wait for.
const PAUSE: Duration = Duration::from_millis(10);

/// The writer's and the reader's connection to a file.
pub(super) type Pair = (SqliteConnection, SqliteConnection);

/// Opens the file, which exists and may be empty, and brings its schema up to date.
pub(super) async fn open_file(path: &Path, busy_timeout: Duration) -> Result<Pair, Trouble> {
    let deadline = Instant::now() + busy_timeout;
    loop {
        match try_open(path, busy_timeout).await {
            // Two processes that make the file at once: the switch to WAL fails without waiting.
            Err(trouble) if trouble.kind == WarningKind::Locked && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn try_open(path: &Path, busy_timeout: Duration) -> Result<Pair, Trouble> {
    let mut options = settings()
        .filename(path)
        .busy_timeout(busy_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", "4194304");
    // Only a fresh file takes this, and any other would be locked for it.
    if std::fs::metadata(path)?.len() == 0 {
        options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    let mut writer = SqliteConnection::connect_with(&options).await?;
    migrate(&mut writer).await?;
    let options = options.pragma("query_only", "ON");
    let reader = SqliteConnection::connect_with(&options).await?;
    Ok((writer, reader))
}

/// Opens a fresh database in memory. It is gone with its only connection.
pub(super) async fn open_memory() -> Result<SqliteConnection, Trouble> {
    let options = settings().auto_vacuum(SqliteAutoVacuum::Incremental);
    let mut conn = SqliteConnection::connect_with(&options).await?;
    migrate(&mut conn).await?;
    Ok(conn)
}

fn settings() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        // What is purged must not linger in free pages.
        .pragma("secure_delete", "ON")
        // The file may be anyone's work.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// Brings the schema up to date: without a lock if it is, since another process may be writing; else under
/// one, since another process may be doing the same.
async fn migrate(conn: &mut SqliteConnection) -> Result<(), Trouble> {
    match migrate_in(conn, "BEGIN", APPLICATION_ID, &MIGRATOR).await {
        Err(trouble) if trouble.kind == WarningKind::Locked => {
            migrate_in(conn, "BEGIN IMMEDIATE", APPLICATION_ID, &MIGRATOR).await
        }
        result => result,
    }
}

/// Brings a schema up to date, unless the file is another application's than the one of this id.
pub(crate) async fn migrate_in(
    conn: &mut SqliteConnection,
    begin: &'static str,
    application_id: i64,
    migrator: &Migrator,
) -> Result<(), Trouble> {
    let mut tx = conn.begin_with(begin).await?;
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *tx)
        .await?;
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *tx)
        .await?;
    if id != application_id && objects > 0 {
        return Err(Trouble::foreign());
    }
    migrator
        .run_direct(None, &mut *tx, false)
        .await
        .map_err(sqlx::Error::from)?;
    Ok(tx.commit().await?)
}
