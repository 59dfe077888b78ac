//! Processor time of what a hostile server sends, from the socket to the store, beside a bare parse of the same bytes: it
//! may cost no more than a small multiple of its own size.

mod common;
#[path = "../tests/hostile/feeds.rs"]
#[allow(dead_code)] // the attacks' own
mod feeds;
#[path = "../tests/common/mod.rs"]
mod world;

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use common::Row;
use cpu_time::ThreadTime;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};

/// Most that an attack may cost, in bare parses of its bytes.
const BOUND: f64 = 10.0;
/// A page takes so many bytes of JSON at once.
const PART: usize = 512 * 1024;
/// What one that never ends is left at.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let rounds = if common::quick() { 1 } else { 5 };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    // As criterion's benches: only those whose names hold a word that is given.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().filter(|it| !it.starts_with("--")).collect();
    let is_wanted =
        |it: &Attack| words.is_empty() || words.iter().any(|word| it.name.contains(*word));
    for attack in attacks().into_iter().filter(is_wanted) {
        measure(&runtime, rounds, attack);
    }
}

/// What is sent after a list of three records.
struct Attack {
    name: &'static str,
    /// What has to be there first, and is not measured.
    before: Vec<u8>,
    bytes: Vec<u8>,
}

fn attacks() -> Vec<Attack> {
    let attack = |name, before: Vec<Vec<u8>>, bytes: Vec<Vec<u8>>| Attack {
        name,
        before: before.concat(),
        bytes: bytes.concat(),
    };
    let with_fields = |version| {
        let fields = feeds::fields(100_000, version);
        let record = feeds::record_with("did:plc:mallory", "1", "{}", &fields);
        feeds::sse("record.created", &record)
    };
    let start = feeds::sse("snapshot.start", "{}");
    let children = (0..100).map(|n| feeds::child(feeds::WHOLE_AUTHOR, n, 200));
    let bad = feeds::sse("record.created", "[1]");
    vec![
        attack(
            "one child of 3.9 MB for each of 100 records",
            feeds::records(100).collect(),
            vec![feeds::child(feeds::WHOLE_AUTHOR, 1, 3_900_000)],
        ),
        // What the server sends of records pays for what children change in them: it is a part of this attack.
        attack(
            "1,000 records and 100 children of 200 B for each of them",
            vec![],
            feeds::records(1_000).chain(children).collect(),
        ),
        attack(
            "100,000 further fields, twice",
            vec![],
            (0..2).map(with_fields).collect(),
        ),
        attack(
            "50,000 starts of snapshots on 20,000 records",
            feeds::records(20_000).collect(),
            vec![start.repeat(50_000)],
        ),
        attack("unreadable events", vec![], vec![bad.repeat(100_000)]),
    ]
}

fn measure(runtime: &Runtime, rounds: usize, attack: Attack) {
    let (case, n) = (attack.name, attack.bytes.len());
    let bytes = attack.bytes.clone();
    let feed = Feed::start(attack).expect("a server starts");
    let (ours, base) = runtime.block_on(common::in_turns(
        rounds,
        async || ours(&feed).await,
        async || bare(&bytes),
    ));
    Row {
        case: &format!("hostile, {case} / bare parse"),
        n,
        unit: "µs",
        ours: common::median(ours),
        base: common::median(base),
        bound: Some(BOUND),
    }
    .print();
}

/// Processor time from the attack to the record that follows it.
async fn ours(feed: &Feed) -> Duration {
    let engine = world::engine();
    let watch = engine.watch(world::anywhere(feed.url())).await;
    let watch = watch.in_parts(PART);
    until(&watch, "ready").await;
    let start = ThreadTime::now();
    feed.go_on();
    // What never ends is told as what it cost until then.
    let _ = tokio::time::timeout(PATIENCE, until(&watch, feeds::LAST)).await;
    start.elapsed()
}

async fn until(watch: &contrail_sync_engine::Subscription, rkey: &str) {
    loop {
        let delta = watch.next().await.expect("the engine lives");
        let mut changed = delta.changed.iter();
        if changed.any(|it| it.entry.record.rkey() == rkey) {
            return;
        }
    }
}

/// The same of a reader that keeps nothing: each event's text once as raw JSON, and once through.
fn bare(bytes: &[u8]) -> Duration {
    let start = ThreadTime::now();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data: ") {
            let raw = serde_json::from_slice::<&RawValue>(data).expect("it is JSON");
            let _ = std::hint::black_box(serde_json::from_str::<IgnoredAny>(raw.get()));
        }
    }
    start.elapsed()
}

/// Serves one stream after another on a thread of its own.
struct Feed {
    address: SocketAddr,
    permits: std::sync::mpsc::Sender<()>,
}

impl Feed {
    fn start(attack: Attack) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (permits, permitted) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                // One that leaves before the end is no fault of the server's.
                let _ = socket.and_then(|it| serve(it, &attack, &permitted));
            }
        });
        Ok(Self { address, permits })
    }

    /// The attack may come.
    fn go_on(&self) {
        self.permits.send(()).expect("the server lives");
    }

    fn url(&self) -> url::Url {
        let path = "xrpc/com.example.message.watchRecords?spaceUri=ats://did:plc:alice/com.example.space/lounge";
        let url = format!("http://{}/{path}", self.address);
        url.parse().expect("it is a URL")
    }
}

fn serve(
    mut socket: TcpStream,
    attack: &Attack,
    permitted: &std::sync::mpsc::Receiver<()>,
) -> io::Result<()> {
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|it| !it.is_empty()) {}
    if asked.contains("mode=ws") {
        // It has no snapshots beside the stream.
        return socket.write_all(
            b"HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        );
    }
    let own = |rkey| {
        feeds::sse(
            "record.created",
            &feeds::record("did:plc:alice", rkey, "{}"),
        )
    };
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
    socket.write_all(&feeds::snapshot(false))?;
    socket.write_all(&attack.before)?;
    socket.write_all(&own("ready"))?;
    if permitted.recv().is_ok() {
        socket.write_all(&attack.bytes)?;
        socket.write_all(&own(feeds::LAST))?;
    }
    // The client is the one to leave: else it would come again.
    io::copy(&mut socket, &mut io::sink()).map(drop)
}
