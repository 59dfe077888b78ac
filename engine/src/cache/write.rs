//! The transaction that writes a watch's changes. Its cost is that of the changes, not of the watch.

use sqlx::{Connection, Row as _, Sqlite, SqliteConnection, Transaction};

use super::{
    CacheKey, Changes, Lease,
    row::{self, Batch},
};
use crate::clock::now_us;

/// A statement's JSON argument ends beyond this many bytes, so that no batch is held in memory twice as a whole.
const BATCH_BYTES: usize = 256 << 10;

pub(super) const DELETE: &str = "DELETE FROM record WHERE watch = ?1 AND (uri, space) IN
    (SELECT value ->> 0, value ->> 1 FROM json_each(?2))";
const INSERT: &str = "INSERT OR IGNORE INTO record
    (watch, uri, space, time_us, rkey, live_time, hash, body)
    SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?2)";

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Failure {
    /// What the changes build on is not there, so they mean nothing.
    Incomplete,
    /// A clear took the lease.
    Cleared,
    /// The watch alone is more than the budget.
    TooLarge,
    /// SQLite failed.
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// Writes the changes and gives the watch's id.
pub(super) async fn write(
    conn: &mut SqliteConnection,
    lease: &Lease,
    changes: &Changes,
) -> Result<i64, Failure> {
    let key = &lease.key;
    let seed = row::seed(key);
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let (watch, mut count) = match known(&mut tx, key).await? {
        Some(known) if changes.replace => {
            sqlx::query("DELETE FROM record WHERE watch = ?1")
                .bind(known.watch)
                .execute(&mut *tx)
                .await?;
            (known.watch, 0)
        }
        Some(known) if known.writer == lease.id => {
            let removed = remove(&mut tx, known.watch, changes).await?;
            (known.watch, known.count - removed)
        }
        None if changes.replace => (create(&mut tx, key).await?, 0),
        // Nothing of this watch, or what another hand wrote: another process, another window's watch, the one before.
        Some(_) | None => {
            // Rows that it must not have are gone all the same.
            tx.commit().await?;
            return Err(Failure::Incomplete);
        }
    };
    count += insert(&mut tx, watch, changes, seed).await?;
    let cursor = changes.cursor.as_deref();
    sqlx::query(
        "UPDATE watch SET cursor = ?2, synced_at = ?3, used_at = ?4, record_count = ?5, hash = ?6, writer = ?7
            WHERE id = ?1",
    )
    .bind(watch)
    .bind(cursor)
    .bind(changes.synced_at)
    .bind(now_us())
    .bind(count)
    .bind(row::watch_hash(seed, cursor, changes.synced_at))
    .bind(lease.id)
    .execute(&mut *tx)
    .await?;
    if let Some(profiles) = &changes.profiles {
        let (text, hash) = row::encode_profiles(seed, profiles);
        sqlx::query("UPDATE watch SET profiles = ?2, profiles_hash = ?3 WHERE id = ?1")
            .bind(watch)
            .bind(text)
            .bind(hash)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(watch)
}

/// What the file has of a watch.
struct Known {
    watch: i64,
    count: i64,
    /// The lease that it was written under.
    writer: i64,
}

/// What the file has of the watch. Another account's or another query's is removed on the way.
async fn known(
    tx: &mut Transaction<'_, Sqlite>,
    key: &CacheKey,
) -> Result<Option<Known>, sqlx::Error> {
    let row =
        sqlx::query("SELECT id, record_count, writer, account, source FROM watch WHERE key = ?1")
            .bind(&key.key)
            .fetch_optional(&mut **tx)
            .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let watch: i64 = row.try_get(0)?;
    // A damaged account or query is as good as another one.
    let account = row.try_get::<Option<&str>, _>(3);
    let source = row.try_get::<&str, _>(4);
    if account.is_ok_and(|it| it == key.account.as_deref())
        && source.is_ok_and(|it| it == key.source)
    {
        let (count, writer) = (row.try_get(1)?, row.try_get(2)?);
        return Ok(Some(Known {
            watch,
            count,
            writer,
        }));
    }
    sqlx::query("DELETE FROM watch WHERE id = ?1")
        .bind(watch)
        .execute(&mut **tx)
        .await?;
    Ok(None)
}

async fn create(tx: &mut Transaction<'_, Sqlite>, key: &CacheKey) -> Result<i64, sqlx::Error> {
    let created = sqlx::query(
        "INSERT INTO watch (key, account, source, realm, synced_at, used_at, record_count, hash)
            VALUES (?1, ?2, ?3, ?4, 0, 0, 0, 0)",
    )
    .bind(&key.key)
    .bind(&key.account)
    .bind(&key.source)
    .bind(&key.realm)
    .execute(&mut **tx)
    .await?;
    Ok(created.last_insert_rowid())
}

/// Removes the rows that changed or are gone, and says how many there were.
async fn remove(
    tx: &mut Transaction<'_, Sqlite>,
    watch: i64,
    changes: &Changes,
) -> Result<i64, sqlx::Error> {
    let set = changes.set.iter().map(|row| {
        let record = row.record();
        (record.space.as_deref(), record.uri.as_str())
    });
    let gone = changes
        .gone
        .iter()
        .map(|(space, uri)| (space.as_deref(), &**uri));
    let (mut batch, mut removed) = (Batch::default(), 0);
    for (space, uri) in set.chain(gone) {
        batch.push(&(uri, space.unwrap_or_default()));
        if batch.len() > BATCH_BYTES {
            removed += execute(tx, DELETE, watch, &mut batch).await?;
        }
    }
    Ok(removed + execute(tx, DELETE, watch, &mut batch).await?)
}

/// Inserts what is set, and says how many rows that made.
async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    watch: i64,
    changes: &Changes,
    seed: u64,
) -> Result<i64, sqlx::Error> {
    let (mut batch, mut inserted) = (Batch::default(), 0);
    for row in &changes.set {
        row::encode(&mut batch, &**row, seed);
        if batch.len() > BATCH_BYTES {
            inserted += execute(tx, INSERT, watch, &mut batch).await?;
        }
    }
    Ok(inserted + execute(tx, INSERT, watch, &mut batch).await?)
}

async fn execute(
    tx: &mut Transaction<'_, Sqlite>,
    statement: &'static str,
    watch: i64,
    batch: &mut Batch,
) -> Result<i64, sqlx::Error> {
    let Some(json) = batch.take() else {
        return Ok(0);
    };
    let query = sqlx::query(statement).bind(watch).bind(json);
    Ok(affected(query.execute(&mut **tx).await?))
}

fn affected(result: sqlx::sqlite::SqliteQueryResult) -> i64 {
    i64::try_from(result.rows_affected()).unwrap_or(i64::MAX)
}
