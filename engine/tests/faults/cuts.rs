//! A connection that ends anywhere in a recorded exchange: the next one brings the watch to where it would have been.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use contrail_sync_engine::{Engine, ErrorKind, Status, TransportKind};
use futures_util::{StreamExt, stream};

use super::{
    common::*,
    exchanges::{self, Exchange, Recorded},
    follower::{Cut, End, Follower},
    server::{Asked, Place, Reply, Server, Then, answer, switching},
};

/// Cuts in each exchange at random bytes, beside those around the ends of its frames.
const RANDOM: usize = 6;
/// Watches at once.
const AT_ONCE: usize = 48;
/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an answer's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By its last chunk: an earlier end is seen to be one.
    Chunks,
    /// By the end of the connection: no end is seen to be too early.
    Close,
}

/// The bytes of an answer. Those of a socket follow on what switches to it.
fn bytes(recorded: &Recorded, framing: Framing, head: &str) -> Vec<u8> {
    if recorded.place == Place::Socket {
        return [switching(head), recorded.pieces.concat()].concat();
    }
    if framing == Framing::Chunks {
        return recorded.pieces.concat();
    }
    let head = String::from_utf8(recorded.pieces[0].clone()).unwrap();
    let head = head.replace("transfer-encoding: chunked", "connection: close");
    let bodies = recorded.pieces[1..].iter().map(|it| unchunked(it));
    [head.into_bytes(), bodies.collect::<Vec<_>>().concat()].concat()
}

fn unchunked(chunk: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(chunk);
    let (length, rest) = text.split_once("\r\n").unwrap();
    let length = usize::from_str_radix(length, 16).unwrap();
    rest.as_bytes()[..length].to_vec()
}

/// Serves the exchange, cut once.
async fn serve(exchange: &Exchange, framing: Framing, cut: Option<Cut>) -> Server {
    let exchange = exchange.clone();
    Server::start(move |asked: &Asked| {
        let mut recorded = exchange.answers.iter();
        let Some(recorded) = recorded.find(|it| it.place == asked.place) else {
            // Such as a quiet snapshot, where no WebSocket was recorded.
            return Reply::new(answer("426 X", "text/plain", ""), Then::Next);
        };
        let then = match (recorded.place, framing) {
            (Place::Socket, _) => Then::Hold,
            (Place::Stream, _) if exchange.has_last || is_kick(&exchange) => Then::Hold,
            (_, Framing::Chunks) => Then::Next,
            (_, Framing::Close) => Then::Close,
        };
        let reply = Reply::new(bytes(recorded, framing, &asked.head), then);
        let length = reply.bytes.len();
        match cut {
            Some(cut) if asked.place == cut.place && asked.nth == cut.nth() => {
                reply.cut(cut.at, cut.then)
            }
            // It ends well, so that there is a second one.
            Some(cut) if cut.again && asked.nth == 1 && then == Then::Hold => {
                reply.cut(length, Then::Close)
            }
            _ => reply,
        }
    })
    .await
}

fn is_kick(exchange: &Exchange) -> bool {
    exchange.answers.iter().any(|it| {
        let text = it.pieces.concat();
        String::from_utf8_lossy(&text).contains("member.removed")
    })
}

async fn run(
    engine: &Engine,
    exchange: &Exchange,
    framing: Framing,
    cut: Option<Cut>,
) -> (End, Vec<ErrorKind>, usize) {
    let server = serve(exchange, framing, cut).await;
    let mut spec = anywhere(server.url(&exchange.path));
    spec.transport = exchange.transport;
    let mut follower = Follower {
        exchange,
        server: &server,
        watch: engine.watch(spec).await,
        cut,
        seen: Vec::new(),
        was_whole: false,
    };
    let end = tokio::time::timeout(PATIENCE, follower.follow()).await;
    let seen = follower.seen;
    let end = end.unwrap_or_else(|_| panic!("{} {cut:?} never ends: {seen:?}", exchange.name));
    // A quiet snapshot is a handshake, too, and made up for by a connection where it is not to be had.
    let quiet = match exchange.transport {
        TransportKind::Sse => server.count(Place::Handshake),
        TransportKind::Ws => 2,
        _ => 0,
    };
    let most = 1 + cut.map_or(1, |it| it.nth());
    for it in &exchange.answers {
        let count = server.count(it.place);
        assert!(
            count <= most + quiet,
            "{} {cut:?}: {count} requests",
            exchange.name
        );
    }
    let first = exchange.answers[0].place;
    (end, seen, server.count(first))
}

/// The kinds of error that a cut may show.
fn is_expected(kind: ErrorKind, exchange: &Exchange, framing: Framing) -> bool {
    match kind {
        ErrorKind::Connect | ErrorKind::Disconnected => true,
        // An end that no framing tells of is known by what is missing.
        ErrorKind::BadPage => {
            exchange.transport == TransportKind::Poll && framing == Framing::Close
        }
        ErrorKind::BadHandshake => {
            exchange.transport == TransportKind::Ws && framing == Framing::Close
        }
        // Of a refusal's body only the words are missing, and what they would have meant.
        _ => !exchange.has_last,
    }
}

