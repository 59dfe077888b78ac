//! Each fault does what it says.

use std::collections::BTreeMap;
use std::time::Instant;

use appview::{Fault, On, Server, WsMode};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::common::*;

/// A server with one message, and the path of its watch.
async fn one_message() -> (Server, String) {
    let server = start(WsMode::Worker).await;
    let space = server.space("faulty", ALICE).unwrap();
    server
        .put(message(&space, ALICE, "1", json!({ "text": "hello" })))
        .unwrap();
    let path = watch_path("message", &space, "");
    (server, path)
}

async fn try_get(server: &Server, path: &str) -> Result<reqwest::Response, reqwest::Error> {
    let request = client().get(format!("{}{path}", server.url()));
    soon(
        request
            .header("authorization", format!("Bearer {ALICE}"))
            .send(),
    )
    .await
}

#[tokio::test]
async fn a_stream_is_cut_after_bytes_or_events() {
    let (server, path) = one_message().await;
    server
        .fault(Fault {
            cut_after_bytes: Some(9),
            ..Fault::default()
        })
        .unwrap();
    let mut watch = Sse::open(&server, &path, ALICE).await;
    assert_eq!(watch.is_cut().await, "event: sn");
    server
        .fault(Fault {
            cut_after_events: Some(2),
            ..Fault::default()
        })
        .unwrap();
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.take(2).await;
    assert_eq!(watch.is_cut().await, "");
    server
        .fault(Fault {
            cut_after_events: Some(0),
            ..Fault::default()
        })
        .unwrap();
    assert_eq!(Sse::open(&server, &path, ALICE).await.is_cut().await, "");
    server
        .fault(Fault {
            cut_after_bytes: Some(20),
            ..Fault::default()
        })
        .unwrap();
    let handshake = get(&server, &format!("{path}&mode=ws"), Some(ALICE)).await;
    assert!(handshake.text().await.is_err(), "a truncated handshake");
}

#[tokio::test]
async fn a_stalled_stream_says_nothing_more_and_stays_open() {
    let (server, path) = one_message().await;
    server
        .fault(Fault {
            stall: true,
            ..Fault::default()
        })
        .unwrap();
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    socket.take(3).await;
    let space = "ats://did:plc:alice/com.example.space/faulty";
    server.put(message(space, ALICE, "2", json!({}))).unwrap();
    socket.send(Message::Ping("hello?".into())).await;
    watch.is_silent().await;
    socket.is_silent().await;
    assert_eq!(server.stats().watches, 2);
}

