//! The recorded exchanges, as the bytes that a server sent.

use contrail_sync_engine::TransportKind;
use serde_json::{Value, json};

use super::server::Place;

/// The record with which every exchange that goes on ends, so that its end can be seen.
pub(crate) const LAST: &str = "last-of-all";

/// One answer, in the pieces in which a server writes it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub place: Place,
    pub pieces: Vec<Vec<u8>>,
}

/// Everything that a server sent to one watch.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub name: String,
    pub transport: TransportKind,
    /// Path and query of the watch.
    pub path: String,
    pub answers: Vec<Recorded>,
    /// It ends with `LAST`.
    pub has_last: bool,
    /// Identity and body of every record in it.
    pub told: Vec<(String, Value)>,
    /// Records of its snapshot that nothing in it takes away.
    pub lasting: Vec<String>,
}

fn read(name: &str) -> String {
    let path = format!(
        "{}/../tests/fixtures/transcripts/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path).unwrap()
}

fn names(folder: &str, prefix: &str) -> Vec<String> {
    let path = format!(
        "{}/../tests/fixtures/transcripts/{folder}",
        env!("CARGO_MANIFEST_DIR")
    );
    let files = std::fs::read_dir(path).unwrap();
    let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|it| it.starts_with(prefix) && it.ends_with(".txt"))
        .map(|it| format!("{folder}{it}"))
        .collect();
    names.sort();
    names
}

/// All that end in a list or in a refusal for good.
pub(crate) fn all() -> Vec<Exchange> {
    let mut all: Vec<Exchange> = names("", "sse-").iter().flat_map(|it| sse(it)).collect();
    all.extend(names("", "ws-").iter().flat_map(|it| ws(it)));
    all.extend(names("lists/", "").iter().flat_map(|it| lists(it)));
    all
}

/// The text without the times at which each line came.
fn untimed(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((_, rest)) => rest.strip_prefix(' ').unwrap_or(rest).to_owned(),
        None => line.to_owned(),
    };
    let lines = text.lines().map(line);
    let lines: Vec<_> = lines
        .filter(|it| !it.starts_with("# ") && !it.starts_with("---"))
        .collect();
    lines.join("\n")
}

