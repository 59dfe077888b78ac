//! The appview speaks over WebSocket as the recorded server did, ended in the worker and in a Durable Object.

use appview::{Bulk, Delete, Fault, Put, Server, TicketFor, WsMode};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use crate::common::*;

/// A space with a few messages.
fn space(server: &Server, key: &str, n: usize) -> String {
    let uri = server.space(key, ALICE).unwrap();
    let bulk = Bulk {
        space_uri: uri.clone(),
        n,
        size: 40,
        silent: false,
    };
    server.bulk(bulk).unwrap();
    uri
}

fn handshake_path(space: &str, more: &str) -> String {
    watch_path("message", space, &format!("{more}&mode=ws"))
}

/// The handshake: its answer as recorded ones compare, and the path to upgrade on.
async fn shake(server: &Server, path: &str, did: Option<&str>) -> (u16, Json, String) {
    let response = get(server, path, did).await;
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let ws_url = answer["wsUrl"].as_str().unwrap_or_default().to_owned();
    (status, Json::parse(&body), ws_url)
}

/// Replays the three recorded snapshots; answers frames and closes.
async fn snapshots(mode: WsMode, name: &str, keys: [&str; 3]) {
    let recorded = frames(name);
    let (mut seen, mut frames) = (Vec::new(), Vec::new());
    for (key, n) in keys.into_iter().zip([0, 1, 3]) {
        let server = start(mode).await;
        let space = space(&server, key, n);
        let (status, answer, ws_url) =
            shake(&server, &handshake_path(&space, ""), Some(ALICE)).await;
        seen.push((status, answer));
        let mut socket = Ws::open(&server, &ws_url, None).await;
        let expected = if mode == WsMode::Worker { n + 2 } else { 0 };
        frames.extend(socket.take(expected).await);
        socket.is_silent().await;
    }
    assert_eq!(seen, recorded.handshakes);
    assert_eq!(frames, recorded.frames);
}

#[tokio::test]
async fn worker_snapshots_are_sent_again_as_recorded() {
    let keys = ["snapmwt6rcez", "snapmwt6rcts", "snapmwt6rd5g"];
    snapshots(WsMode::Worker, "ws-worker-01-snapshot-0-1-3.txt", keys).await;
}

#[tokio::test]
async fn a_durable_object_sends_no_snapshot_as_recorded() {
    let keys = ["snapmwt6l3td", "snapmwt6l6lv", "snapmwt6l9dq"];
    snapshots(WsMode::Do, "ws-do-01-snapshot-0-1-3.txt", keys).await;
}

