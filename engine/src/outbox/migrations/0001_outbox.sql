-- "cSob": tells our file from another application's database.
PRAGMA application_id = 0x63536f62;

-- One row per write. Ids are never used again: they are the order in which writes were queued.
CREATE TABLE write (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,            -- the same key again is the same write
    account TEXT,
    view TEXT NOT NULL,                  -- hash of the query through whose watch it came
    sender TEXT,                         -- NULL: whoever follows such a watch
    uri TEXT NOT NULL,
    space TEXT,
    swap TEXT,                           -- the cid of what it changes
    over_last INTEGER NOT NULL,          -- it changes what the row before it of its record makes
    time_us INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,          -- ms since the Unix epoch, as sent_ms
    state INTEGER NOT NULL,              -- 0 queued, 1 sent, 2 failed
    attempts INTEGER NOT NULL,
    error_kind TEXT,
    error_message TEXT,
    cid TEXT,                            -- what the server gave it
    sent_ms INTEGER,
    hash INTEGER NOT NULL,               -- over what never changes, and the value
    value TEXT                           -- raw JSON; NULL takes the record away
);

-- Which versions of a record this outbox has made, the last one last: a list that has an older one is old.
CREATE TABLE made (
    record TEXT PRIMARY KEY,             -- JSON: [account, space, uri]
    versions TEXT NOT NULL               -- JSON: cids
);
