//! Whatever a server or proxy sends is a typed error or a skipped event: no panic, no lost record.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use appview::Fault;
use common::*;
use contrail_sync_engine::{
    ErrorKind, State, Status, Subscription, Ticket, TicketSource, TransportKind, WatchSpec,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

/// Starts with one message on screen, lets the fault strike the next connection once, and gives the state
/// at the error; checks that the message was never lost and that the watch comes back.
async fn strike(fault: Fault, kind: ErrorKind) -> State {
    let (lounge, watch) = live().await;
    lounge
        .server
        .fault(Fault {
            times: Some(1),
            ..fault
        })
        .unwrap();
    lounge.server.drop_connections();
    let struck = until_error(&watch, kind).await;
    assert_eq!(struck.status, Status::Reconnecting);
    assert_eq!(rkeys(&struck), ["a"], "nothing is lost");
    let back = until_live(&watch).await;
    assert_eq!((rkeys(&back), back.error.clone()), (vec!["a"], None));
    struck
}

async fn live() -> (Lounge, Subscription) {
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let watch = engine_with(|config| config.max_event_bytes = 64 * 1024)
        .watch(lounge.spec())
        .await;
    until_live(&watch).await;
    (lounge, watch)
}

fn answer(status: u16, content_type: &str, body: &str) -> Fault {
    Fault {
        status: Some(status),
        body: Some(body.into()),
        content_type: Some(content_type.into()),
        ..Fault::default()
    }
}

fn raw(body: impl Into<String>) -> Fault {
    Fault {
        raw: Some(body.into()),
        raw_then_end: true,
        ..Fault::default()
    }
}

/// Raw bytes of a stream whose last event is a record `z`: what comes before it must not hide it.
async fn still_reads(before: &[u8], newline: &str) {
    use base64::Engine;
    let record = r#"{"record":{"uri":"at://did:plc:alice/com.example.chat.message/z","time_us":1999999999000000,"value":{"text":"z"}}}"#;
    let mut bytes = before.to_vec();
    bytes.extend(format!("event: record.created{newline}data: {record}{newline}{newline}").bytes());
    let (lounge, watch) = live().await;
    let fault = Fault {
        raw_base64: Some(base64::engine::general_purpose::STANDARD.encode(&bytes)),
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    lounge.server.drop_connections();
    let both = until(&watch, |it| it.entries.len() == 2).await;
    assert_eq!(rkeys(&both), ["z", "a"]);
}

#[tokio::test]
async fn an_error_status_with_json_tells_the_servers_words() {
    let body = r#"{"error":"SnapshotFailed","message":"injected db failure"}"#;
    let state = strike(answer(500, "application/json", body), ErrorKind::HttpStatus).await;
    assert!(state.error.unwrap().message.contains("injected db failure"));
}

#[tokio::test]
async fn an_error_status_without_json_is_typed_too() {
    let state = strike(
        answer(502, "text/plain", "Bad Gateway"),
        ErrorKind::HttpStatus,
    )
    .await;
    assert!(state.error.unwrap().message.contains("502"));
}

#[tokio::test]
async fn an_invalid_request_tells_the_servers_words_and_ends_the_watch() {
    let body = r#"{"error":"InvalidRequest","message":"spaceUri or actor required"}"#;
    let (lounge, watch) = live().await;
    lounge
        .server
        .fault(answer(400, "application/json", body))
        .unwrap();
    lounge.server.drop_connections();
    // Asking again would change nothing, and what is shown stays.
    let state = until_error(&watch, ErrorKind::BadRequest).await;
    assert_eq!((state.status, rkeys(&state)), (Status::Closed, vec!["a"]));
    assert!(
        state
            .error
            .unwrap()
            .message
            .contains("spaceUri or actor required")
    );
}

#[tokio::test]
async fn a_refused_ticket_is_auth_required() {
    let body = r#"{"error":"AuthRequired","message":"expired"}"#;
    strike(
        answer(401, "application/json", body),
        ErrorKind::AuthRequired,
    )
    .await;
}

#[tokio::test]
async fn a_proxys_403_and_404_only_back_off() {
    strike(
        answer(403, "text/html", "<h1>Forbidden</h1>"),
        ErrorKind::HttpStatus,
    )
    .await;
    strike(
        answer(404, "text/html", "<h1>Not Found</h1>"),
        ErrorKind::HttpStatus,
    )
    .await;
    // Or the server has no stream. Whichever it is, what is there stays.
    strike(
        answer(404, "text/plain", "404 Not Found"),
        ErrorKind::Unsupported,
    )
    .await;
}

#[tokio::test]
async fn html_from_a_proxy_is_not_an_event_stream() {
    let page = "<!doctype html><title>Sign in to the Wi-Fi</title>";
    let state = strike(
        answer(200, "text/html; charset=utf-8", page),
        ErrorKind::NotEventStream,
    )
    .await;
    assert!(state.error.unwrap().message.contains("text/html"));
}

#[tokio::test]
async fn json_instead_of_a_stream_is_not_an_event_stream() {
    strike(
        answer(200, "application/json", "{}"),
        ErrorKind::NotEventStream,
    )
    .await;
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_connect_error() {
    let fault = Fault {
        close_on_accept: true,
        ..Fault::default()
    };
    strike(fault, ErrorKind::Connect).await;
}

#[tokio::test]
async fn a_stream_that_ends_inside_an_event_loses_only_that_event() {
    strike(
        raw("event: snapshot.start\ndata: {}\n\nevent: snapshot.record\ndata: {\"rec"),
        ErrorKind::Disconnected,
    )
    .await;
}

#[tokio::test]
async fn a_connection_cut_inside_a_character_is_disconnected() {
    let (lounge, watch) = live().await;
    lounge.say("b", "ü世界");
    until(&watch, |it| it.entries.len() == 2).await;
    for bytes in (150..420).step_by(30) {
        let fault = Fault {
            cut_after_bytes: Some(bytes),
            times: Some(1),
            ..Fault::default()
        };
        // A fresh watch each time: this is about bytes, not about how often one may connect.
        lounge.server.fault(fault).unwrap();
        let watch = engine().watch(lounge.spec()).await;
        until_error(&watch, ErrorKind::Disconnected).await;
        assert_eq!(
            until_live(&watch).await.entries.len(),
            2,
            "cut after {bytes}"
        );
    }
}

#[tokio::test]
async fn an_endless_line_is_too_large_and_then_reconnects() {
    let line = format!("data: {}", "x".repeat(100_000));
    let state = strike(raw(line), ErrorKind::EventTooLarge).await;
    assert!(state.error.unwrap().message.contains("65536"));
}

#[tokio::test]
async fn an_endless_event_of_short_lines_is_too_large_too() {
    strike(
        raw("data: 0123456789\n".repeat(10_000)),
        ErrorKind::EventTooLarge,
    )
    .await;
}

#[tokio::test]
async fn invalid_utf8_skips_its_event() {
    still_reads(
        b"event: record.created\ndata: {\"x\":\"\xff\xc3\"}\n\n",
        "\n",
    )
    .await;
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    still_reads("\u{feff}".as_bytes(), "\n").await;
}

#[tokio::test]
async fn crlf_ends_lines() {
    still_reads(b": hello\r\n\r\n", "\r\n").await;
}

#[tokio::test]
async fn events_of_unknown_kinds_and_without_sense_are_skipped() {
    still_reads(b"event: future\ndata: ?\n\nevent: record.created\ndata: []\n\ndata: x\n\nid: 5\nretry: 1\n\n", "\n").await;
}

#[tokio::test]
async fn a_body_nested_too_deep_is_skipped() {
    let deep = format!("event: record.created\ndata: {}\n\n", "[".repeat(30_000));
    still_reads(deep.as_bytes(), "\n").await;
}

#[tokio::test]
async fn a_redirect_is_followed_only_where_the_guard_allows() {
    let (lounge, other) = (Lounge::open().await, Lounge::open().await);
    other.say("o", "from the other origin");
    let target = other.url("message", &format!("&ticket={}", other.ticket(ALICE, &[])));
    let redirect = Fault {
        status: Some(307),
        headers: [("location".to_owned(), target.to_string())].into(),
        ..Fault::default()
    };
    lounge.server.fault(redirect).unwrap();

    let mut confined = lounge.spec();
    let port = lounge.server.port();
    confined.guard = std::sync::Arc::new(move |url| url.port() == Some(port));
    confined.guard_id = "confined".into();
    let watch = engine().watch(confined).await;
    let refused = until_error(&watch, ErrorKind::NotAllowed).await;
    assert!(!refused.error.unwrap().message.contains("ticket"));
    assert_eq!(other.server.stats().requests, 0, "it was not even asked");

    let free = engine().watch(lounge.spec()).await;
    assert_eq!(rkeys(&until_live(&free).await), ["o"]);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let lounge = Lounge::open().await;
    let fault = Fault {
        status: Some(302),
        headers: [("location".to_owned(), lounge.url("message", "").to_string())].into(),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let watch = engine().watch(lounge.spec()).await;
    until_error(&watch, ErrorKind::HttpStatus).await;
}

#[tokio::test]
async fn a_host_that_is_not_there_is_a_connect_error() {
    let lounge = Lounge::open().await;
    let spec = lounge.spec();
    lounge.server.shutdown().await;
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::Connect).await;
    assert_eq!(state.status, Status::Reconnecting);
}

#[tokio::test]
async fn no_error_message_holds_the_ticket() {
    let lounge = Lounge::open().await;
    let ticket = lounge.ticket(ALICE, &[]);
    let echo = format!(r#"{{"error":"Oops","message":"bad ticket {ticket}"}}"#);
    lounge
        .server
        .fault(answer(500, "application/json", &echo))
        .unwrap();
    let mut spec = lounge.spec();
    spec.tickets = contrail_sync_engine::TicketSource::Static(
        contrail_sync_engine::Ticket::parse(&ticket).unwrap(),
    );
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::HttpStatus).await;
    assert!(!state.error.unwrap().message.contains(&ticket[..20]));
}

/// The heads of the requests that a peer has seen.
type Heads = Arc<Mutex<Vec<String>>>;

/// A peer that sends these bytes to everyone who asks, and then no more. Gives a watch of it, too.
async fn peer(answer: impl Into<Vec<u8>>) -> (Heads, WatchSpec) {
    beating_peer(answer, "").await
}

/// The same with a beat of the heart afterwards, ten a second.
async fn beating_peer(answer: impl Into<Vec<u8>>, beat: &'static str) -> (Heads, WatchSpec) {
    let (answer, listener) = (answer.into(), TcpListener::bind("127.0.0.1:0").await);
    let (listener, heads) = (listener.unwrap(), Heads::default());
    let port = listener.local_addr().unwrap().port();
    let seen = heads.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answer, seen) = (answer.clone(), seen.clone());
            tokio::spawn(async move {
                let (mut socket, mut head) = (BufReader::new(socket), String::new());
                while !head.ends_with("\r\n\r\n") {
                    if socket.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                seen.lock().unwrap().push(head);
                let _ = socket.write_all(&answer).await;
                while socket.write_all(beat.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    let url = format!("http://127.0.0.1:{port}/xrpc/com.example.message.watchRecords?actor=x");
    (heads, anywhere(url.parse().unwrap()))
}

fn ok(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

const SSE: &str = "content-type: text/event-stream";

#[tokio::test]
async fn a_gateways_403_and_404_in_json_only_back_off() {
    for (status, body) in [
        (
            403,
            r#"{"statusCode":403,"error":"Forbidden","message":"Forbidden resource"}"#,
        ),
        (
            403,
            r#"{"timestamp":"2026-11-23","status":403,"error":"Forbidden","path":"/xrpc/x"}"#,
        ),
        (
            404,
            r#"{"statusCode":404,"error":"NotFound","message":"Cannot GET /xrpc/x"}"#,
        ),
    ] {
        strike(
            answer(status, "application/json", body),
            ErrorKind::HttpStatus,
        )
        .await;
    }
}

#[tokio::test]
async fn a_compressed_answer_was_not_asked_for_and_is_of_another_type() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let coded = ok(&format!("{SSE}\r\ncontent-encoding: gzip"), gzip);
    let (heads, spec) = peer(coded).await;
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::NotEventStream).await;
    let message = state.error.unwrap().message;
    assert!(message.contains("coded as gzip"), "{message}");
    let head = heads.lock().unwrap()[0].to_lowercase();
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");

    let json = "content-type: application/json\r\ncontent-encoding: br";
    let (_, mut spec) = peer(ok(json, gzip)).await;
    spec.transport = TransportKind::Ws;
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::BadHandshake).await;
    assert!(state.error.unwrap().message.contains("coded as br"));
}

#[tokio::test]
async fn a_stream_that_lives_without_a_snapshot_is_a_typed_error() {
    let open = format!("HTTP/1.1 200 OK\r\n{SSE}\r\n\r\n");
    let (_, mut spec) = beating_peer(open, ": keepalive\n\n").await;
    spec.idle_timeout = Duration::from_millis(300);
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::IdleTimeout).await;
    assert_eq!(state.status, Status::Reconnecting);
    let message = state.error.unwrap().message;
    assert!(message.starts_with("no snapshot"), "{message}");
}

#[tokio::test]
async fn a_handshake_of_a_million_of_anything_is_refused_by_the_name_of_the_bound() {
    for element in ["1,", "{},", "[[[]]],"] {
        let elements = element.repeat((8 << 20) / element.len());
        let body = format!(r#"{{"snapshot":{{"records":[{elements}1]}},"wsUrl":"/x"}}"#);
        let (_, mut spec) = peer(ok("content-type: application/json", body)).await;
        spec.transport = TransportKind::Ws;
        let watch = engine().watch(spec).await;
        let state = until_error(&watch, ErrorKind::BadHandshake).await;
        let message = state.error.unwrap().message;
        assert!(message.contains("more than 1000 records"), "{message}");
    }
}

#[tokio::test]
async fn words_of_a_hostile_server_reach_nobody_at_length_or_with_the_ticket() {
    let ticket = "0123456789abcdef.".repeat(14);
    let echo = ticket.replace('.', "%2E").replace('f', "%66");
    let long = "k".repeat(3 << 20);
    let event = |kind, data: String| ok(SSE, format!("event: {kind}\ndata: {data}\n\n"));
    let refusal = format!(
        r#"{{"error":"Oops","message":"{} {echo}\u001b[2J"}}"#,
        "x".repeat(200)
    );
    let status = "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\nconnection: close";
    let length = refusal.len();
    let away = format!(
        "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: http://elsewhere.invalid/{echo}"
    );
    for (way, answer) in [
        (
            "member.removed",
            event(
                "member.removed",
                format!(r#"{{"space":"ats://a/{ticket}{long}","did":"x"}}"#),
            ),
        ),
        (
            "error",
            event(
                "error",
                format!(r#"{{"message":"{} {ticket}\u001b[2J"}}"#, "x".repeat(200)),
            ),
        ),
        (
            "500",
            format!("{status}\r\ncontent-length: {length}\r\n\r\n{refusal}").into(),
        ),
        ("redirect", format!("{away}\r\n\r\n").into()),
        (
            "content type",
            ok(&format!("content-type: text/{}", &ticket[..60]), ""),
        ),
    ] {
        let (_, mut spec) = peer(answer).await;
        spec.tickets = TicketSource::Static(Ticket::parse(&ticket).unwrap());
        spec.guard = Arc::new(|url| url.host_str() == Some("127.0.0.1"));
        let watch = engine().watch(spec).await;
        let state = until(&watch, |state| state.error.is_some()).await;
        let message = state.error.unwrap().message;
        assert!(message.len() < 700, "{way}: {}", message.len());
        for part in ["0123456789abc", "%2E0123", "\u{1b}"] {
            assert!(!message.contains(part), "{way}: {message}");
        }
    }
}

#[tokio::test]
async fn redirects_that_lead_ever_further_take_no_more_requests_than_attempts() {
    let further =
        "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: x/again\r\n\r\n";
    let (heads, spec) = peer(further).await;
    let quick = |config: &mut contrail_sync_engine::EngineConfig| {
        (config.backoff.base, config.backoff.cap) = (Duration::ZERO, Duration::ZERO);
    };
    let watch = engine_with(quick).watch(spec).await;
    until_error(&watch, ErrorKind::HttpStatus).await;
    // All ten attempts of the first minute take place at once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let seen = heads.lock().unwrap().len();
    assert!((3..=10).contains(&seen), "{seen}");
}

#[tokio::test]
async fn any_length_of_time_is_brought_to_one_that_makes_sense() {
    let lounge = Lounge::open().await;
    for transport in [TransportKind::Sse, TransportKind::Ws] {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let engine = engine_with(|config| {
                (config.backoff.base, config.backoff.cap) = (time, time);
                (config.linger, config.mint_timeout) = (time, time);
                config.compare_every = time;
            });
            let mut spec = lounge.spec();
            (spec.transport, spec.idle_timeout) = (transport, time);
            let watch = engine.watch(spec).await;
            until_live(&watch).await;
            lounge.server.drop_connections();
            until(&watch, |state| state.status == Status::Reconnecting).await;
            assert!(watch.state().await.is_some(), "{transport:?}, {time:?}");
        }
    }
}
