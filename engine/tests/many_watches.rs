//! Hundreds of live watches in one process, on an appview in another: what each costs here is counted alone.
//!
//! A watch over HTTP/1.1 or WebSocket is an open file on both sides, so the tests raise their limit of open files
//! to [`FILES`]. `--nocapture` prints what a watch costs in memory; for exact figures run one test at a time.

mod common;

use std::{
    io::{BufRead, BufReader, Lines, Write},
    ops::RangeInclusive,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use appview::{Options, Put, Server, Tls};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::*;
use contrail_sync_engine::{
    Engine, Subscription, TransportKind, rustls::pki_types::CertificateDer,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Open files that the tests may need: connections of a burst, some of them about to close.
const FILES: u64 = 2_048;
/// The tests share a process whose memory they measure.
static TURN: Mutex<()> = Mutex::const_new(());

/// An appview in a process of its own: this test binary again. Its lines of interest start with `> `.
struct Appview {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Appview {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["appview_process", "--exact", "--ignored", "--nocapture"])
            .env("MANY_WATCHES_APPVIEW", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let orders = child.stdin.take().unwrap();
        Self {
            child,
            orders,
            lines,
        }
    }

    fn ask(&mut self, order: &str) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        let answer = self.lines.find_map(|line| {
            let line = line.unwrap();
            let said = line.split_once("> ")?.1;
            Some(serde_json::from_str(said).unwrap())
        });
        answer.expect("the appview lives")
    }

    /// Waits until it has seen what is wanted.
    async fn wait(&mut self, wanted: impl Fn(&Value) -> bool) {
        let seen = async {
            while !wanted(&self.ask("stats")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
        seen.unwrap_or_else(|_| panic!("never as wanted: {}", self.ask("stats")));
    }
}

impl Drop for Appview {
    fn drop(&mut self) {
        // It may have ended by itself, with the reason on the standard error output.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests"]
async fn appview_process() {
    if std::env::var_os("MANY_WATCHES_APPVIEW").is_none() {
        return;
    }
    raise_file_limit();
    let options = Options {
        tls: Some(Tls::default()),
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let answer = match order.split_once(' ') {
            Some(("open", count)) => spaces(count)
                .map(|(key, owner)| json!(server.open_space(&key, &owner).unwrap().query))
                .collect(),
            Some(("say", count)) => {
                spaces(count).for_each(|(key, owner)| say(&server, &key, owner));
                json!(null)
            }
            _ if order == "drop" => json!(server.drop_connections()),
            _ if order == "stats" => serde_json::to_value(server.stats()).unwrap(),
            _ => json!({
                "url": server.url(),
                "tlsUrl": server.tls_url(),
                "certificate": STANDARD.encode(server.certificate().unwrap()),
            }),
        };
        println!("> {answer}");
    }
}

/// Key and owner of so many spaces, one for each watch.
fn spaces(count: &str) -> impl Iterator<Item = (String, String)> {
    let spaces = 0..count.parse::<usize>().unwrap();
    spaces.map(|n| (n.to_string(), format!("did:plc:owner{n}")))
}

fn say(server: &Server, key: &str, owner: String) {
    let put = Put {
        space_uri: Some(server.space(key, &owner).unwrap()),
        collection: "message".into(),
        did: owner,
        rkey: "1".into(),
        record: json!({ "text": "hello" }),
        ..Put::default()
    };
    server.put(put).unwrap();
}

fn raise_file_limit() {
    let limit = rlimit::increase_nofile_limit(FILES).unwrap();
    assert!(
        limit >= FILES,
        "{FILES} open files are needed, the system allows {limit}"
    );
}

/// Kilobytes of memory that this process has.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Follows `count` watches at once, has all connections break and one record arrive in each watch, and leaves them.
async fn follow(
    count: usize,
    transport: TransportKind,
    tls: bool,
    connections: RangeInclusive<u64>,
) {
    let _turn = TURN.lock().await;
    raise_file_limit();
    let mut appview = Appview::start();
    let about = appview.ask("about");
    let certificate = STANDARD
        .decode(about["certificate"].as_str().unwrap())
        .unwrap();
    let engine = engine_with(|config| {
        config.tls = Some(trusting([CertificateDer::from(certificate)]));
        config.linger = Duration::ZERO;
    });
    let base = about[if tls { "tlsUrl" } else { "url" }].as_str().unwrap();
    let before = resident();
    let queries = appview.ask(&format!("open {count}"));
    let watches = open(&engine, base, &queries, transport).await;
    for watch in &watches {
        let state = until_live(watch).await;
        assert!(state.entries.is_empty());
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        let each = after.saturating_sub(before) as f64 / count as f64;
        println!("{count} watches, {transport:?}, TLS {tls}: {each:.1} kB each");
    }
    let asked = match transport {
        TransportKind::Ws => "upgrades",
        _ => "sse",
    };
    let stats = appview.ask("stats");
    assert_eq!(stats["watches"], count);
    assert_eq!(stats[asked], count, "nobody had to ask twice");
    assert!(
        connections.contains(&stats["open"].as_u64().unwrap()),
        "{stats}"
    );

    break_all(&mut appview, &watches, asked, connections).await;
    appview.ask(&format!("say {count}"));
    for watch in &watches {
        until(watch, |it| it.entries.len() == 1).await;
    }
    drop(watches);
    appview
        .wait(|it| it["open"] == 0 && engine.watch_count() == 0)
        .await;
}

/// Cuts every connection, and waits until all watches are live again on as many connections as before, or one more: the
/// first ones ask while others still hold on to what was cut.
async fn break_all(
    appview: &mut Appview,
    watches: &[Subscription],
    asked: &str,
    connections: RangeInclusive<u64>,
) {
    let count = watches.len();
    appview.ask("drop");
    appview
        .wait(|it| it[asked].as_u64() >= Some(2 * count as u64) && it["watches"] == count)
        .await;
    for watch in watches {
        until_live(watch).await;
    }
    let open = appview.ask("stats")["open"].as_u64().unwrap();
    assert!(
        (*connections.start()..=connections.end() + 1).contains(&open),
        "{open} connections after a reconnect"
    );
}

async fn open(
    engine: &Engine,
    base: &str,
    queries: &Value,
    transport: TransportKind,
) -> Vec<Subscription> {
    let mut watches = Vec::new();
    for query in queries.as_array().unwrap() {
        let query = query.as_str().unwrap();
        let url = format!("{base}/xrpc/com.example.message.watchRecords?{query}");
        let mut spec = anywhere(url.parse().unwrap());
        spec.transport = transport;
        watches.push(engine.watch(spec).await);
    }
    watches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_watches_are_live_over_http_1_1() {
    follow(500, TransportKind::Sse, false, 500..=500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watches_share_thirteen_connections_over_http_2() {
    follow(1_000, TransportKind::Sse, true, 13..=13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_watches_are_live_over_websockets() {
    // A handshake's connection may be kept for the next request.
    follow(500, TransportKind::Ws, false, 500..=504).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_websockets_of_a_host_with_http_2_take_their_handshakes_there() {
    follow(200, TransportKind::Ws, true, 200..=203).await;
}
