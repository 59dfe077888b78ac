//! Order, pages and limits, as recorded.

use appview::{Bulk, Server, TicketFor, WsMode};
use serde_json::{Value, json};

use crate::common::*;

async fn page(server: &Server, space: &str, more: &str) -> Value {
    let path = watch_path("message", space, &format!("&mode=ws{more}"));
    get_json(server, &path, Some(ALICE)).await["snapshot"].clone()
}

/// A page as the recording remarks on it, with the time of its cursor counted back from that of the newest record.
fn remark(page: &Value, newest: i64) -> String {
    let rkeys = rkeys(page);
    let (first, last) = (rkeys[0], rkeys[rkeys.len() - 1]);
    let cursor = match page["cursor"].as_str() {
        Some(cursor) => (newest - cursor_time(cursor)).to_string(),
        None => "undefined".to_owned(),
    };
    format!(
        "records={} first={first} last={last} cursor={cursor}",
        rkeys.len()
    )
}

#[tokio::test]
async fn limits_and_cursors_are_read_as_recorded() {
    let name = "sse-13-limit-cursor-filters.txt";
    let server = start(WsMode::Off).await;
    let space = server.space("limmwt6egbn", ALICE).unwrap();
    let bulk = Bulk {
        space_uri: space.clone(),
        n: 250,
        size: 40,
        silent: false,
    };
    server.bulk(bulk).unwrap();
    let newest = page(&server, &space, "&limit=1").await["records"][0]["time_us"].as_i64();
    let newest = newest.unwrap();
    let mut cursor = String::new();
    let remarks = remarks(name);
    assert_eq!(remarks.len(), 13);
    for (asked, came) in remarks {
        let (before, recorded) = came.rsplit_once('=').unwrap();
        let came = match recorded {
            "undefined" => came.clone(),
            recorded => format!("{before}={}", 1_795_432_916_255 - cursor_time(recorded)),
        };
        let query = match asked.split_once(" + ") {
            Some((limit, _)) => format!("&{limit}&cursor={cursor}"),
            None if asked == "no limit" => String::new(),
            None if asked == "bad cursor" => "&limit=2&cursor=bad".to_owned(),
            None => format!("&{asked}"),
        };
        let page = page(&server, &space, &query).await;
        assert_eq!(remark(&page, newest), came, "{asked}");
        page["cursor"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut cursor);
    }

    // The streams: live events come whatever the page.
    let recorded = exchanges(name);
    let say = |rkey: &str| {
        let put = message(&space, ALICE, rkey, json!({ "text": rkey }));
        server.put(put).unwrap();
    };
    let mut watch = open(&server, &recorded[0]).await;
    let mut seen = watch.snapshot().await;
    ["x1", "x2", "x3"].into_iter().for_each(say);
    server
        .delete(gone(&space, "message", ALICE, "b000000"))
        .unwrap();
    seen.extend(watch.take(4).await);
    assert_eq!(seen, recorded[0].events);
    let last = page(&server, &space, "&limit=103").await;
    let (before, _) = recorded[1].path.split_once("&cursor=").unwrap();
    let path = format!("{before}&cursor={}", last["cursor"].as_str().unwrap());
    let mut watch = Sse::open(&server, &path, ALICE).await;
    let mut seen = watch.snapshot().await;
    say("y1");
    seen.push(watch.next().await);
    assert_eq!(seen, recorded[1].events);
}

#[tokio::test]
async fn an_edit_moves_a_record_and_live_times_are_later_than_stored_ones_as_recorded() {
    let recorded = parts("sse-18-edits-move.txt");
    let server = start(WsMode::Off).await;
    let space = server.space("edits", ALICE).unwrap();
    let say = |rkey: &str, text: &str| {
        let put = message(&space, ALICE, rkey, json!({ "text": text }));
        server.put(put).unwrap();
    };
    say("a", "a1");
    say("b", "b1");
    let path = watch_path("message", &space, "");
    let mut watch = Sse::open(&server, &path, ALICE).await;
    let mut seen = watch.snapshot().await;
    for (rkey, text) in [("n", "n1"), ("m", "m1"), ("a", "a2"), ("n", "n2")] {
        say(rkey, text);
    }
    seen.extend(watch.take(4).await);
    assert_eq!(seen, recorded[0].events);
    let anew = Sse::open(&server, &path, ALICE).await.snapshot().await;
    assert_eq!(anew, recorded[1].events);
}

#[tokio::test]
async fn a_ticket_lists_nothing_and_turns_the_pages_of_the_handshake_as_recorded() {
    let recorded = parts("sse-19-pages-with-a-ticket.txt");
    for ws in [WsMode::Off, WsMode::Worker, WsMode::Do] {
        let server = start(ws).await;
        let space = server.space("edits", ALICE).unwrap();
        for (rkey, text) in [("b", "b1"), ("m", "m1"), ("a", "a2"), ("n", "n2")] {
            let put = message(&space, ALICE, rkey, json!({ "text": text }));
            server.put(put).unwrap();
        }
        let ask = TicketFor {
            space_uri: Some(space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            ..TicketFor::default()
        };
        let ticket = server.ticket(ask).unwrap();
        let list = watch_path("message", &space, &format!("&ticket={ticket}"));
        let list = list.replace("watchRecords", "listRecords");
        assert_answer(get(&server, &list, None).await, &recorded[0]).await;

        let mut more = format!("&limit=2&mode=ws&ticket={ticket}");
        for recorded in &recorded[1..] {
            let response = get(&server, &watch_path("message", &space, &more), None).await;
            assert_headers(&response, recorded);
            let body = response.text().await.unwrap();
            assert_eq!(Json::parse(&body), Json::parse(&recorded.body));
            let page: Value = serde_json::from_str(&body).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let (ticket, cursor) = (text(&page["ticket"]), text(&page["snapshot"]["cursor"]));
            more = format!("&limit=2&mode=ws&ticket={ticket}&cursor={cursor}");
        }
    }
}
