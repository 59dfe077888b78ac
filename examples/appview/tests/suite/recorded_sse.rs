//! The appview answers over SSE and HTTP exactly as the recorded server did, times and tickets aside.

use std::time::Duration;

use crate::common::*;
use appview::{Bulk, Fault, Options, Put, Server, TicketFor, WsMode};
use serde_json::json;

fn bulk(space: &str, n: usize) -> Bulk {
    Bulk {
        space_uri: space.into(),
        n,
        size: 40,
        silent: false,
    }
}

fn reaction(space: &str, did: &str, rkey: &str, emoji: &str, parent: &str) -> Put {
    let parent = format!("at://did:plc:alice/com.example.chat.message/{parent}");
    child(
        space,
        "reaction",
        did,
        rkey,
        json!({ "emoji": emoji }),
        &parent,
    )
}

#[tokio::test]
async fn snapshots_of_none_one_and_three_are_as_recorded() {
    for (name, n) in [
        ("sse-01-snapshot-0", 0),
        ("sse-02-snapshot-1", 1),
        ("sse-03-snapshot-3", 3),
    ] {
        let server = start(WsMode::Worker).await;
        let space = server.space("snapmwt6e8j2", ALICE).unwrap();
        server.bulk(bulk(&space, n)).unwrap();
        let recorded = &exchanges(&format!("{name}.txt"))[0];
        let mut watch = open(&server, recorded).await;
        assert_eq!(watch.snapshot().await, recorded.events);
    }
}

#[tokio::test]
async fn creates_updates_and_deletes_are_as_recorded() {
    let recorded = exchanges("sse-04-live-create-update-delete.txt");
    let server = start(WsMode::Worker).await;
    let space = server.space("livemwt6e9lb", ALICE).unwrap();
    let mut watch = open(&server, &recorded[0]).await;
    let mut seen = watch.snapshot().await;
    let put = |rkey, did, text, cid: Option<&str>| {
        let put = message(&space, did, rkey, json!({ "text": text }));
        let cid = cid.map(str::to_owned);
        server.put(Put { cid, ..put }).unwrap();
    };
    put("a", ALICE, "v1", Some("bafy1"));
    put("a", ALICE, "v2", Some("bafy2"));
    server.delete(gone(&space, "message", ALICE, "a")).unwrap();
    server
        .delete(gone(&space, "message", ALICE, "nonexistent"))
        .unwrap();
    put("b", ALICE, "alice", None);
    put("b", BOB, "bob", None);
    seen.extend(watch.take(6).await);
    assert_eq!(seen, recorded[0].events);
    assert_eq!(
        open(&server, &recorded[1]).await.snapshot().await,
        recorded[1].events
    );
}

#[tokio::test]
async fn hydration_in_snapshots_and_live_is_as_recorded() {
    let recorded = exchanges("sse-05-hydration-ungrouped.txt");
    let server = start(WsMode::Worker).await;
    let space = server.space("hydmwt6eak3", ALICE).unwrap();
    let m1 = "at://did:plc:alice/com.example.chat.message/m1";
    let put = |rkey, record| {
        server.put(message(&space, ALICE, rkey, record)).unwrap();
    };
    let react = |did, rkey, emoji, parent| {
        let put = reaction(&space, did, rkey, emoji, parent);
        server.put(put).unwrap();
    };
    put("m1", json!({ "text": "parent 1" }));
    put(
        "m2",
        json!({ "text": "parent 2, no children", "reply": { "uri": m1 } }),
    );
    react(ALICE, "k1", "x", "m1");
    react(BOB, "k2", "y", "m1");
    let mut watch = open(&server, &recorded[0]).await;
    let mut seen = watch.snapshot().await;
    react(ALICE, "k3", "z", "m1");
    react(ALICE, "k1", "X2", "m1");
    react(ALICE, "k1", "X2", "m2");
    server.delete(gone(&space, "reaction", BOB, "k2")).unwrap();
    server
        .delete(gone(&space, "reaction", ALICE, "k1"))
        .unwrap();
    react(ALICE, "k5", "?", "unknown");
    put("m1", json!({ "text": "parent 1 edited" }));
    put("m3", json!({ "text": "parent 3" }));
    react(ALICE, "k4", "q", "m3");
    server.delete(gone(&space, "message", ALICE, "m1")).unwrap();
    seen.extend(watch.take(recorded[0].events.len() - seen.len()).await);
    assert_eq!(seen, recorded[0].events);
    assert_eq!(
        open(&server, &recorded[1]).await.snapshot().await,
        recorded[1].events
    );
}

