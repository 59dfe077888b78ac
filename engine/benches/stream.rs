//! The engine alone, from the socket to the store, beside a bare read of the same bytes that decodes keys.

mod common;
#[path = "../tests/common/mod.rs"]
mod world;

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use common::{Keys, Row, event};
use contrail_sync_engine::Status;
use cpu_time::ThreadTime;
use memchr::memchr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream as Socket,
    runtime::{Builder, Runtime},
    time::sleep,
};
use url::Url;

/// Bytes of an event's data.
const BYTES: usize = 350;
/// Records of the list.
const RECORDS: usize = 10_000;
/// Of a short list and of a long one.
const SHORT_AND_LONG: [usize; 2] = [1_000, 100_000];
/// Updates of them.
const UPDATES: usize = 50_000;
/// What a bare read reads at once.
const BUFFER: usize = 64 * 1024;
/// A page takes what changed once in a frame …
const FRAME: Duration = Duration::from_micros(16_667);
/// … and at most so many bytes.
const PART: usize = 512 * 1024;

fn main() {
    let rounds = if common::quick() { 3 } else { 15 };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    beside_a_bare_read(&runtime, rounds);
    short_beside_long(&runtime, rounds);
}

fn beside_a_bare_read(runtime: &Runtime, rounds: usize) {
    let feed = Feed::start(RECORDS).expect("a server starts");
    let (ours, base) = runtime.block_on(common::in_turns(
        rounds,
        async || ours(&feed).await,
        async || bare(&feed).await.expect("it reads to the end"),
    ));
    for (case, n, which) in [
        ("socket to store, snapshot", RECORDS, 0),
        ("socket to store, updates among 10,000", UPDATES, 1),
    ] {
        Row {
            case: &format!("{case} / bare read with key decoding"),
            n,
            unit: "µs/event",
            ours: median(&ours, which) / n as f64,
            base: median(&base, which) / n as f64,
            // Half the speed.
            bound: Some(2.0),
        }
        .print();
    }
}

fn short_beside_long(runtime: &Runtime, rounds: usize) {
    let [short, long] = SHORT_AND_LONG.map(|n| Feed::start(n).expect("a server starts"));
    let (long, short) = runtime.block_on(common::in_turns(
        rounds,
        async || ours(&long).await,
        async || ours(&short).await,
    ));
    Row {
        case: "socket to store, updates / among 1,000",
        n: SHORT_AND_LONG[1],
        unit: "µs/event",
        ours: median(&long, 1) / UPDATES as f64,
        base: median(&short, 1) / UPDATES as f64,
        bound: Some(2.0),
    }
    .print();
}

fn median(all: &[[Duration; 2]], which: usize) -> f64 {
    common::median(all.iter().map(|it| it[which]))
}

/// Processor time from the request to the end of the snapshot, and from there to the last update.
async fn ours(feed: &Feed) -> [Duration; 2] {
    let engine = world::engine();
    let start = ThreadTime::now();
    let watch = engine.watch(world::anywhere(feed.url())).await;
    let watch = watch.in_parts(PART);
    while watch.next().await.expect("the engine lives").status != Status::Live {
        sleep(FRAME).await;
    }
    let snapshot = start.elapsed();
    let start = ThreadTime::now();
    feed.go_on();
    let last = format!("{:08}", feed.records);
    loop {
        let delta = watch.next().await.expect("the engine lives");
        let mut changed = delta.changed.iter();
        if changed.any(|it| it.entry.record.rkey() == last) {
            return [snapshot, start.elapsed()];
        }
        sleep(FRAME).await;
    }
}

/// The same of a reader that keeps nothing.
async fn bare(feed: &Feed) -> io::Result<[Duration; 2]> {
    let start = ThreadTime::now();
    let mut socket = Socket::connect(feed.address).await?;
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut reader = Bare {
        socket,
        buffer: Vec::with_capacity(2 * BUFFER),
    };
    reader.read(feed.records).await?;
    let snapshot = start.elapsed();
    let start = ThreadTime::now();
    feed.go_on();
    reader.read(UPDATES + 1).await?;
    Ok([snapshot, start.elapsed()])
}

struct Bare {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Bare {
    /// Decodes so many records.
    async fn read(&mut self, mut left: usize) -> io::Result<()> {
        loop {
            let mut at = 0;
            while let Some(end) = memchr(b'\n', &self.buffer[at..]) {
                let line = &self.buffer[at..at + end];
                at += end + 1;
                let Some(data) = line.strip_prefix(b"data: ") else {
                    continue;
                };
                left -= usize::from(serde_json::from_slice::<Keys>(data).is_ok());
                if left == 0 {
                    self.buffer.drain(..at);
                    return Ok(());
                }
            }
            self.buffer.drain(..at);
            self.buffer.reserve(BUFFER);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Serves one stream after another, as fast as it is read, on a thread of its own.
struct Feed {
    address: SocketAddr,
    records: usize,
    permits: mpsc::Sender<()>,
}

impl Feed {
    fn start(records: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (permits, permitted) = mpsc::channel();
        std::thread::spawn(move || {
            let (snapshot, updates) = (snapshot(records), updates(records));
            for socket in listener.incoming() {
                // One that leaves before the end is no fault of the server's.
                let _ = socket.and_then(|it| serve(it, &snapshot, &updates, &permitted));
            }
        });
        Ok(Self {
            address,
            records,
            permits,
        })
    }

    /// The updates may come.
    fn go_on(&self) {
        self.permits.send(()).expect("the server lives");
    }

    fn url(&self) -> Url {
        let path = "xrpc/com.example.message.watchRecords?spaceUri=ats://did:plc:alice/com.example.space/lounge";
        let url = format!("http://{}/{path}", self.address);
        url.parse().expect("it is a URL")
    }
}

fn serve(
    mut socket: TcpStream,
    snapshot: &[u8],
    updates: &[u8],
    permitted: &mpsc::Receiver<()>,
) -> io::Result<()> {
    let mut request = BufReader::new(socket.try_clone()?).lines();
    while request.next().transpose()?.is_some_and(|it| !it.is_empty()) {}
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
    socket.write_all(snapshot)?;
    if permitted.recv().is_ok() {
        socket.write_all(updates)?;
    }
    // The client is the one to leave: else it would come again.
    io::copy(&mut socket, &mut io::sink()).map(drop)
}

fn snapshot(records: usize) -> Vec<u8> {
    let newest_first = (0..records).rev();
    let records = newest_first.map(|n| ("snapshot.record", event(n, 0, BYTES)));
    let start = std::iter::once(("snapshot.start", "{}".to_owned()));
    let end = std::iter::once(("snapshot.end", "{}".to_owned()));
    stream(start.chain(records).chain(end))
}

/// Of all records in turn, and a new one at last.
fn updates(records: usize) -> Vec<u8> {
    let updates = (0..UPDATES).map(|n| event(n * 7919 % records, n, BYTES));
    let last = std::iter::once(event(records, 0, BYTES));
    stream(updates.chain(last).map(|data| ("record.created", data)))
}

fn stream(events: impl Iterator<Item = (&'static str, String)>) -> Vec<u8> {
    let texts = events.map(|(kind, data)| format!("event: {kind}\ndata: {data}\n\n"));
    texts.collect::<String>().into_bytes()
}
