//! States and deltas as JSON text: the types that guest-js is generated from.

use serde::Serialize;

#[cfg(test)]
use crate::engine::{EditError, Record};
use crate::{
    cache::{CacheInfo, CacheWarning, WarningKind},
    engine::{self, Entry, Status},
    error::ErrorPayload,
};

/// A watch's whole state.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
struct State<'a> {
    /// Revision; the next delta has the next one.
    #[cfg_attr(test, ts(type = "number"))]
    rev: u64,
    /// Where the watch stands.
    status: Status,
    /// The last failure, until live again.
    error: &'a Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    cursor: Option<&'a str>,
    /// Ids of the records, in order.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    ids: Vec<u64>,
    /// The records, in order.
    #[cfg_attr(test, ts(as = "Vec<WireRecord>"))]
    records: Vec<&'a Entry>,
    /// Whether these are only the first ones, and the next deltas tell the others.
    more: bool,
}

/// What changed since the revision before.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
struct Delta<'a> {
    /// The handle that this is for.
    handle: u32,
    /// One more than the revision this applies to.
    #[cfg_attr(test, ts(type = "number"))]
    rev: u64,
    /// Where the watch stands.
    status: Status,
    /// The last failure, until live again.
    error: &'a Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    cursor: Option<&'a str>,
    /// How many records there are once it is applied.
    length: usize,
    /// Ids that are gone.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    removed: &'a [u64],
    /// New, changed and moved records, by ascending index.
    changed: Vec<Changed<'a>>,
    /// Whether more is waiting already, or about to arrive with a snapshot: the page acknowledges at once.
    more: bool,
}

/// A record with the index it has once the delta is applied.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
struct Changed<'a> {
    /// Identifies the record for the life of the watch.
    #[cfg_attr(test, ts(type = "number"))]
    id: u64,
    /// Final index.
    index: usize,
    /// The record.
    #[cfg_attr(test, ts(as = "WireRecord"))]
    record: &'a Entry,
}

/// The named fields of a record. What the query hydrated stands beside them, under its own names.
#[cfg(test)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[allow(dead_code)] // it only tells ts-rs what Record's serializer writes; a test below compares them
struct WireRecord {
    /// `at://<did>/<collection>/<rkey>`.
    uri: String,
    /// Content hash, where the server knows one.
    cid: Option<String>,
    /// The record's body.
    #[ts(type = "unknown")]
    value: (),
    /// DID of the author.
    did: String,
    /// NSID of the collection.
    collection: String,
    /// Record key, unique within author and collection only.
    rkey: String,
    /// Creation time in microseconds since the Unix epoch.
    #[ts(type = "number")]
    time_us: i64,
    /// The space that holds the record; absent for public records.
    #[ts(optional)]
    space: Option<String>,
    /// Shown before the server says it, or although it never will; absent for the server's own word.
    #[ts(optional, type = "\"pending\" | \"failed\"")]
    optimistic: Option<()>,
    /// Why it failed; only where it did.
    #[ts(optional, rename = "optimisticError")]
    optimistic_error: Option<EditError>,
}

/// Trouble with the cache, for an app that wants to tell its user.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, rename = "CacheWarning"))]
pub struct WarningPayload {
    /// Counts the warnings of this process.
    seq: u32,
    /// The kind, for code.
    kind: WarningKind,
    /// What happened, for people.
    message: String,
}

impl WarningPayload {
    /// What a page may know of it: paths stay in Rust.
    pub fn new(seq: u32, warning: &CacheWarning) -> Self {
        Self {
            seq,
            kind: warning.kind,
            message: warning.message.clone(),
        }
    }
}

/// What the cache holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    test,
    derive(ts_rs::TS),
    ts(export, rename_all = "camelCase", rename = "CacheInfo")
)]
pub struct InfoPayload {
    /// Records of all watches.
    #[cfg_attr(test, ts(type = "number"))]
    rows: u64,
    /// Bytes of the database that are in use.
    #[cfg_attr(test, ts(type = "number"))]
    bytes: u64,
    /// Watches.
    #[cfg_attr(test, ts(type = "number"))]
    watches: u64,
    /// When the watch that waits longest was last in sync, in milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number | null"))]
    oldest_sync: Option<i64>,
    /// When a watch was last in sync, in milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number | null"))]
    newest_sync: Option<i64>,
    /// Whether nothing of this outlives the process.
    memory_only: bool,
}

impl From<CacheInfo> for InfoPayload {
    fn from(info: CacheInfo) -> Self {
        Self {
            rows: info.rows,
            bytes: info.bytes,
            watches: info.watches,
            oldest_sync: info.oldest_sync,
            newest_sync: info.newest_sync,
            memory_only: info.memory_only,
        }
    }
}

/// A state as JSON.
pub fn state(state: &engine::State) -> serde_json::Result<String> {
    serde_json::to_string(&State {
        rev: state.rev,
        status: state.status,
        error: &state.error,
        cursor: state.cursor.as_deref(),
        ids: state.entries.iter().map(|entry| entry.id).collect(),
        records: state.entries.iter().map(|entry| &**entry).collect(),
        more: state.more,
    })
}

/// A delta as JSON.
pub fn delta(handle: u32, delta: &engine::Delta) -> serde_json::Result<String> {
    let changed = delta.changed.iter().map(|changed| Changed {
        id: changed.entry.id,
        index: changed.index,
        record: &changed.entry,
    });
    serde_json::to_string(&Delta {
        handle,
        rev: delta.rev,
        status: delta.status,
        error: &delta.error,
        cursor: delta.cursor.as_deref(),
        length: delta.len,
        removed: &delta.removed,
        changed: changed.collect(),
        more: delta.more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_record_type_names_what_the_serializer_writes() {
        let json = r#"{"uri":"at://d/c/r","cid":null,"value":1,"time_us":1,"space":"ats://d/t/k"}"#;
        let record: Record = serde_json::from_str(json).unwrap();
        let written = serde_json::to_value(&record).unwrap();
        let config = ts_rs::Config::default();
        let declared = <WireRecord as ts_rs::TS>::inline(&config);
        for name in written.as_object().unwrap().keys() {
            assert!(
                declared.contains(&format!("{name}:")) || declared.contains(&format!("{name}?:")),
                "{name} in {declared}"
            );
        }
    }
}
