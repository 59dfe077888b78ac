//! Appviews that have lists, whose faults are those of lists.

use super::server::{Asked, Place, Reply, Then, frame, json, stream, switching};

/// Path and query of a watch that any transport can follow.
pub(crate) const PATH: &str = "/xrpc/com.example.message.watchRecords?actor=did:plc:alice";

pub(crate) fn record(number: u64, text: &str) -> String {
    let did = "did:plc:alice";
    format!(
        r#"{{"uri":"at://{did}/com.example.chat.message/{number}","did":"{did}","rkey":"{number}","collection":"com.example.chat.message","cid":null,"time_us":{},"value":{{"text":"{text}"}}}}"#,
        1_795_000_000_000_000 + number
    )
}

/// A list of these texts, the newest first.
pub(crate) fn list(texts: &[&str]) -> String {
    let numbered = texts.iter().zip(1..);
    let mut records: Vec<_> = numbered
        .map(|(text, number)| record(number, text))
        .collect();
    records.reverse();
    format!(r#"{{"records":[{}]}}"#, records.join(","))
}

/// A handshake with this list.
pub(crate) fn handshake(list: &str) -> String {
    format!(r#"{{"transport":"ws","snapshot":{list},"wsUrl":"/socket"}}"#)
}

/// A new record, as a stream tells it.
pub(crate) fn created(number: u64, text: &str) -> String {
    let record = record(number, text);
    format!("event: record.created\ndata: {{\"record\":{record}}}\n\n")
}

/// The same as a frame of a socket.
pub(crate) fn created_frame(number: u64, text: &str) -> Vec<u8> {
    let record = record(number, text);
    frame(&format!(
        r#"{{"kind":"record.created","data":{{"record":{record}}}}}"#
    ))
}

/// What a sound appview says, whatever it is asked for: that there are two records.
pub(crate) fn reply(asked: &Asked) -> Reply {
    let list = list(&["one", "two"]);
    match asked.place {
        Place::Stream => {
            let record = |number, text| {
                let record = record(number, text);
                format!("event: snapshot.record\ndata: {{\"record\":{record}}}\n\n")
            };
            stream(&format!(
                "event: snapshot.start\ndata: {{}}\n\n{}{}event: snapshot.end\ndata: {{}}\n\n",
                record(2, "two"),
                record(1, "one"),
            ))
        }
        Place::Handshake => json(&handshake(&list)),
        Place::Socket => {
            let hello = frame(r#"{"kind":"keepalive","data":{}}"#);
            Reply::new([switching(&asked.head), hello].concat(), Then::Hold)
        }
        Place::List => json(&list),
        Place::Position => json(r#"{"time_us":1795811885203000}"#),
    }
}
