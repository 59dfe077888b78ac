//! Records as the appview sends them, with bodies left as raw JSON.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

use super::{
    bound::{Bound, MAX_FIELDS, MAX_RECORD_BYTES},
    extra::{Extra, Extras},
    json::Name,
    wire::nests_deeper,
};

/// Below this a `time_us` is really milliseconds: 10^14 µs is March 1973, before any AT Protocol record.
const FIRST_MICROSECOND_VALUE: u64 = 100_000_000_000_000;

/// Brings a `time_us` to microseconds: snapshots of a space carry milliseconds in that field, live events microseconds.
pub fn to_micros(time: i64) -> i64 {
    if time.unsigned_abs() < FIRST_MICROSECOND_VALUE {
        time.saturating_mul(1000)
    } else {
        time
    }
}

/// One record of a watch.
///
/// Only the fields that identify and order a record are decoded. The body and everything that the query
/// hydrated (relations, references, counts, labels, profiles) stay the JSON text that the server sent.
/// It serializes to the shape the server uses, with `time_us` always in microseconds.
#[derive(Clone)]
#[non_exhaustive]
pub struct Record {
    /// Where it lives.
    pub uri: AtUri,
    /// The space that holds the record, `ats://<owner did>/<type>/<key>`; `None` for public records.
    pub space: Option<Arc<str>>,
    /// Content hash, where the server knows one.
    pub cid: Option<Box<str>>,
    /// Creation time in microseconds since the Unix epoch.
    pub time_us: i64,
    /// The record's body, raw JSON.
    pub value: Box<RawValue>,
    /// Every other field: hydrated relations and references, counts, labels, …
    pub(crate) extras: Extras,
}

/// (space, uri): what identifies a record.
pub type Identity = (Option<Arc<str>>, Arc<str>);

/// `at://<did>/<collection>/<rkey>`. Cheap to clone.
#[derive(Clone)]
pub struct AtUri {
    text: Arc<str>,
    /// Where DID and collection end.
    ends: (u32, u32),
}

impl AtUri {
    /// `None` if it is not of that shape, or longer than any URI.
    pub fn parse(text: impl Into<Arc<str>>) -> Option<Self> {
        let text = text.into();
        let (did, collection, _) = split_at_uri(&text)?;
        let did_end = SCHEME.len() + did.len();
        let ends = (did_end, did_end + 1 + collection.len());
        let ends = (ends.0.try_into().ok()?, ends.1.try_into().ok()?);
        Some(Self { text, ends })
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to be shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.text
    }

    /// DID of the author.
    pub fn did(&self) -> &str {
        self.part(SCHEME.len(), self.ends.0 as usize)
    }

    /// NSID of the collection.
    pub fn collection(&self) -> &str {
        let (did, collection) = self.ends;
        self.part(did as usize + 1, collection as usize)
    }

    /// Record key, unique within author and collection only.
    pub fn rkey(&self) -> &str {
        self.part(self.ends.1 as usize + 1, self.text.len())
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }
}

impl fmt::Debug for AtUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for AtUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for AtUri {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for AtUri {}

impl Record {
    /// DID of the author.
    pub fn did(&self) -> &str {
        self.uri.did()
    }

    /// NSID of the collection.
    pub fn collection(&self) -> &str {
        self.uri.collection()
    }

    /// Record key, unique within author and collection only.
    pub fn rkey(&self) -> &str {
        self.uri.rkey()
    }

    /// The raw JSON of a field that is not one of the named ones.
    pub fn extra(&self, name: &str) -> Option<Cow<'_, RawValue>> {
        self.extras.get(name).map(Extra::raw)
    }

    /// All such fields, by name.
    pub fn extras(&self) -> impl Iterator<Item = (&str, Cow<'_, RawValue>)> {
        self.extras
            .iter()
            .map(|(name, extra)| (&**name, extra.raw()))
    }

    /// About how many bytes of JSON it is.
    pub(crate) fn bytes(&self) -> usize {
        let space = self.space.as_ref().map_or(0, |it| it.len());
        // Names of fields, numbers, and the content hash.
        140 + self.uri.as_str().len() + space + self.value.get().len() + self.extras.bytes()
    }

    /// What identifies it.
    #[doc(hidden)]
    pub fn identity(&self) -> Identity {
        (self.space.clone(), self.uri.shared().clone())
    }

