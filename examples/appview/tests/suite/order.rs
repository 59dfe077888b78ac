//! Order, pages and filters.

use std::collections::BTreeSet;

use appview::{Delete, Put, Server, WsMode};
use serde_json::{Value, json};

use crate::common::*;

async fn space() -> (Server, String) {
    let server = start(WsMode::Off).await;
    let space = server.space("order", ALICE).unwrap();
    (server, space)
}

fn put(server: &Server, space: &str, collection: &str, rkey: &str, record: Value) {
    let put = message(space, ALICE, rkey, record);
    let collection = collection.into();
    server.put(Put { collection, ..put }).unwrap();
}

async fn list(server: &Server, collection: &str, space: &str, more: &str) -> Value {
    let path = watch_path(collection, space, more).replace("watchRecords", "listRecords");
    get_json(server, &path, Some(ALICE)).await
}

#[tokio::test]
async fn puts_in_a_row_have_times_of_their_own_and_are_published_a_little_later() {
    let (server, space) = space().await;
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let rkeys: Vec<_> = (0..5).map(|n| n.to_string()).collect();
    for rkey in &rkeys {
        put(&server, &space, "message", rkey, json!({}));
    }
    let stored = list(&server, "message", &space, "").await;
    let stored: Vec<_> = stored["records"].as_array().unwrap().iter().rev().collect();
    let times: Vec<_> = stored
        .iter()
        .map(|it| it["time_us"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    for stored in times {
        let block = watch.block().await.unwrap().unwrap();
        let (_, data) = block.split_once("data: ").unwrap();
        let live: Value = serde_json::from_str(data).unwrap();
        let published = live["record"]["time_us"].as_i64().unwrap();
        assert_eq!(published % 1000, 0);
        assert!((stored + 1..stored + 1000).contains(&(published / 1000)));
    }
}

#[tokio::test]
async fn what_ties_at_the_edge_of_a_page_is_skipped() {
    let (server, space) = space().await;
    for n in 0..200 {
        let put = message(&space, ALICE, &format!("{:03}", 199 - n), json!({}));
        let concurrent = true;
        server.put(Put { concurrent, ..put }).unwrap();
    }
    let all = list(&server, "message", &space, "&limit=200").await;
    let times = all["records"].as_array().unwrap().iter();
    let times: Vec<_> = times.map(|it| it["time_us"].as_i64().unwrap()).collect();
    // The latest first, and of the same time the first written.
    let in_order = times.iter().map(|time| -time).zip(rkeys(&all));
    assert!(in_order.is_sorted_by(|a, b| (a.0, b.1) < (b.0, a.1)));
    let times: BTreeSet<_> = times.into_iter().collect();
    assert!(times.len() < 200, "some have the same time");
    let (mut seen, mut cursor) = (0, String::new());
    for _ in 0..=200 {
        let page = list(&server, "message", &space, &format!("&limit=1{cursor}")).await;
        seen += rkeys(&page).len();
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, times.len(), "one of each time");
}

#[tokio::test]
async fn a_full_last_page_has_a_cursor_and_the_next_is_empty() {
    let (server, space) = space().await;
    for rkey in ["1", "2"] {
        put(&server, &space, "message", rkey, json!({}));
    }
    let page = list(&server, "message", &space, "&limit=2").await;
    let more = format!("&limit=2&cursor={}", page["cursor"].as_str().unwrap());
    let next = list(&server, "message", &space, &more).await;
    assert_eq!(next, json!({ "records": [] }));
}

#[tokio::test]
async fn a_sort_is_a_field_or_a_count_and_anything_else_is_ignored() {
    let (server, space) = space().await;
    for (rkey, name, starts) in [("1", "b", "2026"), ("2", "a", "2028"), ("3", "b", "2027")] {
        put(
            &server,
            &space,
            "event",
            rkey,
            json!({ "name": name, "startsAt": starts }),
        );
    }
    put(&server, &space, "event", "4", json!({}));
    let event = "at://did:plc:alice/com.example.event/";
    for (rkey, of, status) in [
        ("x", "1", "com.example.rsvp#going"),
        ("y", "1", "maybe"),
        ("z", "3", "com.example.rsvp#going"),
    ] {
        let parent = format!("{event}{of}");
        let body = json!({ "status": status });
        server
            .put(child(&space, "rsvp", BOB, rkey, body, &parent))
            .unwrap();
    }
    let sorts = [
        ("", ["4", "3", "2", "1"]),
        // A missing field sorts as the least; equal ones by time, the latest first.
        ("&sort=name", ["4", "2", "3", "1"]),
        ("&sort=name&order=desc", ["3", "1", "2", "4"]),
        ("&sort=startsAt", ["2", "3", "1", "4"]),
        ("&sort=startsAt&order=asc", ["4", "1", "3", "2"]),
        ("&sort=rsvpsCount", ["1", "3", "4", "2"]),
        ("&sort=rsvpsGoingCount", ["3", "1", "4", "2"]),
        ("&sort=rsvpsCount&order=asc", ["4", "2", "3", "1"]),
        ("&order=asc", ["4", "3", "2", "1"]),
        ("&sort=rkey", ["4", "3", "2", "1"]),
        ("&sort=nothing&order=asc", ["4", "3", "2", "1"]),
    ];
    for (sort, order) in sorts {
        let all = list(&server, "event", &space, sort).await;
        assert_eq!(rkeys(&all), order, "{sort}");
        // Page by page the same; but what lacks the field is on no later page, as nothing compares with it.
        let first = list(&server, "event", &space, &format!("{sort}&limit=3")).await;
        let cursor = first["cursor"].as_str().unwrap();
        let more = format!("{sort}&limit=3&cursor={cursor}");
        let next = list(&server, "event", &space, &more).await;
        let is_lost = ["&sort=name&order=desc", "&sort=startsAt"].contains(&sort);
        let left = if is_lost { 3 } else { 4 };
        let pages = [rkeys(&first), rkeys(&next)].concat();
        assert_eq!(pages, order[..left], "{sort}");
    }
}

#[tokio::test]
async fn numbers_are_sorted_as_such_and_paged_as_text() {
    let (server, space) = space().await;
    for n in [10, 9, 8] {
        put(
            &server,
            &space,
            "message",
            &n.to_string(),
            json!({ "n": n }),
        );
    }
    for (sort, page, next) in [
        ("&sort=n", ["8", "9"], vec![]),
        ("&sort=n&order=desc", ["10", "9"], vec!["10", "9"]),
    ] {
        let more = format!("{sort}&limit=2");
        let first = list(&server, "message", &space, &more).await;
        assert_eq!(rkeys(&first), page);
        // Every number is less than any text.
        let more = format!("{more}&cursor={}", first["cursor"].as_str().unwrap());
        assert_eq!(rkeys(&list(&server, "message", &space, &more).await), next);
    }
}

#[tokio::test]
async fn a_cursor_of_another_sort_gives_the_first_page() {
    let (server, space) = space().await;
    for rkey in ["1", "2", "3"] {
        put(&server, &space, "message", rkey, json!({ "text": rkey }));
    }
    let page = list(&server, "message", &space, "&limit=1&sort=text").await;
    assert_eq!(rkeys(&page), ["1"]);
    let more = format!("&limit=1&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(rkeys(&list(&server, "message", &space, &more).await), ["3"]);
}

#[tokio::test]
async fn filters_compare_as_text_and_bind_the_snapshot_only() {
    let (server, space) = space().await;
    for (rkey, body) in [
        ("number", json!({ "n": 5 })),
        ("text", json!({ "n": "5" })),
        ("none", json!({})),
    ] {
        put(&server, &space, "message", rkey, body);
    }
    let bobs = message(&space, BOB, "bobs", json!({ "n": "5" }));
    server.put(bobs).unwrap();
    let filters = [
        ("&n=5", vec!["bobs", "text"]),
        ("&n=5&did=did:plc:bob", vec!["bobs"]),
        ("&actor=did:plc:bob", vec!["bobs"]),
        ("&n=", vec!["bobs", "none", "text", "number"]),
        ("&search=nothing", vec!["bobs", "none", "text", "number"]),
        ("&unknown=x", vec!["bobs", "none", "text", "number"]),
    ];
    for (filter, kept) in filters {
        assert_eq!(
            rkeys(&list(&server, "message", &space, filter).await),
            kept,
            "{filter}"
        );
    }
    let path = watch_path("message", &space, "&n=5&did=did:plc:bob");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    assert_eq!(watch.snapshot().await.len(), 3);
    put(&server, &space, "message", "alices", json!({}));
    assert_eq!(watch.next().await.1.at("record.rkey"), "alices");
}

#[tokio::test]
async fn ranges_and_counts_are_filtered_by_their_bounds() {
    let (server, space) = space().await;
    for (rkey, starts) in [("1", "2026"), ("2", "2027"), ("3", "2028")] {
        put(
            &server,
            &space,
            "event",
            rkey,
            json!({ "startsAt": starts }),
        );
    }
    let parent = "at://did:plc:alice/com.example.event/2";
    server
        .put(child(&space, "rsvp", BOB, "r", json!({}), parent))
        .unwrap();
    let filters = [
        ("&startsAtMin=2027", vec!["3", "2"]),
        ("&startsAtMin=2026b&startsAtMax=2027", vec!["2"]),
        ("&startsAt=2027", vec!["3", "2", "1"]),
        ("&rsvpsCountMin=1", vec!["2"]),
        ("&rsvpsGoingCountMin=1", vec![]),
    ];
    for (filter, kept) in filters {
        assert_eq!(
            rkeys(&list(&server, "event", &space, filter).await),
            kept,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_field_called_mode_is_filtered_by_the_handshakes_own_parameter() {
    let (server, space) = space().await;
    for (rkey, mode) in [("1", "online"), ("2", "ws")] {
        put(&server, &space, "event", rkey, json!({ "mode": mode }));
    }
    let path = watch_path("event", &space, "");
    let stream = Sse::open(&server, &path, ALICE).await.snapshot().await;
    assert_eq!(stream.len(), 4);
    let handshake = get_json(&server, &format!("{path}&mode=ws"), Some(ALICE)).await;
    assert_eq!(rkeys(&handshake), ["2"]);
}

#[tokio::test]
async fn a_list_without_a_space_is_of_what_is_public_and_of_the_callers_spaces() {
    let (server, space) = space().await;
    put(&server, &space, "message", "in-a-space", json!({}));
    let public = |did: &str, rkey: &str| {
        let put = message("", did, rkey, json!({}));
        let space_uri = None;
        server.put(Put { space_uri, ..put }).unwrap();
    };
    public(BOB, "bob");
    public(ALICE, "alice");
    let path = "/xrpc/com.example.message.listRecords";
    let of = |query: &str| format!("{path}{query}");
    let lists = [
        ("", None, vec!["alice", "bob"]),
        ("?actor=did:plc:bob", None, vec!["bob"]),
        ("?actor=did:plc:alice", None, vec!["alice"]),
        (
            "?actor=did:plc:alice",
            Some(ALICE),
            vec!["alice", "in-a-space"],
        ),
        ("?actor=did:plc:alice", Some(BOB), vec!["alice"]),
        ("?did=did:plc:bob&ticket=any", None, vec!["bob"]),
    ];
    for (query, did, listed) in lists {
        let list = get_json(&server, &of(query), did).await;
        assert_eq!(rkeys(&list), listed, "{query} as {did:?}");
    }
    let list = get_json(&server, &of("?did=did:plc:bob"), None).await;
    let time = list["records"][0]["time_us"].as_i64().unwrap();
    assert!(time > 1_000_000_000_000_000, "microseconds");
    let bad = get(&server, path, Some("no-jwt")).await;
    assert_eq!(bad.status(), 401);
    assert_eq!(
        bad.text().await.unwrap(),
        r#"{"error":"AuthRequired","message":"invalid service-auth JWT"}"#
    );
    let unknown = get(&server, &of("?actor=nobody"), None).await;
    assert_eq!(
        unknown.text().await.unwrap(),
        r#"{"error":"Could not resolve actor"}"#
    );
    let watch = get(&server, "/xrpc/com.example.message.watchRecords", None).await;
    assert_eq!(watch.status(), 400);
}

#[tokio::test]
async fn an_invite_token_opens_a_watch_and_a_list_whichever_way_it_comes() {
    let (server, _) = space().await;
    let open = server.open_space("open", ALICE).unwrap();
    put(&server, &open.uri, "message", "1", json!({}));
    let path = |method: &str| format!("/xrpc/com.example.message.{method}?{}", open.query);
    assert_eq!(
        rkeys(&get_json(&server, &path("listRecords"), None).await),
        ["1"]
    );
    let response = get(&server, &path("watchRecords"), None).await;
    let mut watch = Sse::of(response);
    assert_eq!(watch.snapshot().await.len(), 3);
    let delete = Delete {
        space_uri: Some(open.uri.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        rkey: "1".into(),
        silent: false,
    };
    server.delete(delete).unwrap();
    assert_eq!(watch.next().await.0, "record.deleted");
    let (_, token) = open.query.split_once("&inviteToken=").unwrap();
    let bearer = format!("atmo-invite:{token}");
    let in_header = get(
        &server,
        &watch_path("message", &open.uri, ""),
        Some(&bearer),
    )
    .await;
    assert_eq!(in_header.status(), 200);
    let bad = get(
        &server,
        &watch_path("message", &open.uri, "&inviteToken=bad"),
        Some(ALICE),
    )
    .await;
    assert_eq!(bad.status(), 403, "a bad token is final");
}
