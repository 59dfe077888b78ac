//! What the real server does not do: refused unless it is asked for by name.

use appview::{Lenient, Options, Put, Server, TicketFor, WsMode};
use serde_json::{Value, json};

use crate::common::*;

async fn lenient(lenient: Lenient) -> (Server, String) {
    let options = Options {
        lenient,
        ..Options::default()
    };
    let server = start_with(options).await;
    let space = server.space("kind", ALICE).unwrap();
    (server, space)
}

async fn list(server: &Server, space: &str) -> Value {
    let path = watch_path("message", space, "").replace("watchRecords", "listRecords");
    get_json(server, &path, Some(ALICE)).await
}

#[tokio::test]
async fn public_actor_watch_spans_every_space_and_asks_nobody() {
    let allowed = Lenient {
        public_actor_watch: true,
        ..Lenient::default()
    };
    let (server, one) = lenient(allowed).await;
    let two = server.space("two", ALICE).unwrap();
    for space in [&one, &two] {
        for did in [BOB, ALICE] {
            server.put(message(space, did, "self", json!({}))).unwrap();
        }
    }
    let public = Put {
        space_uri: None,
        ..message("", BOB, "self", json!({ "text": "public" }))
    };
    server.put(public.clone()).unwrap();
    let path = actor_path(BOB, "");
    let mut watch = Sse::of(get(&server, &path, None).await);
    let seen = watch.snapshot().await;
    assert_eq!((seen[0].1.at("actor"), seen.len()), (BOB, 5));
    for (_, data) in &seen[1..4] {
        assert_eq!(data.at("record.time_us"), "<microseconds>");
    }
    let list = path.replace("watchRecords", "listRecords");
    assert_eq!(rkeys(&get_json(&server, &list, None).await), ["self"; 3]);
    server.put(message(&two, ALICE, "self", json!({}))).unwrap();
    server.put(message(&two, BOB, "self", json!({}))).unwrap();
    server.put(public).unwrap();
    server.delete(gone(&one, "message", BOB, "self")).unwrap();
    let live = watch.take(3).await;
    assert_eq!(live[0].1.at("record.space"), two);
    assert!(live[1].1.get("record").unwrap().get("space").is_none());
    assert_eq!(live[2].1.keys(), ["uri", "did", "rkey"]);
    let handshake = get_json(&server, &format!("{path}&mode=ws"), None).await;
    assert!(handshake.get("ticket").is_none());
    Ws::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await;

    server.set_lenient(Lenient::default());
    assert_eq!(get(&server, &path, None).await.status(), 400);
    assert_eq!(rkeys(&get_json(&server, &list, None).await), ["self"]);
}

#[tokio::test]
async fn created_at_sets_the_stored_time_only_where_it_is_allowed() {
    let (server, space) = lenient(Lenient::default()).await;
    let put = |ms: i64| Put {
        created_at: Some(ms),
        ..message(&space, ALICE, "1", json!({}))
    };
    let refused = server.put(put(1_700_000_000_000)).unwrap_err();
    assert!(refused.to_string().contains("created-at"), "{refused}");
    let mut allowed = Lenient::default();
    allowed.allow("created-at").unwrap();
    server.set_lenient(allowed);
    server.put(put(1_700_000_000_000)).unwrap();
    let list = list(&server, &space).await;
    assert_eq!(list["records"][0]["time_us"], 1_700_000_000_000_i64);
    let public = Put {
        space_uri: None,
        ..put(1_700_000_000_001)
    };
    server.put(public).unwrap();
    let public = get_json(&server, "/xrpc/com.example.message.listRecords", None).await;
    assert_eq!(public["records"][0]["time_us"], 1_700_000_000_001_000_i64);
    let event = Put {
        event_at: Some(1),
        ..message(&space, ALICE, "1", json!({}))
    };
    assert!(server.put(event).is_err(), "no event made it");
}

#[tokio::test]
async fn an_edit_stays_in_its_place_only_where_it_is_allowed() {
    for (edits_stay, order) in [(false, ["1", "2"]), (true, ["2", "1"])] {
        let allowed = Lenient {
            edits_stay,
            ..Lenient::default()
        };
        let (server, space) = lenient(allowed).await;
        for (rkey, text) in [("1", "first"), ("2", "x"), ("1", "second")] {
            let put = message(&space, ALICE, rkey, json!({ "text": text }));
            server.put(put).unwrap();
        }
        let list = list(&server, &space).await;
        assert_eq!(rkeys(&list), order);
    }
}

#[tokio::test]
async fn a_ticket_lists_only_where_it_is_allowed() {
    for (tickets_list, status) in [(false, 401), (true, 200)] {
        let allowed = Lenient {
            tickets_list,
            ..Lenient::default()
        };
        let (server, space) = lenient(allowed).await;
        let ask = TicketFor {
            space_uri: Some(space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            ..TicketFor::default()
        };
        let ticket = server.ticket(ask).unwrap();
        let path = watch_path("message", &space, &format!("&ticket={ticket}"));
        let path = path.replace("watchRecords", "listRecords");
        assert_eq!(get(&server, &path, None).await.status(), status);
    }
}

#[tokio::test]
async fn leniencies_are_switched_by_a_control_call_and_by_no_other_name() {
    let server = start(WsMode::Off).await;
    let call = async |body: Value| {
        let url = format!("{}/control/lenient", server.url());
        let answer = client()
            .post(url)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (status, now) = call(json!({ "createdAt": true })).await;
    assert_eq!(
        (status, &now["createdAt"], &now["editsStay"]),
        (200, &json!(true), &json!(false))
    );
    assert_eq!(call(json!({ "everything": true })).await.0, 400);
    let mut none = Lenient::default();
    assert!(none.allow("everything").is_err());
    assert_eq!(none, Lenient::default());
}
