//! States and deltas as JSON text: the types that guest-js is generated from.

#[cfg(test)]
use std::collections::HashMap;

#[cfg(test)]
use contrail_sync_engine::EditError;
use contrail_sync_engine::{
    self as engine, CacheInfo, CacheWarning, Entry, ErrorPayload, Profiles, Record, Status,
    Subscription, WarningKind, WatchId,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// A watch's whole state.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
struct State<'a> {
    /// The watch's number; one that is begun anew for the same options has another.
    #[cfg_attr(test, ts(type = "number"))]
    watch: u64,
    /// The numbers of watches that ended and whose edits this one was told.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    inherited: Vec<u64>,
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
    /// What the records share.
    common: Common<'a>,
    /// The records, in order.
    #[cfg_attr(test, ts(as = "Vec<PackedRecord>"))]
    records: Vec<Packed<'a>>,
    /// What the appview told of accounts, by DID.
    #[cfg_attr(test, ts(as = "HashMap<String, Profile>"))]
    profiles: ByDid<'a>,
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
    /// Ids of new, changed and moved records, by ascending index.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    ids: Vec<u64>,
    /// The index that each has once the delta is applied.
    indexes: Vec<usize>,
    /// What these records share.
    common: Common<'a>,
    /// The records.
    #[cfg_attr(test, ts(as = "Vec<PackedRecord>"))]
    records: Vec<Packed<'a>>,
    /// All that the appview told of accounts, by DID; only where it is other than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, as = "Option<HashMap<String, Profile>>"))]
    profiles: Option<ByDid<'a>>,
    /// Whether more is waiting already, or about to arrive with a snapshot: the page acknowledges at
    /// once, or the first records once they are drawn.
    more: bool,
}

/// What the appview told of accounts, each in its own words.
struct ByDid<'a>(&'a Profiles);

impl Serialize for ByDid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for profile in self.0.iter() {
            // It was read as an object once.
            if let Ok(json) = serde_json::from_str::<&RawValue>(profile.json()) {
                map.serialize_entry(profile.did(), json)?;
            }
        }
        map.end()
    }
}

/// What an appview told of an account. Other fields are as it sent them.
#[cfg(test)]
#[derive(ts_rs::TS)]
#[ts(export, optional_fields)]
#[allow(dead_code)] // it only tells ts-rs what ByDid's serializer writes
struct Profile {
    /// The account.
    did: String,
    /// Its handle, where the appview knows one.
    #[ts(optional, type = "string | null")]
    handle: Option<String>,
}

/// What all records of a message share is told once: it is half of what there is to tell of small ones.
#[derive(Clone, Copy, Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, optional_fields))]
struct Common<'a> {
    /// DID of the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<&'a str>,
    /// NSID of the collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    /// The space that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
}

impl<'a> Common<'a> {
    fn of(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let parts = |Record { uri, space, .. }: &'a Record| Self {
            did: Some(uri.did()),
            collection: Some(uri.collection()),
            space: space.as_deref(),
        };
        let parts = entries.into_iter().map(|it| parts(&it.record));
        parts.reduce(Self::with).unwrap_or_default()
    }

    fn with(self, other: Self) -> Self {
        Self {
            did: self.did.filter(|_| self.did == other.did),
            collection: self
                .collection
                .filter(|_| self.collection == other.collection),
            space: self.space.filter(|_| self.space == other.space),
        }
    }
}

/// A record without its URI, which its parts say, and without what is common or not there.
struct Packed<'a>(&'a Entry, Common<'a>);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Entry { record, .. }, common) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rkey", record.rkey())?;
        if common.did.is_none() {
            map.serialize_entry("did", record.did())?;
        }
        if common.collection.is_none() {
            map.serialize_entry("collection", record.collection())?;
        }
        if let (Some(space), None) = (&record.space, common.space) {
            map.serialize_entry("space", &**space)?;
        }
        if let Some(cid) = &record.cid {
            map.serialize_entry("cid", cid)?;
        }
        self.0.serialize_content(&mut map)?;
        map.end()
    }
}

