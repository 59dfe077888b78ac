//! A watch's rows, page by page.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use sqlx::{Row as _, SqliteConnection};

use super::row::{self, Row};

/// Most rows of a page after the first.
pub(super) const PAGE_ROWS: usize = 500;
/// A page ends early beyond this many bytes of bodies.
const PAGE_BYTES: usize = 1 << 20;

/// Walks a watch in its order: each page seeks to where the last one ended, through the index.
pub(super) struct Pages {
    pub watch: i64,
    seed: u64,
    after: Option<Position>,
    /// Whether there is nothing behind the last page.
    pub done: bool,
    /// Ids of rows that are not what was written.
    pub damaged: HashSet<i64>,
    /// How many of them have been told of.
    pub reported: usize,
}

struct Position {
    time_us: i64,
    rkey: String,
    uri: String,
    space: String,
}

impl Position {
    fn of(row: &Row) -> Self {
        Self {
            time_us: row.record.time_us,
            rkey: row.record.rkey().to_owned(),
            uri: row.record.uri.as_str().to_owned(),
            space: row.record.space.as_deref().unwrap_or_default().to_string(),
        }
    }
}

pub(super) const FIRST_PAGE: &str =
    "SELECT id, uri, space, time_us, rkey, live_time, hash, body FROM record
    WHERE watch = ?1 ORDER BY time_us DESC, rkey DESC, uri DESC, space DESC LIMIT ?2";
pub(super) const NEXT_PAGE: &str =
    "SELECT id, uri, space, time_us, rkey, live_time, hash, body FROM record
    WHERE watch = ?1 AND (time_us, rkey, uri, space) < (?3, ?4, ?5, ?6)
    ORDER BY time_us DESC, rkey DESC, uri DESC, space DESC LIMIT ?2";

impl Pages {
    pub fn new(watch: i64, seed: u64) -> Self {
        Self {
            watch,
            seed,
            after: None,
            done: false,
            damaged: HashSet::new(),
            reported: 0,
        }
    }

    /// The next page, of at most `limit` rows; fewer if they are large.
    pub async fn read(
        &mut self,
        conn: &mut SqliteConnection,
        limit: usize,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let statement = self.after.as_ref().map_or(FIRST_PAGE, |_| NEXT_PAGE);
        let mut query = sqlx::query(statement)
            .bind(self.watch)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        if let Some(after) = self.after.take() {
            query = query
                .bind(after.time_us)
                .bind(after.rkey)
                .bind(after.uri)
                .bind(after.space);
        }
        let mut rows = query.fetch(conn);
        let (mut page, mut seen, mut bytes) = (Vec::with_capacity(limit.min(PAGE_ROWS)), 0, 0);
        while bytes < PAGE_BYTES {
            let Some(sqlite_row) = rows.try_next().await? else {
                break;
            };
            seen += 1;
            match row::decode(&sqlite_row, self.seed) {
                Some((row, size)) => {
                    bytes += size;
                    page.push(row);
                }
                None => {
                    self.damaged.insert(sqlite_row.try_get(0)?);
                }
            }
        }
        // The next page starts behind a row that can be trusted. A page without one is the last.
        self.after = page.last().map(Position::of);
        self.done = self.after.is_none() || (seen < limit && bytes < PAGE_BYTES);
        Ok(page)
    }
}
