//! Decoding: an event's name and JSON text to a [`ServerEvent`].

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    bound::Bound,
    listed,
    record::{AtUri, Record},
    shallow,
};
use crate::redact::Secrets;

/// Deepest nesting of objects and arrays that an event may have.
///
/// Raw bodies travel unparsed to the webview, whose `JSON.parse` must be able to read what we pass on.
pub const MAX_NESTING: usize = 128;
/// Longest cursor. It goes to every window, and back to the server in a URL.
const MAX_CURSOR_BYTES: usize = 4 * 1024;
/// Longest name of a space, as the AT Protocol bounds URIs.
const MAX_SPACE_BYTES: usize = 8 * 1024;

/// What the server says, over either transport.
#[derive(Debug, Clone)]
pub enum ServerEvent {
    /// A snapshot begins; it is complete only at [`ServerEvent::SnapshotEnd`].
    SnapshotStart,
    /// One record of the snapshot.
    SnapshotRecord(Record),
    /// The snapshot is complete.
    SnapshotEnd {
        /// Where older records begin, if there are any.
        cursor: Option<String>,
    },
    /// A record was created or updated.
    Created(Record),
    /// A record was deleted, in a space that the event does not name.
    Deleted {
        /// `at://` URI of the record.
        uri: String,
    },
    /// A child of a hydrated relation was added or changed.
    HydrationAdded(Box<ChildAdded>),
    /// A child of a hydrated relation was removed.
    HydrationRemoved(ChildRemoved),
    /// A member left the space: the caller, as the server tells nobody else.
    MemberRemoved {
        /// The space that was left, as records name it.
        space: String,
        /// Who left it.
        did: String,
    },
    /// The server failed and will end the stream.
    Error {
        /// The server's own words, as they may be shown.
        message: String,
    },
    /// Nothing but a sign of life.
    Keepalive,
}

/// Body of `hydration.added`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildAdded {
    /// `at://` URI of the parent; rkey `_` stands for every record of that DID.
    pub parent_uri: String,
    /// Name of the relation.
    pub relation: String,
    /// The child as sent, raw JSON.
    pub child: Box<RawValue>,
}

impl fmt::Debug for ChildAdded {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildAdded")
            .field("parent_uri", &self.parent_uri)
            .field("relation", &self.relation)
            .finish_non_exhaustive()
    }
}

/// Body of `hydration.removed`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildRemoved {
    /// `at://` URI of the parent; rkey `_` stands for every record of that DID.
    pub parent_uri: String,
    /// Name of the relation.
    pub relation: String,
    /// Record key of the child.
    pub child_rkey: String,
    /// DID of the child's author, where the server says it.
    pub child_did: Option<String>,
}

/// Why an event could not be read. The stream goes on after it. Nothing in it is the server's words.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The data is not the JSON that this kind of event carries.
    #[error("`{kind}` event with unreadable data: {message}")]
    Data {
        /// The event's name.
        kind: &'static str,
        /// What was wrong, without the data itself.
        message: Fault,
        /// Of the record that it carries, where that much could be read.
        uri: Option<AtUri>,
    },
    /// The data nests deeper than [`MAX_NESTING`].
    #[error("`{kind}` event nested deeper than {MAX_NESTING} levels")]
    TooDeep {
        /// The event's name.
        kind: &'static str,
        /// Of the record that it carries, where that much could be read.
        uri: Option<AtUri>,
    },
    /// The bytes of an event or frame are not UTF-8 text.
    #[error("event that is not valid UTF-8")]
    NotUtf8,
    /// A frame that is not a JSON object with `kind` and `data`.
    #[error("frame that is not {{kind, data}}: {message}")]
    Frame {
        /// What was wrong.
        message: Fault,
    },
    /// A frame that is not text.
    #[error("frame that is binary")]
    Binary,
}

