//! The truth: a fresh snapshot, page by page, as any client would fetch it.

use std::{collections::BTreeMap, time::Duration};

use contrail_sync_engine::{State, Status, rustls};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    traffic::Traffic,
    watching::{Followed, Target},
};

/// Longest time in which what was lost has to be found: a comparison, and the pages below it.
const LONGEST: Duration = Duration::from_secs(75);

/// Waits until a watch shows what the server has.
pub(crate) async fn agrees(traffic: &Traffic, watch: &Followed, name: &str) {
    let truth = fresh(traffic, &watch.target).await;
    let deadline = Instant::now() + LONGEST;
    loop {
        let state = watch.subscription.state().await.expect("the engine lives");
        let difference = difference(&state, &truth);
        let Some(difference) = difference else { return };
        if Instant::now() > deadline {
            let Target { url, .. } = &watch.target;
            panic!("{name}: {:?} of {url}\n{difference}", state.status);
        }
        // A change, or nothing for a while.
        let change = tokio::time::timeout(Duration::from_secs(1), watch.subscription.next());
        let _ = change.await;
    }
}

/// What the server has, in its order, as its stream says: in one page.
async fn fresh(traffic: &Traffic, target: &Target) -> Vec<String> {
    // A client of one's own needs a provider of TLS, though nothing here uses it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ticket = traffic.ticket(target.collection, target.scope, target.hydrate);
    let mut url = target.url.clone();
    let query = target.url.query_pairs().filter(|(name, _)| name != "limit");
    url.query_pairs_mut()
        .clear()
        .extend_pairs(query)
        .append_pair("limit", "200")
        .append_pair("ticket", &ticket);
    let mut answer = client.get(url).send().await.unwrap();
    let mut text = Vec::new();
    while memchr::memmem::find(&text, b"snapshot.end").is_none() {
        text.extend_from_slice(&answer.chunk().await.unwrap().expect("a whole snapshot"));
    }
    let text = String::from_utf8(text).unwrap();
    let events = text.split("\n\n");
    let records = events.filter_map(|it| it.strip_prefix("event: snapshot.record\ndata: "));
    let mut records: Vec<Value> = records
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["record"].take())
        .collect();
    // Over several spaces the server sorts milliseconds among microseconds; a watch shows them by time.
    records.sort_by_key(|it| std::cmp::Reverse(micros(it)));
    records.iter().map(line).collect()
}

fn micros(record: &Value) -> i64 {
    let time = record["time_us"].as_i64().unwrap();
    if time < 100_000_000_000_000 {
        time * 1000
    } else {
        time
    }
}

/// Of a long list a watch may show only the top; what it shows has no holes.
fn difference(state: &State, truth: &[String]) -> Option<String> {
    let shown: Vec<String> = state
        .entries
        .iter()
        .map(|it| line(&serde_json::to_value(&**it).unwrap()))
        .collect();
    let least = truth.len().min(30);
    if state.status == Status::Live && shown.len() >= least && truth.starts_with(&shown) {
        return None;
    }
    let first = shown.iter().zip(truth).position(|(a, b)| a != b);
    let at = first.unwrap_or(shown.len().min(truth.len()));
    let around = |lines: &[String]| lines.iter().skip(at).take(3).cloned().collect::<Vec<_>>();
    Some(format!(
        "{} shown, {} there; from index {at}\nshown {:#?}\nthere {:#?}",
        shown.len(),
        truth.len(),
        around(&shown),
        around(truth)
    ))
}

/// What a reader sees of a record: everything but how times are written, the order of children, and counts of none.
fn line(record: &Value) -> String {
    let mut fields = BTreeMap::new();
    for (name, value) in record.as_object().unwrap() {
        let value = match name.as_str() {
            "time_us" => json!(micros(record)),
            "rsvps" | "reactions" | "badges" => children(value),
            "cid" | "did" | "collection" | "rkey" => continue,
            _ if name.ends_with("Count") && *value == 0 => continue,
            _ => value.clone(),
        };
        fields.insert(name.as_str(), value);
    }
    json!(fields).to_string()
}

fn children(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut lines: Vec<String> = list
                .iter()
                .map(|it| format!("{}/{} {}", it["did"], it["rkey"], it["value"]))
                .collect();
            lines.sort_unstable();
            json!(lines)
        }
        Value::Object(groups) => {
            let groups = groups
                .iter()
                .map(|(name, list)| (name.clone(), children(list)));
            json!(
                groups
                    .filter(|(_, list)| *list != json!([]))
                    .collect::<BTreeMap<_, _>>()
            )
        }
        other => other.clone(),
    }
}
