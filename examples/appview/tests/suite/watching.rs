//! Watching: pages, order, races, slow clients, servers that die and return.

use std::time::Duration;

use appview::{Bulk, Delete, Fault, Options, Put, Server, WsMode};
use serde_json::json;

use crate::common::*;

fn bulk(space: &str, n: usize, silent: bool) -> Bulk {
    Bulk {
        space_uri: space.into(),
        n,
        size: 5,
        silent,
    }
}

fn list_path(space: &str, more: &str) -> String {
    watch_path("message", space, more).replace("watchRecords", "listRecords")
}

#[tokio::test]
async fn limits_are_clamped_and_default_to_fifty() {
    let server = start(WsMode::Worker).await;
    let space = server.space("limits", ALICE).unwrap();
    server.bulk(bulk(&space, 201, true)).unwrap();
    for (limit, n) in [("", 50), ("&limit=0", 1), ("&limit=-3", 1), ("&limit=7", 7)] {
        let list = get_json(&server, &list_path(&space, limit), Some(ALICE)).await;
        assert_eq!(rkeys(&list).len(), n, "{limit}");
        assert!(list["cursor"].is_string(), "older ones exist");
    }
    for limit in ["&limit=200", "&limit=999"] {
        let list = get_json(&server, &list_path(&space, limit), Some(ALICE)).await;
        assert_eq!(rkeys(&list).len(), 200);
    }
}

#[tokio::test]
async fn cursors_lead_through_every_record_once_and_end() {
    let server = start(WsMode::Worker).await;
    let space = server.space("pages", ALICE).unwrap();
    server.bulk(bulk(&space, 7, true)).unwrap();
    for order in ["", "&sort=text&order=desc", "&sort=text"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..4 {
            let more = format!("{order}&limit=3{cursor}");
            let list = get_json(&server, &list_path(&space, &more), Some(ALICE)).await;
            seen.extend(rkeys(&list).into_iter().map(str::to_owned));
            match list["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut expected: Vec<_> = (0..7).map(|n| format!("b{n:06}")).collect();
        if order != "&sort=text" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
}

#[tokio::test]
async fn a_filter_binds_the_snapshot_and_not_live_events() {
    let server = start(WsMode::Worker).await;
    let space = server.space("filter", ALICE).unwrap();
    for (rkey, room) in [("1", "A"), ("2", "B")] {
        server
            .put(message(&space, ALICE, rkey, json!({ "room": room })))
            .unwrap();
    }
    let path = watch_path("message", &space, "&room=A&unknown=ignored");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    let snapshot = watch.snapshot().await;
    assert_eq!(snapshot.len(), 3);
    assert_eq!(snapshot[1].1.at("record.rkey"), "1");
    server
        .put(message(&space, ALICE, "3", json!({ "room": "B" })))
        .unwrap();
    assert_eq!(watch.next().await.1.at("record.rkey"), "3");
}

#[tokio::test]
async fn what_happens_while_the_snapshot_is_read_comes_after_its_end() {
    let server = start(WsMode::Worker).await;
    let space = server.space("race", ALICE).unwrap();
    server
        .put(message(&space, ALICE, "old", json!({})))
        .unwrap();
    let fault = Fault {
        snapshot_delay_ms: Some(200),
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let mut watch = Sse::open(&server, &watch_path("message", &space, ""), ALICE).await;
    assert_eq!(watch.next().await.0, "snapshot.start");
    // The query has not run yet.
    server
        .put(message(&space, ALICE, "new", json!({})))
        .unwrap();
    let names: Vec<_> = watch
        .take(4)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "snapshot.record",
            "snapshot.record",
            "snapshot.end",
            "record.created"
        ]
    );
}

#[tokio::test]
async fn a_silent_write_is_seen_only_by_the_next_snapshot() {
    let server = start(WsMode::Worker).await;
    let space = server.space("silent", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let put = message(&space, ALICE, "missed", json!({}));
    server
        .put(Put {
            silent: true,
            ..put
        })
        .unwrap();
    server
        .put(message(&space, ALICE, "told", json!({})))
        .unwrap();
    assert_eq!(watch.next().await.1.at("record.rkey"), "told");
    assert_eq!(
        Sse::open(&server, &path, ALICE)
            .await
            .snapshot()
            .await
            .len(),
        4
    );
}

#[tokio::test]
async fn a_server_that_dies_returns_on_its_port_with_its_data_and_secret() {
    let server = start(WsMode::Worker).await;
    let space = server.space("phoenix", ALICE).unwrap();
    server.bulk(bulk(&space, 3, false)).unwrap();
    let path = watch_path("message", &space, "");
    let mut sse = Sse::open(&server, &path, ALICE).await;
    sse.snapshot().await;
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    socket.take(5).await;
    let ask = appview::TicketFor {
        space_uri: Some(space.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        ..Default::default()
    };
    let ticket = server.ticket(ask).unwrap();
    let (port, world) = (server.port(), server.world());
    soon(server.shutdown()).await;
    sse.is_cut().await;
    assert!(socket.message().await.is_none());
    assert!(
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
    );
    let delete = Delete {
        space_uri: Some(space.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        rkey: "b000001".into(),
        silent: true,
    };
    world.delete(delete).unwrap();
    let options = Options {
        port,
        world: Some(world),
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    let path = watch_path("message", &space, &format!("&ticket={ticket}"));
    let mut watch = Sse::of(get(&server, &path, None).await);
    assert_eq!(watch.snapshot().await.len(), 4);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = start(WsMode::Worker).await;
    let space = server.space("slow", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let flood = Bulk {
        space_uri: space.clone(),
        n: 20_000,
        size: 1_000,
        silent: false,
    };
    tokio::task::spawn_blocking({
        let world = server.world();
        move || world.bulk(flood)
    })
    .await
    .unwrap()
    .unwrap();
    watch.is_cut().await;
}

#[tokio::test]
async fn stats_count_connections_and_watches_and_closing_returns_them() {
    let server = start(WsMode::Worker).await;
    let space = server.space("stats", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let mut sse = Sse::open(&server, &path, ALICE).await;
    sse.snapshot().await;
    let mut socket = Ws::open(&server, &path, Some(ALICE)).await;
    socket.take(2).await;
    let stats = server.stats();
    assert_eq!((stats.open, stats.watches, stats.connects), (2, 2, 2));
    assert_eq!(
        (stats.sse, stats.handshakes, stats.upgrades, stats.requests),
        (1, 0, 1, 2)
    );
    drop(sse);
    assert_eq!(server.drop_connections(), server.stats().open as usize);
    assert!(socket.message().await.is_none());
    soon(async {
        while server.stats().open + server.stats().watches > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(server.stats().connects, 2);
}
