//! What the server loses by itself, each loss switched on and off.

use appview::{Bulk, Losses, Options, Server, TicketFor, WsMode};
use serde_json::json;

use crate::common::*;

async fn space(ws: WsMode, losses: Losses) -> (Server, String) {
    let options = Options {
        ws,
        losses,
        ..Options::default()
    };
    let server = start_with(options).await;
    let space = server.space("lossy", ALICE).unwrap();
    (server, space)
}

fn say(server: &Server, space: &str, rkey: &str) {
    server.put(message(space, ALICE, rkey, json!({}))).unwrap();
}

#[tokio::test]
async fn what_happens_before_a_late_subscription_opens_is_lost() {
    for (subscribes_after_ms, first) in [(None, "between"), (Some(1_000), "after")] {
        let losses = Losses {
            subscribes_after_ms,
            ..Losses::default()
        };
        let (server, space) = space(WsMode::Worker, losses).await;
        let path = watch_path("message", &space, "");
        let mut watch = Sse::open(&server, &path, ALICE).await;
        assert_eq!(watch.next().await.0, "snapshot.start");
        // The query runs at once; nobody can see that it has.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        say(&server, &space, "between");
        assert_eq!(watch.next().await.0, "snapshot.end", "it came too late");
        say(&server, &space, "after");
        assert_eq!(watch.next().await.1.at("record.rkey"), first);
    }
}

#[tokio::test]
async fn a_queue_that_overflows_loses_the_oldest_in_silence() {
    let losses = Losses {
        queue_bound: Some(1024),
        ..Losses::default()
    };
    let (server, space) = space(WsMode::Worker, losses).await;
    let elsewhere = server.space("elsewhere", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    // Nothing else runs meanwhile on this thread: all of it is there at once.
    let bulk = |space: &str, n| {
        let space_uri = space.to_owned();
        let bulk = Bulk {
            space_uri,
            n,
            size: 1,
            silent: false,
        };
        server.bulk(bulk).unwrap();
    };
    bulk(&space, 2_000);
    bulk(&elsewhere, 2_000);
    let seen = watch.take(1024).await;
    assert_eq!(seen[0].1.at("record.rkey"), "b000976");
    assert_eq!(seen[1023].1.at("record.rkey"), "b001999");
    watch.is_silent().await;
    // Even so many that the others are cut.
    bulk(&space, 10_000);
    let seen = watch.take(1024).await;
    assert_eq!(seen[1023].1.at("record.rkey"), "b011999");
}

#[tokio::test]
async fn deleting_a_space_is_told_to_nobody_and_a_ticket_still_reads_it() {
    let (server, space) = space(WsMode::Worker, Losses::default()).await;
    server.add_member(&space, BOB).unwrap();
    say(&server, &space, "1");
    let ask = TicketFor {
        space_uri: Some(space.clone()),
        collection: "message".into(),
        did: BOB.into(),
        ..TicketFor::default()
    };
    let ticket = server.ticket(ask).unwrap();
    let token = server.invite(&space).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, BOB).await;
    watch.snapshot().await;
    server.delete_space(&space).unwrap();
    watch.is_silent().await;
    let status = async |more: &str, did| {
        let path = format!("{path}{more}");
        get(&server, &path, did).await.status().as_u16()
    };
    assert_eq!(status("", Some(BOB)).await, 404);
    assert_eq!(status(&format!("&inviteToken={token}"), None).await, 404);
    assert_eq!(status(&format!("&ticket={ticket}"), None).await, 200);
}

#[tokio::test]
async fn a_deleted_space_kicks_everybody_if_that_is_not_lost() {
    let losses = Losses {
        space_deletion: false,
        ..Losses::default()
    };
    let (server, space) = space(WsMode::Worker, losses).await;
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    server.delete_space(&space).unwrap();
    assert_eq!(watch.next().await.0, "member.removed");
    watch.ends().await;
}

#[tokio::test]
async fn a_kick_between_handshake_and_upgrade_never_closes_an_objects_socket() {
    for replayed_kicks in [true, false] {
        let losses = Losses {
            replayed_kicks,
            ..Losses::default()
        };
        let (server, space) = space(WsMode::Do, losses).await;
        server.add_member(&space, BOB).unwrap();
        let path = watch_path("message", &space, "&mode=ws");
        let handshake = get_json(&server, &path, Some(BOB)).await;
        server.kick(&space, BOB).unwrap();
        say(&server, &space, "for-members");
        let mut socket = Ws::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await;
        if replayed_kicks {
            assert_eq!(socket.next().await.1.at("record.rkey"), "for-members");
            say(&server, &space, "and-this");
            assert_eq!(socket.next().await.1.at("record.rkey"), "and-this");
        } else {
            assert_eq!(socket.close().await.0, 4003);
        }
    }
}

#[tokio::test]
async fn an_object_that_never_sleeps_replays_to_who_comes_late() {
    let pause = std::time::Duration::from_millis(60);
    for (object_sleeps_after_ms, replayed) in [(Some(20), "new"), (None, "old")] {
        let losses = Losses {
            object_sleeps_after_ms,
            ..Losses::default()
        };
        let (server, space) = space(WsMode::Do, losses).await;
        let path = watch_path("message", &space, "&mode=ws");
        let handshake = get_json(&server, &path, Some(ALICE)).await;
        say(&server, &space, "old");
        tokio::time::sleep(pause).await;
        let mut socket = Ws::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await;
        say(&server, &space, "new");
        assert_eq!(socket.next().await.1.at("record.rkey"), replayed);
    }
}

#[tokio::test]
async fn losses_are_switched_by_a_control_call() {
    let (server, _) = space(WsMode::Off, Losses::default()).await;
    let url = format!("{}/control/losses", server.url());
    let body = json!({ "queueBound": 9, "objectSleepsAfterMs": null, "subscribesAfterMs": 5 });
    let answer = client()
        .post(url)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let now: serde_json::Value = answer.json().await.unwrap();
    let losses = Losses {
        queue_bound: Some(9),
        object_sleeps_after_ms: None,
        subscribes_after_ms: Some(5),
        ..Losses::default()
    };
    assert_eq!(server.world().losses(), losses);
    assert_eq!(now["communityEvents"], true);
}