    /// Adds the fields of `known` that `self` does not mention, unless that would pass a bound.
    ///
    /// A live update carries the bare record: what the snapshot hydrated is absent from it, not gone.
    #[doc(hidden)]
    pub fn keep_unmentioned(&mut self, known: &Record) -> Result<(), Bound> {
        if known.extras.is_empty() {
            return Ok(());
        }
        self.extras
            .add_unmentioned(&known.extras, MAX_RECORD_BYTES.saturating_sub(self.bytes()))
    }

    /// Whether both say the same to a reader, byte for byte.
    #[doc(hidden)]
    pub fn same_content(&self, other: &Record) -> bool {
        self.time_us == other.time_us
            && self.cid == other.cid
            && self.value.get() == other.value.get()
            && self.extras.same(&other.extras)
    }

    /// Whether the fields besides the named ones are the same, byte for byte.
    pub fn has_same_extras(&self, other: &Record) -> bool {
        self.extras.same(&other.extras)
    }

    /// Leaves out what nests deeper than `levels` beside its body. Says whether the body does not.
    pub(super) fn prune(&mut self, levels: usize) -> bool {
        self.extras.prune(levels - 1);
        !nests_deeper(self.value.get(), levels - 1)
    }
}

impl fmt::Debug for Record {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("uri", &self.uri)
            .field("space", &self.space)
            .field("time_us", &self.time_us)
            .finish_non_exhaustive()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_identity(&mut map)?;
        self.serialize_content(&mut map)?;
        map.end()
    }
}

impl Record {
    /// Writes what identifies it and its version into an object that may hold more.
    pub(crate) fn serialize_identity<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("uri", self.uri.as_str())?;
        map.serialize_entry("did", self.did())?;
        map.serialize_entry("collection", self.collection())?;
        map.serialize_entry("rkey", self.rkey())?;
        if let Some(space) = &self.space {
            map.serialize_entry("space", &**space)?;
        }
        map.serialize_entry("cid", &self.cid)
    }

    /// Writes its other fields.
    #[doc(hidden)]
    pub fn serialize_content<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("time_us", &self.time_us)?;
        for (name, extra) in self.extras.iter() {
            map.serialize_entry(&**name, extra)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

/// A string that is copied only where it has escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Hand-written because `RawValue` cannot pass through serde's `flatten`.
struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let (mut uri, mut space) = (None::<Text<'de>>, None::<Text<'de>>);
        let (mut cid, mut time) = (None, None::<f64>);
        let (mut value, mut do_body) = (None::<Box<RawValue>>, None);
        let mut extras = Vec::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            match &*name.0 {
                b"uri" => uri = Some(map.next_value()?),
                b"space" => space = map.next_value()?,
                // The URI says them all.
                b"did" | b"collection" | b"rkey" => drop(map.next_value::<IgnoredAny>()?),
                b"cid" => cid = map.next_value()?,
                b"time_us" => time = map.next_value()?,
                b"value" => value = Some(map.next_value()?),
                // A socket ended in a Durable Object carries the body under `record`.
                b"record" => do_body = Some(map.next_value()?),
                // What only this side of the wire says of a record.
                b"optimistic" | b"optimisticError" => drop(map.next_value::<IgnoredAny>()?),
                _ if extras.len() >= MAX_FIELDS => return Err(A::Error::custom(Bound::Fields)),
                _ => {
                    let raw: Box<RawValue> = map.next_value()?;
                    extras.push((name.text().into(), Extra::new(raw)));
                }
            }
        }
        let uri = uri.ok_or_else(|| A::Error::missing_field("uri"))?;
        let uri = AtUri::parse(uri.0)
            .ok_or_else(|| A::Error::custom("`uri` is not at://<did>/<collection>/<rkey>"))?;
        Ok(Record {
            uri,
            space: space.map(|it| it.0.into()),
            cid,
            time_us: to_micros(time.ok_or_else(|| A::Error::missing_field("time_us"))? as i64),
            value: value
                .or(do_body)
                .ok_or_else(|| A::Error::missing_field("value"))?,
            extras: Extras::new(extras),
        })
    }
}

const SCHEME: &str = "at://";

