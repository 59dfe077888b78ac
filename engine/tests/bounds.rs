//! No peer, however it fails, is asked more often than the bounds say. Real sockets, with the clock of the
//! client stepped by hand; the server runs on its own clock.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use appview::{Fault, On};
use common::*;
use contrail_sync_engine::{
    Engine, EngineConfig, ErrorKind, NamedMinter, Status, Subscription, TicketSource, TransportKind,
};

/// Steps of the client's clock, and how long the sockets get to react to each.
const STEP: Duration = Duration::from_millis(1000);
const REACTION: Duration = Duration::from_millis(4);
const MINUTES: usize = 11;

fn status(status: u16, body: &str) -> Fault {
    Fault {
        status: Some(status),
        body: Some(body.into()),
        ..Fault::default()
    }
}

/// Lets one watch meet a peer with this fault while the client's clock is stepped by hand. After each step
/// `look` sees the peer and the watch, until it says that it has seen enough.
fn stepped(
    kind: TransportKind,
    fault: Fault,
    mut look: impl AsyncFnMut(usize, &Lounge, &Subscription) -> bool,
) {
    // The server lives on a thread of its own, so that its sockets know nothing of the client's clock.
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let lounge = server.block_on(Lounge::open());
    lounge.server.fault(fault).unwrap();
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    client.block_on(async {
        // While a blocking task runs, the paused clock does not run ahead by itself.
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let hold = tokio::task::spawn_blocking(move || wait.recv());
        let mut config = EngineConfig::default();
        config.seed = Some(11);
        let engine = Engine::new(tokio::runtime::Handle::current(), config).unwrap();
        let mut spec = lounge.spec();
        spec.transport = kind;
        let ticket = lounge.ticket(ALICE, &[]);
        spec.tickets = TicketSource::Minter(NamedMinter::new("fixed", move |_| {
            let ticket = ticket.clone();
            async { Ok::<_, String>(ticket) }
        }));
        let watch = engine.watch(spec).await;
        for seconds in 1.. {
            tokio::task::spawn_blocking(|| std::thread::sleep(REACTION))
                .await
                .unwrap();
            tokio::time::advance(STEP).await;
            if look(seconds, &lounge, &watch).await {
                break;
            }
        }
        drop((watch, done));
        let _ = hold.await;
    });
    server.block_on(lounge.server.shutdown());
}

/// Counts the connects of each minute that a peer with this fault sees from one watch.
fn connects(kind: TransportKind, fault: Fault) -> Vec<u64> {
    let (mut minutes, mut before) = (Vec::new(), 0);
    stepped(kind, fault, async |seconds, lounge, _| {
        if seconds.is_multiple_of(60) {
            let stats = lounge.server.stats();
            // A WebSocket takes a handshake and an upgrade, which are one attempt.
            let seen = stats.sse + stats.handshakes;
            minutes.push(seen - before);
            before = seen;
        }
        minutes.len() == MINUTES
    });
    minutes
}

fn check(transport: TransportKind, ways: Vec<(&str, Fault)>) {
    let handles: Vec<_> = ways
        .into_iter()
        .map(|(way, fault)| {
            let way = way.to_owned();
            std::thread::spawn(move || (way, connects(transport, fault)))
        })
        .collect();
    for handle in handles {
        let (way, minutes) = handle.join().unwrap();
        let later: u64 = minutes[1..].iter().sum();
        println!("{transport:?} | {way} | {} | {later}", minutes[0]);
        // Auto may find out once that there is no socket, and asks again by SSE in the same attempt.
        let spare = u64::from(transport == TransportKind::Auto);
        assert!(
            minutes[0] <= 10 + spare,
            "{transport:?}, {way}: {minutes:?}"
        );
        assert!(
            minutes[0] >= 3,
            "{transport:?}, {way} was hardly tried: {minutes:?}"
        );
        assert!(
            minutes[1..].iter().all(|count| *count <= 3),
            "{transport:?}, {way}: {minutes:?}"
        );
        assert!(
            later >= 10,
            "{transport:?}, {way} was given up: {minutes:?}"
        );
    }
}

