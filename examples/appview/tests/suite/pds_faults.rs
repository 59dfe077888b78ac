//! Writes that go wrong: refused, late, lost after they were carried out, or carried out twice.

use std::time::Instant;

use appview::{AcceptThen, Fault, Lenient, On, Server, WsMode};
use serde_json::{Value, json};

use crate::common::*;
use crate::pds::{text, try_post, write};

const PUT: &str = "com.atproto.repo.putRecord";
const CREATE: &str = "com.atproto.repo.createRecord";
const DELETE: &str = "com.atproto.repo.deleteRecord";
const SPACE_PUT: &str = "com.example.space.putRecord";

/// A fault of the next write.
fn next_write(fault: Fault) -> Fault {
    Fault {
        on: Some(On::Write),
        times: Some(1),
        ..fault
    }
}

async fn put(server: &Server, rkey: &str) -> Result<reqwest::Response, reqwest::Error> {
    let bearer = format!("Bearer {}", server.pds_session(ALICE).unwrap());
    let headers = [("authorization", bearer.as_str())];
    try_post(server, PUT, &headers, text(rkey, "a").to_string()).await
}

async fn listed(server: &Server) -> usize {
    let path = "/xrpc/com.example.message.listRecords?actor=did:plc:alice";
    let list = get_json(server, path, None).await;
    list["records"].as_array().unwrap().len()
}

fn applied(server: &Server) -> Vec<bool> {
    server.pds_log().iter().map(|it| it.applied).collect()
}

#[tokio::test]
async fn a_write_that_is_refused_or_cut_at_once_is_not_carried_out() {
    let server = start(WsMode::Off).await;
    let busy = Fault {
        status: Some(503),
        body: Some("{\"error\":\"Busy\"}".into()),
        headers: [("retry-after".to_owned(), "1".to_owned())].into(),
        ..Fault::default()
    };
    server.fault(next_write(busy)).unwrap();
    let refused = put(&server, "1").await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let cut = Fault {
        close_on_accept: true,
        ..Fault::default()
    };
    server.fault(next_write(cut)).unwrap();
    assert!(put(&server, "1").await.is_err());
    let stalled = Fault {
        stall_before_headers: true,
        ..Fault::default()
    };
    server.fault(next_write(stalled)).unwrap();
    never(put(&server, "1")).await;
    assert_eq!(applied(&server), [false, false, false]);
    assert_eq!(listed(&server).await, 0);
    assert_eq!(put(&server, "1").await.unwrap().status(), 200);
    assert_eq!(listed(&server).await, 1);
}

