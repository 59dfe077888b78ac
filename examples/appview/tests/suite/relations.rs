//! Children and references: limits in snapshots, and slips in what is told of them live.

use appview::{Community, Losses, Options, Put, Server, TicketFor, WsMode};
use serde_json::{Value, json};

use crate::common::*;

const PARTY: &str = "at://did:plc:alice/com.example.event/party";

async fn space(ws: WsMode) -> (Server, String) {
    let server = start(ws).await;
    let space = server.space("party", ALICE).unwrap();
    (server, space)
}

fn put(server: &Server, space: &str, collection: &str, did: &str, rkey: &str, record: Value) {
    let put = message(space, did, rkey, record);
    let collection = collection.into();
    server.put(Put { collection, ..put }).unwrap();
}

fn rsvp(server: &Server, space: &str, did: &str, rkey: &str, body: Value) {
    server
        .put(child(space, "rsvp", did, rkey, body, PARTY))
        .unwrap();
}

/// The records of a snapshot.
async fn records(server: &Server, path: &str) -> Vec<Json> {
    let events = Sse::open(server, path, ALICE).await.snapshot().await;
    let records = events.iter().filter_map(|(_, data)| data.get("record"));
    records.cloned().collect()
}

fn array(json: Option<&Json>) -> &[Json] {
    match json {
        Some(Json::Array(items)) => items,
        other => panic!("no array: {other:?}"),
    }
}

#[tokio::test]
async fn a_grouped_relation_limits_each_group_and_counts_those_that_are_configured() {
    let (server, space) = space(WsMode::Off).await;
    put(&server, &space, "event", ALICE, "lonely", json!({}));
    put(&server, &space, "event", ALICE, "party", json!({}));
    let going = json!({ "status": "com.example.rsvp#going" });
    rsvp(&server, &space, ALICE, "1", going.clone());
    rsvp(&server, &space, BOB, "2", going);
    rsvp(&server, &space, CAROL, "3", json!({ "status": "perhaps" }));
    rsvp(&server, &space, CAROL, "4", json!({}));
    let path = watch_path("event", &space, "&hydrateRsvps=1");
    let records = records(&server, &path).await;
    let party = &records[0];
    let counts = ["rsvpsCount", "rsvpsGoingCount"].map(|name| party.at(name));
    assert_eq!(counts, ["4", "2"]);
    assert!(
        party.get("rsvpsInterestedCount").is_none(),
        "zero is absent"
    );
    let rsvps = party.get("rsvps").unwrap();
    // In the order in which the newest of each came.
    assert_eq!(rsvps.keys(), ["other", "perhaps", "com.example.rsvp#going"]);
    let going = array(rsvps.get("com.example.rsvp#going"));
    assert_eq!((going.len(), going[0].at("rkey")), (1, "2"));
    let keys = [
        "uri",
        "value",
        "did",
        "collection",
        "rkey",
        "time_us",
        "space",
    ];
    assert_eq!(going[0].keys(), keys, "no cid");
    let lonely = &records[1];
    assert!(lonely.get("rsvps").is_none() && lonely.get("rsvpsCount").is_none());
}

#[tokio::test]
async fn a_parent_that_comes_after_its_children_has_them_but_no_count() {
    let (server, space) = space(WsMode::Off).await;
    rsvp(&server, &space, BOB, "1", json!({}));
    put(&server, &space, "event", ALICE, "party", json!({}));
    let path = watch_path("event", &space, "&hydrateRsvps=5");
    let seen = &records(&server, &path).await[0];
    assert!(seen.get("rsvps").is_some() && seen.get("rsvpsCount").is_none());
    rsvp(&server, &space, BOB, "2", json!({}));
    assert_eq!(records(&server, &path).await[0].at("rsvpsCount"), "2");
    // An edit keeps it, a deletion of the parent does not.
    put(
        &server,
        &space,
        "event",
        ALICE,
        "party",
        json!({ "name": "new" }),
    );
    let unhydrated = watch_path("event", &space, "");
    assert_eq!(records(&server, &unhydrated).await[0].at("rsvpsCount"), "2");
    server
        .delete(gone(&space, "event", ALICE, "party"))
        .unwrap();
    put(&server, &space, "event", ALICE, "party", json!({}));
    assert!(records(&server, &path).await[0].get("rsvpsCount").is_none());
}

