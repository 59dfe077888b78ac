//! Watches of a community: who may, what they span, what is told and what is not.

use appview::{Community, Losses, Options, Put, Server, TicketFor, WsMode};
use serde_json::json;

use crate::common::*;

const COMMUNITY: &str = "did:plc:community";

/// Its first space is for bob and carol, its second for carol alone.
async fn community(options: Options) -> (Server, [String; 2]) {
    let server = start_with(options).await;
    let make = |space: &str, members: &[&str]| {
        let community = Community {
            did: COMMUNITY.into(),
            spaces: vec![space.into()],
            members: members.iter().map(ToString::to_string).collect(),
            admins: Vec::new(),
        };
        server.community(&community).unwrap().remove(0)
    };
    let spaces = [make("one", &[BOB, CAROL]), make("two", &[CAROL])];
    (server, spaces)
}

/// One that publishes what the documented set-up does not.
fn published(ws: WsMode) -> Options {
    let losses = Losses {
        community_events: false,
        ..Losses::default()
    };
    Options {
        ws,
        losses,
        ..Options::default()
    }
}

fn say(server: &Server, space: &str, did: &str, rkey: &str) {
    server
        .put(message(space, did, rkey, json!({ "text": rkey })))
        .unwrap();
}

#[tokio::test]
async fn a_watch_spans_the_spaces_that_the_caller_reaches_and_its_snapshot_what_is_public() {
    let (server, [one, two]) = community(published(WsMode::Off)).await;
    let public = Put {
        space_uri: None,
        event_at: Some(1_700_000_000_123_456),
        ..message("", COMMUNITY, "public", json!({}))
    };
    server.put(public.clone()).unwrap();
    for space in [&one, &two] {
        say(&server, space, COMMUNITY, "self");
        say(&server, space, CAROL, "other");
    }
    // Not in a space of somebody else's.
    let foreign = server.space("foreign", BOB).unwrap();
    say(&server, &foreign, COMMUNITY, "foreign");
    let path = actor_path(COMMUNITY, "&mode=ws");
    let seen = async |did| {
        let snapshot = get_json(&server, &path, Some(did)).await["snapshot"].clone();
        let record = |it: &serde_json::Value| (it["rkey"].clone(), it["space"].clone());
        let records = snapshot["records"].as_array().unwrap();
        records.iter().map(record).collect::<Vec<_>>()
    };
    // What is public sorts first, whenever it was: microseconds are greater than milliseconds.
    let public_one = (json!("public"), json!(null));
    let of = |space| (json!("self"), json!(space));
    assert_eq!(seen(BOB).await, [public_one.clone(), of(&one)]);
    assert_eq!(seen(CAROL).await, [public_one, of(&two), of(&one)]);
    let snapshot = get_json(&server, &path, Some(BOB)).await;
    let first = &snapshot["snapshot"]["records"][0];
    assert_eq!(first["time_us"], 1_700_000_000_123_456_i64);

    let mut watch = Sse::open(&server, &actor_path(COMMUNITY, ""), BOB).await;
    watch.snapshot().await;
    server.put(public).unwrap();
    say(&server, &two, COMMUNITY, "elsewhere");
    say(&server, &one, BOB, "mine");
    say(&server, &one, COMMUNITY, "told");
    assert_eq!(watch.next().await.1.at("record.rkey"), "told");
}

#[tokio::test]
async fn in_the_documented_set_up_only_snapshots_tell_what_a_community_does() {
    let (server, [one, _]) = community(Options::default()).await;
    say(&server, &one, COMMUNITY, "old");
    let space_path = watch_path("message", &one, "");
    let mut across = Sse::open(&server, &actor_path(COMMUNITY, ""), BOB).await;
    let mut within = Sse::open(&server, &space_path, BOB).await;
    assert_eq!(across.snapshot().await.len(), 3);
    within.snapshot().await;
    say(&server, &one, COMMUNITY, "new");
    server
        .delete(gone(&one, "message", COMMUNITY, "old"))
        .unwrap();
    say(&server, &one, CAROL, "carols");
    server.kick(&one, BOB).unwrap();
    // Neither its writes nor the kick; what others write is told as everywhere.
    assert_eq!(within.next().await.1.at("record.rkey"), "carols");
    within.is_silent().await;
    across.is_silent().await;
    let anew = get_json(&server, &actor_path(COMMUNITY, "&mode=ws"), Some(CAROL)).await;
    assert_eq!(rkeys(&anew), ["new"]);
    assert_eq!(get(&server, &space_path, Some(BOB)).await.status(), 403);
}