#[tokio::test]
async fn faults_of_writes_strike_spaces_too_and_nothing_else() {
    let server = start(WsMode::Off).await;
    let space = server.space("s", ALICE).unwrap();
    let fault = Fault {
        on: Some(On::Write),
        status: Some(502),
        ..Fault::default()
    };
    server.fault(fault).unwrap();
    let body = json!({ "spaceUri": space, "collection": "com.example.chat.message", "record": {} });
    let bearer = format!("Bearer {ALICE}");
    let headers = [("authorization", bearer.as_str())];
    let written = try_post(&server, SPACE_PUT, &headers, body.to_string()).await;
    assert_eq!(written.unwrap().status(), 502);
    assert_eq!(listed(&server).await, 0, "a list is answered");
    let every_watch = Fault {
        status: Some(500),
        ..Fault::default()
    };
    server.fault(Fault::default()).unwrap();
    server.fault(every_watch).unwrap();
    assert_eq!(put(&server, "1").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_write_is_carried_out_though_nobody_hears_of_it() {
    let server = start(WsMode::Off).await;
    let then = |accept_then, status| {
        next_write(Fault {
            accept_then: Some(accept_then),
            status,
            ..Fault::default()
        })
    };
    server.fault(then(AcceptThen::Close, None)).unwrap();
    let error = put(&server, "1").await.err().unwrap();
    assert!(error.status().is_none());
    server.fault(then(AcceptThen::Stall, None)).unwrap();
    never(put(&server, "2")).await;
    server.fault(then(AcceptThen::Status, Some(502))).unwrap();
    assert_eq!(put(&server, "3").await.unwrap().status(), 502);
    assert_eq!(applied(&server), [true, true, true]);
    assert_eq!(listed(&server).await, 3);
    let again: Value = put(&server, "1").await.unwrap().json().await.unwrap();
    assert_eq!(again.get("commit"), None, "there already");
}

#[tokio::test]
async fn a_write_done_twice_makes_two_events_and_perhaps_two_records() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let twice = || {
        next_write(Fault {
            apply_twice: true,
            ..Fault::default()
        })
    };
    let mut body =
        json!({ "spaceUri": space, "collection": "com.example.chat.message", "record": {} });
    server.fault(twice()).unwrap();
    let (_, put) = write(&server, SPACE_PUT, ALICE, body.clone()).await;
    let events = watch.take(2).await;
    assert_eq!(events[0].1.at("record.rkey"), put["rkey"].as_str().unwrap());
    assert!(events[0].1.at("record.rkey") < events[1].1.at("record.rkey"));
    body["rkey"] = "k".into();
    server.fault(twice()).unwrap();
    write(&server, SPACE_PUT, ALICE, body).await;
    let events = watch.take(2).await;
    assert!(events.iter().all(|(_, it)| it.at("record.rkey") == "k"));
    server.fault(twice()).unwrap();
    let mut body = text("x", "a");
    body.as_object_mut().unwrap().remove("rkey");
    write(&server, CREATE, ALICE, body).await;
    assert_eq!(listed(&server).await, 2, "as many as keys that were chosen");
    assert_eq!(applied(&server), [true, true, true], "one request each");
}

#[tokio::test]
async fn a_public_write_done_twice_makes_two_commits_and_two_events() {
    let server = start(WsMode::Worker).await;
    server.set_lenient(Lenient {
        public_actor_watch: true,
        ..Lenient::default()
    });
    let mut watch = Sse::of(get(&server, &actor_path(ALICE, ""), None).await);
    watch.snapshot().await;
    let twice = Fault {
        on: Some(On::Write),
        apply_twice: true,
        ..Fault::default()
    };
    server.fault(twice).unwrap();
    let (status, first) = write(&server, PUT, ALICE, text("1", "a")).await;
    assert_eq!((status, listed(&server).await), (200, 1));
    let mut kinds: Vec<_> = watch.take(2).await.into_iter().map(|it| it.0).collect();
    let mut stale = text("1", "b");
    stale["swapCommit"] = first["commit"]["cid"].clone();
    let refused = write(&server, PUT, ALICE, stale).await;
    assert_eq!(
        refused.1["error"], "InvalidSwap",
        "a second commit came after it"
    );
    let delete = json!({ "repo": ALICE, "collection": "com.example.chat.message", "rkey": "1" });
    assert_eq!(write(&server, DELETE, ALICE, delete).await.0, 200);
    assert_eq!(listed(&server).await, 0);
    kinds.extend(watch.take(2).await.into_iter().map(|it| it.0));
    let twice_each = [
        "record.created",
        "record.created",
        "record.deleted",
        "record.deleted",
    ];
    assert_eq!(kinds, twice_each);
}

#[tokio::test]
async fn a_slow_write_is_carried_out_though_the_client_has_given_up() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let slow = Fault {
        delay_ms: Some(150),
        ..Fault::default()
    };
    server.fault(next_write(slow.clone())).unwrap();
    let began = Instant::now();
    assert_eq!(put(&server, "1").await.unwrap().status(), 200);
    assert!(began.elapsed().as_millis() >= 150);
    let slower = Fault {
        delay_ms: Some(600),
        ..slow
    };
    server.fault(next_write(slower)).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let body = json!({ "spaceUri": space, "collection": "com.example.chat.message", "record": {} });
    never(write(&server, SPACE_PUT, ALICE, body)).await;
    assert_eq!(applied(&server), [true, false]);
    assert_eq!(watch.next().await.0, "record.created");
}

#[tokio::test]
async fn a_fault_of_writes_is_set_over_http() {
    let server = start(WsMode::Off).await;
    let set = async |fault: Value| {
        let request = client().post(format!("{}/control/fault", server.url()));
        let response = soon(request.body(fault.to_string()).send()).await.unwrap();
        response.status().as_u16()
    };
    let lost = json!({ "on": "write", "times": 1, "acceptThen": "status", "status": 504 });
    assert_eq!(set(lost).await, 200);
    assert_eq!(put(&server, "1").await.unwrap().status(), 504);
    assert_eq!(applied(&server), [true]);
    let bad = [
        json!({ "acceptThen": "close" }),
        json!({ "on": "list", "applyTwice": true }),
        json!({ "on": "write", "acceptThen": "status" }),
        json!({ "on": "write", "acceptThen": "never" }),
        json!({ "on": "write", "applyTwice": true, "closeOnAccept": true }),
    ];
    for bad in bad {
        assert_eq!(set(bad.clone()).await, 400, "{bad}");
    }
}
