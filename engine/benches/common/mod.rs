//! What the benches share: rows of the report, medians of what is measured in turns, and records to measure with.
#![allow(dead_code, unreachable_pub)] // each bench uses its own part

use std::{borrow::Cow, time::Duration};

use contrail_sync_engine::Record;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

/// Where `cargo xtask bench` finds the rows among what else is printed.
const MARK: &str = "bench-row ";

/// One line of the report.
#[derive(serde::Serialize)]
pub struct Row<'a> {
    /// What was measured.
    pub case: &'a str,
    /// Records, or bytes, that it was measured with.
    pub n: usize,
    /// Of `ours` and `base`.
    pub unit: &'a str,
    pub ours: f64,
    pub base: f64,
    /// Most that `ours / base` may be, where that is promised.
    pub bound: Option<f64>,
}

impl Row<'_> {
    pub fn print(&self) {
        let mut row = json!(self);
        row["ratio"] = json!(self.ours / self.base);
        println!("{MARK}{row}");
    }
}

/// Whether a rough result will do. Without `--bench` cargo only wants to see that the bench runs.
pub fn quick() -> bool {
    let given = |flag: &str| std::env::args().any(|it| it == flag);
    given("--quick") || !given("--bench")
}

/// Medians of two measurements taken in turns, so that whatever else the machine does hits both alike.
pub async fn in_turns<T: PartialOrd + Copy>(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> T,
    mut base: impl AsyncFnMut() -> T,
) -> (Vec<T>, Vec<T>) {
    // What runs first warms up.
    ours().await;
    base().await;
    let (mut all_ours, mut all_base) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            all_ours.push(ours().await);
            all_base.push(base().await);
        } else {
            all_base.push(base().await);
            all_ours.push(ours().await);
        }
    }
    (all_ours, all_base)
}

/// The middle one, in microseconds.
pub fn median(times: impl IntoIterator<Item = Duration>) -> f64 {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Creation time of the first record, in microseconds; each later one is a millisecond younger.
const FIRST: i64 = 1_795_000_000_000_000;

/// Data of a `record.created` event of about `bytes`: record `n`, in its `version`.
pub fn event(n: usize, version: usize, bytes: usize) -> String {
    let text = |filler: &str| {
        json!({ "record": {
            "uri": format!("at://did:plc:alice/com.example.chat.message/{n:08}"),
            "did": "did:plc:alice",
            "rkey": format!("{n:08}"),
            "collection": "com.example.chat.message",
            "cid": null,
            "value": { "text": format!("{version:08}{filler}") },
            "time_us": FIRST + 1000 * i64::try_from(n).unwrap_or(0),
        }})
        .to_string()
    };
    let bare = text("").len();
    text(&"x".repeat(bytes.saturating_sub(bare)))
}

/// Record `n` in its `version`, of about `bytes` as JSON.
pub fn record(n: usize, version: usize, bytes: usize) -> Record {
    #[derive(Deserialize)]
    struct Data {
        record: Record,
    }
    let data: Data = serde_json::from_str(&event(n, version, bytes)).expect("it is a record");
    data.record
}

/// The least that can be decoded of a record event.
#[derive(Deserialize)]
pub struct Keys<'a> {
    #[serde(borrow)]
    pub record: KeysOfRecord<'a>,
}

#[derive(Deserialize)]
pub struct KeysOfRecord<'a> {
    #[serde(borrow)]
    pub uri: Cow<'a, str>,
    pub time_us: f64,
    #[serde(borrow)]
    pub value: &'a RawValue,
}