#[tokio::test]
async fn of_two_children_with_one_rkey_only_the_first_deletion_is_told() {
    let recorded = &exchanges("sse-06-hydration-child-rkey-collision.txt")[0];
    let server = start(WsMode::Worker).await;
    let space = server.space("hydrkmwt6ebmv", ALICE).unwrap();
    server
        .put(message(&space, ALICE, "p1", json!({ "text": "p" })))
        .unwrap();
    for did in [ALICE, BOB] {
        server
            .put(reaction(&space, did, "self", did, "p1"))
            .unwrap();
    }
    let mut watch = open(&server, recorded).await;
    let mut seen = watch.snapshot().await;
    server
        .delete(gone(&space, "reaction", BOB, "self"))
        .unwrap();
    server
        .delete(gone(&space, "reaction", ALICE, "self"))
        .unwrap();
    server
        .put(message(&space, ALICE, "after", json!({})))
        .unwrap();
    seen.push(watch.next().await);
    assert_eq!(seen, recorded.events);
    assert_eq!(watch.next().await.1.at("record.rkey"), "after");
}

#[tokio::test]
async fn a_kicked_members_stream_ends_but_the_ticket_still_opens_one() {
    let recorded = exchanges("sse-08-member-removed.txt");
    let server = start(WsMode::Worker).await;
    let space = server.space("kickmwt6ecjw", ALICE).unwrap();
    server.bulk(bulk(&space, 1)).unwrap();
    server.add_member(&space, BOB).unwrap();
    let ask = TicketFor {
        space_uri: Some(space.clone()),
        collection: "message".into(),
        did: BOB.into(),
        ..TicketFor::default()
    };
    let ticket = server.ticket(ask).unwrap();
    let mut watch = open(&server, &recorded[0]).await;
    let mut seen = watch.snapshot().await;
    server.add_member(&space, CAROL).unwrap();
    server.kick(&space, CAROL).unwrap();
    server.kick(&space, BOB).unwrap();
    seen.push(watch.next().await);
    watch.ends().await;
    assert_eq!(seen, recorded[0].events);
    assert_answer(replay(&server, &recorded[1]).await, &recorded[1]).await;
    let path = watch_path("message", &space, &format!("&ticket={ticket}"));
    let mut watch = Sse::of(get(&server, &path, None).await);
    let mut seen = watch.snapshot().await;
    let secret = json!({ "text": "secret-after-kick" });
    server
        .put(message(&space, ALICE, "secret-after-kick", secret))
        .unwrap();
    seen.push(watch.next().await);
    assert_eq!(seen, recorded[2].events);
}

#[tokio::test]
async fn an_invite_token_watches_and_shakes_hands_without_a_ticket() {
    let recorded = exchanges("sse-09-invite-token.txt");
    let server = start(WsMode::Worker).await;
    let space = server.space("invmwt6edez", ALICE).unwrap();
    server.bulk(bulk(&space, 1)).unwrap();
    let token = server.invite(&space).unwrap();
    let was = "WhqlHd6ejbJvegSBGhyz6joa51Cy3Yo1mczbTtFBc2o";
    let path = |exchange: &Exchange| exchange.path.replace(was, &token);
    let mut watch = Sse::of(get(&server, &path(&recorded[0]), None).await);
    assert_eq!(watch.snapshot().await, recorded[0].events);
    let body = get(&server, &path(&recorded[1]), None)
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(
        Json::parse(&body.replace(&token, was)),
        Json::parse(&recorded[1].body)
    );
}

#[tokio::test]
async fn a_failing_query_is_told_as_recorded() {
    let recorded = exchanges("sse-10-error-event.txt");
    let server = start(WsMode::Worker).await;
    server.space("errmwt6edo9", ALICE).unwrap();
    let message = Some("injected db failure".to_owned());
    server
        .fault(Fault {
            snapshot_error: message,
            ..Fault::default()
        })
        .unwrap();
    let mut watch = open(&server, &recorded[0]).await;
    assert_eq!(watch.take(2).await, recorded[0].events);
    watch.ends().await;
    assert_answer(replay(&server, &recorded[1]).await, &recorded[1]).await;
}