/// Splits `at://<did>/<collection>/<rkey>`.
pub fn split_at_uri(uri: &str) -> Option<(&str, &str, &str)> {
    let (did, path) = at_slash(uri.strip_prefix(SCHEME)?)?;
    let (collection, rkey) = at_slash(path)?;
    let complete = !did.is_empty() && !collection.is_empty() && !rkey.is_empty();
    complete.then_some((did, collection, rkey))
}

fn at_slash(text: &str) -> Option<(&str, &str)> {
    let slash = memchr::memchr(b'/', text.as_bytes())?;
    text.get(..slash).zip(text.get(slash + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = r#"{"uri":"at://did:plc:alice/com.example.chat.message/a","cid":null,"value":{"text":"x"},"did":"did:plc:alice","collection":"com.example.chat.message","rkey":"a","time_us":1795432906409,"space":"ats://did:plc:alice/com.example.space/s","reactionsCount":2}"#;

    #[test]
    fn milliseconds_become_microseconds_and_microseconds_stay() {
        assert_eq!(to_micros(1_795_432_906_409), 1_795_432_906_409_000);
        assert_eq!(to_micros(1_795_432_907_591_000), 1_795_432_907_591_000);
        assert_eq!(to_micros(i64::MIN), i64::MIN);
        let record: Record = serde_json::from_str(SNAPSHOT).unwrap();
        assert_eq!(record.time_us, 1_795_432_906_409_000);
    }

    #[test]
    fn a_record_keeps_every_field_it_came_with() {
        let record: Record = serde_json::from_str(SNAPSHOT).unwrap();
        let back: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        let mut sent: serde_json::Value = serde_json::from_str(SNAPSHOT).unwrap();
        sent["time_us"] = 1_795_432_906_409_000_i64.into();
        assert_eq!(back, sent);
    }

    #[test]
    fn the_body_is_found_under_record_too() {
        let text = SNAPSHOT.replace("\"value\":", "\"record\":");
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(record.value.get(), r#"{"text":"x"}"#);
        assert!(record.extra("record").is_none());
    }

    #[test]
    fn a_record_without_identity_or_time_is_refused() {
        for text in [
            "{}",
            r#"{"uri":"https://a/b/c","time_us":1,"value":{}}"#,
            r#"{"uri":"at://did:plc:a/c/","time_us":1,"value":{}}"#,
            r#"{"uri":"at://did:plc:a/c/r","value":{}}"#,
            r#"{"uri":"at://did:plc:a/c/r","time_us":1}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Record>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn half_an_emoji_in_the_name_of_a_field_hides_no_other() {
        let text = SNAPSHOT.replace(r#""reactionsCount":2"#, r#""\ud83d":1,"reactionsCount":2"#);
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(record.extra("reactionsCount").unwrap().get(), "2");
        let back = serde_json::to_string(&record).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&back).is_ok());
    }

    #[test]
    fn of_fields_of_one_name_the_last_one_counts() {
        let twice = SNAPSHOT.replace(r#""reactionsCount":2"#, r#""n":1,"a":2,"n":3"#);
        let record: Record = serde_json::from_str(&twice).unwrap();
        let fields: Vec<_> = record
            .extras()
            .map(|(name, it)| format!("{name}={it}"))
            .collect();
        assert_eq!(fields, ["a=2", "n=3"]);
    }

    #[test]
    fn debug_output_shows_no_body() {
        let record: Record = serde_json::from_str(SNAPSHOT).unwrap();
        assert!(!format!("{record:?}").contains("text"));
    }

    #[test]
    fn the_size_of_a_record_is_about_that_of_its_json() {
        let long = "x".repeat(1000);
        for text in [
            SNAPSHOT.to_owned(),
            SNAPSHOT.replace("message/a", &format!("message/{long}")),
            SNAPSHOT.replace("space/s", &format!("space/{long}")),
            SNAPSHOT.replace(r#""text":"x""#, &format!(r#""text":"{long}""#)),
            SNAPSHOT.replace("Count\":2", &format!("Count\":2,\"labels\":[\"{long}\"]")),
        ] {
            let record: Record = serde_json::from_str(&text).unwrap();
            let json = serde_json::to_string(&record).unwrap().len();
            // DID, collection and key stand in the URI, too.
            let parts = record.did().len() + record.collection().len() + record.rkey().len();
            let bytes = record.bytes();
            assert!(bytes.abs_diff(json - parts) < 100, "{bytes}, {json}");
        }
    }
}
