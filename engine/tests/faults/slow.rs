//! Servers that begin an answer and never end it, or take for ever: the client's clock is stepped by hand, the server lives on
//! its own.

use std::time::Duration;

use contrail_sync_engine::{ErrorKind, Status, Subscription, TransportKind};

use super::{
    clocks::*,
    common::*,
    lists,
    server::{Asked, Place, Reply, Server, Then, json},
};

/// A byte of a server that takes for ever: less than one a second, as the client counts.
const DRIP: Duration = Duration::from_millis(40);

/// How an answer is not given.
#[derive(Debug, Clone, Copy)]
enum Stall {
    /// Not a word.
    Silent,
    /// So many of a hundred parts of it, and then not a word more.
    After(usize),
    /// Byte after byte, all too slowly.
    Drips,
    /// A head that has ever more lines.
    EndlessHead,
}

/// What the first answer of a place does to a watch.
struct Case {
    transport: TransportKind,
    place: Place,
    stall: Stall,
    /// The error that it comes to, and after how many seconds; `None` where the watch goes live all the same, by then.
    error: Option<ErrorKind>,
    after: u64,
}

const fn case(
    transport: TransportKind,
    place: Place,
    stall: Stall,
    error: Option<ErrorKind>,
    after: u64,
) -> Case {
    Case {
        transport,
        place,
        stall,
        error,
        after,
    }
}

const CASES: &[Case] = {
    use Place::*;
    use Stall::*;
    use TransportKind::*;
    const CONNECT: Option<ErrorKind> = Some(ErrorKind::Connect);
    const IDLE: Option<ErrorKind> = Some(ErrorKind::IdleTimeout);
    &[
        case(Sse, Stream, Silent, CONNECT, 30),
        case(Sse, Stream, After(8), CONNECT, 30),
        case(Sse, Stream, EndlessHead, CONNECT, 30),
        case(Sse, Stream, Drips, CONNECT, 30),
        // In the snapshot, and after it.
        case(Sse, Stream, After(60), IDLE, 45),
        case(Sse, Stream, After(100), IDLE, 45),
        case(Ws, Handshake, Silent, CONNECT, 30),
        case(Ws, Handshake, After(60), CONNECT, 30),
        case(Ws, Handshake, Drips, CONNECT, 30),
        case(Ws, Socket, Silent, CONNECT, 15),
        case(Ws, Socket, After(30), CONNECT, 15),
        case(Ws, Socket, Drips, CONNECT, 15),
        case(Ws, Socket, After(90), IDLE, 45),
        case(Poll, List, Silent, CONNECT, 30),
        case(Poll, List, After(60), CONNECT, 30),
        case(Poll, List, Drips, CONNECT, 30),
        case(Poll, List, EndlessHead, CONNECT, 30),
        // The list is worth more than the position.
        case(Poll, Position, Silent, None, 5),
        case(Poll, Position, After(60), None, 5),
        case(Poll, Position, Drips, None, 5),
        // A socket that does not come about is no reason to wait for more.
        case(Auto, Socket, Silent, None, 15),
        case(Auto, Handshake, Silent, CONNECT, 30),
    ]
};

/// The first answer of the place is stalled, and all others are given.
fn stalled(asked: &Asked, place: Place, stall: Stall) -> Reply {
    let whole = lists::reply(asked);
    if asked.place != place || asked.nth > 1 {
        return whole;
    }
    let length = whole.bytes.len();
    match stall {
        Stall::Silent => whole.cut(0, Then::Hold),
        Stall::After(percent) => whole.cut(length * percent / 100, Then::Hold),
        Stall::Drips => whole.paced(1, DRIP),
        Stall::EndlessHead => {
            let line = "x-more: and more\r\n".repeat(10_000);
            Reply::new(format!("HTTP/1.1 200 OK\r\n{line}"), Then::Hold).paced(1, DRIP)
        }
    }
}

/// Follows them past the error that each shows first, or until it is live if there is to be none. Gives the errors, and when
/// each went live.
async fn watch_all(watches: &[Subscription]) -> Vec<(Option<(ErrorKind, u64)>, u64)> {
    let mut seen = vec![(None, None); watches.len()];
    for second in 0..70 {
        for ((watch, (error, live)), case) in watches.iter().zip(&mut seen).zip(CASES) {
            if live.is_some() && case.error.is_none() {
                continue;
            }
            let state = watch.state().await.unwrap();
            if let (Some(told), None) = (&state.error, &error) {
                *error = Some((told.kind, second));
                *live = None;
            }
            if state.status == Status::Live && live.is_none() {
                assert_eq!(texts(&state), ["two", "one"]);
                *live = Some(second);
            }
        }
        step().await;
    }
    let whole = |(error, live): (_, Option<u64>)| (error, live.unwrap_or(u64::MAX));
    seen.into_iter().map(whole).collect()
}

