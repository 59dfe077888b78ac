//! The exchanges recorded from the real server.

use super::{Event, Json};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/transcripts/"
);

/// One recorded HTTP request and its answer.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
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
    /// The name of the event that is being read.
    event: String,
    /// Of any other answer.
    pub body: String,
}

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{FOLDER}{name}")).expect("a transcript");
    text.lines().map(str::to_owned).collect()
}

/// Every exchange of a recording made with curl.
pub(crate) fn exchanges(name: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in lines(name) {
        if line.starts_with("$ curl") {
            all.push(request(&line));
            continue;
        }
        let stamped = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] "));
        if let (Some(exchange), Some((_, line))) = (all.last_mut(), stamped) {
            exchange.read(line);
        }
    }
    assert!(!all.is_empty());
    all
}

/// Every part of a recording that has titles instead of requests.
pub(crate) fn parts(name: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in lines(name) {
        if line.starts_with("### ") {
            all.push(Exchange::default());
        } else if let Some(exchange) = all.last_mut() {
            exchange.read(&line);
        }
    }
    assert!(!all.is_empty());
    all
}

/// The lines of a recording that are remarks on what came of a request: (what was asked, what came).
pub(crate) fn remarks(name: &str) -> Vec<(String, String)> {
    let lines = lines(name).into_iter();
    let remarks = lines.filter_map(|line| {
        let (asked, came) = line.split_once(": status=200 ")?;
        Some((asked.to_owned(), came.to_owned()))
    });
    remarks.collect()
}

impl Exchange {
    /// One line of the answer.
    fn read(&mut self, line: &str) {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
            self.status = status[..3].parse().expect("a status");
        } else if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut self.event);
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.events.push((self.event.clone(), Json::parse(data)));
        } else if line.starts_with('{') || line == "404 Not Found" {
            line.clone_into(&mut self.body);
        } else if ["access-control", "cache-control", "content-type", "x-accel"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            self.headers.push(line.to_owned());
        }
    }
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
pub(crate) struct Frames {
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
pub(crate) fn frames(name: &str) -> Frames {
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
