//! Servers whose HTTP/2 is wrong, or rude: they speak frame by frame, so that they can say what no library would.

use std::{
    cell::RefCell,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use contrail_sync_engine::{
    ErrorKind, Status, Subscription, TransportKind, rustls::pki_types::CertificateDer,
};
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{certificates, common::*, lists};

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// Bytes before the payload of each frame.
const FRAME_HEAD: usize = 9;

/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x7f;

/// Flags of frames.
const NONE: u8 = 0;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Kinds of faults: two for each reason, and what stands below.
const KINDS: usize = 50;
/// All the reasons that RFC 9113 has, and one that it has not.
const REASONS: std::ops::Range<u32> = 0..15;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn data(stream: u32, text: &str) -> Vec<u8> {
    frame(DATA, NONE, stream, text.as_bytes())
}

/// Status 200 by its index, and the type of an event stream.
fn head(stream: u32) -> Vec<u8> {
    let block = [&[0x88, 0x0f, 0x10, 17], b"text/event-stream".as_slice()].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn goaway(last: u32, reason: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
    frame(GOAWAY, NONE, 0, &payload)
}

/// The list of two records, as a stream tells it, in halves.
fn snapshot() -> [String; 2] {
    let told = |number, text| {
        let record = lists::record(number, text);
        format!("event: snapshot.record\ndata: {{\"record\":{record}}}\n\n")
    };
    [
        format!("event: snapshot.start\ndata: {{}}\n\n{}", told(2, "two")),
        format!("{}event: snapshot.end\ndata: {{}}\n\n", told(1, "one")),
    ]
}

/// Where in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before its head.
    Head,
    /// In the midst of its list.
    List,
    /// After the list.
    Live,
}

/// Frames for a stream.
type Says = fn(u32) -> Vec<u8>;

/// What a server says out of turn.
#[derive(Clone)]
struct Fault {
    name: String,
    place: Place,
    /// What it says, for this stream.
    says: Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// A client that knows HTTP/2 goes on with the stream.
    is_harmless: bool,
    /// The connection ends after it.
    hangs_up: bool,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.name, self.place)
    }
}

fn faults() -> Vec<Fault> {
    let mut all = Vec::new();
    let mut add = |name: String, is_harmless, says: Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>| {
        let each = [Place::Head, Place::List, Place::Live].map(|place| (place, false));
        for (place, hangs_up) in each.into_iter().chain([(Place::Live, true)]) {
            let (name, says) = (name.clone(), says.clone());
            all.push(Fault {
                name,
                place,
                says,
                is_harmless,
                hangs_up,
            });
        }
    };
    for reason in REASONS {
        add(
            format!("stream reset for {reason}"),
            false,
            Arc::new(move |stream| frame(RST_STREAM, NONE, stream, &reason.to_be_bytes())),
        );
        add(
            format!("goodbye for {reason}, this stream not served"),
            false,
            Arc::new(move |_| goaway(0, reason)),
        );
    }
    // It promises to go on with this stream, and does.
    add("goodbye".into(), true, Arc::new(|stream| goaway(stream, 0)));
    let harmless: [(&str, Says); 5] = [
        ("a frame of a kind that nobody knows", |_| {
            frame(UNKNOWN, 0xff, 0, b"what?")
        }),
        ("pings", |_| frame(PING, NONE, 0, &[7; 8]).repeat(500)),
        ("settings", |_| frame(SETTINGS, NONE, 0, &[]).repeat(500)),
        ("no streams for now", |_| {
            frame(SETTINGS, NONE, 0, &[0, 3, 0, 0, 0, 0])
        }),
        ("a window that grows", |stream| {
            frame(WINDOW_UPDATE, NONE, stream, &[0, 0, 1, 0])
        }),
    ];
    for (name, says) in harmless {
        add(name.into(), true, Arc::new(says));
    }
    let broken: [(&str, Says); 13] = [
        ("an answer in HTTP/1.1", |_| {
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()
        }),
        ("a frame that says it has 16 MB", |stream| {
            [&[0xff, 0xff, 0xff, DATA, 0], &stream.to_be_bytes()[..]].concat()
        }),
        ("data of a stream that nobody opened", |_| data(99, "{}")),
        ("data of the connection itself", |_| data(0, "{}")),
        ("a ping of three bytes", |_| frame(PING, NONE, 0, &[1; 3])),
        ("settings that cannot be", |_| {
            frame(SETTINGS, NONE, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])
        }),
        ("a window beyond all bounds", |_| {
            frame(WINDOW_UPDATE, NONE, 0, &[0x7f, 0xff, 0xff, 0xff])
        }),
        ("a window that grows by nothing", |_| {
            frame(WINDOW_UPDATE, NONE, 0, &[0; 4])
        }),
        ("a push that was switched off", |stream| {
            frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x82])
        }),
        ("headers that cannot be read", |stream| {
            frame(HEADERS, END_HEADERS, stream, &[0xff; 12])
        }),
        ("the rest of headers that never began", |stream| {
            frame(CONTINUATION, END_HEADERS, stream, &[0x88])
        }),
        ("headers without end", |stream| {
            let rest = frame(CONTINUATION, NONE, stream, &[0x40; 16_000]);
            [frame(HEADERS, NONE, stream, &[0x88]), rest.repeat(100)].concat()
        }),
        ("an end with more to come", |stream| {
            [
                frame(DATA, END_STREAM, stream, b""),
                data(stream, ": more\n\n"),
            ]
            .concat()
        }),
    ];
    for (name, says) in broken {
        add(name.into(), false, Arc::new(says));
    }
    add("nothing".into(), true, Arc::new(|_| Vec::new()));
    all
}

