-- "cSyn": tells our file from another application's database.
PRAGMA application_id = 0x6353796e;

-- One row per watch. Ids are never used again, so that a reader that pages through a watch that was purged
-- meanwhile finds nothing, not another watch's rows.
CREATE TABLE watch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    account TEXT,
    cursor TEXT,
    synced_at INTEGER NOT NULL,          -- ms since the Unix epoch
    used_at INTEGER NOT NULL,            -- µs since the Unix epoch, for "least recently used"
    record_count INTEGER NOT NULL,       -- rows of `record`, so that trimming need not count them
    hash INTEGER NOT NULL                -- over key, account, cursor, synced_at
);
CREATE INDEX watch_used ON watch (used_at);

-- The body comes last: a damaged overflow page then spares the fields that the indices need.
CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    watch INTEGER NOT NULL REFERENCES watch (id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    space TEXT NOT NULL,                 -- '' for a public record
    time_us INTEGER NOT NULL,
    rkey TEXT NOT NULL,
    live_time INTEGER NOT NULL,
    hash INTEGER NOT NULL,               -- over the watch's key and account and every other field
    body TEXT NOT NULL                   -- the record as JSON
);
CREATE UNIQUE INDEX record_identity ON record (watch, uri, space);
CREATE INDEX record_order ON record (watch, time_us DESC, rkey DESC, uri DESC, space DESC);
