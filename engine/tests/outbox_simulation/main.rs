//! The outbox's queue and the list that shows it, against a simulated server, disk and user: random schedules, each of them
//! repeatable from its seed. After each step what is promised holds, and after a quiet time everything has arrived.
//!
//! `cargo xtask sim --cases N --seed S` runs more of them.

mod client;
mod server;

use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use client::Client;
use server::Server;

/// Schedules of a run that nobody asked more of, how long it may take, and what is too few for that time.
const CASES: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(12);
const FEWEST: u64 = 100;
/// Steps of one schedule.
const STEPS: usize = 60;

/// What happens next. The numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The user writes a record.
    Put(u64),
    /// The user deletes one.
    Delete(u64),
    /// The user tries a write again.
    Retry(u64),
    /// The user takes one back.
    Discard(u64),
    /// Somebody else changes a record, or deletes it.
    Other(u64, bool),
    /// Everything that may be sent now goes out.
    Send,
    /// A request that is under way ends, in one of the ways in which requests end.
    End(u64, u64),
    /// The next event of the server arrives.
    Hear,
    /// The connection breaks: events that are under way are lost, a snapshot comes.
    Reconnect,
    /// A list arrives that is so many changes old.
    List(u64),
    /// Time passes, in seconds.
    Pass(u64),
    /// The network is back.
    Wake,
    /// The process is killed; requests that are under way arrive or do not.
    Kill(u64),
    /// The clock on the wall jumps, in hours.
    Jump(i64),
}

fn step(rng: &mut fastrand::Rng) -> Step {
    let any = rng.u64(..);
    match rng.u32(..100) {
        0..22 => Step::Put(any),
        22..30 => Step::Delete(any),
        30..35 => Step::Retry(any),
        35..39 => Step::Discard(any),
        39..44 => Step::Other(any, rng.u8(..4) == 0),
        44..60 => Step::Send,
        60..76 => Step::End(any, rng.u64(..)),
        76..86 => Step::Hear,
        86..88 => Step::Reconnect,
        88..91 => Step::List(rng.u64(0..4)),
        91..94 => Step::Pass(rng.u64(1..90)),
        94..96 => Step::Wake,
        96..99 => Step::Kill(any),
        _ => Step::Jump(rng.i64(-48..48)),
    }
}

/// One life of an app that writes.
struct World {
    server: Server,
    client: Client,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Without hashes nobody can tell what a server made of a body from what was there before.
        let has_cids = rng.bool();
        let mut server = Server::new(has_cids, has_cids && rng.bool());
        for n in 0..rng.u64(0..3) {
            server.write_as_other(n, false);
        }
        let client = Client::new(rng.usize(1..4), &mut server, rng.fork());
        Self { server, client }
    }

    fn apply(&mut self, step: Step) {
        let (client, server) = (&mut self.client, &mut self.server);
        match step {
            Step::Put(any) => client.put(any),
            Step::Delete(any) => client.delete(any),
            Step::Retry(any) => client.retry(any),
            Step::Discard(any) => client.discard(any),
            Step::Other(any, deletes) => server.write_as_other(any, deletes),
            Step::Send => client.send(),
            Step::End(any, how) => client.end_one(any, how, server),
            Step::Hear => client.hear(server),
            Step::Reconnect => client.reconnect(server),
            Step::List(age) => client.list(server, age),
            Step::Pass(seconds) => client.pass(Duration::from_secs(seconds)),
            Step::Wake => client.wake(),
            Step::Kill(any) => client.restart(any, server),
            Step::Jump(hours) => client.jump(hours * 3_600_000),
        }
        client.settle();
        client.check(server);
    }

    /// Nothing goes wrong any more: everything arrives, is refused for good, or was taken back.
    fn calm_down(&mut self) {
        for _ in 0..100 {
            let (client, server) = (&mut self.client, &mut self.server);
            client.retry_all();
            client.wake();
            client.send();
            client.end_all(server);
            client.settle();
            client.hear_all(server);
            client.settle();
            if client.is_calm() {
                break;
            }
            client.pass(Duration::from_secs(1));
        }
        // What somebody else has deleted since nobody can tell from what has not come yet: it is shown for a day.
        self.client.check_unconfirmed(&self.server);
        self.client.pass(Duration::from_secs(24 * 3600));
        self.client.settle();
        self.client.reconnect(&mut self.server);
        self.client.settle();
        self.client.check(&self.server);
        self.client.check_calm(&self.server);
    }
}

/// Runs a schedule; says what it fails with.
fn run(seed: u64, steps: &[Step]) -> Option<String> {
    let live = || {
        let mut world = World::new(seed);
        for step in steps {
            world.apply(*step);
        }
        world.calm_down();
    };
    let failure = panic::catch_unwind(AssertUnwindSafe(live)).err()?;
    let text = failure.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| "a panic".into()))
}

/// The same failure with as few steps as can be.
fn minimise(seed: u64, mut steps: Vec<Step>) -> (Vec<Step>, String) {
    let mut failure = run(seed, &steps).unwrap_or_default();
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            match run(seed, &fewer) {
                Some(found) => (steps, failure) = (fewer, found),
                None => at += size,
            }
        }
        size /= 2;
    }
    (steps, failure)
}

fn setting(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

#[test]
fn every_write_arrives_in_order_whatever_happens_and_the_list_shows_it_all_the_while() {
    let (began, asked) = (Instant::now(), setting("SIM_CASES"));
    let first = setting("SIM_SEED").unwrap_or(0);
    panic::set_hook(Box::new(|_| {}));
    let mut ran = 0;
    for seed in first..first + asked.unwrap_or(CASES) {
        if asked.is_none() && began.elapsed() > PATIENCE {
            break;
        }
        ran += 1;
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let steps: Vec<Step> = (0..STEPS).map(|_| step(&mut rng)).collect();
        if run(seed, &steps).is_some() {
            let (steps, failure) = minimise(seed, steps);
            let _ = panic::take_hook();
            println!("simulation: failed after {ran} schedules");
            panic!("seed {seed}: {steps:#?}\n{failure}");
        }
    }
    let _ = panic::take_hook();
    println!(
        "simulation: {ran} schedules in {:.1} s",
        began.elapsed().as_secs_f32()
    );
    assert!(ran >= asked.unwrap_or(FEWEST), "only {ran} schedules");
}