/// The named fields of a record as it travels: without its URI, and without what all records of the message share.
#[cfg(test)]
#[derive(ts_rs::TS)]
#[ts(export, optional_fields)]
#[allow(dead_code)] // it only tells ts-rs what Packed's serializer writes; a test below compares the two
struct PackedRecord {
    /// Record key, unique within author and collection only.
    rkey: String,
    /// DID of the author.
    did: Option<String>,
    /// NSID of the collection.
    collection: Option<String>,
    /// The space that holds the record; absent for public records.
    space: Option<String>,
    /// Content hash; absent where the server knows none.
    cid: Option<String>,
    /// The record's body.
    #[ts(type = "unknown")]
    value: (),
    /// Creation time in microseconds since the Unix epoch.
    #[ts(type = "number")]
    time_us: i64,
    /// Shown before the server says it, or although it never will; absent for the server's own word.
    #[ts(optional, type = "\"pending\" | \"failed\"")]
    optimistic: Option<()>,
    /// Why it failed; only where it did.
    #[ts(rename = "optimisticError")]
    optimistic_error: Option<EditError>,
    /// The number of the write that waits on it: the one to try again or take back.
    #[ts(optional, type = "number")]
    write: Option<u64>,
    /// A write is about to delete it, or was refused to.
    #[ts(optional, type = "true")]
    deleted: Option<bool>,
    /// What the server has, where a write failed because somebody else had changed the record.
    #[ts(optional, rename = "serverValue", type = "unknown")]
    server_value: Option<()>,
}

/// Trouble with the cache, for an app that wants to tell its user.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, rename = "CacheWarning"))]
pub(crate) struct WarningPayload {
    /// Counts the warnings of this process.
    seq: u32,
    /// The kind, for code.
    kind: WarningKind,
    /// What happened, for people.
    message: String,
}