#[tokio::test]
async fn a_ticket_for_a_community_opens_what_its_holder_reaches_at_each_connect() {
    let (server, [one, two]) = community(Options::default()).await;
    say(&server, &one, COMMUNITY, "1");
    say(&server, &two, COMMUNITY, "2");
    let ask = TicketFor {
        actor: Some(COMMUNITY.into()),
        collection: "message".into(),
        did: CAROL.into(),
        ..TicketFor::default()
    };
    let ticket = server.ticket(ask).unwrap();
    assert_eq!(
        claims(&ticket)["topics"],
        json!([format!("space:{one}"), format!("space:{two}")])
    );
    let path = actor_path(COMMUNITY, &format!("&mode=ws&ticket={ticket}"));
    assert_eq!(rkeys(&get_json(&server, &path, None).await), ["2", "1"]);
    server.kick(&two, CAROL).unwrap();
    assert_eq!(rkeys(&get_json(&server, &path, None).await), ["1"]);
    server.kick(&one, CAROL).unwrap();
    let refused = get(&server, &path, None).await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn one_space_lost_ends_the_stream_and_names_it_alone() {
    for ws in [WsMode::Worker, WsMode::Do] {
        let (server, [one, _]) = community(published(ws)).await;
        let handshake = actor_path(COMMUNITY, "&mode=ws");
        let handshake = get_json(&server, &handshake, Some(CAROL)).await;
        // Ended in the worker even where spaces have objects: the snapshot is sent again.
        let mut socket = Ws::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await;
        let seen = socket.take(2).await;
        assert_eq!(seen[0].1.keys(), ["actor", "collection"]);
        say(&server, &one, COMMUNITY, "told");
        assert_eq!(socket.next().await.1.at("record.value.text"), "told");
        server.kick(&one, BOB).unwrap();
        server.kick(&one, CAROL).unwrap();
        let (kind, data) = socket.next().await;
        assert_eq!((kind.as_str(), data.at("space")), ("member.removed", &*one));
        assert_eq!(socket.close().await.0, 1005);
    }
}

#[tokio::test]
async fn live_children_come_only_from_the_community_itself() {
    let (server, [one, _]) = community(published(WsMode::Off)).await;
    say(&server, &one, COMMUNITY, "parent");
    let path = actor_path(COMMUNITY, "&hydrateReactions=5");
    let mut watch = Sse::open(&server, &path, BOB).await;
    watch.snapshot().await;
    let parent = format!("at://{COMMUNITY}/com.example.chat.message/parent");
    for did in [BOB, COMMUNITY] {
        let put = child(&one, "reaction", did, "r", json!({ "emoji": "x" }), &parent);
        server.put(put).unwrap();
    }
    let (kind, data) = watch.next().await;
    assert_eq!(
        (kind.as_str(), data.at("child.did")),
        ("hydration.added", COMMUNITY)
    );
}

#[tokio::test]
async fn no_watch_of_an_actor_is_anonymous_and_without_the_module_there_is_none() {
    let (server, [one, _]) = community(Options::default()).await;
    let token = server.invite(&one).unwrap();
    let path = actor_path(COMMUNITY, &format!("&inviteToken={token}"));
    assert_eq!(get(&server, &path, None).await.status(), 401);
    let server = start_with(Options {
        world: Some(server.world()),
        has_communities: false,
        ..Options::default()
    })
    .await;
    let refused = get(&server, &actor_path(COMMUNITY, ""), Some(BOB)).await;
    assert_eq!(refused.status(), 400);
    let body = r#"{"error":"NotSupported","reason":"community-module-disabled"}"#;
    assert_eq!(refused.text().await.unwrap(), body);
}

#[tokio::test]
async fn a_topic_ticket_for_a_community_names_the_spaces_that_the_caller_reaches() {
    let (server, [one, _]) = community(Options::default()).await;
    let ask = async |did: &str, topic: &str| {
        let url = format!("{}/xrpc/com.example.realtime.ticket", server.url());
        let asked = client()
            .post(url)
            .header("authorization", format!("Bearer {did}"));
        let asked = asked.body(json!({ "topic": topic }).to_string()).send();
        let answer = soon(asked).await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<serde_json::Value>().await.unwrap(),
        )
    };
    let topic = format!("community:{COMMUNITY}");
    let (status, answer) = ask(BOB, &topic).await;
    assert_eq!(
        (status, &answer["topics"]),
        (200, &json!([format!("space:{one}")]))
    );
    assert_eq!(ask(ALICE, &topic).await.0, 403);
    assert_eq!(ask(BOB, "weather:sunny").await.1["reason"], "unknown-topic");
}
