//! The life of a watch over WebSocket, against an appview that ends it in the worker, in a Durable Object,
//! or not at all.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use appview::{Fault, On, Options, Server, TicketFor, WsMode};
use common::*;
use contrail_sync_engine::{
    ErrorKind, MintRequest, NamedMinter, Status, Ticket, TicketSource, TransportKind, WatchSpec,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

async fn lounge(ws: WsMode) -> Lounge {
    Lounge::with(Options {
        ws,
        ..Options::default()
    })
    .await
}

fn over(kind: TransportKind, mut spec: WatchSpec) -> WatchSpec {
    spec.transport = kind;
    spec
}

fn ws(spec: WatchSpec) -> WatchSpec {
    over(TransportKind::Ws, spec)
}

/// A minter that asks the appview's control, and counts.
fn minter(lounge: &Lounge, did: &'static str, ttl_ms: i64) -> (TicketSource, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let (world, space, minted) = (lounge.server.world(), lounge.space.clone(), count.clone());
    // The same secret signs for every server of this world.
    let mint = move |_: MintRequest| {
        minted.fetch_add(1, Ordering::SeqCst);
        let (world, space) = (world.clone(), space.clone());
        async move {
            let server = Server::start(Options {
                world: Some(world),
                ..Options::default()
            });
            let server = server.await.map_err(|error| error.to_string())?;
            let ask = TicketFor {
                space_uri: Some(space),
                actor: None,
                collection: "message".into(),
                did: did.into(),
                ttl_ms: Some(ttl_ms),
                hydrate: Vec::new(),
            };
            server.ticket(ask).map_err(|error| error.to_string())
        }
    };
    (
        TicketSource::Minter(NamedMinter::new("control", mint)),
        count,
    )
}

async fn follows(mode: WsMode) {
    let lounge = lounge(mode).await;
    lounge.say("a", "one");
    let watch = engine().watch(ws(lounge.spec())).await;
    assert_eq!(texts(&until_live(&watch).await), ["one"]);
    lounge.say("b", "two");
    let two = until(&watch, |it| it.entries.len() == 2).await;
    assert_eq!(texts(&two), ["two", "one"]);
    lounge.say("a", "one, edited");
    until(&watch, |it| texts(it) == ["one, edited", "two"]).await;
    lounge.delete(ALICE, "message", "b", false);
    until(&watch, |it| rkeys(it) == ["a"]).await;
    assert_eq!(
        (lounge.server.stats().sse, lounge.server.stats().upgrades),
        (0, 1)
    );
}

#[tokio::test]
async fn a_socket_ended_in_the_worker_is_followed() {
    follows(WsMode::Worker).await;
}

#[tokio::test]
async fn a_socket_ended_in_a_durable_object_is_followed() {
    follows(WsMode::Do).await;
}

async fn evicts(mode: WsMode) {
    let lounge = lounge(mode).await;
    lounge.say("kept", "x");
    lounge.say("gone", "y");
    let watch = engine().watch(ws(lounge.spec())).await;
    until(&watch, |it| {
        it.status == Status::Live && it.entries.len() == 2
    })
    .await;
    lounge.delete(ALICE, "message", "gone", true);
    lounge.server.drop_connections();
    let offline = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert_eq!(offline.entries.len(), 2, "stale records stay visible");
    until(&watch, |it| {
        it.status == Status::Live && rkeys(it) == ["kept"]
    })
    .await;
}

#[tokio::test]
async fn offline_deletions_disappear_in_worker_mode() {
    evicts(WsMode::Worker).await;
}

#[tokio::test]
async fn offline_deletions_disappear_in_durable_object_mode() {
    evicts(WsMode::Do).await;
}

#[tokio::test]
async fn what_happens_between_handshake_and_socket_is_replayed() {
    let lounge = lounge(WsMode::Do).await;
    let fault = Fault {
        on: Some(On::Upgrade),
        delay_ms: Some(300),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let watch = engine().watch(ws(lounge.spec())).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while lounge.server.stats().upgrades == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the upgrade is asked for");
    lounge.say("between", "x");
    until(&watch, |it| {
        it.status == Status::Live && rkeys(it) == ["between"]
    })
    .await;
}

#[tokio::test]
async fn a_host_without_websocket_says_so_and_auto_takes_sse() {
    let lounge = lounge(WsMode::Off).await;
    lounge.say("a", "x");
    let only_ws = engine().watch(ws(lounge.spec())).await;
    let refused = until_error(&only_ws, ErrorKind::Unsupported).await;
    assert_eq!(refused.status, Status::Reconnecting);
    drop(only_ws);
    let auto = engine()
        .watch(over(TransportKind::Auto, lounge.spec()))
        .await;
    assert_eq!(rkeys(&until_live(&auto).await), ["a"]);
    assert_eq!(lounge.server.stats().sse, 1);
}

#[tokio::test]
async fn auto_takes_the_socket_where_there_is_one_and_sse_where_the_query_hydrates() {
    let lounge = lounge(WsMode::Do).await;
    let plain = engine()
        .watch(over(TransportKind::Auto, lounge.spec()))
        .await;
    until_live(&plain).await;
    assert_eq!(
        (lounge.server.stats().upgrades, lounge.server.stats().sse),
        (1, 0)
    );
    let mut hydrating = over(TransportKind::Auto, lounge.spec());
    hydrating.url = lounge.url("message", "&hydrateReactions=5");
    hydrating.tickets =
        TicketSource::Static(Ticket::parse(&lounge.ticket(ALICE, &["reactions"])).unwrap());
    let hydrating = engine().watch(hydrating).await;
    until_live(&hydrating).await;
    assert_eq!(
        (lounge.server.stats().upgrades, lounge.server.stats().sse),
        (1, 1)
    );
}

async fn kicked(mode: WsMode) {
    let lounge = lounge(mode).await;
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    lounge.say("a", "for members");
    let (tickets, minted) = minter(&lounge, BOB, 3_600_000);
    let mut spec = ws(lounge.spec());
    (spec.tickets, spec.account) = (tickets, Some(BOB.into()));
    let engine = engine();
    let watch = engine.watch(spec.clone()).await;
    until(&watch, |it| {
        it.status == Status::Live && it.entries.len() == 1
    })
    .await;
    lounge.server.kick(&lounge.space, BOB).unwrap();
    let closed = until(&watch, |it| it.status == Status::Closed).await;
    assert!(closed.entries.is_empty());
    assert_eq!(closed.error.unwrap().kind, ErrorKind::AccessLost);
    assert_eq!(
        lounge.server.stats().handshakes,
        1,
        "it does not come back by itself"
    );
    // Starting again needs a new ticket: the old one, still valid to the server, is forgotten.
    let again = engine.watch(spec).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while minted.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the ticket was not used again");
    drop(again);
}

#[tokio::test]
async fn a_kick_ends_a_socket_of_the_worker() {
    kicked(WsMode::Worker).await;
}

#[tokio::test]
async fn a_kick_ends_a_socket_of_a_durable_object() {
    kicked(WsMode::Do).await;
}

#[tokio::test]
async fn a_handshakes_fresh_ticket_serves_the_next_connect() {
    let lounge = Lounge::with(Options {
        ticket_ttl: Duration::from_secs(3600),
        ..Options::default()
    })
    .await;
    // Minted with too little life to be used twice: only the rolled one can be.
    let (tickets, minted) = minter(&lounge, ALICE, 5_000);
    let mut spec = ws(lounge.spec());
    spec.tickets = tickets;
    let watch = engine().watch(spec).await;
    for round in 1..4 {
        until(&watch, |it| it.status == Status::Live).await;
        assert_eq!(lounge.server.stats().upgrades, round);
        assert_eq!(minted.load(Ordering::SeqCst), 1);
        lounge.server.drop_connections();
        until(&watch, |it| it.status != Status::Live).await;
    }
}

#[tokio::test]
async fn a_refused_ticket_is_minted_anew_at_once() {
    for on in [On::Handshake, On::Upgrade] {
        let lounge = lounge(WsMode::Worker).await;
        let (tickets, minted) = minter(&lounge, ALICE, 3_600_000);
        let mut spec = ws(lounge.spec());
        spec.tickets = tickets;
        let fault = Fault {
            on: Some(on),
            times: Some(1),
            status: Some(401),
            body: Some(r#"{"error":"AuthRequired","message":"expired"}"#.into()),
            ..Fault::default()
        };
        lounge.server.fault(fault).unwrap();
        // Whoever backs off does not come back within this test.
        let hour = Duration::from_secs(3600);
        let engine = engine_with(|config| {
            (config.backoff.base, config.backoff.cap) = (hour, hour);
        });
        let watch = engine.watch(spec).await;
        until_live(&watch).await;
        assert_eq!(minted.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn close_codes_have_their_meaning() {
    for (code, kind) in [
        (1000, ErrorKind::Disconnected),
        (1011, ErrorKind::Disconnected),
        (4001, ErrorKind::Server),
        (4008, ErrorKind::AuthRequired),
    ] {
        let lounge = lounge(WsMode::Worker).await;
        lounge.say("a", "x");
        let fault = Fault {
            on: Some(On::Upgrade),
            close_code: Some(code),
            close_reason: Some("because".into()),
            times: Some(1),
            ..Fault::default()
        };
        lounge.server.fault(fault).unwrap();
        let watch = engine().watch(ws(lounge.spec())).await;
        until_error(&watch, kind).await;
        assert_eq!(rkeys(&until_live(&watch).await), ["a"], "{code}");
    }
}

#[tokio::test]
async fn code_4003_ends_the_watch() {
    let lounge = lounge(WsMode::Worker).await;
    let fault = Fault {
        on: Some(On::Upgrade),
        close_code: Some(4003),
        close_reason: Some("membership-revoked".into()),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let watch = engine().watch(ws(lounge.spec())).await;
    let closed = until(&watch, |it| it.status == Status::Closed).await;
    assert_eq!(closed.error.unwrap().kind, ErrorKind::AccessLost);
}

#[tokio::test]
async fn a_half_open_socket_is_noticed_by_missing_pongs() {
    let lounge = lounge(WsMode::Do).await;
    let fault = Fault {
        on: Some(On::Upgrade),
        stall: true,
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let mut spec = ws(lounge.spec());
    spec.idle_timeout = Duration::from_millis(400);
    let watch = engine().watch(spec).await;
    until_error(&watch, ErrorKind::IdleTimeout).await;
    until_live(&watch).await;
}

#[tokio::test]
async fn an_idle_socket_of_a_durable_object_lives_on_by_our_pings() {
    let lounge = lounge(WsMode::Do).await;
    let mut spec = ws(lounge.spec());
    spec.idle_timeout = Duration::from_millis(300);
    let watch = engine().watch(spec).await;
    until_live(&watch).await;
    // The server says nothing for several times the idle time-out: only pongs keep it alive.
    let changed = tokio::time::timeout(Duration::from_millis(1500), watch.next()).await;
    assert!(changed.is_err(), "{changed:?}");
    lounge.say("after", "x");
    until(&watch, |it| rkeys(it) == ["after"]).await;
    assert_eq!(lounge.server.stats().upgrades, 1);
}

#[tokio::test]
async fn a_server_that_never_answers_a_close_does_not_hold_the_watch() {
    let lounge = lounge(WsMode::Do).await;
    let engine = engine_with(|config| config.linger = Duration::ZERO);
    let watch = engine.watch(ws(lounge.spec())).await;
    until_live(&watch).await;
    drop(watch);
    tokio::time::timeout(Duration::from_secs(2), async {
        while lounge.server.stats().watches > 0 || engine.watch_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is gone at once");
}

#[tokio::test]
async fn a_guard_judges_the_watchs_own_url_and_not_what_is_added_to_it() {
    for mode in [WsMode::Worker, WsMode::Do] {
        let lounge = lounge(mode).await;
        for n in 0..15 {
            lounge.say(&format!("{n:03}"), "x");
        }
        for kind in [TransportKind::Sse, TransportKind::Ws, TransportKind::Auto] {
            let mut spec = over(kind, lounge.spec());
            spec.url = lounge.url("message", "&limit=10");
            let own = spec.url.clone();
            spec.guard = Arc::new(move |it| *it == own);
            let watch = engine().watch(spec).await;
            until_live(&watch).await;
            watch.load_more().await.unwrap();
            until(&watch, |it| it.entries.len() == 15).await;
        }
    }
}

/// A gateway that has the appview under `/contrail`, and tells it nothing of that. Gives its port.
async fn under_a_prefix(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((inside, _)) = listener.accept().await {
            let outside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut asks, mut hears) = inside.into_split();
            let (mut answers, mut says) = outside.into_split();
            tokio::spawn(async move { copy(&mut answers, &mut hears).await });
            tokio::spawn(async move {
                let mut some = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = asks.read(&mut some).await {
                    let asked = some[..length].strip_prefix(b"GET /contrail");
                    // It knows no other path.
                    if asked.is_none() && some.starts_with(b"GET /") {
                        break;
                    }
                    let part = asked.map_or(some[..length].to_vec(), |it| [b"GET ", it].concat());
                    if says.write_all(&part).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    at
}

#[tokio::test]
async fn an_appview_under_a_prefix_is_followed_over_a_socket() {
    for mode in [WsMode::Worker, WsMode::Do] {
        let lounge = lounge(mode).await;
        let port = under_a_prefix(lounge.server.port()).await;
        let mut spec = ws(lounge.spec());
        spec.url.set_port(Some(port)).unwrap();
        let path = format!("/contrail{}", spec.url.path());
        spec.url.set_path(&path);
        let watch = engine().watch(spec).await;
        until_live(&watch).await;
        lounge.say("a", "over the socket");
        until(&watch, |it| it.entries.len() == 1).await;
    }
}
