//! Connections: settings, migrations, and whether a file is ours at all.

use std::{
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::damage::{Remedy, Trouble, WarningKind};

pub(super) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    migrator([
        ("cache", include_str!("migrations/0001_cache.sql")),
        ("sources", include_str!("migrations/0002_sources.sql")),
        ("profiles", include_str!("migrations/0003_profiles.sql")),
    ])
});

/// As the first migration sets it.
const APPLICATION_ID: i64 = 0x6353_796e;
/// Pause between attempts at a step of opening that SQLite does not itself wait for.
const PAUSE: Duration = Duration::from_millis(10);
/// SQLite's extended code for a file that was renamed under its connection.
const READONLY_DBMOVED: i32 = 1032;
/// And for shared memory beside the file that cannot grow: how a full disk shows at an opening.
const IOERR_SHMSIZE: i32 = 4874;

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

/// The steps of a schema from its first version on, each with its name. They are not read by sqlx's macro, which would have
/// every app compile twenty crates more.
pub(crate) fn migrator<const N: usize>(steps: [(&'static str, &'static str); N]) -> Migrator {
    let steps = (1..).zip(steps).map(|(version, (name, sql))| {
        let (kind, sql) = (MigrationType::Simple, sql.into_sql_str());
        Migration::new(version, name.into(), kind, sql, false)
    });
    Migrator::with_migrations(steps.collect())
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

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let (kind, remedy) = classify(&error);
        Self {
            kind,
            remedy,
            // SQLite's messages name tables and files, never values.
            message: error.to_string(),
        }
    }
}

fn classify(error: &sqlx::Error) -> (WarningKind, Remedy) {
    use {Remedy::*, WarningKind::*};
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            match code {
                READONLY_DBMOVED => return (Unavailable, Reopen),
                IOERR_SHMSIZE => return (DiskFull, Memory),
                _ => {}
            }
            match code & 0xff {
                // 1 and 19: tables or constraints are not what the migrations made.
                1 | 11 | 19 => (DamagedFile, SetAside),
                26 => (ForeignFile, SetAside),
                5 | 6 => (Locked, Memory),
                13 => (DiskFull, Memory),
                3 | 8 | 14 | 23 => (NotWritable, Memory),
                _ => (Unavailable, Memory),
            }
        }
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => {
                classify(inner)
            }
            _ => (NewerSchema, SetAside),
        },
        // A column of the watch table that is not of its type.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (DamagedFile, SetAside),
        _ => (Unavailable, Memory),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Panics unless the steps of `migrator` are the files of a folder, in their order: sqlx's macro would see to it.
    pub(crate) fn has_all_files_of(migrator: &Migrator, folder: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        files.retain(|it| it.extension().is_some_and(|it| it == "sql"));
        files.sort();
        let steps: Vec<_> = migrator
            .iter()
            .map(|it| it.sql.as_str().to_owned())
            .collect();
        let written: Vec<_> = files
            .iter()
            .map(|it| std::fs::read_to_string(it).unwrap())
            .collect();
        assert_eq!(steps, written);
    }

    #[test]
    fn each_file_of_migrations_is_a_step() {
        has_all_files_of(&MIGRATOR, "src/cache/migrations");
    }
}
