//! A watch's rows, page by page.

use std::collections::HashSet;

use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::row::{Packed, Row};

/// Most rows of a page after the first.
pub(super) const PAGE_ROWS: usize = 500;
/// A page ends early beyond this many bytes of bodies.
const PAGE_BYTES: usize = 1 << 20;
/// About what one statement gives: enough that going to SQLite's thread and back costs little beside it, and an
/// allocation that is not yet given back to the system each time.
const READ_BYTES: usize = 64 << 10;
/// What a row is taken for before the first few were read.
const UNKNOWN_ROW_BYTES: usize = READ_BYTES / 4;

/// Walks a watch in its order: each read seeks to where the last one ended, through the index.
pub(super) struct Pages {
    pub watch: i64,
    seed: u64,
    after: Option<Position>,
    /// Of the rows read last, on average: says how many to read at once.
    row_bytes: usize,
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

/// A statement that gives its rows as one value, for [`Packed`]: one by one they cost three times as much on their
/// way from SQLite's thread, where each takes a wake-up and a dozen allocations. The `+ 0` is for speed too: SQLite
/// plans a statement with a bare parameter as its limit anew each time.
macro_rules! packed {
    ($after:literal) => {
        concat!(
            "SELECT CAST(group_concat(concat(octet_length(packed), ' ', packed), '') AS BLOB) FROM (
            SELECT concat(id, ' ', time_us, ' ', live_time, ' ', hash, ' ', octet_length(uri), ' ',
                octet_length(space), ' ', octet_length(rkey), ' ', uri, space, rkey, body) AS packed
            FROM record WHERE watch = ?1",
            $after,
            " ORDER BY time_us DESC, rkey DESC, uri DESC, space DESC LIMIT ?2 + 0 OFFSET ?3)"
        )
    };
}
pub(super) const FIRST_ROWS: &str = packed!("");
pub(super) const NEXT_ROWS: &str = packed!(" AND (time_us, rkey, uri, space) < (?4, ?5, ?6, ?7)");

impl Pages {
    pub(super) fn new(watch: i64, seed: u64) -> Self {
        Self {
            watch,
            seed,
            after: None,
            row_bytes: UNKNOWN_ROW_BYTES,
            done: false,
            damaged: HashSet::new(),
            reported: 0,
        }
    }

    /// The next page, of at most `limit` rows; fewer if they are large.
    pub(super) async fn read(
        &mut self,
        conn: &mut SqliteConnection,
        limit: usize,
    ) -> Result<Vec<Row>, sqlx::Error> {
        // A page shows all of a flush or nothing of it. Its end, a rollback, is not waited for.
        let mut snapshot = conn.begin().await?;
        let mut page = Vec::with_capacity(limit.min(PAGE_ROWS));
        // `unsure`: rows behind the last one that can be trusted, and so says where it stands.
        let (mut seen, mut bytes, mut unsure) = (0, 0, 0);
        while !self.done && seen < limit && bytes < PAGE_BYTES {
            let wanted = (READ_BYTES / self.row_bytes).clamp(1, limit - seen);
            let found = self.packed(&mut snapshot, wanted, unsure).await?;
            let packed: &[u8] = found.try_get::<Option<_>, _>(0)?.unwrap_or_default();
            let before = seen;
            for row in Packed::split(packed) {
                seen += 1;
                match row.decode(self.seed) {
                    Some((row, size)) => {
                        bytes += size;
                        page.push(row);
                        unsure = 0;
                    }
                    None => {
                        self.damaged.insert(row.id);
                        unsure += 1;
                    }
                }
            }
            self.done = seen - before < wanted;
            self.row_bytes = packed.len() / wanted + 1;
            if let Some(last) = page.last() {
                self.after = Some(Position::of(last));
            }
        }
        // The next page starts behind a row that can be trusted. A page without one is the last.
        self.done |= page.is_empty();
        Ok(page)
    }

    /// The next `limit` rows but for the first `skip`, as one value.
    async fn packed(
        &self,
        conn: &mut SqliteConnection,
        limit: usize,
        skip: usize,
    ) -> Result<SqliteRow, sqlx::Error> {
        let statement = self.after.as_ref().map_or(FIRST_ROWS, |_| NEXT_ROWS);
        let mut query = sqlx::query(statement)
            .bind(self.watch)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(i64::try_from(skip).unwrap_or(i64::MAX));
        if let Some(after) = &self.after {
            query = query
                .bind(after.time_us)
                .bind(&after.rkey)
                .bind(&after.uri)
                .bind(&after.space);
        }
        query.fetch_one(conn).await
    }
}
