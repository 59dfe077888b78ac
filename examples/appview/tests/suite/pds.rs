//! The PDS that the appview plays: what it answers, what it stores, and what the appview indexes of it.

use std::time::Duration;

use appview::{Contrail, Options, PdsWrite, Server, WsMode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::*;

const MESSAGE: &str = "com.example.chat.message";
const PUT: &str = "com.atproto.repo.putRecord";
const CREATE: &str = "com.atproto.repo.createRecord";
const DELETE: &str = "com.atproto.repo.deleteRecord";
const SPACE_PUT: &str = "com.example.space.putRecord";
const SPACE_DELETE: &str = "com.example.space.deleteRecord";
const LIST: &str = "/xrpc/com.example.message.listRecords?actor=did:plc:alice";

/// A POST of JSON with these headers; it may fail.
pub(crate) async fn try_post(
    server: &Server,
    method: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<reqwest::Response, reqwest::Error> {
    let request = client().post(format!("{}/xrpc/{method}", server.url()));
    let request = request.header("content-type", "application/json");
    let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    let request = headers.iter().fold(request, add);
    soon(request.body(body).send()).await
}

/// A write of an account with a token, and what is answered.
pub(crate) async fn write(server: &Server, method: &str, did: &str, body: Value) -> (u16, Value) {
    let bearer = format!("Bearer {}", server.pds_session(did).unwrap());
    let headers = [("authorization", bearer.as_str())];
    let sent = try_post(server, method, &headers, body.to_string()).await;
    let response = sent.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The body of a put of one of Alice's messages.
pub(crate) fn text(rkey: &str, text: &str) -> Value {
    json!({ "repo": ALICE, "collection": MESSAGE, "rkey": rkey, "record": { "text": text } })
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

async fn record(server: &Server, rkey: &str) -> (u16, Value) {
    let query = format!("repo={ALICE}&collection={MESSAGE}&rkey={rkey}");
    let path = format!("/xrpc/com.atproto.repo.getRecord?{query}");
    let response = get(server, &path, None).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn listed(server: &Server) -> Vec<Value> {
    let list = get_json(server, LIST, None).await;
    list["records"].as_array().unwrap().clone()
}

fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_put_is_stored_committed_and_indexed_with_its_cid() {
    let server = start(WsMode::Off).await;
    let (status, put) = write(&server, PUT, ALICE, text("1", "hello")).await;
    assert_eq!(status, 200);
    let uri = "at://did:plc:alice/com.example.chat.message/1";
    assert_eq!(
        (&put["uri"], &put["validationStatus"]),
        (&json!(uri), &json!("unknown"))
    );
    let cid = put["cid"].as_str().unwrap();
    assert!(cid.starts_with("bafyrei") && cid.len() == 59, "{cid}");
    let commit = &put["commit"];
    assert!(commit["cid"].as_str().unwrap().starts_with("bafyrei"));
    assert_eq!(commit["rev"].as_str().unwrap().len(), 13);
    let value = json!({ "$type": MESSAGE, "text": "hello" });
    let told = json!({ "uri": uri, "cid": cid, "value": value });
    assert_eq!(record(&server, "1").await, (200, told));
    let listed = listed(&server).await;
    assert_eq!(
        (&listed[0]["cid"], &listed[0]["value"]),
        (&put["cid"], &value)
    );
    let later = write(&server, PUT, ALICE, text("1", "edited")).await.1;
    assert_ne!(later["cid"], put["cid"]);
    assert!(later["commit"]["rev"].as_str() > commit["rev"].as_str());
    assert_eq!(record(&server, "1").await.1["value"]["text"], "edited");
}

#[tokio::test]
async fn a_record_that_is_not_there_is_told_as_the_real_one_does() {
    let server = start(WsMode::Off).await;
    let missing = record(&server, "nothing").await;
    assert_eq!(error(&missing), (400, "RecordNotFound"));
    let message = "Could not locate record: at://did:plc:alice/com.example.chat.message/nothing";
    assert_eq!(missing.1["message"], message);
    let path = "/xrpc/com.atproto.repo.getRecord?repo=did:plc:alice";
    assert_eq!(get(&server, path, None).await.status(), 400);
}

#[tokio::test]
async fn an_identical_put_is_a_no_op_even_with_a_stale_swap() {
    let server = start(WsMode::Off).await;
    let first = write(&server, PUT, ALICE, text("1", "same")).await.1;
    let before = listed(&server).await;
    for swap in [Value::Null, json!("bafyreistale")] {
        let again = with(text("1", "same"), "swapRecord", swap);
        let (status, again) = write(&server, PUT, ALICE, again).await;
        assert_eq!((status, &again["cid"]), (200, &first["cid"]));
        assert_eq!((&again["uri"], again.get("commit")), (&first["uri"], None));
    }
    assert_eq!(listed(&server).await, before, "nothing was indexed again");
    let applied: Vec<bool> = server.pds_log().iter().map(|it| it.applied).collect();
    assert_eq!(applied, [true, false, false]);
}

#[tokio::test]
async fn a_swap_that_does_not_match_is_refused() {
    let server = start(WsMode::Off).await;
    let must_exist = with(text("1", "a"), "swapRecord", "bafyreiother");
    let refused = write(&server, PUT, ALICE, must_exist).await;
    assert_eq!(error(&refused), (400, "InvalidSwap"));
    assert_eq!(refused.1["message"], "Record was at null");
    let must_not_exist = with(text("1", "a"), "swapRecord", Value::Null);
    let (status, first) = write(&server, PUT, ALICE, must_not_exist.clone()).await;
    assert_eq!(status, 200);
    let told = format!("Record was at {}", first["cid"].as_str().unwrap());
    let other = with(text("1", "b"), "swapRecord", Value::Null);
    let refused = write(&server, PUT, ALICE, other).await;
    assert_eq!(error(&refused), (400, "InvalidSwap"));
    assert_eq!(refused.1["message"], told);
    let body = json!({ "repo": ALICE, "collection": MESSAGE, "rkey": "1" });
    let stale = with(body.clone(), "swapRecord", "bafyreiother");
    let refused = write(&server, DELETE, ALICE, stale).await;
    assert_eq!(error(&refused), (400, "InvalidSwap"));
    assert_eq!(record(&server, "1").await.1["value"]["text"], "a");
    let matching = with(text("1", "b"), "swapRecord", first["cid"].clone());
    assert_eq!(write(&server, PUT, ALICE, matching).await.0, 200);
}

#[tokio::test]
async fn a_swap_of_the_commit_that_does_not_match_is_refused() {
    let server = start(WsMode::Off).await;
    let first = write(&server, PUT, ALICE, text("1", "a")).await.1;
    let head = first["commit"]["cid"].clone();
    let next = with(text("2", "b"), "swapCommit", head.clone());
    let second = write(&server, PUT, ALICE, next).await;
    assert_eq!(second.0, 200);
    let late = write(
        &server,
        PUT,
        ALICE,
        with(text("3", "c"), "swapCommit", head),
    )
    .await;
    assert_eq!(error(&late), (400, "InvalidSwap"));
    let now = second.1["commit"]["cid"].as_str().unwrap();
    assert_eq!(late.1["message"], format!("Commit was at {now}"));
}

#[tokio::test]
async fn a_create_makes_a_key_or_refuses_one_that_there_is() {
    let server = start(WsMode::Off).await;
    let body = json!({ "repo": ALICE, "collection": MESSAGE, "record": { "text": "new" } });
    let one = write(&server, CREATE, ALICE, body.clone()).await;
    let two = write(&server, CREATE, ALICE, body.clone()).await;
    assert_eq!((one.0, two.0), (200, 200));
    let uris = (one.1["uri"].as_str(), two.1["uri"].as_str());
    assert!(uris.0 < uris.1, "two records, keys in order: {uris:?}");
    assert_eq!(one.1["cid"], two.1["cid"], "a cid is of the content");
    let keyed = with(body, "rkey", "k");
    assert_eq!(write(&server, CREATE, ALICE, keyed.clone()).await.0, 200);
    let again = write(&server, CREATE, ALICE, keyed).await;
    assert_eq!(error(&again), (400, "InvalidRequest"));
    assert_eq!(listed(&server).await.len(), 3);
}

#[tokio::test]
async fn a_delete_commits_and_one_of_nothing_is_a_no_op() {
    let server = start(WsMode::Off).await;
    write(&server, PUT, ALICE, text("1", "a")).await;
    let body = json!({ "repo": ALICE, "collection": MESSAGE, "rkey": "1" });
    let (status, gone) = write(&server, DELETE, ALICE, body.clone()).await;
    assert_eq!(status, 200);
    assert!(gone["commit"]["rev"].is_string());
    assert_eq!(record(&server, "1").await.0, 400);
    assert!(listed(&server).await.is_empty());
    let again = with(body, "swapRecord", "bafyreistale");
    let again = write(&server, DELETE, ALICE, again).await;
    assert_eq!(again, (200, json!({})));
    assert!(!server.pds_log().last().unwrap().applied);
}

#[tokio::test]
async fn a_write_needs_a_token_of_the_repos_owner_that_is_in_time() {
    let server = start(WsMode::Off).await;
    let refused = async |headers: &[(&str, &str)]| {
        let body = text("1", "a").to_string();
        let response = try_post(&server, PUT, headers, body).await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let missing = refused(&[]).await;
    assert_eq!(error(&missing), (401, "AuthMissing"));
    assert_eq!(missing.1["message"], "Authentication Required");
    let good = server.pds_session(ALICE).unwrap();
    assert_eq!(good.split('.').count(), 3, "looks like a JWT: {good}");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let bad = [
        "Bearer".to_owned(),
        "Bearer nonsense".to_owned(),
        format!("Bearer {ALICE}"),
        format!("Bearer {signed}.AAAA"),
        format!("Basic {good}"),
        format!("DPoP {good}"),
    ];
    for bad in bad {
        let refused = refused(&[("authorization", &bad)]).await;
        assert_eq!(error(&refused), (401, "InvalidToken"), "{bad}");
    }
    let expired = format!("Bearer {}", server.pds_session_for(ALICE, 0).unwrap());
    let refused_late = refused(&[("authorization", &expired)]).await;
    assert_eq!(error(&refused_late), (400, "ExpiredToken"));
    assert_eq!(refused_late.1["message"], "Token has expired");
    let others = write(&server, PUT, BOB, text("1", "a")).await;
    assert_eq!(error(&others), (401, "AuthenticationRequired"));
    assert!(server.pds_log().iter().all(|it| !it.applied));
    assert!(listed(&server).await.is_empty());
    assert!(server.pds_session("alice").is_err());
}

#[tokio::test]
async fn a_dpop_proof_must_carry_the_current_nonce_once_there_is_one() {
    let server = start(WsMode::Off).await;
    server.set_dpop_nonce(Some("n1")).unwrap();
    let token = server.pds_session(ALICE).unwrap();
    let ask = async |scheme: &str, nonce: Option<&str>| {
        let authorization = format!("{scheme} {token}");
        let payload = json!({ "htm": "POST", "nonce": nonce }).to_string();
        let proof = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(nonce.map(|_| ("dpop", proof.as_str())));
        let body = text("1", "a").to_string();
        try_post(&server, PUT, &headers, body).await.unwrap()
    };
    for nonce in [None, Some("n0")] {
        let refused = ask("DPoP", nonce).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["dpop-nonce"], "n1");
        let challenge = &refused.headers()["www-authenticate"];
        assert_eq!(challenge, "DPoP error=\"use_dpop_nonce\"");
        let exposed = &refused.headers()["access-control-expose-headers"];
        assert_eq!(exposed, "DPoP-Nonce, WWW-Authenticate");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"], "use_dpop_nonce");
    }
    let good = ask("DPoP", Some("n1")).await;
    assert_eq!(
        (good.status().as_u16(), &good.headers()["dpop-nonce"]),
        (200, &"n1".parse().unwrap())
    );
    assert!(!good.headers().contains_key("www-authenticate"));
    assert_eq!(ask("Bearer", Some("n1")).await.status(), 200);
    server.set_dpop_nonce(Some("n2")).unwrap();
    assert_eq!(ask("DPoP", Some("n1")).await.status(), 401);
    server.set_dpop_nonce(None).unwrap();
    assert_eq!(ask("Bearer", None).await.status(), 200);
    assert!(server.set_dpop_nonce(Some("a\nb")).is_err());
}

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() {
    let server = start(WsMode::Off).await;
    let large = "x".repeat(1 << 20);
    let too_large = write(&server, PUT, ALICE, text("1", &large)).await;
    assert_eq!(error(&too_large), (413, "PayloadTooLarge"));
    assert_eq!(too_large.1["message"], "request entity too large");
    let bearer = format!("Bearer {}", server.pds_session(ALICE).unwrap());
    let headers = [("authorization", bearer.as_str())];
    for bad in ["", "{", "[]", "\"text\""] {
        let response = try_post(&server, PUT, &headers, bad.into()).await.unwrap();
        assert_eq!(response.status(), 400, "{bad}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"], "InvalidRequest", "{bad}");
    }
    let put = || text("1", "a");
    let typed = json!({ "$type": "com.example.event", "text": "a" });
    let bad = [
        with(put(), "collection", "message"),
        with(put(), "collection", "com.example.chat..x"),
        with(put(), "rkey", "a/b"),
        with(put(), "rkey", Value::Null),
        with(put(), "record", "text"),
        with(put(), "record", Value::Null),
        with(put(), "record", typed),
        with(put(), "validate", true),
        with(put(), "repo", "alice.test"),
    ];
    for bad in bad {
        let refused = write(&server, PUT, ALICE, bad.clone()).await;
        assert_eq!(error(&refused), (400, "InvalidRequest"), "{bad}");
    }
    let request = client().post(format!("{}/xrpc/{PUT}", server.url()));
    let request = request
        .header("authorization", &bearer)
        .body(put().to_string());
    assert_eq!(soon(request.send()).await.unwrap().status(), 400, "no type");
    assert!(listed(&server).await.is_empty());
    assert!(server.pds_log().iter().all(|it| !it.applied));
}

#[tokio::test]
async fn any_collection_is_stored_and_only_those_of_the_appview_are_indexed() {
    let server = start(WsMode::Off).await;
    let strange = with(text("1", "a"), "collection", "org.strangers.thing");
    let (status, put) = write(&server, PUT, ALICE, strange).await;
    assert_eq!((status, put["commit"].is_object()), (200, true));
    let path =
        "/xrpc/com.atproto.repo.getRecord?repo=did:plc:alice&collection=org.strangers.thing&rkey=1";
    assert_eq!(get_json(&server, path, None).await["cid"], put["cid"]);
    assert!(listed(&server).await.is_empty());
}

#[tokio::test]
async fn what_is_written_is_indexed_late_or_when_the_appview_is_notified() {
    let server = start_with(Options {
        contrail: Contrail::V0_19,
        ingest_every: Some(Duration::from_hours(1)),
        ..Options::default()
    })
    .await;
    // The first tick comes at once; what comes after it waits.
    write(&server, PUT, ALICE, text("0", "early")).await;
    server.world().flush().unwrap();
    let put = write(&server, PUT, ALICE, text("1", "late")).await.1;
    assert_eq!(record(&server, "1").await.0, 200);
    assert_eq!(listed(&server).await.len(), 1);
    let uris = json!({ "uris": [put["uri"]] }).to_string();
    let notified = try_post(&server, "com.example.notifyOfUpdate", &[], uris).await;
    let notified: Value = notified.unwrap().json().await.unwrap();
    assert_eq!(notified, json!({ "indexed": 1, "deleted": 0 }));
    assert_eq!(listed(&server).await.len(), 2);
    let gone = json!({ "repo": ALICE, "collection": MESSAGE, "rkey": "1" });
    write(&server, DELETE, ALICE, gone).await;
    assert_eq!(listed(&server).await.len(), 2);
    server.world().flush().unwrap();
    assert_eq!(listed(&server).await.len(), 1);
}

#[tokio::test]
async fn public_records_of_the_control_plane_are_in_the_repo_too() {
    let server = start(WsMode::Off).await;
    let put = appview::Put {
        space_uri: None,
        cid: Some("bafyreigiven".into()),
        ..message("", ALICE, "1", json!({ "text": "elsewhere" }))
    };
    server.put(put).unwrap();
    assert_eq!(record(&server, "1").await.1["cid"], "bafyreigiven");
    let edit = with(text("1", "edited"), "swapRecord", "bafyreigiven");
    assert_eq!(write(&server, PUT, ALICE, edit).await.0, 200);
    let delete = appview::Delete {
        space_uri: None,
        ..gone("", "message", ALICE, "1")
    };
    server.delete(delete).unwrap();
    assert_eq!(record(&server, "1").await.0, 400);
}

#[tokio::test]
async fn a_member_writes_and_deletes_their_own_records_of_a_space() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    server.add_member(&space, BOB).unwrap();
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let body = json!({ "spaceUri": space, "collection": MESSAGE, "record": { "text": "hi" } });
    let (status, put) = write(&server, SPACE_PUT, BOB, body.clone()).await;
    assert_eq!((status, &put["authorDid"]), (200, &json!(BOB)));
    let rkey = put["rkey"].as_str().unwrap();
    assert_eq!(rkey.len(), 13);
    let (kind, event) = watch.next().await;
    assert_eq!(
        (kind.as_str(), event.at("record.rkey")),
        ("record.created", rkey)
    );
    assert_eq!(event.at("record.did"), BOB);
    let keyed = with(body.clone(), "rkey", "k");
    assert_eq!(
        write(&server, SPACE_PUT, BOB, keyed.clone()).await.1["rkey"],
        "k"
    );
    watch.next().await;
    let alices = write(&server, SPACE_DELETE, ALICE, keyed.clone()).await;
    assert_eq!(alices, (200, json!({ "ok": true })));
    assert_eq!(
        watch.next().await.1.at("did"),
        ALICE,
        "hers, which there is not"
    );
    assert_eq!(write(&server, SPACE_DELETE, BOB, keyed).await.0, 200);
    assert_eq!(watch.next().await.1.at("did"), BOB);
    let applied: Vec<bool> = server.pds_log().iter().map(|it| it.applied).collect();
    assert_eq!(applied, [true, true, false, true]);
}

#[tokio::test]
async fn a_write_to_a_space_is_refused_as_contrail_does() {
    let server = start(WsMode::Off).await;
    let space = server.space("s", ALICE).unwrap();
    let body = json!({ "spaceUri": space, "collection": MESSAGE, "rkey": "1", "record": {} });
    for method in [SPACE_PUT, SPACE_DELETE] {
        let strangers = write(&server, method, BOB, body.clone()).await;
        let told = json!({ "error": "Forbidden", "reason": "not-member" });
        assert_eq!(strangers, (403, told));
        let nowhere = with(
            body.clone(),
            "spaceUri",
            "ats://did:plc:alice/com.example.space/x",
        );
        let nowhere = write(&server, method, ALICE, nowhere).await;
        assert_eq!(nowhere, (404, json!({ "error": "NotFound" })));
        let unknown = with(body.clone(), "collection", "org.strangers.thing");
        assert_eq!(write(&server, method, ALICE, unknown).await.0, 400);
        let headerless = try_post(&server, method, &[], body.to_string()).await;
        assert_eq!(headerless.unwrap().status(), 401);
        let late = format!("Bearer {}", server.pds_session_for(ALICE, 0).unwrap());
        let late = [("authorization", late.as_str())];
        let late = try_post(&server, method, &late, body.to_string()).await;
        assert_eq!(late.unwrap().status(), 401, "not the 400 of a PDS");
    }
    assert!(server.pds_log().iter().all(|it| !it.applied));
    let bare = format!("Bearer {ALICE}");
    let bare = [("authorization", bare.as_str())];
    let bare = try_post(&server, SPACE_PUT, &bare, body.to_string()).await;
    assert_eq!(bare.unwrap().status(), 200, "in place of a service JWT");
    server.set_contrail(Contrail::V0_19);
    let spaceless = client().post(format!("{}/xrpc/{SPACE_PUT}", server.url()));
    assert_eq!(soon(spaceless.send()).await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_log_tells_every_write_in_the_order_of_arrival() {
    let server = start(WsMode::Off).await;
    let space = server.space("s", ALICE).unwrap();
    let bearer = format!("Bearer {}", server.pds_session(ALICE).unwrap());
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "once"),
    ];
    let body = text("1", "a").to_string();
    let put = try_post(&server, PUT, &headers, body).await.unwrap();
    let put: Value = put.json().await.unwrap();
    write(&server, PUT, BOB, text("1", "not mine")).await;
    let body = json!({ "spaceUri": space, "collection": MESSAGE, "record": {} });
    write(&server, SPACE_PUT, ALICE, body).await;
    try_post(&server, PUT, &[], "{".into()).await.unwrap();
    let log = server.pds_log();
    let told: Vec<_> = log
        .iter()
        .map(|it| (it.method.as_str(), it.did.as_deref(), it.applied))
        .collect();
    let expected = [
        (PUT, Some(ALICE), true),
        (PUT, Some(ALICE), false),
        (SPACE_PUT, Some(ALICE), true),
        (PUT, None, false),
    ];
    assert_eq!(told, expected);
    let PdsWrite { cid, key, rkey, .. } = &log[0];
    assert_eq!(
        (cid.as_deref(), key.as_deref()),
        (put["cid"].as_str(), Some("once"))
    );
    assert_eq!(rkey.as_deref(), Some("1"));
    assert_eq!(log[2].space_uri.as_ref(), Some(&space));
    assert_eq!(log[2].rkey.as_ref().map(String::len), Some(13));
    assert!(log[0].at > 0 && log.is_sorted_by_key(|it| it.at));
    let over_http = get_json(&server, "/control/pdsLog", None).await;
    assert_eq!(over_http, serde_json::to_value(&log).unwrap());
    let posted = client().post(format!("{}/control/pdsLog", server.url()));
    let posted: Value = soon(posted.send()).await.unwrap().json().await.unwrap();
    assert_eq!(posted, over_http);
}

#[tokio::test]
async fn sessions_and_nonces_are_had_over_http() {
    let server = start(WsMode::Off).await;
    let control = async |call: &str, body: Value| -> (u16, Value) {
        let request = client().post(format!("{}/control/{call}", server.url()));
        let response = soon(request.body(body.to_string()).send()).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let put = async |session: &Value| {
        let bearer = format!("Bearer {}", session["accessJwt"].as_str().unwrap());
        let headers = [("authorization", bearer.as_str())];
        let body = text("1", "a").to_string();
        let response = try_post(&server, PUT, &headers, body).await.unwrap();
        response.status().as_u16()
    };
    let (_, session) = control("pdsSession", json!({ "did": ALICE })).await;
    assert_eq!((&session["did"], put(&session).await), (&json!(ALICE), 200));
    let short = json!({ "did": ALICE, "expiresInMs": -1 });
    assert_eq!(put(&control("pdsSession", short).await.1).await, 400);
    assert_eq!(control("pdsSession", json!({ "did": "x" })).await.0, 400);
    let set = control("pdsDpop", json!({ "nonce": "n" })).await;
    assert_eq!(set, (200, json!({ "nonce": "n" })));
    assert_eq!(put(&session).await, 401);
    control("pdsDpop", json!({})).await;
    assert_eq!(put(&session).await, 200);
}

#[tokio::test]
async fn a_browser_may_send_what_a_write_needs() {
    let server = start(WsMode::Off).await;
    let url = format!("{}/xrpc/{PUT}", server.url());
    let request = client().request(reqwest::Method::OPTIONS, url);
    let response = soon(request.send()).await.unwrap();
    assert_eq!(response.status(), 204);
    let allowed = response.headers()["access-control-allow-headers"].to_str();
    let allowed: Vec<&str> = allowed.unwrap().split(", ").collect();
    for header in ["authorization", "dpop", "content-type", "idempotency-key"] {
        assert!(allowed.contains(&header), "{header}");
    }
    assert!(server.pds_log().is_empty());
}