#[tokio::test]
async fn at_most_fifty_children_and_a_busy_parent_starves_the_others() {
    let (server, space) = space(WsMode::Off).await;
    let uri = |rkey: &str| format!("at://did:plc:alice/com.example.chat.message/{rkey}");
    let react = |rkey: &str, parent: &str| {
        let put = child(&space, "reaction", BOB, rkey, json!({}), &uri(parent));
        // The first one is later than what was before.
        let concurrent = !["q", "000"].contains(&rkey);
        server.put(Put { concurrent, ..put }).unwrap();
    };
    for rkey in ["busy", "quiet"] {
        put(&server, &space, "message", ALICE, rkey, json!({}));
    }
    react("q", "quiet");
    for n in 0..120 {
        react(&format!("{n:03}"), "busy");
    }
    let path = |n: usize| watch_path("message", &space, &format!("&hydrateReactions={n}"));
    let many = records(&server, &path(999)).await;
    assert_eq!(array(many[1].get("reactions")).len(), 50);
    assert_eq!(many[1].at("reactionsCount"), "120");
    // Two parents at 50 each are 100 rows, and the busy one has taken them all.
    assert!(many[0].get("reactions").is_none());
    assert_eq!(many[0].at("reactionsCount"), "1");
}

#[tokio::test]
async fn the_same_uri_in_two_spaces_gets_the_children_of_both() {
    let server = start(WsMode::Off).await;
    let community = Community {
        did: CAROL.into(),
        spaces: vec!["one".into(), "two".into()],
        members: vec![ALICE.into()],
        admins: Vec::new(),
    };
    let spaces = server.community(&community).unwrap();
    let parent = "at://did:plc:carol/com.example.chat.message/self";
    for (space, rkey) in spaces.iter().zip(["r1", "r2"]) {
        put(&server, space, "message", CAROL, "self", json!({}));
        server
            .put(child(space, "reaction", BOB, rkey, json!({}), parent))
            .unwrap();
    }
    let seen = records(&server, &actor_path(CAROL, "&hydrateReactions=5")).await;
    assert_eq!(seen.len(), 2);
    for record in seen {
        assert_eq!(array(record.get("reactions")).len(), 2);
        assert_eq!(record.at("reactionsCount"), "1");
    }
}

#[tokio::test]
async fn a_removal_is_looked_up_by_rkey_alone_and_may_name_another_relation() {
    let (server, space) = space(WsMode::Off).await;
    put(&server, &space, "event", ALICE, "party", json!({}));
    let path = watch_path("event", &space, "&hydrateRsvps=5&hydrateBadges=5");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    put(
        &server,
        &space,
        "badge",
        BOB,
        "self",
        json!({ "subject": ALICE }),
    );
    rsvp(&server, &space, CAROL, "self", json!({}));
    watch.take(2).await;
    server.delete(gone(&space, "badge", BOB, "self")).unwrap();
    server.delete(gone(&space, "rsvp", CAROL, "self")).unwrap();
    let (kind, data) = watch.next().await;
    assert_eq!(kind, "hydration.removed");
    let told = ["parentUri", "relation", "childRkey", "childDid"].map(|key| data.at(key));
    assert_eq!(told, [PARTY, "rsvps", "self", BOB]);
    watch.is_silent().await;
}

#[tokio::test]
async fn of_two_relations_on_one_collection_only_the_last_is_told_live() {
    let (server, space) = space(WsMode::Off).await;
    put(&server, &space, "poll", ALICE, "p", json!({}));
    let poll = "at://did:plc:alice/com.example.poll/p";
    let vote = |rkey: &str| {
        let body = json!({ "choice": "yes" });
        server
            .put(child(&space, "vote", BOB, rkey, body, poll))
            .unwrap();
    };
    vote("1");
    let path = watch_path("poll", &space, "&hydrateVotes=5&hydrateBallots=5");
    let mut both = Sse::open(&server, &path, ALICE).await;
    let snapshot = both.snapshot().await;
    let record = snapshot[1].1.get("record").unwrap();
    assert_eq!(
        record.keys()[8..],
        ["ballotsCount", "votesYesCount", "votes", "ballots"]
    );
    let path = watch_path("poll", &space, "&hydrateVotes=5");
    let mut first = Sse::open(&server, &path, ALICE).await;
    first.snapshot().await;
    vote("2");
    assert_eq!(both.next().await.1.at("relation"), "ballots");
    both.is_silent().await;
    first.is_silent().await;
}

#[tokio::test]
async fn a_new_record_of_an_author_with_matched_children_comes_without_them() {
    let (server, space) = space(WsMode::Off).await;
    put(&server, &space, "event", ALICE, "1", json!({}));
    put(
        &server,
        &space,
        "badge",
        BOB,
        "b",
        json!({ "subject": ALICE }),
    );
    let path = watch_path("event", &space, "&hydrateBadges=5");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    put(&server, &space, "event", ALICE, "2", json!({}));
    let (_, data) = watch.next().await;
    assert!(data.get("record").unwrap().get("badges").is_none());
    // Of an author who has no record in the watch nobody is told.
    put(
        &server,
        &space,
        "badge",
        BOB,
        "c",
        json!({ "subject": CAROL }),
    );
    watch.is_silent().await;
    for record in records(&server, &path).await {
        assert_eq!(array(record.get("badges")).len(), 1);
    }
}

