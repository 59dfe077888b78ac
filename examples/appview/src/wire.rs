//! The JSON that goes over the wire, key by key in the order in which the real server writes it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::reach::Reach;
use crate::record::Record;

/// An event that is larger costs another allocation.
const USUAL_BYTES: usize = 512;

/// One event: its name and its data, a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn new(kind: &'static str, data: &impl Serialize) -> Self {
        let mut json = Vec::with_capacity(USUAL_BYTES);
        // Our own types have string keys only, so this does not fail; if it did, the client would skip it.
        let written = serde_json::to_writer(&mut json, data).ok();
        let data = written.and_then(|()| String::from_utf8(json).ok());
        Self {
            kind,
            data: data.unwrap_or_default(),
        }
    }

    pub(crate) fn snapshot_start(reach: &Reach, collection: &'static str) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Start<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            space_uri: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            actor: Option<&'a str>,
            collection: &'a str,
        }
        let (space_uri, actor) = match reach {
            Reach::Space(uri) => (Some(&**uri), None),
            Reach::Community { did, .. } | Reach::Author(did) => (None, Some(did.as_str())),
            Reach::Public { .. } => (None, None),
        };
        let start = Start {
            space_uri,
            actor,
            collection,
        };
        Self::new("snapshot.start", &start)
    }

    pub(crate) fn snapshot_record(record: &Snapshot) -> Self {
        Self::new("snapshot.record", &Holder { record })
    }

    pub(crate) fn snapshot_end(cursor: Option<&str>) -> Self {
        #[derive(Serialize)]
        struct End<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            cursor: Option<&'a str>,
        }
        Self::new("snapshot.end", &End { cursor })
    }

    pub(crate) fn record_created(record: &Record, at_ms: i64, body: Body) -> Self {
        let times = Some((at_ms * 1000, at_ms));
        Self::new(
            "record.created",
            &Holder {
                record: Live::of(record, times, body),
            },
        )
    }

    pub(crate) fn record_deleted(uri: &str, did: &str, rkey: &str) -> Self {
        #[derive(Serialize)]
        struct Deleted<'a> {
            uri: &'a str,
            did: &'a str,
            rkey: &'a str,
        }
        Self::new("record.deleted", &Deleted { uri, did, rkey })
    }

    pub(crate) fn hydration_added(
        parent: &str,
        relation: &str,
        child: &Record,
        body: Body,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Added<'a> {
            parent_uri: &'a str,
            relation: &'a str,
            child: Live<'a>,
        }
        let child = Live::of(child, None, body);
        Self::new(
            "hydration.added",
            &Added {
                parent_uri: parent,
                relation,
                child,
            },
        )
    }

    pub(crate) fn hydration_removed(parent: &str, relation: &str, rkey: &str, did: &str) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Removed<'a> {
            parent_uri: &'a str,
            relation: &'a str,
            child_rkey: &'a str,
            child_did: &'a str,
        }
        let removed = Removed {
            parent_uri: parent,
            relation,
            child_rkey: rkey,
            child_did: did,
        };
        Self::new("hydration.removed", &removed)
    }

    pub(crate) fn member_removed(space: &str, did: &str) -> Self {
        #[derive(Serialize)]
        struct Removed<'a> {
            space: &'a str,
            did: &'a str,
        }
        Self::new("member.removed", &Removed { space, did })
    }

    pub(crate) fn error(message: &str) -> Self {
        #[derive(Serialize)]
        struct Failed<'a> {
            message: &'a str,
        }
        Self::new("error", &Failed { message })
    }

    /// As a server-sent event.
    pub(crate) fn sse(&self) -> Bytes {
        ["event: ", self.kind, "\ndata: ", &self.data, "\n\n"]
            .concat()
            .into()
    }

    /// As a WebSocket text frame.
    pub(crate) fn frame(&self) -> String {
        format!(r#"{{"kind":"{}","data":{}}}"#, self.kind, self.data)
    }
}

#[derive(Serialize)]
struct Holder<T> {
    record: T,
}

/// The key under which live events carry the body: a Durable Object says `record`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Value,
    Record,
}

/// A record as live events carry it. Children have no times.
#[derive(Serialize)]
struct Live<'a> {
    uri: String,
    did: &'a str,
    rkey: &'a str,
    collection: &'a str,
    cid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    indexed_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
}

impl<'a> Live<'a> {
    fn of(record: &'a Record, times: Option<(i64, i64)>, body: Body) -> Self {
        Self {
            uri: record.uri(),
            did: &record.did,
            rkey: &record.rkey,
            collection: record.collection.nsid,
            cid: record.cid.as_deref(),
            value: (body == Body::Value).then_some(&*record.value),
            record: (body == Body::Record).then_some(&*record.value),
            time_us: times.map(|(time_us, _)| time_us),
            indexed_at: times.map(|(_, indexed_at)| indexed_at),
            space: record.space.as_deref(),
        }
    }
}

/// A record as snapshots carry it. Hydrated children and references have no `cid`.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) record: Arc<Record>,
    is_nested: bool,
    time_us: i64,
    pub(crate) hydrated: Fields,
}

impl Snapshot {
    /// A record of the result, told with this time.
    pub(crate) fn of(record: Arc<Record>, time_us: i64) -> Self {
        Self {
            record,
            is_nested: false,
            time_us,
            hydrated: Fields::default(),
        }
    }

    /// A hydrated record.
    pub(crate) fn nested(record: Arc<Record>, time_us: i64) -> Self {
        Self {
            is_nested: true,
            ..Self::of(record, time_us)
        }
    }

    /// Adds a field behind those that it has.
    pub(crate) fn add(&mut self, name: &str, field: Field) {
        self.hydrated.0.push((name.to_owned(), field));
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = &*self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uri", &record.uri())?;
        if !self.is_nested {
            map.serialize_entry("cid", &record.cid)?;
        }
        map.serialize_entry("value", &*record.value)?;
        map.serialize_entry("did", &record.did)?;
        map.serialize_entry("collection", record.collection.nsid)?;
        map.serialize_entry("rkey", &record.rkey)?;
        map.serialize_entry("time_us", &self.time_us)?;
        if let Some(space) = &record.space {
            map.serialize_entry("space", &**space)?;
        }
        for (name, field) in &self.hydrated.0 {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

/// Hydrated fields, in order.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, Field)>);

/// One of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Field {
    Count(usize),
    Children(Vec<Snapshot>),
    /// In the order in which they came.
    #[serde(serialize_with = "as_object")]
    Groups(Vec<(String, Vec<Snapshot>)>),
    Target(Box<Snapshot>),
}

fn as_object<S: Serializer>(
    groups: &[(String, Vec<Snapshot>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(groups.iter().map(|(name, children)| (name, children)))
}
