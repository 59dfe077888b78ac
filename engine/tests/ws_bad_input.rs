//! Whatever a server or proxy sends over a WebSocket, or instead of one, is a typed error or a skipped
//! frame: the watch survives, and nothing leaks.

mod common;

use appview::{Fault, On};
use common::*;
use contrail_sync_engine::{ErrorKind, State, Status, Subscription, TransportKind};

const LIMIT: usize = 16 * 1024;

async fn live() -> (Lounge, Subscription) {
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let mut spec = lounge.spec();
    spec.transport = TransportKind::Ws;
    let watch = engine_with(|config| config.max_event_bytes = LIMIT)
        .watch(spec)
        .await;
    until_live(&watch).await;
    (lounge, watch)
}

/// Lets the fault strike the next connection once and gives the state at the error; checks that nothing was
/// lost or leaked and that the watch comes back.
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
    assert_eq!(rkeys(&struck), ["a"]);
    let message = &struck.error.as_ref().unwrap().message;
    assert!(
        !message.contains("sekret") && !message.contains("ticket="),
        "{message}"
    );
    assert_eq!(rkeys(&until_live(&watch).await), ["a"]);
    struck
}

fn handshake(content_type: &str, body: impl Into<String>) -> Fault {
    Fault {
        on: Some(On::Handshake),
        status: Some(200),
        content_type: Some(content_type.into()),
        body: Some(body.into()),
        ..Fault::default()
    }
}

fn json(ws_url: &str) -> Fault {
    let body = format!(
        r#"{{"transport":"ws","snapshot":{{"records":[]}},"sinceTs":1,"wsUrl":"{ws_url}"}}"#
    );
    handshake("application/json", body)
}

/// A frame before the snapshot that must not stop it.
async fn skips(fault: Fault) {
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let fault = Fault {
        on: Some(On::Upgrade),
        times: Some(1),
        ..fault
    };
    lounge.server.fault(fault).unwrap();
    let mut spec = lounge.spec();
    spec.transport = TransportKind::Ws;
    let watch = engine().watch(spec).await;
    let state = until_live(&watch).await;
    assert_eq!((rkeys(&state), state.error.clone()), (vec!["a"], None));
    assert_eq!(lounge.server.stats().upgrades, 1);
}

#[tokio::test]
async fn a_handshake_of_html_is_typed() {
    strike(
        handshake("text/html", "<h1>Sign in</h1>"),
        ErrorKind::BadHandshake,
    )
    .await;
}

