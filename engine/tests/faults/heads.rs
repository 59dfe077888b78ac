//! Answers whose heads or framing are none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use contrail_sync_engine::{ErrorKind, Status, TransportKind};
use futures_util::{StreamExt, stream};

use super::{
    common::*,
    lists,
    server::{Asked, Place, Reply, Server, Then},
};

/// The kinds that such an answer may come to.
const CONNECT: &[ErrorKind] = &[ErrorKind::Connect];
const BROKEN: &[ErrorKind] = &[ErrorKind::Connect, ErrorKind::Disconnected];
const REFUSED: &[ErrorKind] = &[ErrorKind::HttpStatus];

/// What the first answer begins with, of what type it says to be, and what comes of it.
const HEADS: &[(&str, &[ErrorKind])] = &[
    ("SSH-2.0-OpenSSH_9.9\r\n", CONNECT),
    ("\0\0\0\0\0\0\0\0\0", CONNECT),
    ("<html><h1>Hello</h1></html>\r\n\r\n", CONNECT),
    ("HTTP/9.9 200 OK\r\n\r\n", CONNECT),
    ("HTTP/1.1 20 OK\r\n\r\n", CONNECT),
    ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", CONNECT),
    ("HTTP/1.1 200 OK\r\nx\0y: z\r\n\r\n", CONNECT),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: -1\r\n\r\n",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 99999999999999999999\r\n\r\n",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 99\r\n\r\n{",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n{\r\n",
        BROKEN,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{no end of the chunk",
        BROKEN,
    ),
    ("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", REFUSED),
    ("HTTP/1.1 300 Choose\r\ncontent-length: 0\r\n\r\n", REFUSED),
    (
        "HTTP/1.1 302 Found\r\nlocation: http://[\r\ncontent-length: 0\r\n\r\n",
        REFUSED,
    ),
    (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
        &[ErrorKind::HttpStatus, ErrorKind::Connect],
    ),
];

async fn meets(transport: TransportKind, place: Place, head: &str, kinds: &[ErrorKind]) {
    let content_type = match place {
        Place::Stream => "text/event-stream",
        _ => "application/json",
    };
    let bytes = head.replace("TYPE", content_type);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let server =
        Server::start(
            move |asked: &Asked| match asked.place == place && !over.load(Relaxed) {
                true => Reply::new(bytes.clone(), Then::Close),
                false => lists::reply(asked),
            },
        );
    let server = server.await;
    let mut spec = anywhere(server.url(lists::PATH));
    spec.transport = transport;
    let engine = engine_with(|config| {
        config.backoff.base = Duration::from_secs(30);
        config.backoff.cap = config.backoff.base;
        config.seed = None;
    });
    let watch = engine.watch(spec).await;
    let state = until(&watch, |it| it.error.is_some() || it.status == Status::Live).await;
    let name = format!("{transport:?} {place:?} {head:?}");
    let error = state.error.unwrap_or_else(|| panic!("{name}: live"));
    assert!(kinds.contains(&error.kind), "{name}: {error:?}");
    is_over.store(true, Relaxed);
    engine.wake().await;
    assert_eq!(texts(&until_live(&watch).await), ["two", "one"], "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_http_is_a_typed_error_and_the_next_one_is_asked_for() {
    let places = [
        (TransportKind::Sse, Place::Stream),
        (TransportKind::Ws, Place::Handshake),
        (TransportKind::Ws, Place::Socket),
        (TransportKind::Poll, Place::List),
    ];
    let all = places
        .into_iter()
        .flat_map(|it| HEADS.iter().map(move |head| (it, head)));
    let cases = stream::iter(all).map(|((transport, place), (head, kinds))| async move {
        // An upgrade may be answered by a switch only: all else is a refusal.
        let of_socket: &[ErrorKind] = match kinds {
            _ if place != Place::Socket => kinds,
            _ if head.contains("101") => &[ErrorKind::BadHandshake],
            _ => &[ErrorKind::Connect, ErrorKind::HttpStatus],
        };
        meets(transport, place, head, of_socket).await;
    });
    assert_eq!(cases.buffer_unordered(12).count().await, 4 * HEADS.len());
}

#[tokio::test]
async fn what_is_said_ahead_of_an_answer_is_no_answer() {
    for transport in [TransportKind::Sse, TransportKind::Ws, TransportKind::Poll] {
        let server = Server::start(|asked: &Asked| {
            let mut reply = lists::reply(asked);
            let ahead =
                b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
            reply.bytes.splice(0..0, *ahead);
            reply
        });
        let server = server.await;
        let mut spec = anywhere(server.url(lists::PATH));
        spec.transport = transport;
        let watch = engine().watch(spec).await;
        let state = until(&watch, |it| it.error.is_some() || it.status == Status::Live).await;
        assert_eq!(
            (state.error.as_ref(), state.status),
            (None, Status::Live),
            "{transport:?}"
        );
    }
}
