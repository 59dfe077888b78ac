//! The engine against a simulated server, network and clock: random schedules of a watch's life, each of them repeatable from
//! its seed. After each step what is promised holds, and after each quiet time the watch shows what the server has.
//!
//! What decides runs for real: the replica (lifecycle and store), the ledgers of followers and of the cache. What waits in
//! `watch/` and `tickets/` has short stand-ins here, `watch.rs`, `pages.rs`, `lists.rs`,
//! `tickets.rs` and `rows.rs`, with the same rules.
//!
//! `cargo xtask sim --cases N --seed S` runs more of them, `cargo xtask sim --mutants` proves that they search.

mod budget;
mod follower;
mod life;
mod listing;
mod lists;
mod oracle;
mod pages;
mod rows;
mod schedule;
mod search;
mod server;
mod stream;
mod tickets;
mod watch;
mod world;

use std::time::{Duration, Instant};

/// Schedules of a run that nobody asked more of, how long it may take, and what is too few for that time.
const CASES: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(35);
const FEWEST: u64 = 300;

fn setting(name: &str) -> Option<u64> {
    let set = std::env::var(name).ok()?;
    Some(set.parse().expect("a number"))
}

#[test]
fn a_watch_keeps_its_promises_whatever_happens_in_whatever_order() {
    let (began, asked) = (Instant::now(), setting("SIM_CASES"));
    let first = setting("SIM_SEED").unwrap_or(0);
    let mut ran = 0;
    for seed in first..first + asked.unwrap_or(CASES) {
        if asked.is_none() && began.elapsed() > PATIENCE {
            break;
        }
        ran += 1;
        if let Some(found) = search::try_seed(seed) {
            if std::env::var("SIM_SURVEY").is_ok() {
                let words: String = found.failure.chars().take(170).collect();
                println!("{seed}: {} {}", found.steps.len(), words.replace('\n', " "));
                continue;
            }
            println!("simulation: failed after {ran} schedules");
            println!("{}", found.minimise().report());
            panic!("a schedule failed: see above");
        }
    }
    let seconds = began.elapsed().as_secs_f32();
    println!("simulation: {ran} schedules in {seconds:.1} s");
    assert!(ran >= asked.unwrap_or(FEWEST), "only {ran} schedules");
}