/// Serves one watch. Its first stream is sound until the watch is live, a later one has the fault, the next is sound and
/// tells one record more.
struct Server {
    fault: Fault,
    is_live: watch::Receiver<bool>,
    streams: AtomicUsize,
}

impl Server {
    async fn serve(&self, tls: TlsStream<TcpStream>) -> io::Result<()> {
        let (mut from, mut to) = tokio::io::split(tls);
        from.read_exact(&mut [0; PREFACE]).await?;
        to.write_all(&frame(SETTINGS, NONE, 0, &[])).await?;
        loop {
            let mut head = [0; FRAME_HEAD];
            from.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            from.read_exact(&mut payload).await?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], head[4] & ACK) {
                (SETTINGS, 0) => to.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
                (PING, 0) => to.write_all(&frame(PING, ACK, 0, &payload)).await?,
                (HEADERS, _) => {
                    let nth = self.streams.fetch_add(1, Relaxed) + 1;
                    if self.answer(&mut to, stream, nth).await? {
                        return to.shutdown().await;
                    }
                }
                _ => {}
            }
            to.flush().await?;
        }
    }

    /// Whether it hangs up after it.
    async fn answer(
        &self,
        to: &mut (impl AsyncWriteExt + Unpin),
        stream: u32,
        nth: usize,
    ) -> io::Result<bool> {
        let Fault {
            place,
            hangs_up,
            is_harmless,
            ..
        } = self.fault;
        let at = if place == Place::Live { 1 } else { 2 };
        let says = |here: Place| match here == place && nth == at {
            true => (self.fault.says)(stream),
            false => Vec::new(),
        };
        let goes_on = nth != at || (is_harmless && !hangs_up);
        let [first, second] = snapshot();
        for (here, then) in [
            (Place::Head, [head(stream), data(stream, &first)].concat()),
            (Place::List, data(stream, &second)),
        ] {
            to.write_all(&says(here)).await?;
            if here == place && !goes_on {
                return Ok(hangs_up);
            }
            to.write_all(&then).await?;
        }
        to.flush().await?;
        if nth == 1 {
            let _ = self.is_live.clone().wait_for(|it| *it).await;
        }
        to.write_all(&says(Place::Live)).await?;
        match (nth == 1, place == Place::Live, goes_on) {
            (true, true, false) => return Ok(hangs_up),
            // It ends as streams do.
            (true, false, _) => to.write_all(&frame(DATA, END_STREAM, stream, b"")).await?,
            _ => {
                to.write_all(&data(stream, &lists::created(3, "three")))
                    .await?
            }
        }
        Ok(false)
    }
}

/// How a watch came to the last record.
struct Outcome {
    /// What it told on the way.
    errors: Vec<ErrorKind>,
    /// How many streams it opened.
    streams: usize,
}

/// Follows it until it has the last record, and gives the errors that it told on the way. Who was there stays there.
async fn follow(watch: &Subscription, fault: &Fault, live: &watch::Sender<bool>) -> Vec<ErrorKind> {
    let errors = RefCell::new(Vec::new());
    until(watch, |state| {
        let kind = state.error.as_ref().map(|it| it.kind);
        if kind.is_some() && kind != errors.borrow().last().copied() {
            errors.borrow_mut().extend(kind);
        }
        if state.status == Status::Live {
            live.send_replace(true);
        }
        let texts = texts(state);
        let has = |text: &str| texts.iter().any(|it| it == text);
        let was_live = *live.borrow();
        assert!(
            !was_live || has("one") && has("two"),
            "{fault:?}: {texts:?}"
        );
        has("three") && state.status == Status::Live
    })
    .await;
    errors.into_inner()
}

async fn meets(
    fault: Fault,
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (live, is_live) = watch::channel(false);
    let server = Arc::new(Server {
        fault: fault.clone(),
        is_live,
        streams: AtomicUsize::new(0),
    });
    let (serving, mut task) = (server.clone(), JoinSet::new());
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let (server, acceptor) = (serving.clone(), acceptor.clone());
            connections.spawn(async move {
                if let Ok(tls) = acceptor.accept(socket).await {
                    // A client that is offended hangs up.
                    let _ = server.serve(tls).await;
                }
            });
        }
    });
    let url = format!("https://127.0.0.1:{port}{}", lists::PATH);
    let mut spec = anywhere(url.parse().unwrap());
    spec.transport = TransportKind::Sse;
    let engine = engine_with(|config| config.tls = Some(trusting([certificate])));
    let watch = engine.watch(spec).await;
    let errors = follow(&watch, &fault, &live).await;
    Outcome {
        errors,
        streams: server.streams.load(Relaxed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_in_http2_nothing_is_lost_and_the_watch_is_live_again() {
    let (acceptor, certificate) = certificates::http2();
    let cases = stream::iter(faults()).map(|fault| {
        let (acceptor, certificate) = (acceptor.clone(), certificate.clone());
        async move {
            let outcome = meets(fault.clone(), acceptor, certificate).await;
            (fault, outcome)
        }
    });
    let all: Vec<_> = cases.buffer_unordered(8).collect().await;
    for (fault, Outcome { errors, streams }) in &all {
        let known = [ErrorKind::Connect, ErrorKind::Disconnected];
        assert!(
            errors.iter().all(|it| known.contains(it)),
            "{fault:?}: {errors:?}"
        );
        if fault.is_harmless && !fault.hangs_up && fault.place == Place::Live {
            assert!(
                errors.is_empty() && *streams == 1,
                "{fault:?}: {errors:?}, {streams} streams"
            );
        }
    }
    assert_eq!(all.len(), 4 * KINDS);
}