#[tokio::test]
async fn a_stalled_handshake_stops_in_the_middle_of_its_body() {
    let (server, path) = one_message().await;
    let fault = Fault {
        on: Some(On::Handshake),
        stall: true,
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let mut response = get(&server, &format!("{path}&mode=ws"), Some(ALICE)).await;
    let announced = response.content_length().unwrap();
    let chunk = soon(response.chunk()).await.unwrap().unwrap();
    assert_eq!(chunk.len() as u64, announced / 2);
    never(response.chunk()).await;
}

#[tokio::test]
async fn a_stall_before_headers_never_answers() {
    let (server, path) = one_message().await;
    let fault = Fault {
        stall_before_headers: true,
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let request = client().get(format!("{}{path}", server.url())).send();
    never(request).await;
}

#[tokio::test]
async fn a_closed_connection_gets_no_answer() {
    let (server, path) = one_message().await;
    server
        .fault(Fault {
            close_on_accept: true,
            ..Fault::default()
        })
        .unwrap();
    let error = try_get(&server, &path).await.err().unwrap();
    assert!(error.status().is_none());
    assert_eq!(
        Ws::connect(&server, &path, Some(ALICE))
            .await
            .err()
            .unwrap()
            .status,
        0
    );
    server.fault(Fault::default()).unwrap();
    Sse::open(&server, &path, ALICE).await.snapshot().await;
}

#[tokio::test]
async fn any_status_body_and_header_is_answered_as_often_as_told() {
    let (server, path) = one_message().await;
    let fault = Fault {
        on: Some(On::Sse),
        times: Some(2),
        status: Some(503),
        body: Some("<html>busy</html>".into()),
        content_type: Some("text/html".into()),
        headers: BTreeMap::from([("retry-after".into(), "7".into())]),
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    for _ in 0..2 {
        let response = get(&server, &path, Some(ALICE)).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.text().await.unwrap(), "<html>busy</html>");
        let handshake = get(&server, &format!("{path}&mode=ws"), Some(ALICE)).await;
        assert_eq!(handshake.status(), 200, "not aimed at");
    }
    assert_eq!(get(&server, &path, Some(ALICE)).await.status(), 200);
}

#[tokio::test]
async fn raw_bytes_are_the_stream() {
    let (server, path) = one_message().await;
    let fault = Fault {
        raw_base64: Some("/+7vZGF0YTo=".into()),
        raw_then_end: true,
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let response = get(&server, &path, Some(ALICE)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(&response.bytes().await.unwrap()[..], b"\xff\xee\xefdata:");
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    assert_eq!(
        socket.message().await,
        Some(Message::binary(&b"\xff\xee\xefdata:"[..]))
    );
    assert_eq!(socket.close().await.0, 1005);
    server
        .fault(Fault {
            raw: Some("data: endless".into()),
            ..Fault::default()
        })
        .unwrap();
    let mut response = get(&server, &path, Some(ALICE)).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: endless");
    never(response.chunk()).await;
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    assert_eq!(socket.message().await, Some(Message::text("data: endless")));
    socket.is_silent().await;
}

#[tokio::test]
async fn a_socket_closes_with_the_code_told_at_once_or_after_events() {
    let (server, path) = one_message().await;
    let fault = Fault {
        close_code: Some(4008),
        close_reason: Some("ticket-invalid".into()),
        ..Fault::default()
    };
    server.fault(fault.clone()).unwrap();
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    assert_eq!(socket.close().await, (4008, "ticket-invalid".to_owned()));
    let later = Fault {
        close_code: Some(4001),
        cut_after_events: Some(1),
        ..Fault::default()
    };
    server.fault(later).unwrap();
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    assert_eq!(socket.next().await.0, "snapshot.start");
    assert_eq!(socket.close().await.0, 4001);
    server
        .fault(Fault {
            cut_after_events: Some(1),
            ..Fault::default()
        })
        .unwrap();
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    socket.take(1).await;
    assert!(
        socket.message().await.is_none(),
        "dropped without a close frame"
    );
}

#[tokio::test]
async fn an_upgrade_is_refused_alone() {
    let (server, path) = one_message().await;
    let fault = Fault {
        on: Some(On::Upgrade),
        refuse_upgrade: true,
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let refused = Ws::connect(&server, &path, Some(ALICE))
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 426);
    Sse::open(&server, &path, ALICE).await.snapshot().await;
}

#[tokio::test]
async fn a_delay_comes_before_the_answer() {
    let (server, path) = one_message().await;
    server
        .fault(Fault {
            delay_ms: Some(120),
            ..Fault::default()
        })
        .unwrap();
    let began = Instant::now();
    get(&server, &path, Some(ALICE)).await;
    assert!(began.elapsed().as_millis() >= 120);
}

#[test]
fn the_readme_tells_every_field_of_a_fault() {
    let source = include_str!("../../src/fault.rs");
    let (_, fault) = source.split_once("pub struct Fault {").unwrap();
    let (fields, _) = fault.split_once("\n}").unwrap();
    let readme = include_str!("../../README.md");
    let mut told = 0;
    for line in fields.lines() {
        let Some((name, _)) = line
            .trim()
            .strip_prefix("pub ")
            .and_then(|it| it.split_once(':'))
        else {
            continue;
        };
        let mut words = name.split('_');
        let mut field = words.next().unwrap_or_default().to_owned();
        for word in words {
            field.push_str(&word[..1].to_uppercase());
            field.push_str(&word[1..]);
        }
        assert!(readme.contains(&format!("`{field}`")), "{field}");
        told += 1;
    }
    assert!(told > 15, "{told}");
}