/// Replays the recorded live events; answers the socket.
async fn live(mode: WsMode, name: &str, key: &str) -> (Server, Ws) {
    let recorded = frames(name);
    let server = start(mode).await;
    let space = space(&server, key, 1);
    let (status, answer, ws_url) = shake(&server, &handshake_path(&space, ""), Some(ALICE)).await;
    assert_eq!([(status, answer)], recorded.handshakes[..]);
    let mut socket = Ws::open(&server, &ws_url, None).await;
    for (text, cid) in [("v1", "bafy1"), ("v2", "bafy2")] {
        let put = message(&space, ALICE, "a", json!({ "text": text }));
        server
            .put(Put {
                cid: Some(cid.into()),
                ..put
            })
            .unwrap();
    }
    for rkey in ["a", "zz"] {
        let delete = Delete {
            space_uri: Some(space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: rkey.into(),
            silent: false,
        };
        server.delete(delete).unwrap();
    }
    server.add_member(&space, CAROL).unwrap();
    server.kick(&space, CAROL).unwrap();
    let reaction = message(&space, ALICE, "r", json!({ "emoji": "x" }));
    server
        .put(Put {
            collection: "reaction".into(),
            ..reaction
        })
        .unwrap();
    assert_eq!(socket.take(recorded.frames.len()).await, recorded.frames);
    socket.is_silent().await;
    (server, socket)
}

#[tokio::test]
async fn worker_live_events_are_as_recorded_and_a_close_is_answered() {
    let (_server, mut socket) = live(WsMode::Worker, "ws-worker-02-live.txt", "livemwt6rdh7").await;
    socket.send(Message::Close(None)).await;
    assert_eq!(socket.close().await.0, 1005);
    assert!(socket.message().await.is_none());
}

#[tokio::test]
async fn a_durable_objects_live_events_are_as_recorded_and_a_close_is_never_answered() {
    let (server, mut socket) = live(WsMode::Do, "ws-do-02-live.txt", "livemwt6lc3s").await;
    let code = CloseFrame {
        code: 1000.into(),
        reason: "".into(),
    };
    for close in [None, Some(code)] {
        // The second one is written to the bare socket: a WebSocket closes only once.
        match close {
            None => socket.send(Message::Close(None)).await,
            Some(_) => {
                let bare = socket.0.get_mut();
                tokio::io::AsyncWriteExt::write_all(bare, &[0x88, 0x80, 0, 0, 0, 0])
                    .await
                    .unwrap();
            }
        }
        socket.is_silent().await;
    }
    assert_eq!(
        server.stats().watches,
        1,
        "the socket stays open until the client drops it"
    );
}

#[tokio::test]
async fn pings_are_answered_in_both_modes() {
    for mode in [WsMode::Worker, WsMode::Do] {
        let server = start(mode).await;
        let space = space(&server, "ping", 0);
        let mut socket = Ws::open(&server, &watch_path("message", &space, ""), Some(ALICE)).await;
        let snapshot = if mode == WsMode::Worker { 2 } else { 0 };
        socket.take(snapshot).await;
        for _ in 0..2 {
            socket.send(Message::Ping("are you there".into())).await;
            assert_eq!(
                socket.message().await,
                Some(Message::Pong("are you there".into()))
            );
        }
    }
}

/// Replays the recorded kick up to the close; answers the server, the space and the socket's path.
async fn kick(mode: WsMode, name: &str, key: &str) -> (Server, String, String, Ws) {
    let recorded = frames(name);
    let server = start(mode).await;
    let space = space(&server, key, 1);
    server.add_member(&space, BOB).unwrap();
    let (status, answer, ws_url) = shake(&server, &handshake_path(&space, ""), Some(BOB)).await;
    assert_eq!((status, answer), recorded.handshakes[0]);
    let mut socket = Ws::open(&server, &ws_url, None).await;
    let mut seen = socket
        .take(if mode == WsMode::Worker { 3 } else { 0 })
        .await;
    server.kick(&space, BOB).unwrap();
    if mode == WsMode::Worker {
        seen.push(socket.next().await);
    }
    assert_eq!(seen, recorded.frames[..seen.len()]);
    (server, space, ws_url, socket)
}

#[tokio::test]
async fn a_kick_in_the_worker_is_as_recorded() {
    let name = "ws-worker-04-kick.txt";
    let recorded = frames(name);
    let (server, space, ws_url, mut socket) = kick(WsMode::Worker, name, "kickmwt6rf6m").await;
    assert_eq!(socket.close().await, recorded.closes[0]);
    // The ticket opens another socket, which sees what is written afterwards, and rolls.
    let mut socket = Ws::open(&server, &ws_url, None).await;
    let mut seen = socket.take(3).await;
    server
        .put(message(
            &space,
            ALICE,
            "secret",
            json!({ "text": "secret" }),
        ))
        .unwrap();
    seen.push(socket.next().await);
    assert_eq!(seen, recorded.frames[4..]);
    let (status, answer, _) = shake(&server, &format!("{ws_url}&mode=ws"), None).await;
    assert_eq!((status, answer), recorded.handshakes[1]);
    let refused = shake(&server, &handshake_path(&space, ""), Some(BOB)).await;
    assert_eq!((refused.0, refused.1), recorded.handshakes[2]);
}

#[tokio::test]
async fn a_kick_in_a_durable_object_is_as_recorded() {
    let name = "ws-do-04-kick.txt";
    let recorded = frames(name);
    let (server, space, ws_url, mut socket) = kick(WsMode::Do, name, "kickmwt6lnr6").await;
    assert_eq!(socket.close().await, recorded.closes[0]);
    assert_eq!(recorded.closes[0], (4003, "membership-revoked".to_owned()));
    // What happened since the handshake is replayed to the next socket with the same ticket.
    server
        .put(message(&space, ALICE, "after", json!({ "text": "after" })))
        .unwrap();
    let mut socket = Ws::open(&server, &ws_url, None).await;
    let mut seen = socket.take(1).await;
    server
        .put(message(
            &space,
            ALICE,
            "secret",
            json!({ "text": "secret" }),
        ))
        .unwrap();
    seen.push(socket.next().await);
    assert_eq!(seen, recorded.frames);
    let (status, answer, _) = shake(&server, &format!("{ws_url}&mode=ws"), None).await;
    assert_eq!((status, answer), recorded.handshakes[1]);
    let refused = shake(&server, &handshake_path(&space, ""), Some(BOB)).await;
    assert_eq!((refused.0, refused.1), recorded.handshakes[2]);
}

#[tokio::test]
async fn a_failing_query_over_a_worker_socket_is_as_recorded() {
    let recorded = frames("ws-worker-08-error.txt");
    let server = start(WsMode::Worker).await;
    let space = space(&server, "errmwt6s0mw", 0);
    let path = handshake_path(&space, "");
    let (status, answer, ws_url) = shake(&server, &path, Some(ALICE)).await;
    assert_eq!((status, answer), recorded.handshakes[0]);
    let message = Some("injected db failure".to_owned());
    server
        .fault(Fault {
            snapshot_error: message,
            ..Fault::default()
        })
        .unwrap();
    let (status, answer, _) = shake(&server, &path, Some(ALICE)).await;
    assert_eq!((status, answer), recorded.handshakes[1]);
    let mut socket = Ws::open(&server, &ws_url, None).await;
    assert_eq!(socket.take(2).await, recorded.frames);
    assert_eq!(socket.close().await, recorded.closes[0]);
}

#[tokio::test]
async fn upgrades_are_refused_and_accepted_as_recorded() {
    let recorded = frames("ws-do-06-auth.txt");
    let server = start(WsMode::Do).await;
    let space = space(&server, "authmwt6mwln", 1);
    let ask = |ttl_ms| TicketFor {
        space_uri: Some(space.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        ttl_ms: Some(ttl_ms),
        ..TicketFor::default()
    };
    let path = |more: &str| watch_path("message", &space, more);
    let expired = format!("&ticket={}", server.ticket(ask(-1)).unwrap());
    let none = "/xrpc/com.example.message.watchRecords".to_owned();
    let mallory = Some("did:plc:mallory");
    let attempts = [
        (path(""), None),
        (path("&ticket=a.b"), None),
        (path(&expired), None),
        (path(""), mallory),
        (none, Some(ALICE)),
    ];
    for ((path, did), expected) in attempts.into_iter().zip(recorded.refusals) {
        let refused = Ws::connect(&server, &path, did).await.err().unwrap();
        assert_eq!((refused.status, refused.body), expected);
    }
    Ws::open(&server, &path(""), Some(ALICE)).await;
    Ws::open(&server, &path("&mode=ws"), Some(ALICE)).await;
    let token = server.invite(&space).unwrap();
    let (status, answer, ws_url) = shake(
        &server,
        &path(&format!("&inviteToken={token}&mode=ws")),
        None,
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(answer.keys(), recorded.handshakes[0].1.keys());
    Ws::open(&server, &ws_url, None).await;
    // A connection outlives its ticket.
    let ticket = server.ticket(ask(150)).unwrap();
    let ticket_path = path(&format!("&ticket={ticket}"));
    let mut socket = Ws::open(&server, &ticket_path, None).await;
    soon(async {
        while Ws::connect(&server, &ticket_path, None).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let put = message(
        &space,
        ALICE,
        "after-expiry",
        json!({ "text": "after-expiry" }),
    );
    server.put(put).unwrap();
    assert_eq!(socket.take(1).await, recorded.frames);
}

#[tokio::test]
async fn a_durable_object_replays_at_most_500_events() {
    let server = start(WsMode::Do).await;
    let space = space(&server, "replay", 0);
    let (_, _, ws_url) = shake(&server, &handshake_path(&space, ""), Some(ALICE)).await;
    let bulk = Bulk {
        space_uri: space.clone(),
        n: 510,
        size: 1,
        silent: false,
    };
    server.bulk(bulk).unwrap();
    let mut socket = Ws::open(&server, &ws_url, None).await;
    let seen = socket.take(500).await;
    assert_eq!(seen[0].1.at("record.rkey"), "b000010");
    assert_eq!(seen[499].1.at("record.rkey"), "b000509");
    socket.is_silent().await;
}

#[tokio::test]
async fn a_host_without_websocket_says_426_after_a_good_handshake() {
    let server = start(WsMode::Off).await;
    let space = space(&server, "off", 1);
    let (status, _, ws_url) = shake(&server, &handshake_path(&space, ""), Some(ALICE)).await;
    assert_eq!(status, 200);
    let refused = Ws::connect(&server, &ws_url, None).await.err().unwrap();
    assert_eq!(refused.status, 426);
    server.set_ws(WsMode::Worker);
    assert!(Ws::connect(&server, &ws_url, None).await.is_ok());
}
