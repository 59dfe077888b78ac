//! The engine against the development appview in each of its modes, under random traffic and faults: after each quiet
//! time what a watch shows equals a fresh snapshot. `cargo xtask soak --for SECONDS` runs it for longer.

mod oracle;
mod traffic;
mod watching;

use std::time::{Duration, Instant};

use appview::WsMode;
use contrail_sync_engine::TransportKind;

use traffic::Traffic;
use watching::{Watches, Watching};

/// Seconds for each mode, and the first seed.
fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |it| it.parse().expect("a number"))
}

/// What a run counted.
#[derive(Debug, Default)]
struct Tally {
    operations: u64,
    faults: u64,
    restarts: u64,
    comparisons: u64,
}

async fn soak(name: &str, transport: TransportKind, ws: WsMode) {
    let (seconds, seed) = (setting("SOAK_SECONDS", 12), setting("SOAK_SEED", 1));
    let mut traffic = Traffic::start(seed, ws).await;
    let file = tempfile::tempdir().unwrap();
    let mut watching = Watching::start(&traffic, transport, file.path()).await;
    let mut watches = watching.watches().await;
    let (began, mut tally) = (Instant::now(), Tally::default());
    while began.elapsed() < Duration::from_secs(seconds) || tally.comparisons == 0 {
        for _ in 0..traffic.busy_rounds() {
            tally.operations += traffic.round().await;
            tally.faults += u64::from(traffic.fault());
        }
        if traffic.restarts() {
            watches = restart(&mut watching, watches).await;
            tally.restarts += 1;
        }
        traffic.calm();
        for watch in &watches {
            oracle::agrees(&traffic, watch, name).await;
            tally.comparisons += 1;
        }
    }
    let statistics = watching.statistics();
    println!(
        "soak {name}: {tally:?} {statistics:?} {:?}",
        traffic.stats()
    );
}

async fn restart(watching: &mut Watching, watches: Watches) -> Watches {
    drop(watches);
    watching.restart().await;
    watching.watches().await
}

#[tokio::test]
async fn over_server_sent_events_a_watch_agrees_with_the_server_after_each_quiet_time() {
    soak("sse", TransportKind::Sse, WsMode::Worker).await;
}

#[tokio::test]
async fn over_a_workers_socket_a_watch_agrees_with_the_server_after_each_quiet_time() {
    soak("worker", TransportKind::Ws, WsMode::Worker).await;
}

#[tokio::test]
async fn over_a_durable_objects_socket_a_watch_agrees_with_the_server_after_each_quiet_time() {
    soak("durable object", TransportKind::Ws, WsMode::Do).await;
}
