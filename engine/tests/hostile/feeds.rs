//! What servers send, sound or not.

use contrail_sync_engine::TransportKind;

/// Bytes, piece by piece.
pub(crate) type Feed = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// The record that says that all before it has been read.
pub(crate) const LAST: &str = "last";
/// Newer than all that attacks send: what the list shows on top.
const NEWEST: i64 = 1_995_000_000_000_000;
const OLDER: i64 = 1_795_000_000_000_000;

/// The small list from before the attack. Its first record has a relation.
pub(crate) fn list() -> Vec<String> {
    let child = r#"{"uri":"at://did:plc:bob/com.example.comment/0","did":"did:plc:bob","rkey":"0","value":{}}"#;
    let with = |rkey, extra: &str| record_at(NEWEST, "did:plc:alice", rkey, "{}", extra);
    let first = with("a", &format!(r#","comments":[{child}]"#));
    vec![first, with("b", ""), with("c", "")]
}

/// The record that is told after the attack.
pub(crate) fn last() -> String {
    record_at(OLDER, "did:plc:alice", LAST, "{}", "")
}

/// The list as a stream tells it.
pub(crate) fn snapshot(pages: bool) -> Vec<u8> {
    let end = if pages { r#"{"cursor":"1"}"# } else { "{}" };
    let mut bytes = sse("snapshot.start", "{}");
    for record in list() {
        bytes.extend(sse("snapshot.record", &format!(r#"{{"record":{record}}}"#)));
    }
    bytes.extend(sse("snapshot.end", end));
    bytes
}

pub(crate) fn handshake(records: &str, pages: bool) -> String {
    let cursor = if pages { r#","cursor":"1""# } else { "" };
    format!(
        r#"{{"transport":"ws","snapshot":{{"records":[{records}]{cursor}}},"wsUrl":"/socket"}}"#
    )
}

pub(crate) fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One event in the transport's form.
pub(crate) fn event(by: TransportKind, kind: &str, data: &str) -> Vec<u8> {
    if by == TransportKind::Ws {
        return frame(&format!(r#"{{"kind":"{kind}","data":{data}}}"#));
    }
    sse(kind, data)
}

pub(crate) fn sse(kind: &str, data: &str) -> Vec<u8> {
    format!("event: {kind}\ndata: {data}\n\n").into_bytes()
}

fn frame(text: &str) -> Vec<u8> {
    let length = (text.len() as u64).to_be_bytes();
    [&[0x81, 127], &length[..], text.as_bytes()].concat()
}

/// A record event's data.
pub(crate) fn record(did: &str, rkey: &str, value: &str) -> String {
    record_with(did, rkey, value, "")
}

/// The same with further fields, each after a comma.
pub(crate) fn record_with(did: &str, rkey: &str, value: &str, extra: &str) -> String {
    let record = record_at(OLDER, did, rkey, value, extra);
    format!(r#"{{"record":{record}}}"#)
}

fn record_at(time: i64, did: &str, rkey: &str, value: &str, extra: &str) -> String {
    format!(
        r#"{{"uri":"at://{did}/com.example.chat.message/{rkey}","did":"{did}","rkey":"{rkey}","collection":"com.example.chat.message","cid":null,"time_us":{time},"value":{value}{extra}}}"#
    )
}

/// So many records of one author.
pub(crate) fn records(n: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n).map(|n| {
        sse(
            "record.created",
            &record("did:plc:mallory", &format!("{n:06}"), "{}"),
        )
    })
}

/// `hydration.added` with a child of so many bytes.
pub(crate) fn child(parent: &str, rkey: usize, bytes: usize) -> Vec<u8> {
    let filler = "x".repeat(bytes);
    let child = format!(
        r#"{{"uri":"at://did:plc:bob/com.example.comment/{rkey}","did":"did:plc:bob","rkey":"{rkey}","value":{{"text":"{filler}"}}}}"#
    );
    let data = format!(r#"{{"parentUri":"{parent}","relation":"comments","child":{child}}}"#);
    sse("hydration.added", &data)
}

/// The author's own records, all of them.
pub(crate) const WHOLE_AUTHOR: &str = "at://did:plc:mallory/com.example.chat.message/_";

/// Further fields of a record, so many of them.
pub(crate) fn fields(n: usize, version: usize) -> String {
    (0..n).map(|n| format!(r#","x{n:06}":{version}"#)).collect()
}

/// A record of so many bytes.
pub(crate) fn large(n: usize, bytes: usize) -> Vec<u8> {
    let value = format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    let record = record("did:plc:mallory", &format!("{n:06}"), &value);
    sse("record.created", &record)
}

/// Words of 4 MB.
pub(crate) fn long() -> String {
    "x".repeat(4_000_000)
}