#[tokio::test]
async fn the_ticket_rules_what_an_object_follows_and_the_url_everything_else() {
    let (server, space) = space(WsMode::Do).await;
    put(&server, &space, "message", ALICE, "old", json!({}));
    let ticket = |hydrate: &[&str]| {
        let ask = TicketFor {
            space_uri: Some(space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            hydrate: hydrate.iter().map(ToString::to_string).collect(),
            ..TicketFor::default()
        };
        server.ticket(ask).unwrap()
    };
    let path = |hydrate: &str, ticket: &str| {
        watch_path("message", &space, &format!("{hydrate}&ticket={ticket}"))
    };
    let (bare, rich) = (ticket(&[]), ticket(&["reactions"]));
    let url = "&hydrateReactions=5";
    let mut stream = Sse::of(get(&server, &path(url, &bare), None).await);
    stream.snapshot().await;
    // However often it rolls, the ticket stays as it was minted.
    let rolled = get_json(&server, &path(&format!("{url}&mode=ws"), &bare), None).await;
    let mut poor = Ws::open(&server, rolled["wsUrl"].as_str().unwrap(), None).await;
    let mut told = Ws::open(&server, &path("", &rich), None).await;
    let react = |rkey: &str, parent: &str| {
        let parent = format!("at://did:plc:alice/com.example.chat.message/{parent}");
        let put = child(&space, "reaction", BOB, rkey, json!({}), &parent);
        server.put(put).unwrap();
    };
    react("r0", "old");
    put(&server, &space, "message", ALICE, "new", json!({}));
    // A child of another collection is no reaction, whatever it names.
    let new = "at://did:plc:alice/com.example.chat.message/new";
    server
        .put(child(&space, "rsvp", BOB, "r", json!({}), new))
        .unwrap();
    react("r1", "new");
    let kinds = |events: Vec<Event>| events.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    let [created, added] = ["record.created", "hydration.added"];
    assert_eq!(kinds(stream.take(3).await), [added, created, added]);
    // An object knows only parents that came live.
    let seen = told.take(2).await;
    assert_eq!(seen[1].1.at("child.rkey"), "r1");
    assert_eq!(kinds(seen), [created, added]);
    assert_eq!(kinds(poor.take(1).await), [created]);
    poor.is_silent().await;
}

#[tokio::test]
async fn relations_by_did_never_work_over_an_object() {
    let (server, space) = space(WsMode::Do).await;
    let path = watch_path("event", &space, "&hydrateBadges=5&hydrateRsvps=5&mode=ws");
    let handshake = get_json(&server, &path, Some(ALICE)).await;
    let mut socket = Ws::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await;
    put(&server, &space, "event", ALICE, "party", json!({}));
    put(
        &server,
        &space,
        "badge",
        BOB,
        "b",
        json!({ "subject": ALICE }),
    );
    rsvp(&server, &space, BOB, "r", json!({}));
    let seen = socket.take(2).await;
    assert_eq!(seen[1].1.at("relation"), "rsvps");
    server.delete(gone(&space, "badge", BOB, "b")).unwrap();
    server.delete(gone(&space, "badge", BOB, "r")).unwrap();
    server.delete(gone(&space, "rsvp", BOB, "r")).unwrap();
    let (kind, data) = socket.next().await;
    assert_eq!(
        (kind.as_str(), data.at("relation")),
        ("hydration.removed", "rsvps")
    );
}

#[tokio::test]
async fn public_children_are_counted_by_whom_they_name() {
    let server = start_with(Options {
        losses: Losses::default(),
        ..Options::default()
    })
    .await;
    let public = |collection: &str, did: &str, rkey: &str, record: Value| {
        let put = message("", did, rkey, record);
        server
            .put(Put {
                space_uri: None,
                collection: collection.into(),
                ..put
            })
            .unwrap();
    };
    public("event", ALICE, "1", json!({}));
    public("badge", BOB, "b", json!({ "subject": ALICE }));
    let path = "/xrpc/com.example.event.listRecords?hydrateBadges=5";
    let list = get_json(&server, path, None).await;
    assert_eq!(list["records"][0]["badgesCount"], 1);
    assert_eq!(list["records"][0]["badges"][0]["rkey"], "b");
}
