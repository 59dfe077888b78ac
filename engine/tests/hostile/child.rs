//! The process under attack: an engine, followed as an app follows it.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use contrail_sync_engine::{Delta, Engine, EngineConfig, Status, Subscription, WatchSpec};
use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::Level;

use crate::{
    ANSWER,
    attacks::{Attack, End, Place},
    feeds::LAST,
};

/// A page takes so many bytes of JSON at once.
const PART: usize = 512 * 1024;
/// An attack that has not ended by then did not come to the end that it should.
const PATIENCE: Duration = Duration::from_secs(40);
/// More is far beyond every bound: the machine is not to suffer from a fault.
const FAR_TOO_MUCH: u64 = 1024 * 1024;

/// What an attack took, in KiB and milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Peak of memory before the attack.
    pub(crate) idle: u64,
    /// Peak of memory at its end.
    pub(crate) peak: u64,
    pub(crate) cpu_ms: u128,
    /// The most processor time in which one waited for an answer of the watch: what else the machine does counts not.
    pub(crate) slowest_ms: u64,
    /// Bytes of log.
    pub(crate) log: usize,
    /// It came to the end that it should.
    pub(crate) met: bool,
    /// The watch is live at the end …
    pub(crate) live: bool,
    /// … and shows the records from before.
    pub(crate) kept: bool,
    /// What followers were told.
    pub(crate) errors: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [idle, peak] = [self.idle, self.peak].map(|it| it / 1024);
        let error = self.errors.last().map_or("none, live", String::as_str);
        let error: String = error.chars().take(100).collect();
        write!(
            f,
            "{idle} MiB | {peak} MiB | {} ms of cpu | {} ms to answer | {} B of log | {error}",
            self.cpu_ms, self.slowest_ms, self.log
        )
    }
}

pub(crate) fn run(attack: &Attack, url: &str) {
    let log = Log::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let mut report = Report::default();
    let slowest = Arc::new(AtomicU64::new(0));
    runtime.unwrap().block_on(async {
        let mut config = EngineConfig::default();
        config.backoff.base = Duration::from_millis(50);
        let engine = Engine::new(tokio::runtime::Handle::current(), config).unwrap();
        let spec = || {
            let mut spec = WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true));
            spec.transport = attack.by;
            spec
        };
        let watch = engine.watch(spec()).await.in_parts(PART);
        let mut status = watch.state().await.unwrap().status;
        while status != Status::Live {
            status = watch.next().await.unwrap().status;
        }
        report.idle = peak();
        guard_memory(report.idle);
        let (told, start) = (log.bytes(), ProcessTime::now());
        say("live");

        let asking = engine.watch(spec()).await.in_parts(PART);
        let asking = tokio::spawn(keep_asking(asking, slowest.clone()));
        let over = timeout(PATIENCE, until(attack, &watch, &mut report.errors)).await;
        report.met = over.is_ok();
        let asked = ProcessTime::now();
        let state = timeout(2 * ANSWER, watch.state()).await;
        note(&slowest, asked.elapsed());
        report.peak = peak();
        report.cpu_ms = start.elapsed().as_millis();
        report.log = log.bytes() - told;
        asking.abort();
        if let Ok(Some(state)) = state {
            report.live = state.status == Status::Live;
            let has = |rkey| state.entries.iter().any(|it| it.record.rkey() == rkey);
            report.kept = ["a", "b", "c"].into_iter().all(has);
        }
        report.slowest_ms = slowest.load(Ordering::Relaxed);
        end(&report);
    });
}

/// Not by returning: a task that an attack keeps busy for ever must not keep the test.
fn end(report: &Report) -> ! {
    say(&serde_json::to_string(report).unwrap());
    std::process::exit(0)
}

fn note(slowest: &AtomicU64, waited: Duration) {
    let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    slowest.fetch_max(millis, Ordering::Relaxed);
}

/// Follows the watch until the attack is over.
async fn until(attack: &Attack, watch: &Subscription, errors: &mut Vec<String>) {
    if let (Place::Page, End::NoPage(word)) = (attack.at, &attack.end) {
        let answer = watch.load_more().await.map_err(|it| it.to_string());
        let is_refused = answer.as_ref().is_err_and(|it| it.contains(word));
        errors.extend(answer.err());
        if !is_refused {
            std::future::pending::<()>().await;
        }
        return;
    }
    loop {
        let delta = watch.next().await.unwrap();
        let error = delta.error.as_ref();
        let told = error.map(|it| format!("{:?}: {}", it.kind, it.message));
        if told.is_some() && told.as_ref() != errors.last() {
            errors.extend(told);
        }
        let is_over = match &attack.end {
            End::Error(kind, word) => {
                error.is_some_and(|it| it.kind == *kind && it.message.contains(word))
            }
            End::Live | End::NoPage(_) => has_last(&delta),
        };
        if is_over {
            return;
        }
    }
}

fn has_last(delta: &Delta) -> bool {
    let mut changed = delta.changed.iter();
    changed.any(|it| it.entry.record.rkey() == LAST)
}

/// Another follower, who wants to know where things stand ever again.
async fn keep_asking(watch: Subscription, slowest: Arc<AtomicU64>) {
    loop {
        let asked = ProcessTime::now();
        if watch.state().await.is_none() {
            return;
        }
        note(&slowest, asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn say(line: &str) {
    println!("> {line}");
}

/// The most KiB of memory that this process ever had.
fn peak() -> u64 {
    field("VmHWM:")
}

fn field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB"));
    kib.unwrap().parse().unwrap()
}

/// Ends the process, with what is to be said about it, before it takes all there is.
fn guard_memory(idle: u64) {
    std::thread::spawn(move || {
        while field("VmRSS:") < FAR_TOO_MUCH {
            std::thread::sleep(Duration::from_millis(10));
        }
        let report = Report {
            idle,
            peak: peak(),
            ..Report::default()
        };
        end(&report);
    });
}

/// Counts what would be written.
#[derive(Clone, Default)]
struct Log(Arc<AtomicUsize>);

impl Log {
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(text.len(), Ordering::Relaxed);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
