//! An app that is killed while it writes: whatever it was told is kept arrives, in order, and what arrives twice does no harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use appview::{AcceptThen, Fault, On, Options, PdsWrite, Server};
use contrail_sync_engine::{
    NamedSender, NewRecord, OutboxConfig, Secret, SenderSource, TransportKind, WriteState,
    XrpcSender,
};
use serde_json::{json, value::to_raw_value};

use super::common::*;

/// Kills in a usual run; `KILLS` takes another number.
const KILLS: usize = 15;
/// Writes of one life, if it lasts.
const WRITES: usize = 50;
/// Longest life of an app once it writes, in microseconds.
const LONGEST: u64 = 400_000;

/// The record that the write of this number is of: every other one is a record of its own.
fn rkey(n: usize) -> String {
    match n % 2 {
        0 => format!("own{n}"),
        _ => format!("shared{}", n % 6),
    }
}

struct App {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    reader: std::thread::JoinHandle<()>,
}

impl App {
    fn start(file: &Path, server: &Server, token: &str, from: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["writes::writer", "--exact", "--ignored", "--nocapture"])
            .env("WRITES_FILE", file)
            .env("WRITES_SERVER", server.url())
            .env("WRITES_TOKEN", token)
            .env("WRITES_FROM", from.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let heard = said.clone();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, line)) = line.split_once("> ") {
                    heard.lock().unwrap().push(line.to_owned());
                }
            }
        });
        Self {
            child,
            said,
            reader,
        }
    }

    /// Waits for a line, or the end.
    fn until(&mut self, line: &str) {
        let is_over = || {
            let said = self.said.lock().unwrap();
            said.iter().any(|it| it == line || it.starts_with("failed"))
        };
        while !is_over() && self.child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it; the numbers of the writes that it was told are kept.
    fn kill(mut self) -> Vec<usize> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        let said = self.said.lock().unwrap();
        let failed = said.iter().find(|it| it.starts_with("failed"));
        assert_eq!(failed, None, "nobody else writes");
        let kept = said.iter().filter_map(|it| it.strip_prefix("kept "));
        kept.map(|it| it.parse().unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other test"]
async fn writer() {
    let Ok(file) = std::env::var("WRITES_FILE") else {
        return;
    };
    std::thread::spawn(|| {
        std::io::stdin().lines().for_each(drop);
        // The test has ended.
        std::process::exit(1);
    });
    let of = |name: &str| std::env::var(format!("WRITES_{name}")).unwrap();
    let sender = XrpcSender::new(of("SERVER").parse().unwrap()).bearer("pds");
    let outbox = OutboxConfig::new(Some(file.into())).sender(NamedSender::new("pds", sender));
    let engine = engine_with(|config| config.outbox = Some(outbox));
    let token = Secret::new(of("TOKEN"));
    engine.store_secret("pds", token).await.unwrap();
    let url = format!(
        "{}/xrpc/com.example.message.listRecords?actor={ALICE}",
        of("SERVER")
    );
    let mut spec = anywhere(url.parse().unwrap());
    spec.transport = TransportKind::Poll;
    spec.account = Some(ALICE.into());
    spec.sender = Some(SenderSource::Named("pds".into()));
    let watch = engine.watch(spec.clone()).await;
    let writer = engine.writer(&watch, &spec);
    println!("> began");
    let from: usize = of("FROM").parse().unwrap();
    for n in from..from + WRITES {
        let body = to_raw_value(&json!({ "text": n.to_string() })).unwrap();
        let record = NewRecord::new(ALICE, body)
            .with_rkey(rkey(n))
            .in_collection("com.example.chat.message");
        writer.put_once(n.to_string(), record).await.unwrap();
        println!("> kept {n}");
    }
    let outbox = engine.outbox().unwrap();
    let mut rev = 0;
    while outbox
        .writes(None)
        .await
        .iter()
        .any(|it| !it.state.is_sent())
    {
        let changes = outbox.changes(None, rev).await.unwrap();
        rev = changes.rev;
        for write in changes
            .writes
            .iter()
            .filter(|it| it.state == WriteState::Failed)
        {
            println!("> failed {} {:?}", write.rkey, write.error);
        }
    }
    println!("> sent all");
    std::future::pending::<()>().await;
}

/// Of one record nothing arrives before what was written earlier.
fn check_order(log: &[PdsWrite]) -> usize {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repeats = 0;
    for write in log {
        let n: usize = write.key.as_deref().unwrap().parse().unwrap();
        let record = write.rkey.as_deref().unwrap();
        assert_eq!(record, rkey(n));
        if let Some(before) = last.insert(record, n) {
            assert!(before <= n, "{record}: {n} came after {before}");
            repeats += usize::from(before == n);
        }
    }
    repeats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_was_told_is_kept_arrives_although_it_is_killed_at_any_moment() {
    let kills = std::env::var("KILLS").map_or(KILLS, |it| it.parse().unwrap());
    let seed =
        std::env::var("KILLS_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    println!("KILLS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    let server = Server::start(Options::default()).await.unwrap();
    let token = server.pds_session(ALICE).unwrap();
    let mut kept = BTreeSet::new();
    let mut log = Vec::new();
    for _ in 0..kills {
        // Writes take their time, and now and then the answer is lost.
        let fault = Fault {
            on: Some(On::Write),
            times: Some(rng.u32(1..20)),
            delay_ms: Some(rng.u64(0..30)),
            accept_then: rng.bool().then_some(AcceptThen::Close),
            ..Fault::default()
        };
        server.fault(fault).unwrap();
        let from = kept.last().map_or(0, |last| last + 1);
        let mut app = App::start(&file, &server, &token, from);
        let life = Duration::from_micros(rng.u64(..LONGEST));
        let heard = tokio::task::spawn_blocking(move || {
            app.until("began");
            // Not waiting for anything: this chooses the moment.
            std::thread::sleep(life);
            app.kill()
        });
        kept.extend(heard.await.unwrap());
    }
    let from = kept.last().map_or(0, |last| last + 1);
    let mut app = App::start(&file, &server, &token, from);
    let heard = tokio::task::spawn_blocking(move || {
        app.until("sent all");
        app.kill()
    });
    kept.extend(heard.await.unwrap());
    log.extend(server.pds_log());

    let repeats = check_order(&log);
    let arrived: BTreeSet<usize> = log
        .iter()
        .map(|it| it.key.as_deref().unwrap().parse().unwrap())
        .collect();
    let mut replaced = 0;
    for n in &kept {
        // What no server had seen may have been changed before it was sent.
        let came = arrived.contains(n);
        let later = arrived.iter().any(|it| it > n && rkey(*it) == rkey(*n));
        assert!(came || (n % 2 == 1 && later), "{n} was kept, and is lost");
        replaced += usize::from(!came);
    }
    println!(
        "{kills} kills: {} writes kept, {} requests, {repeats} repeats, {replaced} changed before they were sent",
        kept.len(),
        log.len()
    );
    assert!(kept.len() >= WRITES && log.len() < 10_000);
}
