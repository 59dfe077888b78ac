//! Exchanges recorded from a real contrail server decode to the stores that they mean.

mod common;

use appview::Fault;
use common::*;
use contrail_sync_engine::{ErrorKind, State, Status};
use serde_json::{Value, json};

/// One recorded answer: its status and its body, byte for byte.
struct Exchange {
    status: u16,
    content_type: String,
    body: String,
}

/// Reads `tests/fixtures/transcripts/<name>`: lines of `[ 12ms] text`, with `#` and `---` for remarks.
fn exchanges(name: &str) -> Vec<Exchange> {
    let path = format!(
        "{}/../tests/fixtures/transcripts/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let requests = text.split("$ curl").skip(1);
    requests.map(exchange).collect()
}

fn exchange(text: &str) -> Exchange {
    let lines = text.lines().skip(1).filter_map(|line| {
        let (_, line) = line.strip_prefix('[')?.split_once(']')?;
        let line = line.strip_prefix(' ').unwrap_or(line);
        (!line.starts_with("# ") && !line.starts_with("---")).then_some(line)
    });
    let (mut status, mut content_type, mut body, mut in_body) =
        (0, String::new(), String::new(), false);
    for line in lines {
        if in_body {
            body.push_str(line);
            body.push('\n');
        } else if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-type: ") {
            content_type = rest.to_owned();
        } else if line.is_empty() {
            in_body = true;
        }
    }
    Exchange {
        status,
        content_type,
        body,
    }
}

/// Replays an exchange over a real socket and gives the state once it is as wanted.
async fn replay(exchange: &Exchange, wanted: impl Fn(&State) -> bool) -> State {
    let lounge = Lounge::open().await;
    let fault = if exchange.content_type == "text/event-stream" {
        Fault {
            raw: Some(exchange.body.clone()),
            ..Fault::default()
        }
    } else {
        Fault {
            status: Some(exchange.status),
            content_type: Some(exchange.content_type.clone()),
            body: Some(exchange.body.trim_end().to_owned()),
            ..Fault::default()
        }
    };
    lounge.server.fault(fault).unwrap();
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until(&watch, wanted).await
}

/// What is on screen: (rkey, author, body) in order.
fn shown(state: &State) -> Vec<(String, String, Value)> {
    let row = |entry: &std::sync::Arc<contrail_sync_engine::Entry>| {
        let record = &entry.record;
        let value = serde_json::from_str(record.value.get()).unwrap();
        (record.rkey().to_string(), record.did().to_string(), value)
    };
    state.entries.iter().map(row).collect()
}

fn row(rkey: &str, did: &str, text: &str) -> (String, String, Value) {
    (
        rkey.into(),
        format!("did:plc:{did}"),
        json!({ "text": text }),
    )
}

fn field(state: &State, rkey: &str, name: &str) -> Value {
    let entry = state
        .entries
        .iter()
        .find(|it| it.record.rkey() == rkey)
        .unwrap();
    let raw = entry.record.extra(name);
    raw.map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap())
}

fn live(state: &State) -> bool {
    state.status == Status::Live
}

const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[tokio::test]
async fn snapshots_of_none_one_and_three_records() {
    for (name, count) in [
        ("sse-01-snapshot-0.txt", 0),
        ("sse-02-snapshot-1.txt", 1),
        ("sse-03-snapshot-3.txt", 3),
    ] {
        let state = replay(&exchanges(name)[0], live).await;
        let expected: Vec<_> = (0..count)
            .rev()
            .map(|n| row(&format!("b00000{n}"), "alice", &format!("m{n} {LONG}")))
            .collect();
        assert_eq!(shown(&state), expected, "{name}");
        assert!(
            state
                .entries
                .iter()
                .all(|it| it.record.time_us > 1_000_000_000_000_000)
        );
    }
}

#[tokio::test]
async fn live_creations_updates_and_deletions() {
    let recorded = exchanges("sse-04-live-create-update-delete.txt");
    let both = vec![row("b", "bob", "bob"), row("b", "alice", "alice")];
    let state = replay(&recorded[0], |it| live(it) && it.entries.len() == 2).await;
    assert_eq!(shown(&state), both);
    let again = replay(&recorded[1], live).await;
    assert_eq!(shown(&again), both, "a fresh snapshot has the same order");
}

