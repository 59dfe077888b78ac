//! Reading: the first page at once, the rest page by page.

use std::{path::PathBuf, sync::Arc};

use sqlx::{Row as _, SqliteConnection};

use super::{
    CacheError, CacheInfo, CacheKey, CacheWarning, Inner, Loaded, WarningKind,
    damage::Trouble,
    job::{Change, Job},
    pages::{PAGE_ROWS, Pages},
    row::{self, Row},
};
use crate::pure::protocol::profile::Profile;

/// What reads go through. The writer task replaces it when the file changes.
#[derive(Default)]
pub(super) struct Reader {
    /// `None` once the cache is closed. In memory it is the only connection, and the writer uses it too.
    pub conn: Option<SqliteConnection>,
    /// Counts the databases that this cache has been on: ids mean nothing beyond theirs.
    pub generation: u64,
    /// The file, unless the cache is in memory.
    pub file: Option<PathBuf>,
}

/// The records after the first page, read only as they are asked for.
pub struct Rest {
    inner: Arc<Inner>,
    generation: u64,
    pages: Pages,
}

impl Rest {
    /// The next page, in order and never empty; `None` after the last one, or if the watch was purged meanwhile.
    ///
    /// Rows that are written between two pages are seen as they were or as they are.
    pub async fn next(&mut self) -> Option<Vec<Row>> {
        if self.pages.done {
            return None;
        }
        let page = {
            let mut reader = self.inner.reader.lock().await;
            if reader.generation != self.generation {
                return None;
            }
            self.pages.read(reader.conn.as_mut()?, PAGE_ROWS).await
        };
        match page {
            Ok(page) => {
                self.inner.report_damaged(self.generation, &mut self.pages);
                (!page.is_empty()).then_some(page)
            }
            Err(error) => {
                self.pages.done = true;
                self.inner.trouble(self.generation, error).await;
                None
            }
        }
    }
}

/// See [`super::Cache::load`].
pub(super) async fn load(
    inner: &Arc<Inner>,
    key: &CacheKey,
    first: usize,
) -> Result<Option<Loaded>, CacheError> {
    let mut reader = inner.reader.lock().await;
    let generation = reader.generation;
    let conn = reader.conn.as_mut().ok_or(CacheError::Closed)?;
    let found = find(conn, key, first).await;
    drop(reader);
    match found {
        Ok(Found::Nothing) => Ok(None),
        Ok(Found::Unfit { watch, damaged }) => {
            if damaged {
                inner.warn_rows("the row of a watch was damaged: the watch is dropped");
            }
            let evict = Change::Evict { generation, watch };
            inner.ask(|reply| Job::Change(evict, reply)).await??;
            Ok(None)
        }
        Ok(Found::Watch(mut found)) => {
            let watch = found.pages.watch;
            inner.mention(Change::Touch { generation, watch });
            inner.report_damaged(generation, &mut found.pages);
            if found.profiles.is_none() {
                inner.warn_rows("the profiles of a watch were damaged: they are dropped");
            }
            Ok(Some(Loaded {
                cursor: found.cursor,
                synced_at: found.synced_at,
                first: found.first,
                profiles: found.profiles.unwrap_or_default(),
                rest: Rest {
                    inner: inner.clone(),
                    generation,
                    pages: found.pages,
                },
            }))
        }
        Err(error) => {
            inner.trouble(generation, error).await;
            Ok(None)
        }
    }
}

enum Found {
    Nothing,
    /// Another account's or query's, or not what was written.
    Unfit {
        watch: i64,
        damaged: bool,
    },
    Watch(Box<FoundWatch>),
}

struct FoundWatch {
    cursor: Option<String>,
    synced_at: i64,
    first: Vec<Row>,
    /// `None` if they are damaged.
    profiles: Option<Vec<Profile>>,
    pages: Pages,
}

