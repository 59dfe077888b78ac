//! The exchanges recorded from the real server.

use super::{Event, Json};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/transcripts/"
);

/// One recorded HTTP request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Path and query.
    pub path: String,
    /// Who the bearer names.
    pub did: Option<String>,
    /// The recorded upgrade attempt carries more headers.
    pub upgrade: bool,
    pub status: u16,
    /// Header lines that do not depend on the day or the connection.
    pub headers: Vec<String>,
    /// Of an event stream.
    pub events: Vec<Event>,
    /// Of any other answer.
    pub body: String,
}

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{FOLDER}{name}")).expect("a transcript");
    text.lines().map(str::to_owned).collect()
}

/// Every exchange of a recording made with curl.
pub fn exchanges(name: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let mut event = String::new();
    for line in lines(name) {
        if line.starts_with("$ curl") {
            all.push(request(&line));
            continue;
        }
        let Some(exchange) = all.last_mut() else {
            continue;
        };
        let stamped = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] "));
        let Some((_, line)) = stamped else { continue };
        if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
            exchange.status = status[..3].parse().expect("a status");
        } else if let Some(name) = line.strip_prefix("event: ") {
            event = name.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            exchange.events.push((event.clone(), Json::parse(data)));
        } else if line.starts_with('{') || line == "404 Not Found" {
            exchange.body = line.to_owned();
        } else if ["access-control", "cache-control", "content-type", "x-accel"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            exchange.headers.push(line.to_owned());
        }
    }
    assert!(!all.is_empty());
    all
}

fn request(line: &str) -> Exchange {
    let url = line.split_once("http://127.0.0.1:8790").expect("a URL").1;
    let end = url.find(['\'', ' ']).unwrap_or(url.len());
    let bearer = line.split_once("Authorization: Bearer ");
    Exchange {
        path: url[..end].to_owned(),
        did: bearer.map(|(_, did)| did.trim_end_matches('\'').to_owned()),
        upgrade: line.contains("Upgrade: websocket"),
        ..Exchange::default()
    }
}

/// A recording of WebSockets: what the server said, in order.
#[derive(Debug, Default)]
pub struct Frames {
    /// Handshake answers: status and body.
    pub handshakes: Vec<(u16, Json)>,
    /// Text frames.
    pub frames: Vec<Event>,
    /// Close codes and reasons.
    pub closes: Vec<(u16, String)>,
    /// Refused upgrades: status and body.
    pub refusals: Vec<(u16, String)>,
}

/// Reads a recording of WebSockets.
pub fn frames(name: &str) -> Frames {
    let mut all = Frames::default();
    for line in lines(name) {
        let Some((_, line)) = line.split_once("] ") else {
            continue;
        };
        if let Some(frame) = line.strip_prefix("< {") {
            all.frames
                .push(Json::parse(&format!("{{{frame}")).kind_and_data());
        } else if let Some(answer) = line.strip_prefix("< ") {
            let (status, body) = answer.split_once(' ').expect("a status");
            all.handshakes
                .push((status.parse().expect("a number"), Json::parse(body)));
        } else if let Some(close) = line.strip_prefix("= close code=") {
            let (code, reason) = close.split_once(' ').expect("a reason");
            let reason = reason.trim_start_matches("reason=\"").trim_end_matches('"');
            all.closes
                .push((code.parse().expect("a code"), reason.to_owned()));
        } else if let Some(refusal) = line.strip_prefix("= upgrade refused: HTTP ") {
            let (status, body) = refusal.split_once(' ').expect("a status");
            all.refusals
                .push((status.parse().expect("a number"), body.to_owned()));
        }
    }
    all
}