/// What is wrong with a JSON text, in words that do not quote it. They are put together only where they are read: a server
/// that sends a million unreadable events is told of in a few lines.
pub struct Fault(Option<serde_json::Error>);

impl Fault {
    /// Of an event that has no record at all. No parser has to say so: that costs more than the event.
    const NO_RECORD: Self = Self(None);
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self(Some(error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(error) => f.write_str(&describe(error)),
            None => f.write_str("it is no object with a record"),
        }
    }
}

impl fmt::Debug for Fault {
    // The error's own words may quote a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl WireError {
    /// The record that was told of, where that much could be read: it is still there, whatever it holds.
    pub fn uri(&self) -> Option<&AtUri> {
        match self {
            Self::Data { uri, .. } | Self::TooDeep { uri, .. } => uri.as_ref(),
            Self::NotUtf8 | Self::Frame { .. } | Self::Binary => None,
        }
    }
}

/// The events that this version knows.
const KINDS: [&str; 10] = [
    "snapshot.start",
    "snapshot.record",
    "snapshot.end",
    "record.created",
    "record.deleted",
    "hydration.added",
    "hydration.removed",
    "member.removed",
    "error",
    "$keepalive",
];

/// Decodes one event, where there are no secrets. `Ok(None)` is an event of a kind that this version does not know: skip
/// it.
pub fn decode(kind: &str, data: &str) -> Result<Option<ServerEvent>, WireError> {
    decode_hiding(kind, data, &Secrets::default())
}

/// Decodes one event. What it says to people holds none of the connection's secrets.
pub(crate) fn decode_hiding(
    kind: &str,
    data: &str,
    secrets: &Secrets,
) -> Result<Option<ServerEvent>, WireError> {
    // From here on the name is ours, and can stand in messages.
    let Some(kind) = KINDS.into_iter().find(|known| *known == kind) else {
        return Ok(None);
    };
    Ok(Some(match kind {
        "snapshot.start" => ServerEvent::SnapshotStart,
        "snapshot.record" => ServerEvent::SnapshotRecord(one_record(kind, data)?),
        "snapshot.end" => {
            let end: SnapshotEnd = read(kind, data)?;
            ServerEvent::SnapshotEnd {
                cursor: bounded_cursor(end.cursor),
            }
        }
        "record.created" => ServerEvent::Created(one_record(kind, data)?),
        "record.deleted" => {
            let deleted: Deleted = read(kind, data)?;
            ServerEvent::Deleted { uri: deleted.uri }
        }
        "hydration.added" => ServerEvent::HydrationAdded(read(kind, data)?),
        "hydration.removed" => ServerEvent::HydrationRemoved(read(kind, data)?),
        "member.removed" => {
            let member: Member = read(kind, data)?;
            ServerEvent::MemberRemoved {
                space: space(member.space, secrets),
                did: member.did,
            }
        }
        // The message is for people: an error event without a readable one is an error all the same.
        "error" => {
            let failure: Option<Failure> = serde_json::from_str(data).ok();
            let message = failure.and_then(|f| f.message).unwrap_or_default();
            ServerEvent::Error {
                message: secrets.quoted(&message),
            }
        }
        "$keepalive" => ServerEvent::Keepalive,
        _ => return Ok(None),
    }))
}

/// Decodes a record that stands alone, as in a handshake's snapshot.
pub fn decode_record(data: &str) -> Result<Record, WireError> {
    let kind = "snapshot.record";
    let record = read_named(kind, data, shallow::uri_of_record)?;
    without_what_is_deep(record, data, MAX_NESTING, kind)
}

/// A record that may nest too deep, without what does: that hides neither the record nor its other children.
fn without_what_is_deep(
    mut record: Record,
    data: &str,
    levels: usize,
    kind: &'static str,
) -> Result<Record, WireError> {
    if nests_deeper(data, MAX_NESTING) && !record.prune(levels) {
        let uri = Some(record.uri);
        return Err(WireError::TooDeep { kind, uri });
    }
    Ok(record)
}