/// Where to cut an answer: around the ends of its pieces, and at random.
fn places(recorded: &Recorded, length: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = length
        - recorded
            .pieces
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .min(length);
    for piece in &recorded.pieces {
        end += piece.len();
        ends.extend(end.saturating_sub(2)..=end + 2);
    }
    ends.extend((0..RANDOM).map(|_| rng.usize(0..=length)));
    ends.retain(|it| *it <= length);
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// One exchange in one framing, with what it comes to.
struct Case {
    exchange: Exchange,
    framing: Framing,
    whole: End,
}

async fn cases(engine: &Engine) -> Vec<Case> {
    let exchanges = exchanges::all().into_iter();
    let framed = exchanges.flat_map(|it| [(it.clone(), Framing::Chunks), (it, Framing::Close)]);
    let case = |(exchange, framing)| async move {
        let (whole, ..) = run(engine, &exchange, framing, None).await;
        let is_whole = whole.status == Status::Live || whole.records.is_empty();
        assert!(is_whole, "{}: {whole:?}", exchange.name);
        Case {
            exchange,
            framing,
            whole,
        }
    };
    stream::iter(framed)
        .map(case)
        .buffered(AT_ONCE)
        .collect()
        .await
}

fn all_cuts<'a>(
    cases: &'a [Case],
    everywhere: bool,
    rng: &mut fastrand::Rng,
) -> Vec<(&'a Case, Cut)> {
    let mut all = Vec::new();
    for case in cases {
        for recorded in &case.exchange.answers {
            // Any key has an answer of the same length.
            let length = bytes(recorded, case.framing, "sec-websocket-key: x\r\n").len();
            // The answers about positions are all the same.
            let is_news =
                recorded.place != Place::Position || case.exchange.name.ends_with("01-empty.txt 0");
            let at = match everywhere && is_news && case.framing == Framing::Chunks {
                true => (0..=length).collect(),
                false => places(recorded, length, rng),
            };
            all.extend(at.into_iter().map(|at| {
                let then = if rng.bool() { Then::Close } else { Then::Reset };
                let place = recorded.place;
                // Positions are asked for by the clock, and what is whole is followed by no third request.
                let is_followed = match place {
                    Place::Position => false,
                    Place::Handshake | Place::List => at < length,
                    Place::Stream | Place::Socket => true,
                };
                let again = is_followed && case.whole.status == Status::Live;
                let cut = Cut {
                    place,
                    at,
                    then,
                    again: again && rng.bool(),
                };
                (case, cut)
            }));
        }
    }
    all
}

/// Whether a refusal ended a watch whose words had not all arrived. A 401 needs none.
fn is_believed_early(case: &Case, cut: Cut, requests: usize) -> bool {
    let recorded = &case.exchange.answers[0];
    let bytes = bytes(recorded, case.framing, "");
    let words = bytes.iter().rposition(|it| *it == b'}').unwrap_or(0);
    let is_refusal = !case.exchange.has_last
        && case.whole.status == Status::Closed
        && !bytes.starts_with(b"HTTP/1.1 401")
        && !is_kick(&case.exchange);
    is_refusal && cut.at <= words && requests < 2
}

async fn survives(engine: &Engine, case: &Case, cut: Cut) -> Vec<ErrorKind> {
    let Case {
        exchange,
        framing,
        whole,
    } = case;
    let (end, seen, requests) = run(engine, exchange, *framing, Some(cut)).await;
    assert_eq!(end, *whole, "{} {framing:?} {cut:?}", exchange.name);
    assert!(
        !is_believed_early(case, cut, requests),
        "{} {framing:?} {cut:?}: believed what was not whole",
        exchange.name
    );
    for kind in &seen {
        let known = is_expected(*kind, exchange, *framing);
        assert!(known, "{} {framing:?} {cut:?}: {kind:?}", exchange.name);
    }
    seen
}

/// Cuts the exchanges, in random order, as long as there is time.
async fn cut_all(everywhere: bool, time: Duration) {
    let seed =
        std::env::var("FAULTS_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    println!("FAULTS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (began, engine) = (Instant::now(), engine_with(|it| it.linger = Duration::ZERO));
    let cases = cases(&engine).await;
    let mut all = all_cuts(&cases, everywhere, &mut rng);
    rng.shuffle(&mut all);
    let (total, mut done, mut kinds) = (all.len(), 0, BTreeMap::new());
    let in_time = all.into_iter().take_while(|_| began.elapsed() < time);
    let runs = stream::iter(in_time).map(|(case, cut)| survives(&engine, case, cut));
    let mut runs = runs.buffer_unordered(AT_ONCE);
    while let Some(seen) = runs.next().await {
        done += 1;
        if done % 10_000 == 0 {
            println!("{done} of {total} in {:?}", began.elapsed());
        }
        for kind in seen {
            *kinds.entry(format!("{kind:?}")).or_insert(0) += 1;
        }
    }
    println!(
        "{} exchanges, {done} of {total} cuts in {:?}; errors seen: {kinds:?}",
        cases.len() / 2,
        began.elapsed()
    );
    assert!(done > 100, "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_anywhere_is_made_up_for_by_the_next_one() {
    let seconds = std::env::var("FAULTS_SECONDS").map_or(15, |it| it.parse().unwrap());
    cut_all(false, Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour: cuts at every single byte"]
async fn a_connection_that_is_cut_at_any_byte_is_made_up_for_by_the_next_one() {
    cut_all(true, Duration::MAX).await;
}
