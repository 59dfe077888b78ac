//! Live updates from the appview's socket to a subscriber, with the cache on and off.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use appview::Put;
use contrail_sync_engine::{Cache, CacheConfig, Delta, Engine, EngineConfig, Subscription};
use cpu_time::ThreadTime;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    common::{self, Row},
    world::{self, ALICE, Lounge},
};

/// Updates between two marks. Two such chunks under way are far from what the appview may lag behind.
const CHUNK: usize = 2_000;
/// Filler that makes an event of 350 bytes.
const FILLER: usize = 80;
/// Record that ends a chunk and carries its number.
const MARK: &str = "mark";

pub(crate) fn run(quick: bool) {
    // A round spans several writes of the cache, rests included.
    let (rounds, chunks) = if quick { (3, 100) } else { (5, 600) };
    let mut appview = Builder::new_multi_thread();
    let appview = appview.worker_threads(1).enable_all().build();
    let appview = appview.expect("the appview's runtime starts");
    for (records, max_records) in [(1_000, 200), (10_000, 10_000)] {
        // One thread for the engine, so that its time can be told from the appview's and SQLite's.
        let engine = Builder::new_current_thread().enable_all().build();
        let engine = engine.expect("the engine's runtime starts");
        engine.block_on(compare(&appview, records, max_records, rounds, chunks));
    }
}

async fn compare(appview: &Runtime, records: usize, kept: usize, rounds: usize, chunks: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut on = Arm::start(appview, records, Some((dir.path(), kept))).await;
    let mut off = Arm::start(appview, records, None).await;
    let (on, off) = common::in_turns(
        rounds,
        async || on.follow(chunks).await,
        async || off.follow(chunks).await,
    )
    .await;
    let n = chunks * CHUNK;
    let per_event = |times: &[Took], which: fn(&Took) -> Duration| {
        common::median(times.iter().map(which)) / n as f64
    };
    for (what, which) in [
        ("CPU time", (|it| it.cpu) as fn(&Took) -> Duration),
        ("elapsed", |it| it.elapsed),
    ] {
        Row {
            case: &format!("event path, {what}, {kept} records cached / cache off"),
            n: records,
            unit: "µs/event",
            ours: per_event(&on, which),
            base: per_event(&off, which),
            bound: Some(1.05),
        }
        .print();
    }
}

/// One round: from before the first update is written to when the subscriber has seen the last.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Took {
    /// Of the thread that the watch and its subscriber run on.
    cpu: Duration,
    elapsed: Duration,
}

struct Arm {
    lounge: Arc<Lounge>,
    engine: Engine,
    watch: Subscription,
    records: usize,
    marks: u64,
}

impl Arm {
    /// A live watch of so many records.
    async fn start(appview: &Runtime, records: usize, cache: Option<(&Path, usize)>) -> Self {
        let lounge = appview.spawn(Lounge::open()).await.expect("it opens");
        let (mut config, mut spec) = (EngineConfig::default(), lounge.spec());
        if let Some((dir, max_records)) = cache {
            let file = CacheConfig::new(Some(dir.join("cache.sqlite")));
            config.cache = Some(Cache::open(file, &Handle::current()));
            spec.cache.get_or_insert_default().max_records = max_records;
        }
        let engine = Engine::new(Handle::current(), config).expect("the engine starts");
        let watch = engine.watch(spec).await;
        world::until_live(&watch).await;
        let mut arm = Self {
            lounge: Arc::new(lounge),
            engine,
            watch,
            records,
            marks: 0,
        };
        arm.follow(records.div_ceil(CHUNK)).await;
        arm
    }

    /// Has updates written chunk by chunk, and follows until the last one is here.
    async fn follow(&mut self, chunks: usize) -> Took {
        let (permit, permits) = mpsc::channel();
        let (lounge, records, first) = (self.lounge.clone(), self.records, self.marks + 1);
        let last = self.marks + chunks as u64;
        let (cpu, start) = (ThreadTime::now(), Instant::now());
        let writer = std::thread::spawn(move || {
            for (mark, ()) in (first..=last).zip(permits) {
                write(&lounge, records, mark);
            }
        });
        for _ in 0..2 {
            permit.send(()).expect("the writer waits");
        }
        while self.marks < last {
            let delta = self.watch.next().await.expect("the engine lives");
            let seen = mark(&delta).unwrap_or(self.marks);
            for _ in self.marks..seen {
                // After the last chunk nobody takes them any more.
                let _ = permit.send(());
            }
            self.marks = seen;
        }
        let (cpu, elapsed) = (cpu.elapsed(), start.elapsed());
        writer.join().expect("the writer wrote all");
        // What is left to write must not fall into the other one's round.
        self.engine.flush(Duration::from_secs(10)).await;
        Took { cpu, elapsed }
    }
}

fn write(lounge: &Lounge, records: usize, mark: u64) {
    let filler = "x".repeat(FILLER);
    let from = CHUNK * usize::try_from(mark).expect("it is small");
    for n in from..from + CHUNK {
        let text = format!("{mark} {filler}");
        put(
            lounge,
            format!("{:06}", n % records),
            json!({ "text": text }),
        );
    }
    put(lounge, MARK.to_owned(), json!({ "mark": mark }));
}

/// Many in one millisecond.
fn put(lounge: &Lounge, rkey: String, record: Value) {
    let put = Put {
        space_uri: Some(lounge.space.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        rkey,
        record,
        concurrent: true,
        ..Put::default()
    };
    lounge.server.put(put).expect("it is written");
}

/// The number of the last chunk that the delta ends.
fn mark(delta: &Delta) -> Option<u64> {
    let mut changed = delta.changed.iter();
    let mark = changed.find(|it| it.entry.record.rkey() == MARK)?;
    let value: Value = serde_json::from_str(mark.entry.record.value.get()).ok()?;
    value["mark"].as_u64()
}