/// Decodes one WebSocket text frame, `{"kind": …, "data": …}`.
pub(crate) fn decode_frame(
    text: &str,
    secrets: &Secrets,
) -> Result<Option<ServerEvent>, WireError> {
    let frame: Frame = serde_json::from_str(text).map_err(|error| WireError::Frame {
        message: error.into(),
    })?;
    decode_hiding(&frame.kind, frame.data.map_or("{}", RawValue::get), secrets)
}

/// Somebody's words as they may stand in a message, where there are no secrets.
pub(crate) fn shown(words: &str) -> String {
    Secrets::default().quoted(words)
}

/// Where the next page begins, if that can be said in a request.
pub(crate) fn bounded_cursor(cursor: Option<String>) -> Option<String> {
    cursor.filter(|cursor| cursor.len() <= MAX_CURSOR_BYTES)
}

/// A space as records name it. What is none, or tells a secret, can name no record's space: it is only for people.
fn space(text: String, secrets: &Secrets) -> String {
    let is_one = text.starts_with("ats://")
        && text.len() <= MAX_SPACE_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    match is_one && !secrets.occur_in(&text) {
        true => text,
        false => secrets.quoted(&text),
    }
}

fn one_record(kind: &'static str, data: &str) -> Result<Record, WireError> {
    let one: OneRecord = match data.trim_ascii_start().starts_with('{') {
        true => read_named(kind, data, shallow::uri_of_event)?,
        false => OneRecord { record: None },
    };
    let record = one.record.ok_or(WireError::Data {
        kind,
        message: Fault::NO_RECORD,
        uri: None,
    })?;
    // The event around it is a level, too.
    without_what_is_deep(record, data, MAX_NESTING - 1, kind)
}

fn read<'a, T: Deserialize<'a>>(kind: &'static str, data: &'a str) -> Result<T, WireError> {
    if nests_deeper(data, MAX_NESTING) {
        return Err(WireError::TooDeep { kind, uri: None });
    }
    read_named(kind, data, |_| None)
}

/// Reads an event's data, or at least finds the record that it tells of.
fn read_named<'a, T: Deserialize<'a>>(
    kind: &'static str,
    data: &'a str,
    uri: impl Fn(&str) -> Option<AtUri>,
) -> Result<T, WireError> {
    serde_json::from_str(data).map_err(|error| WireError::Data {
        kind,
        message: error.into(),
        uri: uri(data),
    })
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OneRecord {
    record: Option<Record>,
}

#[derive(Deserialize)]
struct SnapshotEnd {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Deleted {
    uri: String,
}

#[derive(Deserialize)]
struct Member {
    space: String,
    did: String,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
}

/// serde_json's message, which names fields and positions; for wrong types it may quote a value, so only
/// the category is kept there: bodies do not belong in logs.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let at = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => format!("it ends too early, {at}"),
        serde_json::error::Category::Syntax => format!("it is not JSON, {at}"),
        _ => {
            let message = error.to_string();
            let fields = Bound::Fields.to_string();
            let is_ours = ["missing field", listed::TOO_MANY, &fields];
            match is_ours.iter().any(|ours| message.starts_with(ours)) {
                true => message,
                false => format!("a field has an unexpected type or value, {at}"),
            }
        }
    }
}

