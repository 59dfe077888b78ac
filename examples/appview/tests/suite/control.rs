//! The control plane over HTTP, the ticket routes, and the program itself.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use appview::{Server, WsMode};
use serde_json::{Value, json};

use crate::common::*;

async fn control(server: &Server, call: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/control/{call}", server.url());
    let request = client().post(url).body(body.to_string());
    let response = soon(request.send()).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn done(server: &Server, call: &str, body: Value) -> Value {
    let (status, answer) = control(server, call, body).await;
    assert_eq!(status, 200, "{call}: {answer}");
    answer
}

#[tokio::test]
async fn every_call_works_over_http() {
    let server = start(WsMode::Worker).await;
    let answer = done(&server, "space", json!({ "key": "s", "owner": ALICE })).await;
    let space = answer["uri"].as_str().unwrap().to_owned();
    assert_eq!(space, "ats://did:plc:alice/com.example.space/s");
    assert_eq!(
        done(&server, "space", json!({ "key": "s", "owner": ALICE })).await,
        answer
    );
    done(
        &server,
        "addMember",
        json!({ "spaceUri": space, "did": BOB }),
    )
    .await;
    let put = json!({
        "spaceUri": space, "collection": "message", "did": BOB, "rkey": "1",
        "record": { "text": "hi" }, "cid": "bafy1", "silent": false, "concurrent": false,
    });
    let answer = done(&server, "put", put).await;
    assert_eq!(
        answer,
        json!({ "uri": "at://did:plc:bob/com.example.chat.message/1" })
    );
    done(
        &server,
        "bulk",
        json!({ "spaceUri": space, "n": 2, "size": 3, "silent": true }),
    )
    .await;
    let ask = json!({
        "spaceUri": space, "collection": "message", "did": BOB, "ttlMs": 60_000, "hydrate": ["reactions"],
    });
    let ticket = done(&server, "ticket", ask).await["ticket"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = watch_path("message", &space, &format!("&ticket={ticket}"));
    let mut watch = Sse::of(get(&server, &path, None).await);
    assert_eq!(watch.snapshot().await.len(), 5);
    let delete = json!({ "spaceUri": space, "collection": "message", "did": BOB, "rkey": "1" });
    assert_eq!(
        done(&server, "delete", delete.clone()).await,
        json!({ "existed": true })
    );
    assert_eq!(
        done(&server, "delete", delete).await,
        json!({ "existed": false })
    );
    assert_eq!(watch.take(2).await[1].0, "record.deleted");
    let token = done(&server, "invite", json!({ "spaceUri": space })).await;
    let token = format!("&inviteToken={}", token["token"].as_str().unwrap());
    assert_eq!(
        get(&server, &watch_path("message", &space, &token), None)
            .await
            .status(),
        200
    );
    done(&server, "kick", json!({ "spaceUri": space, "did": BOB })).await;
    assert_eq!(watch.next().await.0, "member.removed");
    watch.ends().await;
}

#[tokio::test]
async fn communities_and_open_spaces_are_made_over_http() {
    let server = start(WsMode::Off).await;
    let community = json!({ "did": CAROL, "spaces": ["s"], "members": [BOB], "admins": [ALICE] });
    let made = done(&server, "community", community).await;
    let space = "ats://did:plc:carol/com.example.space/s";
    assert_eq!(made, json!({ "spaces": [space] }));
    let path = actor_path(CAROL, "");
    assert_eq!(get(&server, &path, Some(BOB)).await.status(), 200);
    done(&server, "deleteSpace", json!({ "spaceUri": space })).await;
    assert_eq!(get(&server, &path, Some(BOB)).await.status(), 403);
    let open = done(&server, "openSpace", json!({ "key": "o", "owner": ALICE })).await;
    let put = json!({
        "spaceUri": open["uri"], "collection": "message", "did": ALICE, "rkey": "1", "record": {},
    });
    done(&server, "put", put).await;
    let query = open["query"].as_str().unwrap();
    let path = format!("/xrpc/com.example.message.listRecords?{query}");
    assert_eq!(rkeys(&get_json(&server, &path, None).await), ["1"]);
    let public = json!({
        "collection": "message", "did": ALICE, "rkey": "1", "record": {}, "eventAt": 1_700_000_000_000_001_i64,
    });
    done(&server, "put", public).await;
    let list = "/xrpc/com.example.message.listRecords?actor=did:plc:alice";
    let list = get_json(&server, list, None).await;
    assert_eq!(list["records"][0]["time_us"], 1_700_000_000_000_001_i64);
}

#[tokio::test]
async fn faults_modes_and_drops_work_over_http() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let path = watch_path("message", &space, "");
    let fault =
        json!({ "on": "sse", "times": 1, "status": 401, "body": "{\"error\":\"AuthRequired\"}" });
    done(&server, "fault", fault).await;
    assert_eq!(get(&server, &path, Some(ALICE)).await.status(), 401);
    done(&server, "fault", json!({ "closeOnAccept": true })).await;
    done(&server, "fault", json!({})).await;
    let mut watch = Sse::open(&server, &path, ALICE).await;
    watch.snapshot().await;
    let stats = get_json(&server, "/control/stats", None).await;
    assert_eq!(
        (&stats["open"], &stats["watches"], &stats["sse"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let dropped = done(&server, "dropConnections", json!({})).await;
    assert!(dropped["dropped"].as_u64().unwrap() >= 1);
    watch.is_cut().await;
    assert_eq!(
        done(&server, "ws", json!({ "mode": "off" })).await,
        json!({ "mode": "off" })
    );
    assert_eq!(
        Ws::connect(&server, &path, Some(ALICE))
            .await
            .err()
            .unwrap()
            .status,
        426
    );
    done(&server, "ws", json!({ "mode": "do" })).await;
    Ws::open(&server, &path, Some(ALICE)).await;
}

#[tokio::test]
async fn a_bad_call_is_refused_with_a_reason() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let put = |collection: &str, did: &str, rkey: &str| json!({ "spaceUri": space, "collection": collection, "did": did, "rkey": rkey, "record": {} });
    let bad = [
        (
            "space",
            json!({ "key": "s", "owner": ALICE, "typo": 1 }),
            400,
            "unknown field `typo`",
        ),
        (
            "space",
            json!({ "key": "a/b", "owner": ALICE }),
            400,
            "not a record key",
        ),
        ("space", json!({ "key": "s" }), 400, "missing field `owner`"),
        ("put", put("nothing", ALICE, "1"), 400, "unknown collection"),
        ("put", put("message", "alice", "1"), 400, "not a did"),
        ("put", put("message", ALICE, ""), 400, "not a record key"),
        (
            "kick",
            json!({ "spaceUri": "ats://x", "did": ALICE }),
            404,
            "unknown space",
        ),
        (
            "bulk",
            json!({ "spaceUri": space, "n": 1_000_000, "size": 1 }),
            400,
            "at most",
        ),
        ("fault", json!({ "delay": 3 }), 400, "unknown field `delay`"),
        ("fault", json!({ "status": 99 }), 400, "status"),
        ("ws", json!({ "mode": "sometimes" }), 400, "unknown variant"),
        ("nothing", json!({}), 404, "no control call"),
        ("dropConnections", json!([]), 200, ""),
    ];
    for (call, body, status, reason) in bad {
        let (answered, answer) = control(&server, call, body).await;
        assert_eq!(answered, status, "{call}: {answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(reason), "{call}: {message}");
    }
    let ask = json!({ "collection": "message", "did": ALICE });
    assert_eq!(control(&server, "ticket", ask).await.0, 400);
}

#[tokio::test]
async fn the_apps_ticket_route_answers_text_or_json_and_binds_the_hydration() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let query = watch_path("message", &space, "&hydrateReactions=3");
    let query = query.split_once('?').unwrap().1;
    let url = format!("{}/api/ticket?collection=message&{query}", server.url());
    let client = client();
    let bearer = |did: &str| format!("Bearer {did}");
    let text = client
        .get(&url)
        .header("authorization", bearer(ALICE))
        .send()
        .await
        .unwrap();
    let ticket = text.text().await.unwrap();
    let asked = client.post(&url).header("authorization", bearer(ALICE));
    let asked = asked
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    assert!(
        asked.json::<Value>().await.unwrap()["ticket"]
            .as_str()
            .unwrap()
            .contains('.')
    );
    let refused = client
        .get(&url)
        .header("authorization", bearer(BOB))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let path = watch_path(
        "message",
        &space,
        &format!("&hydrateReactions=3&mode=ws&ticket={ticket}"),
    );
    let handshake = get_json(&server, &path, None).await;
    assert_eq!(
        handshake["querySpec"]["hydrate"]["reactions"]["childCollection"],
        "com.example.chat.reaction"
    );
}

#[test]
fn the_program_prints_its_url_and_ends_when_told() {
    let program = env!("CARGO_BIN_EXE_contrail-dev-appview");
    let mut child = Command::new(program)
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let address = said["url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    assert!(address.starts_with("127.0.0.1:"));
    std::net::TcpStream::connect(&address).unwrap();
    if cfg!(unix) {
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(child.wait().unwrap().success());
    } else {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line is all");
}

#[test]
fn the_program_refuses_bad_arguments() {
    for arguments in [
        &["--ws", "maybe"][..],
        &["--port", "x"],
        &["--typo"],
        &["--secret-file", "/"],
        &["--lenient", "everything"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_contrail-dev-appview"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .starts_with("appview: ")
        );
    }
}

#[tokio::test]
async fn a_flood_updates_or_adds_and_says_when_each_was_sent() {
    let server = start(WsMode::Worker).await;
    let space = server.space("s", ALICE).unwrap();
    let bulk = json!({ "spaceUri": space, "n": 3, "size": 1, "silent": true });
    done(&server, "bulk", bulk).await;
    let mut watch = Sse::open(&server, &watch_path("message", &space, ""), ALICE).await;
    watch.snapshot().await;
    let flood = |more: Value| {
        let mut call = json!({ "spaceUri": space, "did": ALICE, "n": 4, "size": 2 });
        call.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        call
    };
    let began = done(&server, "flood", flood(json!({ "among": 3 }))).await;
    done(&server, "flood", flood(json!({ "rate": 1000 }))).await;
    let events = watch.take(8).await;
    let field = |path: &str| -> Vec<String> {
        let records = events.iter().map(|(_, data)| data.at(path).to_owned());
        records.collect()
    };
    let seqs = ["0", "1", "2", "3"];
    assert_eq!(field("record.value.seq"), [seqs, seqs].concat());
    let updated = ["b000000", "b000002", "b000001", "b000000"];
    let added = ["f000000", "f000001", "f000002", "f000003"];
    assert_eq!(field("record.rkey"), [updated, added].concat());
    let list = watch_path("message", &space, "").replace("watchRecords", "listRecords");
    let list = get_json(&server, &list, Some(ALICE)).await;
    let (list, began) = (
        list["records"].as_array().unwrap(),
        began["started"].as_f64(),
    );
    assert_eq!(list.len(), 7);
    assert!(began.is_some() && list.iter().all(|it| it["value"]["sent"].as_f64() >= began));
}

#[tokio::test]
async fn a_page_is_as_long_as_the_server_allows() {
    for (max_limit, length) in [(appview::Options::default().max_limit, 200), (300, 300)] {
        let options = appview::Options {
            max_limit,
            ..Default::default()
        };
        let server = Server::start(options).await.unwrap();
        let space = server.space("s", ALICE).unwrap();
        let bulk = json!({ "spaceUri": space, "n": 301, "size": 1 });
        done(&server, "bulk", bulk).await;
        let path = watch_path("message", &space, "&limit=1000");
        let snapshot = Sse::open(&server, &path, ALICE).await.snapshot().await;
        let records = snapshot
            .iter()
            .filter(|(kind, _)| kind == "snapshot.record");
        assert_eq!(records.count(), length);
    }
}
