//! The outbox on disk. It is data, not a cache: each commit is on the disk when it returns, and what can be read of a damaged
//! file is carried over into the fresh one.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use serde_json::value::RawValue;
use sqlx::{
    ConnectOptions, Connection, Row as _, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use twox_hash::XxHash3_64;

use crate::{
    cache::files::{
        Remedy, Trouble, migrate_in, migrator, prepare, remove_with_sides, rename, set_aside,
    },
    pure::{
        outbox::{
            history::MOST_RECORDS,
            row::{NewWrite, RecordKey, Row, SentBy},
            write::{Action, SendError, Write, WriteId, WriteState},
        },
        protocol::record::AtUri,
    },
};

static MIGRATOR: LazyLock<Migrator> =
    LazyLock::new(|| migrator([("outbox", include_str!("migrations/0001_outbox.sql"))]));

/// Whether this program can keep one.
pub(super) const HAS_FILES: bool = true;

/// As the first migration sets it.
const APPLICATION_ID: i64 = 0x6353_6f62;
/// Longest wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

const QUEUED: i64 = 0;
const SENT: i64 = 1;
const FAILED: i64 = 2;

/// The outbox's database.
#[derive(Debug)]
pub(super) struct Db {
    conn: SqliteConnection,
}

/// A file that was opened, and what had to be done for it.
pub(super) struct Opened {
    pub db: Db,
    /// The file was damaged: it was set aside, and so many writes were carried over.
    pub mended: Option<(Trouble, usize)>,
}

impl Db {
    /// Opens the file, or memory where there is none.
    ///
    /// # Errors
    /// The file cannot be used now: its disk is full, it is locked or may not be written.
    pub(super) async fn open(path: Option<&Path>) -> Result<Opened, Trouble> {
        let Some(path) = path else {
            let conn = connect(settings()).await?;
            let db = Self { conn };
            return Ok(Opened { db, mended: None });
        };
        let fresh = beside(path);
        if !path.exists() && fresh.exists() {
            // The process ended between the two steps of mending.
            rename(&fresh, path)?;
        }
        prepare(path)?;
        match connect(at(path)).await {
            Ok(conn) => {
                let db = Self { conn };
                Ok(Opened { db, mended: None })
            }
            Err(trouble) if trouble.remedy == Remedy::SetAside => mend(path, trouble).await,
            Err(trouble) => Err(trouble),
        }
    }

    /// All writes, in order, and how many rows were not what had been written: they are gone with this.
    pub(super) async fn load(&mut self) -> Result<(Vec<Row>, usize), Trouble> {
        let rows = sqlx::query("SELECT * FROM write ORDER BY id")
            .fetch_all(&mut self.conn)
            .await?;
        let (mut whole, mut damaged) = (Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            match read(row) {
                Some(row) => whole.push(row),
                None => {
                    damaged += 1;
                    let id: Option<i64> = row.try_get("id").ok();
                    sqlx::query("DELETE FROM write WHERE id = ?")
                        .bind(id)
                        .execute(&mut self.conn)
                        .await?;
                }
            }
        }
        Ok((whole, damaged))
    }

    /// Keeps a new write, and gives its number; the one of the row that has this key already.
    pub(super) async fn insert(
        &mut self,
        new: &NewWrite,
        over_last: bool,
    ) -> Result<WriteId, Trouble> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let known: Option<i64> = sqlx::query_scalar("SELECT id FROM write WHERE key = ?")
            .bind(&new.key)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(id) = known {
            return Ok(id.cast_unsigned());
        }
        let row = Row::new(0, new.clone(), over_last);
        let done = insert(&row, None).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.last_insert_rowid().cast_unsigned())
    }

    /// Puts a new write in the place of one that no server has seen. Says whether it was still there.
    pub(super) async fn replace(&mut self, row: &Row) -> Result<bool, Trouble> {
        let done = sqlx::query(
            "UPDATE write SET key = ?, view = ?, queued_at = ?, hash = ?, value = ?
             WHERE id = ? AND attempts = 0 AND state = 0",
        )
        .bind(&row.write.key)
        .bind(&row.view)
        .bind(row.write.queued_at)
        .bind(hash(row))
        .bind(value(row))
        .bind(row.write.id.cast_signed())
        .execute(&mut self.conn)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps what changed of these writes, and forgets those that are gone. Answers those that another process has changed or
    /// taken back meanwhile: that stays as it is.
    pub(super) async fn keep<'a>(
        &mut self,
        changed: impl Iterator<Item = (WriteId, Option<&'a Row>)>,
    ) -> Result<Vec<WriteId>, Trouble> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let mut others = Vec::new();
        for (id, row) in changed {
            let Some(row) = row else {
                sqlx::query("DELETE FROM write WHERE id = ?")
                    .bind(id.cast_signed())
                    .execute(&mut *tx)
                    .await?;
                continue;
            };
            let done = sqlx::query(
                "UPDATE write SET swap = ?, over_last = ?, queued_at = ?, state = ?, attempts = ?,
                 error_kind = ?, error_message = ?, cid = ?, sent_ms = ? WHERE id = ? AND key = ?",
            )
            .bind(&row.write.swap)
            .bind(row.over_last)
            .bind(row.write.queued_at)
            .bind(state(row.state))
            .bind(row.write.attempt)
            .bind(row.error.as_ref().map(|it| &it.kind))
            .bind(row.error.as_ref().map(|it| &it.message))
            .bind(&row.cid)
            .bind(row.sent_ms)
            .bind(id.cast_signed())
            .bind(&row.write.key)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 0 {
                others.push(id);
            }
        }
        tx.commit().await?;
        Ok(others)
    }

    /// Remembers versions that the outbox has made.
    pub(super) async fn keep_made(
        &mut self,
        made: &[(RecordKey, Vec<String>)],
    ) -> Result<(), Trouble> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for (record, versions) in made {
            // Texts and lists of them always have a JSON form.
            let record = serde_json::to_string(&(&record.0, &record.1, &*record.2));
            let versions = serde_json::to_string(versions);
            let (Ok(record), Ok(versions)) = (record, versions) else {
                continue;
            };
            sqlx::query("INSERT OR REPLACE INTO made (record, versions) VALUES (?, ?)")
                .bind(record)
                .bind(versions)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query(
            "DELETE FROM made WHERE rowid <=
             (SELECT rowid FROM made ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
        )
        .bind(i64::try_from(MOST_RECORDS).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The versions that are remembered, the record that was written last at the end.
    pub(super) async fn made(&mut self) -> Result<Vec<(RecordKey, Vec<String>)>, Trouble> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT record, versions FROM made ORDER BY rowid")
                .fetch_all(&mut self.conn)
                .await?;
        // What cannot be read is as good as forgotten.
        let read = |(record, versions): &(String, String)| {
            let record: (Option<String>, Option<String>, String) =
                serde_json::from_str(record).ok()?;
            let versions = serde_json::from_str(versions).ok()?;
            Some(((record.0, record.1, Arc::from(record.2)), versions))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Forgets those of an account, or all.
    pub(super) async fn forget_made(&mut self, account: Option<&str>) -> Result<(), Trouble> {
        sqlx::query("DELETE FROM made WHERE ?1 IS NULL OR json_extract(record, '$[0]') = ?1")
            .bind(account)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Changes whenever another process has changed the file.
    pub(super) async fn version(&mut self) -> Result<i64, Trouble> {
        let version = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.conn)
            .await?;
        Ok(version)
    }

    /// Lets go of the file.
    pub(super) async fn close(self) {
        let _ = self.conn.close().await;
    }
}

fn settings() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        // What was sent must not linger in free pages.
        .pragma("secure_delete", "ON")
        // The file may be anyone's work.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

fn at(path: &Path) -> SqliteConnectOptions {
    settings()
        .filename(path)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "4194304")
}

/// Connects, and brings the schema up to date.
async fn connect(options: SqliteConnectOptions) -> Result<SqliteConnection, Trouble> {
    let mut conn = SqliteConnection::connect_with(&options).await?;
    migrate_in(&mut conn, "BEGIN IMMEDIATE", APPLICATION_ID, &MIGRATOR).await?;
    Ok(conn)
}

/// What a file is called while it is made in the place of a damaged one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mending");
    name.into()
}

/// Carries over what can be read of a damaged file, and only then sets it aside.
async fn mend(path: &Path, trouble: Trouble) -> Result<Opened, Trouble> {
    let saved = salvage(path).await;
    let fresh = beside(path);
    // Of an attempt that came to nothing.
    remove_with_sides(&fresh)?;
    prepare(&fresh)?;
    let mut conn = connect(at(&fresh)).await?;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    for row in &saved {
        insert(row, Some(row.write.id)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    conn.close().await?;
    set_aside(path)?;
    rename(&fresh, path)?;
    Ok(Opened {
        db: Db {
            conn: connect(at(path)).await?,
        },
        mended: Some((trouble, saved.len())),
    })
}

/// Every row of a damaged file that can be read and proves to be what was written: from both ends, as far as the damage.
async fn salvage(path: &Path) -> Vec<Row> {
    let mut saved: Vec<Row> = Vec::new();
    for order in ["ASC", "DESC"] {
        let options = settings().filename(path).busy_timeout(BUSY);
        let Ok(mut conn) = SqliteConnection::connect_with(&options).await else {
            continue;
        };
        let query = format!("SELECT * FROM write NOT INDEXED ORDER BY id {order}");
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch(&mut conn);
        use futures_util::StreamExt as _;
        while let Some(Ok(row)) = rows.next().await {
            let Some(row) = read(&row) else { continue };
            if saved.iter().all(|it| it.write.id != row.write.id) {
                saved.push(row);
            }
        }
    }
    saved.sort_by_key(|it| it.write.id);
    saved
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn insert(row: &Row, id: Option<WriteId>) -> Query<'_> {
    let write = &row.write;
    sqlx::query(
        "INSERT INTO write (id, key, account, view, sender, uri, space, swap, over_last, time_us,
         queued_at, state, attempts, error_kind, error_message, cid, sent_ms, hash, value)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.map(WriteId::cast_signed))
    .bind(&write.key)
    .bind(&write.account)
    .bind(&row.view)
    .bind(sender(row))
    .bind(write.uri.as_str())
    .bind(&write.space)
    .bind(&write.swap)
    .bind(row.over_last)
    .bind(row.time_us)
    .bind(write.queued_at)
    .bind(state(row.state))
    .bind(write.attempt)
    .bind(row.error.as_ref().map(|it| &it.kind))
    .bind(row.error.as_ref().map(|it| &it.message))
    .bind(&row.cid)
    .bind(row.sent_ms)
    .bind(hash(row))
    .bind(value(row))
}

fn sender(row: &Row) -> Option<&str> {
    match &row.sent_by {
        SentBy::Name(name) => Some(name),
        SentBy::Followers => None,
    }
}

fn value(row: &Row) -> Option<&str> {
    match &row.write.action {
        Action::Put(value) => Some(value.get()),
        Action::Delete => None,
    }
}

fn state(state: WriteState) -> i64 {
    match state {
        WriteState::Failed => FAILED,
        state if state.is_sent() => SENT,
        _ => QUEUED,
    }
}

/// Over whose write it is and what it does.
fn hash(row: &Row) -> i64 {
    let write = &row.write;
    let mut head = Vec::with_capacity(256);
    for text in [
        Some(&*write.key),
        write.account.as_deref(),
        Some(&*row.view),
        sender(row),
        Some(write.uri.as_str()),
        write.space.as_deref(),
    ] {
        head.push(text.is_some().into());
        head.extend((text.map_or(0, str::len) as u64).to_le_bytes());
        head.extend(text.unwrap_or_default().as_bytes());
    }
    head.extend(row.time_us.to_le_bytes());
    head.push(value(row).is_some().into());
    let seed = XxHash3_64::oneshot(&head);
    XxHash3_64::oneshot_with_seed(seed, value(row).unwrap_or_default().as_bytes()).cast_signed()
}

/// `None` for what is not what was written.
fn read(columns: &SqliteRow) -> Option<Row> {
    let text = |name: &str| columns.try_get::<Option<String>, _>(name).ok();
    let number = |name: &str| columns.try_get::<i64, _>(name).ok();
    let action = match text("value")? {
        Some(value) => Action::Put(Arc::from(RawValue::from_string(value).ok()?)),
        None => Action::Delete,
    };
    let write = Write {
        id: number("id")?.cast_unsigned(),
        key: text("key")??,
        account: text("account")?,
        uri: AtUri::parse(text("uri")??)?,
        space: text("space")?,
        action,
        swap: text("swap")?,
        attempt: number("attempts")?.try_into().ok()?,
        queued_at: number("queued_at")?,
    };
    let sent_by = match text("sender")? {
        Some(name) => SentBy::Name(name),
        None => SentBy::Followers,
    };
    let (time_us, over_last) = (number("time_us")?, number("over_last")? != 0);
    let mut row = Row::of(write, text("view")??, sent_by, time_us, over_last);
    row.state = match number("state")? {
        QUEUED => WriteState::Queued,
        SENT => WriteState::Sent,
        FAILED => WriteState::Failed,
        _ => return None,
    };
    row.error = match (text("error_kind")?, text("error_message")?) {
        (Some(kind), Some(message)) => Some(SendError::new(kind, message)),
        _ => None,
    };
    row.cid = text("cid")?;
    row.sent_ms = columns.try_get("sent_ms").ok()?;
    (number("hash")? == hash(&row)).then_some(row)
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
