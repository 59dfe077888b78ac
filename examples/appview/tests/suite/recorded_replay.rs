//! What a Durable Object replays, as recorded.

use std::time::Duration;

use appview::{Bulk, Losses, Options, Server, WsMode};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::common::*;

/// An object that sleeps after a moment instead of ten seconds.
const SLEEPS_AFTER: Duration = Duration::from_millis(400);

async fn shake(server: &Server, space: &str, more: &str) -> (u16, String) {
    let path = watch_path("message", space, &format!("{more}&mode=ws"));
    let response = get(server, &path, Some(ALICE)).await;
    (response.status().as_u16(), response.text().await.unwrap())
}

fn ws_url(handshake: &str) -> String {
    let handshake: serde_json::Value = serde_json::from_str(handshake).unwrap();
    handshake["wsUrl"].as_str().unwrap().to_owned()
}

/// The events that a socket begins with: `n` of them and no more.
async fn replayed(server: &Server, path: &str, n: usize) -> Vec<Event> {
    let mut socket = Ws::open(server, path, None).await;
    let events = socket.take(n).await;
    // A pong comes after whatever was to be replayed.
    socket.send(Message::Ping("all?".into())).await;
    assert_eq!(socket.message().await, Some(Message::Pong("all?".into())));
    events
}

#[tokio::test]
async fn an_object_replays_its_last_events_until_it_sleeps_as_recorded() {
    let recorded = frames("ws-do-05-sinceTs.txt");
    let losses = Losses {
        object_sleeps_after_ms: i64::try_from(SLEEPS_AFTER.as_millis()).ok(),
        ..Losses::default()
    };
    let options = Options {
        ws: WsMode::Do,
        losses,
        ..Options::default()
    };
    let server = start_with(options).await;
    let space = server.space("sincemwt6t7wj", ALICE).unwrap();
    let say = |rkey: &str| {
        let put = message(&space, ALICE, rkey, json!({ "text": rkey }));
        server.put(put).unwrap();
    };
    say("before");
    let (status, body) = shake(&server, &space, "").await;
    assert_eq!((status, Json::parse(&body)), recorded.handshakes[0]);
    let path = ws_url(&body);
    say("gap1");
    say("gap2");
    server
        .delete(gone(&space, "message", ALICE, "before"))
        .unwrap();

    let mut seen = replayed(&server, &path, 3).await;
    // The same socket address a second time, then everything that is remembered, then nothing.
    seen.extend(replayed(&server, &path, 3).await);
    let (without, _) = path.split_once("&sinceTs").unwrap();
    seen.extend(replayed(&server, &format!("{without}&sinceTs=1"), 4).await);
    seen.extend(replayed(&server, without, 0).await);
    tokio::time::sleep(SLEEPS_AFTER * 2).await;
    say("late");
    seen.extend(replayed(&server, &path, 1).await);
    assert_eq!(seen, recorded.frames);

    let (status, body) = shake(&server, &space, "&limit=1").await;
    assert_eq!((status, Json::parse(&body)), recorded.handshakes[1]);
    let bulk = Bulk {
        space_uri: space.clone(),
        n: 521,
        size: 1,
        silent: false,
    };
    server.bulk(bulk).unwrap();
    tokio::time::sleep(SLEEPS_AFTER * 2).await;
    let late = replayed(&server, &ws_url(&body), 0).await;
    assert_eq!(late, [], "recorded: replayed 0 record.created");
}