/// Whether objects and arrays nest deeper than this.
pub(crate) fn nests_deeper(text: &str, levels: usize) -> bool {
    let bytes = text.as_bytes();
    // Fewer brackets than levels allowed: the common case, decided at memchr's speed.
    let opened = memchr::memchr2_iter(b'{', b'[', bytes);
    if opened.take(levels + 1).count() <= levels {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::protocol::bound::MAX_FIELDS;

    const RECORD: &str = r#"{"record":{"uri":"at://did:plc:alice/c/a","time_us":1795432907591000,"value":{"text":"v1"}}}"#;

    fn frame(text: &str) -> Result<Option<ServerEvent>, WireError> {
        decode_frame(text, &Secrets::default())
    }

    #[test]
    fn every_kind_of_the_protocol_decodes() {
        for (kind, data) in [
            (
                "snapshot.start",
                r#"{"actor":"did:plc:alice","collection":"c"}"#,
            ),
            ("snapshot.record", RECORD),
            ("snapshot.end", r#"{"cursor":"x"}"#),
            ("snapshot.end", "{}"),
            ("record.created", RECORD),
            (
                "record.deleted",
                r#"{"uri":"at://did:plc:alice/c/a","did":"did:plc:alice","rkey":"a"}"#,
            ),
            (
                "hydration.added",
                r#"{"parentUri":"at://a/c/r","relation":"reactions","child":{"rkey":"k"}}"#,
            ),
            (
                "hydration.removed",
                r#"{"parentUri":"at://a/c/r","relation":"reactions","childRkey":"k"}"#,
            ),
            (
                "member.removed",
                r#"{"space":"ats://a/t/k","did":"did:plc:bob"}"#,
            ),
            ("error", r#"{"message":"boom"}"#),
            ("$keepalive", "{}"),
        ] {
            assert!(decode(kind, data).unwrap().is_some(), "{kind}");
        }
    }

    #[test]
    fn unknown_kinds_are_skipped_whatever_they_carry() {
        assert!(decode("future.thing", "not json").unwrap().is_none());
        assert!(frame(r#"{"kind":"future"}"#).unwrap().is_none());
        // Their names are anybody's words, so no error may need them.
        let deep = "[".repeat(MAX_NESTING + 1);
        for name in ["eyJ\u{1b}[2J", &"x".repeat(4 << 20)] {
            assert!(decode(name, &deep).unwrap().is_none());
        }
    }

    #[test]
    fn what_the_server_says_to_people_is_told_without_secrets_and_then_cut_short() {
        let ticket = "0123456789abcdef-".repeat(15);
        let secrets: Secrets = [&*ticket].into_iter().collect();
        let data = format!(r#"{{"message":"{} {ticket} \u001b[2J."}}"#, "x".repeat(290));
        let event = decode_hiding("error", &data, &secrets).unwrap();
        let Some(ServerEvent::Error { message }) = event else {
            panic!("{event:?}");
        };
        assert_eq!(
            message,
            format!("{} … {}", "x".repeat(290), " [2J.".split_at(5).0)
        );
    }

    #[test]
    fn a_space_is_told_as_records_name_it_and_nothing_else_is() {
        let secrets: Secrets = ["mellon-mellon-mellon"].into_iter().collect();
        let left = |space: &str| {
            let data = serde_json::json!({ "space": space, "did": "did:plc:bob" }).to_string();
            match decode_hiding("member.removed", &data, &secrets) {
                Ok(Some(ServerEvent::MemberRemoved { space, .. })) => space,
                other => panic!("{other:?}"),
            }
        };
        let long = format!("ats://did:web:{}.example/c.e.space/k", "l".repeat(60));
        for space in ["ats://did:plc:alice/com.example.space/lounge", &long] {
            assert_eq!(left(space), space);
        }
        assert_eq!(left("ats://a/t/mellon-mellon-mellon"), "ats://a/t/…");
        assert_eq!(left("ats://a/t/k\u{1b}[2J\n"), "ats://a/t/k [2J ");
        let huge = left(&format!("ats://a/t/{}", "k".repeat(3 << 20)));
        assert_eq!(huge.chars().count(), 300);
        assert!(shown(&format!("ats://a/t/{}", "k".repeat(8000))).len() <= 300);
    }

    #[test]
    fn a_cursor_that_fits_into_no_request_is_none() {
        let cursor = |length: usize| {
            let data = format!(r#"{{"cursor":"{}"}}"#, "c".repeat(length));
            match decode("snapshot.end", &data) {
                Ok(Some(ServerEvent::SnapshotEnd { cursor })) => cursor.map(|it| it.len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(cursor(MAX_CURSOR_BYTES), Some(MAX_CURSOR_BYTES));
        assert_eq!(cursor(MAX_CURSOR_BYTES + 1), None);
    }

    #[test]
    fn a_record_that_cannot_be_read_keeps_its_uri_as_far_as_that_can() {
        let record = |inner: &str| {
            format!(
                r#"{{"record":{{"uri":"at://did:plc:alice/c/a","time_us":1,"value":{inner}}}}}"#
            )
        };
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let odd = record("1").replace(":1,", ":[],");
        for kind in ["snapshot.record", "record.created"] {
            for data in [record(&deep), record("{"), odd.clone()] {
                let error = decode(kind, &data).unwrap_err();
                assert_eq!(error.uri().unwrap().rkey(), "a", "{data:.90}");
            }
            assert!(decode(kind, &deep).unwrap_err().uri().is_none());
        }
        let alone = record(&deep);
        let alone = &alone[r#"{"record":"#.len()..alone.len() - 1];
        assert_eq!(decode_record(alone).unwrap_err().uri().unwrap().rkey(), "a");
    }

    #[test]
    fn debug_output_shows_no_child() {
        let data = r#"{"parentUri":"at://a/c/r","relation":"reactions","child":{"text":"psst"}}"#;
        let event = decode("hydration.added", data).unwrap().unwrap();
        assert!(!format!("{event:?}").contains("psst"));
    }

    #[test]
    fn an_error_event_is_an_error_even_if_unreadable() {
        for data in ["", "null", "{}", "{\"message\":1}"] {
            let event = decode("error", data).unwrap();
            assert!(matches!(event, Some(ServerEvent::Error { .. })), "{data}");
        }
    }

    #[test]
    fn bad_data_is_a_typed_error_that_quotes_no_body() {
        for data in [
            "",
            "{",
            r#"{"record":{"uri":"at://d/c/r","time_us":"sekret","value":1}}"#,
            "[1]",
            "null",
            "{}",
            r#"{"record":null}"#,
        ] {
            let error = decode("record.created", data).unwrap_err();
            assert!(matches!(error, WireError::Data { .. }), "{data}");
            assert!(!format!("{error} {error:?}").contains("sekret"));
        }
    }

    #[test]
    fn nesting_is_bounded_but_brackets_in_strings_do_not_count() {
        let body = |inner: String| {
            format!(r#"{{"record":{{"uri":"at://d/c/r","time_us":1,"value":{inner}}}}}"#)
        };
        let deep = body("[".repeat(200) + &"]".repeat(200));
        assert!(matches!(
            decode("record.created", &deep),
            Err(WireError::TooDeep { .. })
        ));
        let text = body(format!("\"{}\\\"{}\"", "[".repeat(500), "{".repeat(500)));
        assert!(decode("record.created", &text).is_ok());
        let wide = body(format!("[{}]", vec!["[]"; 500].join(",")));
        assert!(decode("record.created", &wide).is_ok());
    }

    #[test]
    fn what_nests_too_deep_beside_a_body_hides_neither_the_record_nor_its_neighbours() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let fields = format!(
            r#""likes":[{{"did":"a","rkey":"1","value":{deep}}},{{"did":"b","rkey":"1"}}],"odd":{{"x":{deep}}},"n":1,
            "rsvps":{{"x":[{{"did":"a","rkey":"1","value":{deep}}}],"y":[{{"did":"b","rkey":"1"}}]}}"#
        );
        let record = format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":{{}},{fields}}}"#);
        let event = format!(r#"{{"record":{record}}}"#);
        let Ok(Some(ServerEvent::SnapshotRecord(told))) = decode("snapshot.record", &event) else {
            panic!("it decodes");
        };
        let alone = decode_record(&record).unwrap();
        for record in [told, alone] {
            let fields: Vec<_> = record
                .extras()
                .map(|(name, raw)| (name.to_owned(), raw.get().to_owned()))
                .collect();
            let expected = [
                ("likes", r#"[{"did":"b","rkey":"1"}]"#),
                ("n", "1"),
                ("rsvps", r#"{"y":[{"did":"b","rkey":"1"}]}"#),
            ];
            assert_eq!(
                fields,
                expected.map(|(name, raw)| (name.to_owned(), raw.to_owned()))
            );
        }
        // What is left may be as deep as any event.
        let most = MAX_NESTING - 5;
        let deep = "[".repeat(most) + &"]".repeat(most);
        let child = format!(r#"{{"did":"a","rkey":"1","value":{deep}}}"#);
        let record =
            format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":{{}},"likes":[{child}]}}"#);
        let event = format!(r#"{{"record":{record}}}"#);
        let Ok(Some(ServerEvent::Created(told))) = decode("record.created", &event) else {
            panic!("it decodes");
        };
        assert_eq!(told.extra("likes").unwrap().get(), format!("[{child}]"));
    }

    #[test]
    fn a_child_or_field_of_one_level_too_many_is_left_out() {
        let record = |fields: &str| {
            let record =
                format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":{{}},{fields},"n":1}}"#);
            let event = format!(r#"{{"record":{record}}}"#);
            let Ok(Some(ServerEvent::Created(told))) = decode("record.created", &event) else {
                panic!("it decodes");
            };
            let alone = decode_record(&record).unwrap();
            [told, alone].map(|it| it.extras().count() - 1)
        };
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        // Around a child there are the event, the record, the list and the child itself; around a record that stands alone
        // there is no event.
        let child = |levels| {
            let child = format!(r#"{{"did":"a","rkey":"1","value":{}}}"#, nested(levels));
            record(&format!(r#""likes":[{child}]"#))
        };
        let field = |levels| record(&format!(r#""odd":{}"#, nested(levels)));
        for (around, with) in [(4, &child as &dyn Fn(usize) -> [usize; 2]), (2, &field)] {
            let most = MAX_NESTING - around;
            assert_eq!(with(most), [1, 1], "{around}");
            assert_eq!(with(most + 1), [0, 1], "{around}");
            assert_eq!(with(most + 2), [0, 0], "{around}");
        }
    }

    #[test]
    fn a_body_of_one_level_too_many_cannot_be_read() {
        let are_read = |levels: usize| {
            let body = "[".repeat(levels) + &"]".repeat(levels);
            let record = format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":{body}}}"#);
            let event = decode("record.created", &format!(r#"{{"record":{record}}}"#));
            [event.is_ok(), decode_record(&record).is_ok()]
        };
        assert_eq!(are_read(MAX_NESTING - 2), [true, true]);
        assert_eq!(are_read(MAX_NESTING - 1), [false, true]);
        assert_eq!(are_read(MAX_NESTING), [false, false]);
    }

    #[test]
    fn a_record_with_too_many_fields_is_refused_by_the_bounds_name() {
        let record = |fields: usize| {
            let fields: String = (0..fields).map(|it| format!(r#","f{it}":1"#)).collect();
            let record = format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":1{fields}}}"#);
            decode_record(&record)
        };
        assert!(record(MAX_FIELDS).is_ok());
        let error = record(MAX_FIELDS + 1).unwrap_err();
        assert!(error.to_string().contains("1000 fields"), "{error}");
    }

    #[test]
    fn frames_that_are_not_objects_with_a_kind_are_typed_errors() {
        for text in ["", "[]", "{}", "{\"data\":{}}", "\"x\"", "{\"kind\":1}"] {
            assert!(
                matches!(frame(text), Err(WireError::Frame { .. })),
                "{text}"
            );
        }
        let good = format!(r#"{{"kind":"record.created","data":{RECORD}}}"#);
        assert!(matches!(frame(&good), Ok(Some(ServerEvent::Created(_)))));
    }
}