async fn find(
    conn: &mut SqliteConnection,
    key: &CacheKey,
    first: usize,
) -> Result<Found, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id, account, cursor, synced_at, hash, source, profiles, profiles_hash FROM watch WHERE key = ?1",
    )
    .bind(&key.key)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found else {
        return Ok(Found::Nothing);
    };
    let watch = found.try_get(0)?;
    let seed = row::seed(key);
    let columns = (|| {
        let account: Option<&str> = found.try_get(1).ok()?;
        let cursor: Option<String> = found.try_get(2).ok()?;
        let (synced_at, hash): (i64, i64) = (found.try_get(3).ok()?, found.try_get(4).ok()?);
        let source: &str = found.try_get(5).ok()?;
        Some((account, source, cursor, synced_at, hash))
    })();
    let Some((account, source, cursor, synced_at, hash)) = columns else {
        let damaged = true;
        return Ok(Found::Unfit { watch, damaged });
    };
    let same = account == key.account.as_deref() && source == key.source;
    if !same || hash != row::watch_hash(seed, cursor.as_deref(), synced_at) {
        let damaged = same;
        return Ok(Found::Unfit { watch, damaged });
    }
    let profiles = match (found.try_get(6), found.try_get(7)) {
        (Ok(text), Ok(hash)) => row::decode_profiles(seed, text, hash),
        _ => None,
    };
    let mut pages = Pages::new(watch, seed);
    let first = pages.read(conn, first).await?;
    Ok(Found::Watch(Box::new(FoundWatch {
        cursor,
        synced_at,
        first,
        profiles,
        pages,
    })))
}

/// See [`super::Cache::info`].
pub(super) async fn info(inner: &Inner) -> Result<CacheInfo, CacheError> {
    const COUNTS: &str = "SELECT count(*), coalesce(sum(record_count), 0), min(synced_at), max(synced_at) FROM watch";
    let mut reader = inner.reader.lock().await;
    let (generation, file) = (reader.generation, reader.file.clone());
    let conn = reader.conn.as_mut().ok_or(CacheError::Closed)?;
    let result = async {
        let counts: (i64, i64, Option<i64>, Option<i64>) =
            sqlx::query_as(COUNTS).fetch_one(&mut *conn).await?;
        Ok((counts, super::upkeep::used_bytes(conn).await?))
    }
    .await;
    drop(reader);
    let ((watches, rows, oldest_sync, newest_sync), bytes) = match result {
        Ok(result) => result,
        Err(error) => {
            let error: sqlx::Error = error;
            let message = error.to_string();
            inner.trouble(generation, error).await;
            return Err(CacheError::Failed(message));
        }
    };
    Ok(CacheInfo {
        rows: rows.try_into().unwrap_or(0),
        bytes,
        watches: watches.try_into().unwrap_or(0),
        oldest_sync,
        newest_sync,
        memory_only: file.is_none(),
        file,
    })
}

/// See [`super::Cache::rows_of`]. What is wrong with the file, others will say.
pub(super) async fn rows_of(inner: &Inner, key: &str) -> Option<(u64, i64)> {
    const ROWS: &str = "SELECT record_count, synced_at FROM watch WHERE key = ?1";
    let mut reader = inner.reader.lock().await;
    let conn = reader.conn.as_mut()?;
    let found: Result<Option<(i64, i64)>, _> =
        sqlx::query_as(ROWS).bind(key).fetch_optional(conn).await;
    let (rows, synced_at) = found.ok()??;
    Some((u64::try_from(rows).unwrap_or(0), synced_at))
}

impl Inner {
    /// Tells of damaged rows that have not been told of, and has them removed.
    fn report_damaged(&self, generation: u64, pages: &mut Pages) {
        let count = pages.damaged.len() - pages.reported;
        if count == 0 {
            return;
        }
        pages.reported = pages.damaged.len();
        self.warn_rows(&format!("{count} damaged rows are dropped"));
        self.mention(Change::Forget {
            generation,
            watch: pages.watch,
            rows: pages.damaged.iter().copied().collect(),
        });
    }

    fn warn_rows(&self, message: &str) {
        CacheWarning {
            kind: WarningKind::DamagedRows,
            message: message.to_owned(),
            moved_to: None,
        }
        .send(&self.warnings);
    }

    /// Has the writer deal with what a read ran into.
    async fn trouble(&self, generation: u64, error: sqlx::Error) {
        let trouble = Trouble::from(error);
        // Fails only if the cache is closed, and then there is nothing left to mend.
        let _ = self
            .ask(|reply| Job::Trouble(generation, trouble, reply))
            .await;
    }
}