#[tokio::test]
async fn a_truncated_handshake_is_typed() {
    strike(
        handshake("application/json", r#"{"transport":"ws","snapshot":{"rec"#),
        ErrorKind::BadHandshake,
    )
    .await;
}

#[tokio::test]
async fn a_huge_handshake_is_typed_and_names_the_bound() {
    let huge = format!(r#"{{"pad":"{}"}}"#, "x".repeat(5 * LIMIT));
    let state = strike(handshake("application/json", huge), ErrorKind::BadHandshake).await;
    assert!(
        state
            .error
            .unwrap()
            .message
            .contains(&(4 * LIMIT).to_string())
    );
}

#[tokio::test]
async fn a_handshake_without_ws_url_is_typed() {
    let state = strike(
        handshake("application/json", r#"{"snapshot":{"records":[]}}"#),
        ErrorKind::BadHandshake,
    )
    .await;
    assert!(state.error.unwrap().message.contains("wsUrl"));
}

#[tokio::test]
async fn a_foreign_ws_url_is_never_asked() {
    let other = Lounge::open().await;
    let url = format!("{}/x?ticket=sekret", other.server.url());
    strike(json(&url), ErrorKind::BadHandshake).await;
    assert_eq!(other.server.stats().requests, 0);
}

#[tokio::test]
async fn a_ws_url_that_is_not_http_is_typed() {
    strike(
        json("ftp://127.0.0.1/x?ticket=sekret"),
        ErrorKind::BadHandshake,
    )
    .await;
}

#[tokio::test]
async fn a_handshake_that_redirects_off_the_scope_is_refused() {
    let (lounge, other) = (Lounge::open().await, Lounge::open().await);
    let fault = Fault {
        on: Some(On::Handshake),
        status: Some(307),
        headers: [(
            "location".into(),
            other.url("message", "&ticket=sekret").to_string(),
        )]
        .into(),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let mut spec = lounge.spec();
    spec.transport = TransportKind::Ws;
    let port = lounge.server.port();
    spec.guard = std::sync::Arc::new(move |url| url.port() == Some(port));
    let watch = engine().watch(spec).await;
    let refused = until_error(&watch, ErrorKind::NotAllowed).await;
    assert!(!refused.error.unwrap().message.contains("sekret"));
    assert_eq!(other.server.stats().requests, 0);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_typed() {
    let refused = Fault {
        on: Some(On::Upgrade),
        status: Some(502),
        content_type: Some("text/html".into()),
        body: Some("<h1>Bad Gateway</h1>".into()),
        ..Fault::default()
    };
    strike(refused, ErrorKind::HttpStatus).await;
    let plain = Fault {
        on: Some(On::Upgrade),
        status: Some(200),
        body: Some("{}".into()),
        ..Fault::default()
    };
    strike(plain, ErrorKind::HttpStatus).await;
}

#[tokio::test]
async fn a_frame_beyond_the_bound_is_too_large() {
    let fault = Fault {
        on: Some(On::Upgrade),
        raw: Some("x".repeat(LIMIT + 1)),
        ..Fault::default()
    };
    strike(fault, ErrorKind::EventTooLarge).await;
}

#[tokio::test]
async fn a_socket_cut_without_a_close_is_disconnected() {
    let fault = Fault {
        on: Some(On::Upgrade),
        cut_after_events: Some(1),
        ..Fault::default()
    };
    strike(fault, ErrorKind::Disconnected).await;
}

#[tokio::test]
async fn a_binary_frame_is_skipped() {
    skips(Fault {
        raw_base64: Some("AAECAw==".into()),
        ..Fault::default()
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_not_json_or_of_unknown_kinds_are_skipped() {
    for raw in [
        "not json",
        "[]",
        r#"{"kind":"future","data":[1]}"#,
        r#"{"kind":"record.created","data":null}"#,
        r#"{"kind":"$keepalive"}"#,
    ] {
        skips(Fault {
            raw: Some(raw.into()),
            ..Fault::default()
        })
        .await;
    }
}

#[tokio::test]
async fn an_unreadable_record_in_a_handshake_costs_only_itself() {
    let (lounge, watch) = live().await;
    lounge.say("b", "y");
    until(&watch, |it| it.entries.len() == 2).await;
    let bad = r#"{"uri":"at://did:plc:alice/com.example.chat.message/a","time_us":"noon","value":{"text":"x"}}"#;
    let good = r#"{"uri":"at://did:plc:alice/com.example.chat.message/z","time_us":1999999999000000,"value":{"text":"z"}}"#;
    let ticket = lounge.ticket(ALICE, &[]);
    let path = lounge.url("message", &format!("&ticket={ticket}"));
    let body =
        format!(r#"{{"snapshot":{{"records":[{bad},{{"uri":7}},{good}]}},"wsUrl":"{path}"}}"#);
    lounge.server.set_ws(appview::WsMode::Do);
    lounge
        .server
        .fault(Fault {
            times: Some(1),
            ..handshake("application/json", body)
        })
        .unwrap();
    lounge.server.drop_connections();
    let state = until(&watch, |it| rkeys(it).contains(&"z")).await;
    let state = match state.status {
        Status::Live => state,
        _ => until_live(&watch).await,
    };
    assert_eq!(
        rkeys(&state),
        ["z", "a"],
        "what is listed stays, though it cannot be read; what is not listed goes"
    );
}
