//! What each event costs on its way to a subscriber: decoding, the store, the places of a delta.

mod common;

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Keys, Row, event, record};
use contrail_sync_engine::pure::{protocol::wire, store::Store};
use criterion::{BatchSize, BenchmarkId, Criterion};

/// Bytes of an event where that is not what is varied.
const BYTES: usize = 350;
/// Records of a watch, the base first.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Changes of one delta.
const CHANGES: usize = 100;

fn main() {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    // What an earlier run found must not be taken for this one's.
    let _ = std::fs::remove_dir_all(&output);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .output_directory(&output)
        .configure_from_args();
    decode(&mut criterion);
    store(&mut criterion);
    delta(&mut criterion);
    criterion.final_summary();
    report(&Estimates(output));
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for bytes in [350, 1000] {
        let data = event(1, 1, bytes);
        group.bench_function(BenchmarkId::new("event", bytes), |bencher| {
            bencher.iter(|| wire::decode("record.created", black_box(&data)));
        });
        group.bench_function(BenchmarkId::new("keys", bytes), |bencher| {
            bencher.iter(|| serde_json::from_str::<Keys>(black_box(&data)).map(drop));
        });
    }
}

fn store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    for n in SIZES {
        let (mut store, mut rng) = (filled(n), fastrand::Rng::with_seed(1));
        let mut version = 0;
        let mut change = || {
            version += 1;
            record(rng.usize(..n), version, BYTES)
        };
        group.bench_function(BenchmarkId::new("update", n), |bencher| {
            bencher.iter_batched(
                &mut change,
                |it| upsert(&mut store, it),
                BatchSize::SmallInput,
            );
        });
        let (mut store, mut newest) = (filled(n), n);
        group.bench_function(BenchmarkId::new("insert", n), |bencher| {
            let new = || {
                newest += 1;
                record(newest, 0, BYTES)
            };
            bencher.iter_batched(new, |it| upsert(&mut store, it), BatchSize::SmallInput);
        });
    }
}

/// A store that is full: each new record makes the last one go.
fn filled(n: usize) -> Store {
    let mut store = Store::with_limit(n);
    for number in 0..n {
        store.upsert(record(number, 0, BYTES));
    }
    store.take_changes();
    store
}

fn upsert(store: &mut Store, record: contrail_sync_engine::Record) {
    store.upsert(record);
    store.take_changes().for_each(drop);
}

fn delta(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delta");
    for n in SIZES {
        let store = filled(n);
        let ids: Vec<u64> = store.entries().map(|entry| entry.id).collect();
        let ids = fastrand::Rng::with_seed(1).choose_multiple(ids, CHANGES);
        group.bench_function(BenchmarkId::new("places", n), |bencher| {
            bencher.iter(|| {
                let found = ids.iter().filter_map(|id| store.find(black_box(*id)));
                let mut found: Vec<_> = found.collect();
                found.sort_unstable_by_key(|(index, _)| *index);
                found.len()
            });
        });
    }
}

fn report(estimates: &Estimates) {
    for bytes in [350, 1000] {
        let base = ("decode", "keys", bytes);
        let case = "decode an event / its keys alone";
        estimates.row(case, ("decode", "event", bytes), base, None);
    }
    for (case, group, function) in [
        ("update a record / among 1,000", "store", "update"),
        ("insert a record / among 1,000", "store", "insert"),
        ("places of 100 changes / among 1,000", "delta", "places"),
    ] {
        let base = (group, function, SIZES[0]);
        for n in SIZES {
            let bound = (n == 100_000).then_some(2.0);
            estimates.row(case, (group, function, n), base, bound);
        }
    }
}

/// What criterion wrote.
struct Estimates(PathBuf);

/// Group, function and parameter of a measurement.
type Id = (&'static str, &'static str, usize);

impl Estimates {
    /// Prints a row, unless a filter left out what it needs.
    fn row(&self, case: &str, ours: Id, base: Id, bound: Option<f64>) {
        let n = ours.2;
        if let (Some(ours), Some(base)) = (self.median(ours), self.median(base)) {
            Row {
                case,
                n,
                unit: "µs",
                ours,
                base,
                bound,
            }
            .print();
        }
    }

    /// The median in microseconds.
    fn median(&self, (group, function, parameter): Id) -> Option<f64> {
        let dir = self
            .0
            .join(group)
            .join(function)
            .join(parameter.to_string());
        let text = std::fs::read_to_string(dir.join("new/estimates.json")).ok()?;
        let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(estimates["median"]["point_estimate"].as_f64()? / 1e3)
    }
}