#[test]
fn an_answer_that_never_ends_is_a_typed_error_and_the_next_one_is_asked_for() {
    let (servers_clock, client_clock) = (of_servers(), of_client());
    let serve = |case: &Case| {
        let (place, stall) = (case.place, case.stall);
        let server = Server::start(move |asked| stalled(asked, place, stall));
        servers_clock.block_on(server)
    };
    let servers: Vec<Server> = CASES.iter().map(serve).collect();
    let seen = client_clock.block_on(async {
        let _stopped = stop();
        let engine = engine();
        let mut watches = Vec::new();
        for (case, server) in CASES.iter().zip(&servers) {
            let mut spec = anywhere(server.url(lists::PATH));
            spec.transport = case.transport;
            watches.push(engine.watch(spec).await);
        }
        watch_all(&watches).await
    });
    for (case, (error, live)) in CASES.iter().zip(&seen) {
        let name = format!("{:?} {:?} {:?}", case.transport, case.place, case.stall);
        println!("{name}: {error:?}, live after {live} s");
        let (kind, at) = error.map_or((None, *live), |(kind, at)| (Some(kind), at));
        assert_eq!(kind, case.error, "{name}");
        assert!(at <= case.after + 2, "{name}: {at} s");
        assert!(*live <= case.after + 5, "{name}: live after {live} s");
    }
    drop(servers);
}

/// Bytes that the slowest link brings while the client counts a second, or a little more than one.
const SLOW_LINK: usize = 12 * 1024;

#[test]
fn an_answer_that_comes_slowly_but_steadily_is_waited_for() {
    let (servers_clock, client_clock) = (of_servers(), of_client());
    // It takes most of a minute.
    let long = "x".repeat(600 * 1024);
    let texts: [&str; 2] = ["one", &long];
    let body = lists::list(&texts);
    let server = Server::start(move |asked| {
        let whole = match asked.place {
            Place::List => json(&body),
            Place::Handshake => json(&lists::handshake(&body)),
            _ => return lists::reply(asked),
        };
        whole.paced(SLOW_LINK, REACTION)
    });
    let server = servers_clock.block_on(server);
    client_clock.block_on(async {
        let _stopped = stop();
        let engine = engine();
        let mut watches = Vec::new();
        for transport in [TransportKind::Ws, TransportKind::Poll] {
            let mut spec = anywhere(server.url(lists::PATH));
            spec.transport = transport;
            watches.push((transport, engine.watch(spec).await));
        }
        for second in 0.. {
            assert!(second < 120, "never live");
            let mut live = 0;
            for (transport, watch) in &watches {
                let state = watch.state().await.unwrap();
                assert_eq!(state.error, None, "{transport:?} after {second} s");
                live += usize::from(state.status == Status::Live && state.entries.len() == 2);
            }
            if live == watches.len() {
                println!("live after {second} s");
                assert!(second > 30, "too fast to tell anything");
                break;
            }
            step().await;
        }
    });
}

#[test]
fn an_answer_that_begins_fast_and_then_stalls_is_not_waited_for_any_longer() {
    let (servers_clock, client_clock) = (of_servers(), of_client());
    // At the slowest pace that is waited for, what came of it would be minutes.
    let long = "x".repeat(1600 * 1024);
    let body = lists::list(&["one", &long]);
    let server = Server::start(move |asked| match asked.place {
        Place::List if asked.nth == 1 => json(&body).cut(1500 * 1024, Then::Hold),
        _ => lists::reply(asked),
    });
    let server = servers_clock.block_on(server);
    client_clock.block_on(async {
        let _stopped = stop();
        let mut spec = anywhere(server.url(lists::PATH));
        spec.transport = TransportKind::Poll;
        let watch = engine().watch(spec).await;
        let seen = watch_all(&[watch]).await;
        let (kind, after) = seen[0].0.unwrap();
        assert_eq!(kind, ErrorKind::Connect);
        assert!((28..=40).contains(&after), "after {after} s");
    });
}

#[tokio::test]
async fn an_event_that_takes_longer_than_the_idle_time_out_arrives_byte_by_byte() {
    let event = |place| match place {
        Place::Stream => lists::created(3, "three").into_bytes(),
        _ => lists::created_frame(3, "three"),
    };
    let idle = Duration::from_millis(600);
    for transport in [TransportKind::Sse, TransportKind::Ws] {
        let server = Server::start(move |asked| {
            let whole = lists::reply(asked);
            if !matches!(asked.place, Place::Stream | Place::Socket) {
                return whole;
            }
            let event = event(asked.place);
            let pause = 2 * idle / u32::try_from(event.len()).unwrap();
            whole.followed(event, pause)
        });
        let server = server.await;
        let mut spec = anywhere(server.url(lists::PATH));
        (spec.transport, spec.idle_timeout) = (transport, idle);
        let watch = engine().watch(spec).await;
        let state = until(&watch, |it| it.entries.len() == 3 || it.error.is_some()).await;
        assert_eq!(
            (state.status, state.error),
            (Status::Live, None),
            "{transport:?}"
        );
    }
}