fn everywhere() -> Vec<(&'static str, Fault)> {
    let refused = r#"{"error":"AuthRequired"}"#;
    vec![
        (
            "accept, then close",
            Fault {
                close_on_accept: true,
                ..Fault::default()
            },
        ),
        ("401 for ever", status(401, refused)),
        ("500 for ever", status(500, r#"{"error":"SnapshotFailed"}"#)),
        (
            "403 of a proxy",
            Fault {
                content_type: Some("text/html".into()),
                ..status(403, "<h1>")
            },
        ),
        (
            "HTML with 200",
            Fault {
                content_type: Some("text/html".into()),
                ..status(200, "<h1>")
            },
        ),
        (
            "redirects onto itself",
            Fault {
                headers: [("location".to_owned(), String::new())].into(),
                ..status(302, "")
            },
        ),
        (
            "redirects in a circle",
            Fault {
                headers: [("location".to_owned(), "?spaceUri=elsewhere".to_owned())].into(),
                ..status(307, "")
            },
        ),
        (
            "snapshot fails",
            Fault {
                snapshot_error: Some("db".into()),
                ..Fault::default()
            },
        ),
    ]
}

#[test]
fn over_sse() {
    let mut ways = everywhere();
    ways.push((
        "cut in the snapshot",
        Fault {
            cut_after_events: Some(1),
            ..Fault::default()
        },
    ));
    ways.push((
        "end after the snapshot",
        Fault {
            cut_after_events: Some(2),
            ..Fault::default()
        },
    ));
    check(TransportKind::Sse, ways);
}

#[test]
fn over_websocket() {
    let mut ways = everywhere();
    let upgrade = |fault: Fault| Fault {
        on: Some(On::Upgrade),
        ..fault
    };
    ways.push((
        "upgrade refused",
        upgrade(Fault {
            refuse_upgrade: true,
            ..Fault::default()
        }),
    ));
    ways.push((
        "handshake, then drop",
        upgrade(Fault {
            close_on_accept: true,
            ..Fault::default()
        }),
    ));
    ways.push((
        "upgrade with 401",
        upgrade(status(401, r#"{"error":"AuthRequired"}"#)),
    ));
    ways.push((
        "close 4001",
        upgrade(Fault {
            close_code: Some(4001),
            ..Fault::default()
        }),
    ));
    ways.push((
        "close 4008",
        upgrade(Fault {
            close_code: Some(4008),
            ..Fault::default()
        }),
    ));
    ways.push((
        "close 1000",
        upgrade(Fault {
            close_code: Some(1000),
            ..Fault::default()
        }),
    ));
    check(TransportKind::Ws, ways);
}

#[test]
fn over_whichever_works() {
    check(TransportKind::Auto, everywhere());
}

#[test]
fn a_peer_that_never_answers_is_given_up_in_time() {
    let silent = |on| Fault {
        on: Some(on),
        stall_before_headers: true,
        ..Fault::default()
    };
    for (kind, on, bound) in [
        (TransportKind::Sse, On::Sse, 30),
        (TransportKind::Ws, On::Handshake, 30),
        (TransportKind::Ws, On::Upgrade, 15),
    ] {
        let mut given_up = None;
        stepped(kind, silent(on), async |seconds, _, watch| {
            let state = watch.state().await.unwrap();
            given_up = state.error.map(|error| (error.kind, seconds));
            given_up.is_some() || seconds > 120
        });
        let (error, seconds) = given_up.unwrap();
        assert_eq!(error, ErrorKind::Connect, "{on:?}");
        assert!(
            (bound..bound + 5).contains(&seconds),
            "{on:?} after {seconds} s"
        );
    }
}

#[test]
fn an_outage_shows_before_a_second_has_passed() {
    for kind in [TransportKind::Sse, TransportKind::Ws] {
        let healthy = Fault::default();
        stepped(kind, healthy, async |seconds, lounge, watch| {
            if watch.state().await.unwrap().status != Status::Live {
                assert!(seconds < 60, "{kind:?} is never live");
                return false;
            }
            lounge.server.drop_connections();
            // From here on the client's clock stands still.
            for _ in 0..2000 {
                if watch.state().await.unwrap().status == Status::Reconnecting {
                    return true;
                }
                tokio::task::spawn_blocking(|| std::thread::sleep(REACTION))
                    .await
                    .unwrap();
            }
            panic!("{kind:?} hears nothing of it");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_minter_that_fails_for_ever_is_asked_no_more_often_than_a_peer() {
    for hangs in [false, true] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let minter = NamedMinter::new("failing", move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Err::<String, _>("no session")
            }
        });
        let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default());
        let url = "https://appview.invalid/xrpc/x.watchRecords?spaceUri=s";
        let mut spec = anywhere(url.parse().unwrap());
        spec.tickets = TicketSource::Minter(minter);
        let watch = engine.unwrap().watch(spec).await;
        let (mut minutes, mut before) = (Vec::new(), 0);
        for _ in 0..MINUTES {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let now = asked.load(Ordering::SeqCst);
            minutes.push(now - before);
            before = now;
        }
        assert!(minutes[0] <= 10, "hangs: {hangs}, {minutes:?}");
        let later = &minutes[1..];
        assert!(
            later.iter().all(|it| (1..=3).contains(it)),
            "hangs: {hangs}, {minutes:?}"
        );
        let state = watch.state().await.unwrap();
        assert_eq!(state.status, Status::Reconnecting);
        assert!(state.error.is_some());
    }
}
