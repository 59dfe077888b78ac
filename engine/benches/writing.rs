//! What a write costs beside an optimistic edit, which is kept nowhere: until a follower is told, and until it is on the disk.

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contrail_sync_engine::{
    Edit, EditRecord, Engine, EngineConfig, NamedSender, NewRecord, OutboxConfig, Outcome,
    SendRequest, SenderSource, Subscription, WatchSpec, Writer,
};
use serde_json::{json, value::to_raw_value};
use tokio::runtime::Handle;

const ALICE: &str = "did:plc:alice";
const COLLECTION: &str = "com.example.chat.message";
/// Most writes that may wait in a run.
const MOST: usize = 900;

/// A watch that is offline, an outbox on the disk, and a sender that nobody reaches.
struct App {
    _dir: tempfile::TempDir,
    _engine: Engine,
    watch: Subscription,
    writer: Writer,
    made: usize,
}

impl App {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        let sender = NamedSender::new("nowhere", |_: SendRequest| async {
            Outcome::later("connect", "no network")
        });
        let path = dir.path().join("outbox.sqlite");
        let mut config = EngineConfig::default();
        config.outbox = Some(OutboxConfig::new(Some(path)).sender(sender));
        let engine = Engine::new(Handle::current(), config).expect("it starts");
        let url = "http://127.0.0.1:9/xrpc/com.example.message.watchRecords?spaceUri=s";
        let url = url.parse().expect("a URL");
        let mut spec = WatchSpec::new(url, Arc::new(|_| true));
        spec.account = Some(ALICE.into());
        spec.sender = Some(SenderSource::Named("nowhere".into()));
        spec.reconnect = false;
        let watch = engine.watch(spec.clone()).await;
        let writer = engine.writer(&watch, &spec);
        watch.state().await.expect("the engine lives");
        let mut app = Self {
            _dir: dir,
            _engine: engine,
            watch,
            writer,
            made: 0,
        };
        app.settle().await;
        app
    }

    /// Waits until nothing is told any more.
    async fn settle(&mut self) {
        let quiet = Duration::from_millis(100);
        while tokio::time::timeout(quiet, self.watch.next()).await.is_ok() {}
    }

    /// Takes what is told at this moment.
    async fn settle_once(&mut self) {
        while self.watch.try_next().await.is_some() {}
    }

    fn rkey(&mut self) -> String {
        self.made += 1;
        format!("k{}", self.made)
    }

    /// Waits until a follower is told of this record.
    async fn shown(&self, rkey: &str) {
        loop {
            let delta = self.watch.next().await.expect("the engine lives");
            let is_it = |it: &contrail_sync_engine::Changed| it.entry.record.rkey() == rkey;
            if delta.changed.iter().any(is_it) {
                return;
            }
        }
    }

    /// Milliseconds from an edit until it is shown.
    async fn edit(&mut self) -> f64 {
        let (rkey, body) = (self.rkey(), body());
        let mut record = EditRecord::new(ALICE, &*rkey, body);
        record.collection = Some(COLLECTION.into());
        let began = Instant::now();
        let edit = Edit::Add { record };
        self.watch.edit(edit).await.expect("it fits");
        self.shown(&rkey).await;
        millis(began)
    }

    /// Milliseconds from a write until it is shown, and until it is on the disk and answered.
    async fn put(&mut self) -> [f64; 2] {
        let (rkey, body) = (self.rkey(), body());
        let record = NewRecord::new(ALICE, body)
            .with_rkey(&*rkey)
            .in_collection(COLLECTION);
        let began = Instant::now();
        let shown = async {
            self.shown(&rkey).await;
            millis(began)
        };
        let kept = async {
            self.writer.put(record).await.expect("it is kept");
            millis(began)
        };
        let (shown, kept) = tokio::join!(shown, kept);
        [shown, kept]
    }
}

fn body() -> Box<serde_json::value::RawValue> {
    to_raw_value(&json!({ "text": "x".repeat(300) })).expect("JSON")
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// The value that so many of a hundred are not above.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent / 100).min(values.len() - 1);
    values[at]
}

fn main() {
    let rounds = if common::quick() { 20 } else { MOST / 2 };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let (mut edits, mut shown, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(async {
        let mut app = App::start().await;
        for _ in 0..rounds {
            edits.push(app.edit().await);
            let put = app.put().await;
            shown.push(put[0]);
            kept.push(put[1]);
            // The first attempt to send it says that nobody is reached: that is not what is measured.
            app.settle_once().await;
        }
    });
    for percent in [50, 95] {
        let base = percentile(&mut edits, percent);
        for (what, values) in [("shown", &mut shown), ("on the disk", &mut kept)] {
            let case = format!("put until {what}, p{percent}, beside addOptimistic");
            common::Row {
                case: &case,
                n: rounds,
                unit: "ms",
                ours: percentile(values, percent),
                base,
                bound: None,
            }
            .print();
        }
    }
}
