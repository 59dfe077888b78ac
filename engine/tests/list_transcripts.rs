//! Lists recorded from today's contrail (0.19) show as that server lists them, one after another.

mod common;

use appview::{Contrail, Fault, On, Options, Server};
use common::*;
use contrail_sync_engine::{Entry, Status, Subscription, TransportKind};
use serde_json::Value;

/// Bodies of the lists in `tests/fixtures/transcripts/lists/<name>`, each with the request that it answers.
fn lists(name: &str) -> Vec<(String, String)> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/transcripts/lists"
    );
    let text = std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
    let exchanges = text.split("\n$ curl ").skip(1);
    let lists = exchanges.filter_map(|exchange| {
        let request = exchange.lines().next()?.to_owned();
        let body = exchange.lines().find(|it| it.starts_with("{\"records\""))?;
        request
            .contains("listRecords")
            .then(|| (request, body.to_owned()))
    });
    lists.collect()
}

async fn serve(server: &Server, body: String) {
    let fault = Fault {
        on: Some(On::List),
        body: Some(body),
        ..Fault::default()
    };
    server.fault(fault).unwrap();
}

/// What the record shows beside what identifies it: its body, counts, children, references.
fn content(entry: &Entry, told: &Value) -> bool {
    let value: Value = serde_json::from_str(entry.record.value.get()).unwrap();
    let fields = told.as_object().unwrap().iter();
    let known = [
        "uri",
        "did",
        "collection",
        "rkey",
        "value",
        "cid",
        "time_us",
    ];
    let mut hydrated = fields.filter(|(name, _)| !known.contains(&name.as_str()));
    value == told["value"]
        && hydrated.all(|(name, told)| {
            entry.record.extra(name).is_some_and(|shown| {
                let shown: Value = serde_json::from_str(shown.get()).unwrap();
                shown == *told
            })
        })
}

/// The list is the recorded one, in its order where that is the order of time.
async fn shows(watch: &Subscription, request: &str, body: &str) {
    let body: Value = serde_json::from_str(body).unwrap();
    let mut told: Vec<&Value> = body["records"].as_array().unwrap().iter().collect();
    let state = watch.state().await.unwrap();
    assert_eq!(state.status, Status::Live);
    let mut shown: Vec<&Entry> = state.entries.iter().map(|it| &**it).collect();
    if request.contains("sort=") {
        told.sort_by_key(|it| it["uri"].as_str().map(str::to_owned));
        shown.sort_by_key(|it| it.record.uri.as_str().to_owned());
    }
    let uris: Vec<_> = shown.iter().map(|it| it.record.uri.as_str()).collect();
    let wanted: Vec<_> = told.iter().map(|it| it["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, wanted, "{request}");
    for (shown, told) in shown.iter().zip(told) {
        assert!(content(shown, told), "{request}: {shown:?} is not {told}");
    }
}

#[tokio::test]
async fn what_a_real_server_lists_is_what_shows() {
    let options = Options {
        contrail: Contrail::V0_19,
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    let engine = engine();
    let mut replayed = 0;
    for name in [
        "01-empty",
        "02-three",
        "03-pages",
        "04-filter-sort",
        "05-hydration",
        "06-actor",
        "07-update",
        "08-delete",
    ] {
        // Each list for a watch that knows nothing yet.
        for (request, body) in lists(name) {
            serve(&server, body.clone()).await;
            let url = format!(
                "{}/xrpc/com.example.message.listRecords?n={replayed}",
                server.url()
            );
            let mut spec = anywhere(url.parse().unwrap());
            spec.transport = TransportKind::Poll;
            let watch = engine.watch(spec).await;
            until_live(&watch).await;
            shows(&watch, &request, &body).await;
            replayed += 1;
        }
    }
    assert!(replayed >= 20, "{replayed}");
}

#[tokio::test]
async fn one_list_of_a_real_server_after_another_takes_the_place_of_the_one_before() {
    let options = Options {
        contrail: Contrail::V0_19,
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    let engine = engine();
    for name in ["07-update", "03-pages"] {
        let url = format!(
            "{}/xrpc/com.example.message.listRecords?n={name}",
            server.url()
        );
        let mut spec = anywhere(url.parse().unwrap());
        spec.transport = TransportKind::Poll;
        let lists = lists(name);
        assert!(lists.len() >= 2, "{name}");
        serve(&server, lists[0].1.clone()).await;
        let watch = engine.watch(spec).await;
        until_live(&watch).await;
        for (request, body) in lists {
            // Those of one query: another one's cursor is no news.
            let whole: Value = serde_json::from_str(&body).unwrap();
            let without_cursor = serde_json::json!({ "records": whole["records"] });
            serve(&server, without_cursor.to_string()).await;
            watch.refresh().await.unwrap();
            shows(&watch, &request, &body).await;
        }
    }
}
