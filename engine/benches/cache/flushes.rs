//! Ten changed rows, against all rows and against the same flush in a smaller watch.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use contrail_sync_engine::{
    Cache,
    internals::{Changes, Lease},
};

use crate::{
    changes,
    common::{self, Row},
    key, open, set,
};

const CHANGED: usize = 10;
const LARGE: usize = 10_000;
const SMALL: usize = 1_000;

pub(crate) async fn run(quick: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut large = Watch::of(&dir.path().join("large.sqlite"), LARGE).await;
    let mut small = Watch::of(&dir.path().join("small.sqlite"), SMALL).await;
    let mut whole = Watch::of(&dir.path().join("whole.sqlite"), LARGE).await;

    let rounds = if quick { 5 } else { 25 };
    let (some, all) = common::in_turns(
        rounds,
        async || large.flush_some().await,
        async || whole.flush_all().await,
    )
    .await;
    print("flush of 10 changed rows / of all rows", some, all, 0.2);

    let rounds = if quick { 50 } else { 500 };
    let (in_large, in_small) = common::in_turns(
        rounds,
        async || large.flush_some().await,
        async || small.flush_some().await,
    )
    .await;
    let case = "flush of 10 changed rows / in a watch of 1,000";
    print(case, in_large, in_small, 2.0);
}

fn print(case: &str, ours: Vec<Duration>, base: Vec<Duration>, bound: f64) {
    Row {
        case,
        n: LARGE,
        unit: "µs",
        ours: common::median(ours),
        base: common::median(base),
        bound: Some(bound),
    }
    .print();
}

struct Watch {
    cache: Cache,
    lease: Arc<Lease>,
    rows: usize,
    version: usize,
    rng: fastrand::Rng,
}

impl Watch {
    async fn of(file: &Path, rows: usize) -> Self {
        let cache = open(file);
        let mut watch = Self {
            lease: cache.lease(key()),
            cache,
            rows,
            version: 0,
            rng: fastrand::Rng::with_seed(1),
        };
        watch.flush_all().await;
        watch
    }

    /// Rows anywhere in the watch: harder than the newest ones, which lie side by side.
    async fn flush_some(&mut self) -> Duration {
        self.version += 1;
        let some = self.rng.choose_multiple(0..self.rows, CHANGED);
        let some = set(some.into_iter(), self.version);
        self.write(changes(some, false)).await
    }

    async fn flush_all(&mut self) -> Duration {
        self.version += 1;
        let all = set(0..self.rows, self.version);
        self.write(changes(all, true)).await
    }

    async fn write(&self, changes: Changes) -> Duration {
        let start = Instant::now();
        let written = self.cache.write(&self.lease, changes).await;
        let took = start.elapsed();
        written.expect("it is written");
        took
    }
}