#[tokio::test]
async fn hydrated_relations_and_references() {
    let recorded = exchanges("sse-05-hydration-ungrouped.txt");
    let state = replay(&recorded[0], |it| live(it) && it.entries.len() == 2).await;
    assert_eq!(shown(&state)[0], row("m3", "alice", "parent 3"));
    assert_eq!(field(&state, "m3", "reactions")[0]["rkey"], "k4");
    assert_eq!(field(&state, "m3", "reactionsCount"), 1);
    assert_eq!(field(&state, "m2", "parent")["rkey"], "m1");
    let again = replay(&recorded[1], live).await;
    assert_eq!(field(&again, "m3", "reactions")[0]["value"]["emoji"], "q");
    assert_eq!(again.entries.len(), 2);
}

#[tokio::test]
async fn children_with_one_rkey_under_two_dids() {
    let recorded = exchanges("sse-06-hydration-child-rkey-collision.txt");
    let state = replay(&recorded[0], |it| {
        live(it) && field(it, "p1", "reactionsCount") == 1
    })
    .await;
    let left = field(&state, "p1", "reactions");
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["did"], "did:plc:alice");
}

#[tokio::test]
async fn children_in_groups_and_matched_by_did() {
    let recorded = exchanges("sse-07-hydration-grouped-and-didmatch.txt");
    let state = replay(&recorded[0], |it| {
        live(it) && field(it, "e1", "badges").is_null()
    })
    .await;
    let rsvps = field(&state, "e1", "rsvps");
    assert_eq!(rsvps["com.example.rsvp#going"][0]["rkey"], "r3");
    assert_eq!(rsvps["com.example.rsvp#interested"][0]["rkey"], "r2");
    for (counter, count) in [("", 2), ("Going", 1), ("Interested", 1)] {
        assert_eq!(field(&state, "e1", &format!("rsvps{counter}Count")), count);
    }
}

#[tokio::test]
async fn a_kick_and_what_follows_it() {
    let recorded = exchanges("sse-08-member-removed.txt");
    let closed = replay(&recorded[0], |it| it.status == Status::Closed).await;
    assert_eq!(closed.error.as_ref().unwrap().kind, ErrorKind::AccessLost);
    assert!(closed.entries.is_empty());
    let refused = replay(&recorded[1], |it| it.status == Status::Closed).await;
    let error = refused.error.as_ref().unwrap();
    assert_eq!(
        (error.kind, error.message.contains("not-member")),
        (ErrorKind::Forbidden, true)
    );
}

#[tokio::test]
async fn an_invite_token_and_keepalives() {
    let invited = replay(&exchanges("sse-09-invite-token.txt")[0], live).await;
    assert_eq!(invited.entries.len(), 1);
    let idle = replay(&exchanges("sse-17-keepalive.txt")[0], live).await;
    assert!(idle.entries.is_empty());
}

#[tokio::test]
async fn an_error_event_and_a_failed_snapshot() {
    let recorded = exchanges("sse-10-error-event.txt");
    for (exchange, kind) in recorded
        .iter()
        .zip([ErrorKind::Server, ErrorKind::HttpStatus])
    {
        let state = replay(exchange, |it| it.error.is_some()).await;
        let error = state.error.unwrap();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains("injected db failure"));
    }
}

#[tokio::test]
async fn every_recorded_refusal_has_its_kind() {
    let kinds: Vec<(u16, ErrorKind)> = {
        let mut kinds = Vec::new();
        for exchange in exchanges("sse-12-auth-errors.txt") {
            if exchange.content_type != "text/event-stream" {
                let state = replay(&exchange, |it| it.error.is_some()).await;
                kinds.push((exchange.status, state.error.unwrap().kind));
            }
        }
        kinds
    };
    assert!(kinds.len() >= 14, "{}", kinds.len());
    for (status, kind) in &kinds {
        let expected: &[ErrorKind] = match status {
            400 => &[ErrorKind::BadRequest],
            401 => &[ErrorKind::AuthRequired],
            403 => &[ErrorKind::Forbidden],
            // One is the server's own NotFound, the other the router's plain text.
            404 => &[ErrorKind::NotFound, ErrorKind::Unsupported],
            _ => &[ErrorKind::HttpStatus],
        };
        assert!(expected.contains(kind), "{status}: {kind:?}");
    }
    assert!(
        kinds.contains(&(404, ErrorKind::NotFound))
            && kinds.contains(&(404, ErrorKind::Unsupported))
    );
}