#[tokio::test]
async fn refusals_are_as_recorded() {
    let server = start(WsMode::Off).await;
    let space = server.space("tickmwt6efhm", ALICE).unwrap();
    let other = server.space("other", ALICE).unwrap();
    server.bulk(bulk(&space, 1)).unwrap();
    let ticket = |space: &str, collection: &str, ttl_ms| {
        let ask = TicketFor {
            space_uri: Some(space.into()),
            collection: collection.into(),
            did: ALICE.into(),
            ttl_ms,
            ..TicketFor::default()
        };
        server.ticket(ask).unwrap()
    };
    let good = ticket(&space, "message", None);
    let mut tampered = good.clone();
    let last = if tampered.pop() == Some('A') {
        'E'
    } else {
        'A'
    };
    tampered.push(last);
    let asked = client()
        .post(format!("{}/xrpc/com.example.realtime.ticket", server.url()))
        .header("authorization", "Bearer did:plc:alice")
        .body(json!({ "topic": format!("space:{space}") }).to_string());
    let answer: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["topics"], json!([format!("space:{space}")]));
    assert!(answer["expiresAt"].is_i64());
    let topic = answer["ticket"].as_str().unwrap().to_owned();
    let expired = ticket(&space, "message", Some(-1));
    // In the order of the recording: the ones that carried a real ticket.
    let ours = [
        (4, tampered),
        (5, expired.clone()),
        (6, ticket(&other, "message", None)),
        (7, ticket(&space, "event", None)),
        (8, topic),
        (9, good.clone()),
        (10, good.clone()),
        (14, expired),
        (16, good),
    ];
    let recorded = exchanges("sse-12-auth-errors.txt");
    assert_eq!(recorded.len(), 17);
    for (at, exchange) in recorded.iter().enumerate() {
        let mut path = exchange.path.clone();
        if let Some((_, ticket)) = ours.iter().find(|(index, _)| *index == at) {
            let (before, rest) = path.split_once("ticket=eyJ").unwrap();
            let after = rest.find('&').map(|end| &rest[end..]).unwrap_or_default();
            path = format!("{before}ticket={ticket}{after}");
        }
        if exchange.upgrade {
            let refused = Ws::connect(&server, &path, None).await.err().unwrap();
            assert_eq!(
                (refused.status, refused.body),
                (exchange.status, exchange.body.clone())
            );
            continue;
        }
        let response = get(&server, &path, exchange.did.as_deref()).await;
        if exchange.status == 200 {
            assert_headers(&response, exchange);
            assert_eq!(Sse::of(response).snapshot().await, exchange.events);
        } else {
            assert_answer(response, exchange).await;
        }
    }
}

#[tokio::test]
async fn handshakes_are_as_recorded_and_follow_the_tickets_query() {
    let recorded = exchanges("sse-16-ws-handshake-json.txt");
    let server = start(WsMode::Worker).await;
    let space = server.space("hsmwt6eo5b", ALICE).unwrap();
    server.bulk(bulk(&space, 1)).unwrap();
    let response = replay(&server, &recorded[0]).await;
    assert_headers(&response, &recorded[0]);
    let body = response.text().await.unwrap();
    assert_eq!(Json::parse(&body), Json::parse(&recorded[0].body));
    // A ticket minted without hydration, on a URL that hydrates.
    let ask = TicketFor {
        space_uri: Some(space),
        collection: "message".into(),
        did: ALICE.into(),
        ..TicketFor::default()
    };
    let ticket = server.ticket(ask).unwrap();
    let (before, _) = recorded[1].path.split_once("ticket=").unwrap();
    let response = get(&server, &format!("{before}ticket={ticket}"), None).await;
    let body = response.text().await.unwrap();
    assert_eq!(Json::parse(&body), Json::parse(&recorded[1].body));
}

#[tokio::test]
async fn an_idle_stream_carries_keepalive_comments() {
    let keepalive = Duration::from_millis(20);
    let server = Server::start(Options {
        keepalive,
        ..Options::default()
    })
    .await
    .unwrap();
    server.space("kamwt6eo6e", ALICE).unwrap();
    let recorded = &exchanges("sse-17-keepalive.txt")[0];
    let mut watch = open(&server, recorded).await;
    assert_eq!(watch.snapshot().await, recorded.events);
    for _ in 0..2 {
        assert_eq!(watch.block().await.unwrap().as_deref(), Some(": keepalive"));
    }
}