impl WarningPayload {
    /// What a page may know of it: paths stay in Rust.
    pub(crate) fn new(seq: u32, warning: &CacheWarning) -> Self {
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
pub(crate) struct InfoPayload {
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

/// Which watch a state is of.
#[derive(Default)]
pub(crate) struct Origin {
    /// Its number.
    pub(crate) watch: u64,
    /// The numbers of those whose edits it was told.
    pub(crate) inherited: Vec<u64>,
}

impl Origin {
    pub(crate) fn of(subscription: &Subscription) -> Self {
        Self {
            watch: subscription.watch_id().map_or(0, WatchId::number),
            inherited: subscription.inherited(),
        }
    }
}

/// A state as JSON.
pub(crate) fn state(origin: Origin, state: &engine::State) -> serde_json::Result<String> {
    let entries = || state.entries.iter().map(|entry| &**entry);
    let common = Common::of(entries());
    serde_json::to_string(&State {
        watch: origin.watch,
        inherited: origin.inherited,
        rev: state.rev,
        status: state.status,
        error: &state.error,
        cursor: state.cursor.as_deref(),
        ids: entries().map(|entry| entry.id).collect(),
        common,
        records: entries().map(|entry| Packed(entry, common)).collect(),
        profiles: ByDid(&state.profiles),
        more: state.more,
    })
}

/// A delta as JSON.
pub(crate) fn delta(handle: u32, delta: &engine::Delta) -> serde_json::Result<String> {
    let entries = || delta.changed.iter().map(|changed| &*changed.entry);
    let common = Common::of(entries());
    serde_json::to_string(&Delta {
        handle,
        rev: delta.rev,
        status: delta.status,
        error: &delta.error,
        cursor: delta.cursor.as_deref(),
        length: delta.len,
        removed: &delta.removed,
        ids: entries().map(|entry| entry.id).collect(),
        indexes: delta.changed.iter().map(|it| it.index).collect(),
        common,
        records: entries().map(|entry| Packed(entry, common)).collect(),
        profiles: delta.profiles.as_ref().map(ByDid),
        more: delta.more,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use contrail_sync_engine::{Edit, pure::store::Store};

    fn entry(text: &str) -> Arc<Entry> {
        let mut store = Store::default();
        store.confirm(serde_json::from_str(text).unwrap());
        let entry = store.entries().next().unwrap();
        entry.clone()
    }

    /// An edit that failed, of a record that the server does not have.
    fn failed() -> Arc<Entry> {
        let add = json!({ "rkey": "r", "did": "d", "collection": "c", "value": 1 });
        let error = json!({ "name": "Error", "message": "no network" });
        let mut store = Store::default();
        for edit in [
            json!({ "op": "add", "record": add }),
            json!({ "op": "fail", "rkey": "r", "error": error }),
        ] {
            store.edit(Edit::try_from(edit).unwrap(), 0).unwrap();
        }
        let entry = store.entries().next().unwrap();
        entry.clone()
    }

    fn told(records: &[&str]) -> serde_json::Value {
        state_of(records.iter().map(|it| entry(it)).collect())
    }

    fn state_of(entries: Vec<Arc<Entry>>) -> serde_json::Value {
        let mut state = engine::State::default();
        (state.status, state.entries) = (Status::Live, entries);
        serde_json::from_str(&super::state(Origin::default(), &state).unwrap()).unwrap()
    }

    const A: &str =
        r#"{"uri":"at://d/c/r/1","cid":null,"value":1,"time_us":1,"space":"ats://d/t/k"}"#;

    #[test]
    fn the_generated_record_type_names_what_the_serializer_writes() {
        let public = A.replace(r#","space":"ats://d/t/k""#, "");
        let other = A.replace("at://d/c/", "at://e/f/");
        let hashed = A.replace("null", r#""h""#);
        let mut entries: Vec<_> = [A, &public, &other, &hashed].map(entry).into();
        entries.push(failed());
        let told = state_of(entries);
        assert_eq!(told["records"][4]["optimisticError"]["name"], "Error");
        let config = ts_rs::Config::default();
        let declared = <PackedRecord as ts_rs::TS>::inline(&config);
        let names = told["records"].as_array().unwrap().iter();
        for name in names.flat_map(|it| it.as_object().unwrap().keys()) {
            assert!(
                declared.contains(&format!("{name}:")) || declared.contains(&format!("{name}?:")),
                "{name} in {declared}"
            );
        }
    }

    #[test]
    fn profiles_are_told_by_did_in_the_appviews_own_words() {
        let text = r#"{"did":"did:plc:bob","handle":"bob.test","value":{"displayName":"Bob"}}"#;
        let mut store = Store::default();
        store.learn(
            contrail_sync_engine::Profile::parse(text)
                .into_iter()
                .collect(),
        );
        let mut state = engine::State::default();
        state.profiles = store.profiles().clone();
        let told = super::state(Origin::default(), &state).unwrap();
        assert!(
            told.contains(&format!(r#""profiles":{{"did:plc:bob":{text}}}"#)),
            "{told}"
        );
    }

    #[test]
    fn what_all_records_share_is_told_once_and_what_they_do_not_with_each() {
        let same = told(&[A, &A.replace("r/1", "2")]);
        let common = json!({ "did": "d", "collection": "c", "space": "ats://d/t/k" });
        assert_eq!(same["common"], common);
        assert_eq!(
            same["records"][0],
            json!({ "rkey": "r/1", "value": 1, "time_us": 1000 })
        );
        let other = told(&[A, &A.replace("at://d", "at://e").replace("/t/", "/u/")]);
        assert_eq!(other["common"], json!({ "collection": "c" }));
        assert_eq!(other["records"][0]["did"], "d");
        assert_eq!(other["records"][1]["did"], "e");
        assert_eq!(other["records"][1]["space"], "ats://d/u/k");
        assert_eq!(told(&[])["common"], json!({}));
    }
}
