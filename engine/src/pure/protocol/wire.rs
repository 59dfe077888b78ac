//! Decoding: an event's name and JSON text to a [`ServerEvent`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{bound::Bound, record::Record};

/// Deepest nesting of objects and arrays that an event may have.
///
/// Raw bodies travel unparsed to the webview, whose `JSON.parse` must be able to read what we pass on.
pub const MAX_NESTING: usize = 128;

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
        /// The space that was left.
        space: String,
        /// Who left it.
        did: String,
    },
    /// The server failed and will end the stream.
    Error {
        /// The server's own words.
        message: String,
    },
    /// Nothing but a sign of life.
    Keepalive,
}

/// Body of `hydration.added`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildAdded {
    /// `at://` URI of the parent; rkey `_` stands for every record of that DID.
    pub parent_uri: String,
    /// Name of the relation.
    pub relation: String,
    /// The child as sent, raw JSON.
    pub child: Box<RawValue>,
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

/// Why an event could not be read. The stream goes on after it.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The data is not the JSON that this kind of event carries.
    #[error("`{kind}` event with unreadable data: {message}")]
    Data {
        /// The event's name.
        kind: String,
        /// What was wrong, without the data itself.
        message: String,
    },
    /// The data nests deeper than [`MAX_NESTING`].
    #[error("`{kind}` event nested deeper than {MAX_NESTING} levels")]
    TooDeep {
        /// The event's name.
        kind: String,
    },
    /// The bytes of an event or frame are not UTF-8 text.
    #[error("event that is not valid UTF-8")]
    NotUtf8,
    /// A frame that is not a JSON object with `kind` and `data`, or is not a text frame at all.
    #[error("frame that is not {{kind, data}}: {message}")]
    Frame {
        /// What was wrong.
        message: String,
    },
}

/// Decodes one event. `Ok(None)` is an event of a kind that this version does not know: skip it.
pub fn decode(kind: &str, data: &str) -> Result<Option<ServerEvent>, WireError> {
    let failed = |error: serde_json::Error| WireError::Data {
        kind: kind.to_owned(),
        message: describe(&error),
    };
    let is_deep = nests_deeper(data, MAX_NESTING);
    let one_record = || {
        let one: OneRecord = serde_json::from_str(data).map_err(failed)?;
        // The event around it is a level, too.
        shallow(one.record, is_deep, MAX_NESTING - 1, kind)
    };
    if is_deep && !matches!(kind, "snapshot.record" | "record.created") {
        return Err(WireError::TooDeep { kind: kind.into() });
    }
    let event = match kind {
        "snapshot.start" => ServerEvent::SnapshotStart,
        "snapshot.record" => ServerEvent::SnapshotRecord(one_record()?),
        "snapshot.end" => {
            let end: SnapshotEnd = serde_json::from_str(data).map_err(failed)?;
            ServerEvent::SnapshotEnd { cursor: end.cursor }
        }
        "record.created" => ServerEvent::Created(one_record()?),
        "record.deleted" => {
            let deleted: Deleted = serde_json::from_str(data).map_err(failed)?;
            ServerEvent::Deleted { uri: deleted.uri }
        }
        "hydration.added" => {
            ServerEvent::HydrationAdded(serde_json::from_str(data).map_err(failed)?)
        }
        "hydration.removed" => {
            ServerEvent::HydrationRemoved(serde_json::from_str(data).map_err(failed)?)
        }
        "member.removed" => {
            let member: Member = serde_json::from_str(data).map_err(failed)?;
            ServerEvent::MemberRemoved {
                space: member.space,
                did: member.did,
            }
        }
        // The message is for people: an error event without a readable one is an error all the same.
        "error" => {
            let failure: Option<Failure> = serde_json::from_str(data).ok();
            let message = failure.and_then(|f| f.message).unwrap_or_default();
            let message = crate::redact::quoted(&message, &[]);
            ServerEvent::Error { message }
        }
        "$keepalive" => ServerEvent::Keepalive,
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// Decodes a record that stands alone, as in a handshake's snapshot.
pub fn decode_record(data: &str) -> Result<Record, WireError> {
    let kind = "snapshot.record";
    let record = serde_json::from_str(data).map_err(|error| WireError::Data {
        kind: kind.into(),
        message: describe(&error),
    })?;
    shallow(record, nests_deeper(data, MAX_NESTING), MAX_NESTING, kind)
}

/// A record that may nest too deep, without what does: that hides neither the record nor its other children.
fn shallow(
    mut record: Record,
    is_deep: bool,
    levels: usize,
    kind: &str,
) -> Result<Record, WireError> {
    if is_deep && !record.prune(levels) {
        return Err(WireError::TooDeep { kind: kind.into() });
    }
    Ok(record)
}

/// Decodes one WebSocket text frame, `{"kind": …, "data": …}`.
pub fn decode_frame(text: &str) -> Result<Option<ServerEvent>, WireError> {
    let frame: Frame = serde_json::from_str(text).map_err(|error| WireError::Frame {
        message: describe(&error),
    })?;
    decode(&frame.kind, frame.data.map_or("{}", RawValue::get))
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
    record: Record,
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
        _ if error.to_string().starts_with("missing field") => error.to_string(),
        _ if error.to_string().starts_with(&Bound::Fields.to_string()) => error.to_string(),
        _ => format!("a field has an unexpected type or value, {at}"),
    }
}

/// Whether objects and arrays nest deeper than this.
pub(super) fn nests_deeper(text: &str, levels: usize) -> bool {
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
        assert!(decode_frame(r#"{"kind":"future"}"#).unwrap().is_none());
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
        ] {
            let error = decode("record.created", data).unwrap_err();
            assert!(matches!(error, WireError::Data { .. }), "{data}");
            assert!(!error.to_string().contains("sekret"));
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
                matches!(decode_frame(text), Err(WireError::Frame { .. })),
                "{text}"
            );
        }
        let frame = format!(r#"{{"kind":"record.created","data":{RECORD}}}"#);
        assert!(matches!(
            decode_frame(&frame),
            Ok(Some(ServerEvent::Created(_)))
        ));
    }
}