/// Path and query of the first URL in a line.
fn path_in(line: &str) -> Option<String> {
    let url = line.split(['\'', ' ']).find(|it| it.contains("/xrpc/"))?;
    let mut url: url::Url = url.replace('\\', "").parse().ok()?;
    let query: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !matches!(&**name, "mode" | "ticket" | "sinceTs"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(query);
    Some(format!("{}?{}", url.path(), url.query().unwrap_or("")))
}

fn sse(name: &str) -> Vec<Exchange> {
    let text = read(name);
    let by_curl = text.contains("$ curl");
    let sections = text.split(if by_curl { "$ curl" } else { "### " }).skip(1);
    let exchange = |(number, section): (usize, &str)| {
        let (first, rest) = section.split_once('\n')?;
        let rest = untimed(rest);
        let (path, head, body) = if by_curl {
            let (head, body) = rest.split_once("\n\n")?;
            (path_in(first)?, head.to_owned(), body.to_owned())
        } else {
            // Recorded without heads, and with a remark in the place of the URL.
            let is_stream = rest.starts_with("event: snapshot.start");
            let head = "HTTP/1.1 200 OK\ncontent-type: text/event-stream";
            is_stream.then(|| (path_of(&rest), head.to_owned(), rest))?
        };
        if first.contains("mode=ws") || body.contains("event: error") {
            return None;
        }
        let is_stream = head.contains("text/event-stream");
        // A kick ends a watch of one space.
        let is_kicked = body.contains("member.removed") && path.contains("spaceUri");
        let goes_on = is_stream && !is_kicked;
        let is_final = ["400 ", "401 ", "403 Forbidden", "404 Not Found\n"]
            .iter()
            .any(|it| head.contains(it))
            && head.contains("application/json")
            // A ticket that is refused is one that this watch does not have.
            && !first.contains("&ticket=");
        if !is_stream && !is_final {
            return None;
        }
        let mut pieces = vec![chunked_head(&head)];
        if is_stream {
            let mut events: Vec<_> = body.split_inclusive("\n\n").map(str::to_owned).collect();
            if let Some(event) = events.last_mut() {
                *event = format!("{}\n\n", event.trim_end());
            }
            if goes_on {
                let data = json!({ "record": last(&path) });
                events.push(format!("event: record.created\ndata: {data}\n\n"));
            }
            pieces.extend(events.iter().map(|it| chunk(it)));
        } else {
            pieces.push(chunk(body.trim_end()));
            pieces.push(b"0\r\n\r\n".to_vec());
        }
        Some(Exchange {
            name: format!("{name} {number}"),
            transport: TransportKind::Sse,
            told: told(&body),
            lasting: lasting(&body),
            path,
            answers: vec![Recorded {
                place: Place::Stream,
                pieces,
            }],
            has_last: goes_on,
        })
    };
    sections.enumerate().filter_map(exchange).collect()
}

/// The URL that a stream without one must have had.
fn path_of(stream: &str) -> String {
    let start = stream.lines().nth(1).unwrap();
    let start: Value = serde_json::from_str(start.strip_prefix("data: ").unwrap()).unwrap();
    let kind = if start["collection"] == "com.example.event" {
        ("event", "&hydrateRsvps=5&hydrateBadges=5")
    } else {
        ("message", "")
    };
    let space = start["spaceUri"].as_str().unwrap();
    format!(
        "/xrpc/com.example.{}.watchRecords?spaceUri={space}{}",
        kind.0, kind.1
    )
}

fn ws(name: &str) -> Vec<Exchange> {
    let text = untimed(&read(name));
    let (mut all, mut handshake, mut path) = (Vec::<Exchange>::new(), String::new(), None);
    let mut kicked = false;
    for line in text.lines() {
        if line.starts_with("> GET ") {
            (path, handshake) = (path_in(line), String::new());
        } else if let Some(answer) = line.strip_prefix("< 200 ") {
            handshake = answer.to_owned();
        } else if line.starts_with("> WS ") && !handshake.is_empty() {
            let answer = "HTTP/1.1 200 OK\ncontent-type: application/json";
            let pieces = vec![
                chunked_head(answer),
                chunk(&handshake),
                b"0\r\n\r\n".to_vec(),
            ];
            all.push(Exchange {
                name: format!("{name} {}", all.len()),
                transport: TransportKind::Ws,
                path: path.clone().unwrap(),
                answers: vec![
                    Recorded {
                        place: Place::Handshake,
                        pieces,
                    },
                    Recorded {
                        place: Place::Socket,
                        pieces: Vec::new(),
                    },
                ],
                has_last: true,
                told: told(&handshake),
                lasting: Vec::new(),
            });
            kicked = false;
        } else if let (Some(frame), Some(last), false) =
            (line.strip_prefix("< {"), all.last_mut(), kicked)
        {
            let frame = format!("{{{frame}");
            last.told.extend(told(&frame));
            last.answers[1].pieces.push(super::server::frame(&frame));
            kicked = frame.contains("member.removed");
            last.has_last &= !kicked;
        }
    }
    all.retain(|it| !it.answers[1].pieces.iter().any(|it| is_error(it)));
    for exchange in &mut all {
        let frames = exchange.answers[1].pieces.concat();
        let frames = String::from_utf8_lossy(&frames);
        let handshake = exchange.answers[0].pieces.concat();
        let handshake = String::from_utf8_lossy(&handshake);
        let listed = handshake
            .lines()
            .filter_map(|it| serde_json::from_str(it).ok());
        let listed =
            listed.flat_map(|it: Value| it["snapshot"]["records"].clone().as_array().cloned());
        let uris = listed
            .flatten()
            .filter_map(|it| Some(it["uri"].as_str()?.to_owned()));
        let is_deleted = |uri: &str| frames.contains("record.deleted") && frames.contains(uri);
        exchange.lasting = uris.filter(|it| !is_deleted(it)).collect();
        if exchange.has_last {
            let data = json!({ "record": last(&exchange.path) });
            let frame = json!({ "kind": "record.created", "data": data });
            let frame = super::server::frame(&frame.to_string());
            exchange.answers[1].pieces.push(frame);
        }
    }
    all
}

fn is_error(frame: &[u8]) -> bool {
    String::from_utf8_lossy(frame).contains(r#""kind":"error""#)
}

fn lists(name: &str) -> Vec<Exchange> {
    let text = read(name);
    let text = text.replace("\r\n", "\n");
    let exchange = |(number, section): (usize, &str)| {
        let (first, rest) = section.split_once('\n')?;
        let (head, rest) = rest.split_once("\n\n")?;
        let body = rest.lines().next().unwrap_or_default();
        let is_list = first.contains(".listRecords")
            && !first.contains("OPTIONS")
            && body.starts_with("{\"records\"");
        let answer = |place, head: &str, body: &str| Recorded {
            place,
            pieces: vec![chunked_head(head), chunk(body), b"0\r\n\r\n".to_vec()],
        };
        let position =
            r#"{"time_us":1795811885203000,"date":"2026-11-27T20:38:05.203Z","seconds_ago":1}"#;
        let json = "HTTP/1.1 200 OK\ncontent-type: application/json";
        is_list.then(|| Exchange {
            name: format!("{name} {number}"),
            transport: TransportKind::Poll,
            path: path_in(first).unwrap(),
            answers: vec![
                answer(Place::Position, json, position),
                answer(Place::List, head, body),
            ],
            has_last: false,
            told: told(body),
            lasting: lasting(body),
        })
    };
    text.split("$ curl")
        .skip(1)
        .enumerate()
        .filter_map(exchange)
        .collect()
}

/// The head as recorded, for a body in chunks.
fn chunked_head(head: &str) -> Vec<u8> {
    let is_framing = |line: &&str| {
        let line = line.to_ascii_lowercase();
        [
            "content-length:",
            "transfer-encoding:",
            "connection:",
            "keep-alive:",
        ]
        .iter()
        .any(|it| line.starts_with(it))
    };
    let mut lines: Vec<_> = head.lines().filter(|it| !is_framing(it)).collect();
    lines.push("transfer-encoding: chunked");
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// The last record of a watch's list.
fn last(path: &str) -> Value {
    let url: url::Url = format!("http://a.example{path}").parse().unwrap();
    let space = url.query_pairs().find(|(name, _)| name == "spaceUri");
    let space = space.map(|(_, value)| value.into_owned());
    let collection = match path.contains(".event.") {
        true => "com.example.event",
        false => "com.example.chat.message",
    };
    json!({
        "uri": format!("at://did:plc:zoe/{collection}/{LAST}"),
        "did": "did:plc:zoe",
        "rkey": LAST,
        "collection": collection,
        "cid": null,
        "value": {},
        "time_us": 1_995_000_000_000_000_i64,
        "space": space,
    })
}

/// The records that a stream or list begins with, without those that it deletes, and without what hangs under others.
fn lasting(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|it| it.strip_prefix("data: ").unwrap_or(it));
    let values: Vec<Value> = lines
        .filter_map(|it| serde_json::from_str(it).ok())
        .collect();
    let (snapshot, rest) = match text.find("event: snapshot.end") {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let listed = values.iter().flat_map(|it| match &it["records"] {
        Value::Array(records) => records.clone(),
        _ => vec![it["record"].clone()],
    });
    let uris = listed.filter_map(|it| Some(it["uri"].as_str()?.to_owned()));
    let mut uris: Vec<String> = uris.collect();
    let deleted = |uri: &str| {
        let mut lines = rest.lines().skip_while(|it| *it != "event: record.deleted");
        lines.any(|it| it.contains(uri))
    };
    uris.retain(|it| snapshot.contains(it.as_str()) && !deleted(it));
    uris
}

/// Every record in a text of JSON lines.
fn told(text: &str) -> Vec<(String, Value)> {
    let mut found = vec![(LAST.to_owned(), json!({}))];
    let lines = text
        .lines()
        .map(|it| it.strip_prefix("data: ").unwrap_or(it));
    for value in lines.filter_map(|it| serde_json::from_str(it).ok()) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            // A Durable Object calls the body otherwise.
            let body = fields.get("value").or_else(|| fields.get("record"));
            if let (Some(Value::String(uri)), Some(body)) = (fields.get("uri"), body) {
                found.push((uri.clone(), body.clone()));
            }
            fields.values().for_each(|it| collect(it, found));
        }
        Value::Array(items) => items.iter().for_each(|it| collect(it, found)),
        _ => {}
    }
}
