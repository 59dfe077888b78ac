//! Watches across spaces, grouped relations, relations by did.

use appview::{Delete, Put, Server, WsMode};
use serde_json::json;

use crate::common::*;

fn put(
    server: &Server,
    space: &str,
    collection: &str,
    did: &str,
    rkey: &str,
    record: serde_json::Value,
) {
    let put = message(space, did, rkey, record);
    server
        .put(Put {
            collection: collection.into(),
            ..put
        })
        .unwrap();
}

#[tokio::test]
async fn an_actors_watch_spans_spaces_and_public_records() {
    let server = start(WsMode::Worker).await;
    let one = server.space("one", ALICE).unwrap();
    let two = server.space("two", ALICE).unwrap();
    for space in [&one, &two] {
        put(
            &server,
            space,
            "message",
            BOB,
            "self",
            json!({ "text": "in a space" }),
        );
        put(
            &server,
            space,
            "message",
            ALICE,
            "self",
            json!({ "text": "not bob's" }),
        );
    }
    let public = Put {
        space_uri: None,
        ..message("", BOB, "self", json!({ "text": "public" }))
    };
    server.put(public.clone()).unwrap();
    let path = "/xrpc/com.example.message.watchRecords?actor=did:plc:bob";
    let mut watch = Sse::of(get(&server, path, None).await);
    let seen = watch.snapshot().await;
    assert_eq!(seen[0].1.at("actor"), BOB);
    assert_eq!(seen.len(), 5);
    let mut spaces = 0;
    for (_, data) in &seen[1..4] {
        assert_eq!(
            data.at("record.uri"),
            "at://did:plc:bob/com.example.chat.message/self"
        );
        assert_eq!(data.at("record.time_us"), "<microseconds>");
        spaces += usize::from(data.get("record").unwrap().get("space").is_some());
    }
    assert_eq!(spaces, 2, "the public record names no space");
    put(
        &server,
        &two,
        "message",
        ALICE,
        "self",
        json!({ "text": "still not bob's" }),
    );
    put(
        &server,
        &two,
        "message",
        BOB,
        "self",
        json!({ "text": "edited" }),
    );
    server.put(public).unwrap();
    let delete = Delete {
        space_uri: Some(one),
        collection: "message".into(),
        did: BOB.into(),
        rkey: "self".into(),
        silent: false,
    };
    server.delete(delete).unwrap();
    let live = watch.take(3).await;
    assert_eq!(live[0].1.at("record.space"), two);
    assert!(live[1].1.get("record").unwrap().get("space").is_none());
    assert_eq!(live[2].0, "record.deleted");
    assert_eq!(live[2].1.keys(), ["uri", "did", "rkey"]);
}

#[tokio::test]
async fn a_grouped_relation_is_an_object_and_limits_each_group() {
    let server = start(WsMode::Worker).await;
    let space = server.space("party", ALICE).unwrap();
    put(
        &server,
        &space,
        "event",
        ALICE,
        "party",
        json!({ "name": "party" }),
    );
    put(
        &server,
        &space,
        "event",
        ALICE,
        "lonely",
        json!({ "name": "lonely" }),
    );
    let subject = json!({ "uri": "at://did:plc:alice/com.example.event/party" });
    let rsvp = |did: &str, rkey: &str, status: &str| {
        let record = json!({ "status": status, "subject": subject });
        put(&server, &space, "rsvp", did, rkey, record);
    };
    rsvp(ALICE, "1", "going");
    rsvp(BOB, "2", "going");
    rsvp(CAROL, "3", "interested");
    let path = watch_path("event", &space, "&hydrateRsvps=1&sort=rkey");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    let snapshot = watch.snapshot().await;
    let party = snapshot[1].1.get("record").unwrap();
    assert_eq!(party.at("rsvpsCount"), "3");
    let rsvps = party.get("rsvps").unwrap();
    assert_eq!(rsvps.keys(), ["going", "interested"]);
    assert!(matches!(rsvps.get("going"), Some(Json::Array(going)) if going.len() == 1));
    let child = [
        "uri",
        "value",
        "did",
        "collection",
        "rkey",
        "time_us",
        "space",
    ];
    assert_eq!(
        match rsvps.get("interested") {
            Some(Json::Array(interested)) => interested[0].keys(),
            other => panic!("{other:?}"),
        },
        child
    );
    let lonely = snapshot[2].1.get("record").unwrap();
    assert!(lonely.get("rsvps").is_none() && lonely.get("rsvpsCount").is_none());
    rsvp(BOB, "2", "interested");
    let (name, data) = watch.next().await;
    assert_eq!(
        (name.as_str(), data.at("relation")),
        ("hydration.added", "rsvps")
    );
    assert_eq!(data.keys(), ["parentUri", "relation", "child"]);
}

#[tokio::test]
async fn a_relation_by_did_names_every_record_of_the_author_on_addition() {
    let server = start(WsMode::Worker).await;
    let space = server.space("badges", ALICE).unwrap();
    let badge = |rkey: &str, did: &str| {
        let record = json!({ "name": "host", "subject": { "did": did } });
        put(&server, &space, "badge", CAROL, rkey, record);
    };
    put(&server, &space, "event", ALICE, "1", json!({}));
    put(&server, &space, "event", ALICE, "2", json!({}));
    badge("first", ALICE);
    let path = watch_path("event", &space, "&hydrateBadges=5&sort=rkey&order=asc");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    let snapshot = watch.snapshot().await;
    for (_, data) in &snapshot[1..3] {
        assert_eq!(data.at("record.badgesCount"), "1");
        assert_eq!(data.at("record.badges.0.rkey"), "first");
    }
    badge("unseen", BOB);
    badge("second", ALICE);
    let (name, data) = watch.next().await;
    assert_eq!(name, "hydration.added");
    assert_eq!(
        data.at("parentUri"),
        "at://did:plc:alice/com.example.event/_"
    );
    assert_eq!(data.at("child.rkey"), "second");
}
