//! The life of a watch over server-sent events, on real sockets.

mod common;

use std::time::Duration;

use appview::{Community, Fault, Losses, Options, Put, Server, TicketFor, World};
use common::*;
use contrail_sync_engine::{Delta, ErrorKind, State, Status, Ticket, TicketSource, TransportKind};
use futures_util::FutureExt;
use tokio::{io::AsyncWriteExt, net::TcpListener};

#[tokio::test]
async fn a_watch_follows_what_happens_in_its_space() {
    let lounge = Lounge::open().await;
    lounge.say("a", "one");
    let watch = engine().watch(lounge.spec()).await;
    assert_eq!(texts(&until_live(&watch).await), ["one"]);
    lounge.say("b", "two");
    until(&watch, |it| rkeys(it) == ["b", "a"]).await;
    lounge.say("a", "one, edited");
    let edited = until(&watch, |it| texts(it).contains(&"one, edited".into())).await;
    assert_eq!(rkeys(&edited), ["a", "b"], "an edit rises");
    lounge.delete(ALICE, "message", "b", false);
    until(&watch, |it| rkeys(it) == ["a"]).await;
}

#[tokio::test]
async fn what_was_deleted_while_offline_disappears_and_stays_visible_until_then() {
    let lounge = Lounge::open().await;
    lounge.say("kept", "x");
    lounge.say("gone", "y");
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    let (port, world, spec) = (lounge.server.port(), lounge.server.world(), lounge.spec());
    lounge.delete(ALICE, "message", "gone", true);
    lounge.server.shutdown().await;
    let offline = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert_eq!(offline.entries.len(), 2, "stale records stay visible");
    assert!(offline.error.is_some());
    let options = Options {
        port,
        world: Some(world),
        ..Options::default()
    };
    let _server = Server::start(options).await.unwrap();
    let back = until_live(&watch).await;
    assert_eq!(rkeys(&back), ["kept"]);
    assert_eq!(back.error, None);
    drop((watch, spec));
}

/// While the sender lives no time passes, however idle the test is.
fn stop_the_clock() -> std::sync::mpsc::Sender<()> {
    let (running, stopped) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || stopped.recv());
    running
}

fn snapshot_records(numbers: std::ops::Range<i64>) -> String {
    let event = |n: i64| {
        let (uri, time) = (format!("at://{ALICE}/c/{n}"), 1_795_432_906_409_000 - n);
        format!(
            "event: snapshot.record\ndata: {{\"record\":{{\"uri\":\"{uri}\",\"time_us\":{time},\"value\":0}}}}\n\n"
        )
    };
    numbers.map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_begins_to_show_with_more_than_a_usual_list_and_its_status_with_it() {
    let _clock = stop_the_clock();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let url = format!("http://{host}/xrpc/com.example.message.watchRecords?spaceUri=x");
    let (engine, spec) = (engine(), anywhere(url.parse().unwrap()));
    let (watch, witness) = (engine.watch(spec.clone()).await, engine.watch(spec).await);
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut told = std::pin::pin!(async {
        loop {
            let delta = watch.next().await.unwrap();
            if delta.status == Status::Snapshot {
                return delta.len;
            }
        }
    });
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: snapshot.start\ndata: {}\n\n";
    for (sent, len) in [(head.to_owned(), 0), (snapshot_records(0..1000), 1000)] {
        socket.write_all(sent.as_bytes()).await.unwrap();
        let arrived = |it: State| it.status == Status::Snapshot && it.entries.len() == len;
        while !arrived(witness.state().await.unwrap()) {
            assert_eq!((&mut told).now_or_never(), None);
        }
        for _ in 0..1000 {
            assert_eq!((&mut told).now_or_never(), None);
            tokio::task::yield_now().await;
        }
    }
    let more = snapshot_records(1000..1010);
    socket.write_all(more.as_bytes()).await.unwrap();
    assert!(told.await > 1000);
}

#[tokio::test(start_paused = true)]
async fn a_usual_list_shows_whole_and_live_at_once() {
    let _clock = stop_the_clock();
    let lounge = Lounge::open().await;
    for n in 0..200 {
        lounge.say(&format!("{n:03}"), "x");
    }
    let mut spec = lounge.spec();
    spec.url.query_pairs_mut().append_pair("limit", "200");
    let watch = engine().watch(spec).await;
    let shown = loop {
        let delta = watch.next().await.unwrap();
        if delta.len > 0 {
            break delta;
        }
    };
    assert_eq!((shown.len, shown.status), (200, Status::Live));
}

#[tokio::test]
async fn what_came_of_a_snapshot_that_falls_silent_is_told_all_the_same() {
    for records in [0, 5] {
        let lounge = Lounge::open().await;
        for n in 0..20 {
            lounge.say(&format!("{n:02}"), "x");
        }
        let fault = Fault {
            cut_after_events: Some(1 + records),
            stall: true,
            ..Fault::default()
        };
        lounge.server.fault(fault).unwrap();
        let watch = engine().watch(lounge.spec()).await;
        let told = |it: Delta| it.status == Status::Snapshot && it.len == records;
        while !told(watch.next().await.unwrap()) {}
    }
}

#[tokio::test]
async fn nothing_moves_at_a_reconnect() {
    let lounge = Lounge::open().await;
    lounge.say("0", "from the snapshot");
    let watch = engine().watch(lounge.spec()).await;
    until_live(&watch).await;
    for n in 1..20 {
        lounge.say(&format!("{n:02}"), "live");
    }
    let before = until(&watch, |it| it.entries.len() == 20).await;
    lounge.server.drop_connections();
    until(&watch, |it| it.status != Status::Live).await;
    let after = until_live(&watch).await;
    assert_eq!(rkeys(&before), rkeys(&after));
}

#[tokio::test]
async fn watches_of_the_same_query_share_one_connection_and_linger() {
    let lounge = Lounge::open().await;
    let engine = engine_with(|config| config.linger = Duration::from_millis(200));
    let spec = lounge.spec();
    let first = engine.watch(spec.clone()).await;
    let second = engine.watch(spec.clone()).await;
    until_live(&first).await;
    until_live(&second).await;
    assert_eq!(lounge.server.stats().watches, 1);
    assert_eq!(engine.watch_count(), 1);
    drop((first, second));
    let again = engine.watch(spec).await;
    until_live(&again).await;
    assert_eq!(lounge.server.stats().sse, 1, "the connection lingered");
    drop(again);
    tokio::time::timeout(Duration::from_secs(10), async {
        while lounge.server.stats().watches > 0 || engine.watch_count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("nothing is left open");
}

#[tokio::test]
async fn one_query_at_two_appviews_is_two_watches_side_by_side() {
    // Both sign with the same secret: a ticket of one is good at the other.
    let [here, there] = [(); 2].map(|()| {
        Lounge::with(Options {
            world: Some(World::with_secret([7; 32])),
            ..Options::default()
        })
    });
    let (here, there) = (here.await, there.await);
    here.say("a", "here");
    there.say("a", "there");
    let engine = engine();
    let (spec, mut elsewhere) = (here.spec(), here.spec());
    elsewhere.url = there.url("message", "");
    let (first, second) = (engine.watch(spec).await, engine.watch(elsewhere).await);
    assert_eq!(texts(&until_live(&first).await), ["here"]);
    assert_eq!(texts(&until_live(&second).await), ["there"]);
    there.say("b", "news");
    until(&second, |it| texts(it) == ["news", "there"]).await;
    assert_eq!(texts(&first.state().await.unwrap()), ["here"]);
}

#[tokio::test]
async fn another_ticket_is_another_watch() {
    let lounge = Lounge::open().await;
    lounge.say("a", "secret");
    let engine = engine();
    let alice = engine.watch(lounge.spec()).await;
    until_live(&alice).await;
    let mut forged = lounge.spec();
    forged.tickets = TicketSource::Static(Ticket::parse("forged.ticket").unwrap());
    let eve = engine.watch(forged).await;
    let refused = until_error(&eve, ErrorKind::AuthRequired).await;
    assert!(refused.entries.is_empty());
}

#[tokio::test]
async fn a_kick_over_sse_clears_everything_and_ends_it() {
    let lounge = Lounge::open().await;
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    lounge.say("a", "for members");
    let mut spec = lounge.spec();
    spec.account = Some(BOB.into());
    spec.tickets = TicketSource::Static(Ticket::parse(&lounge.ticket(BOB, &[])).unwrap());
    let watch = engine().watch(spec).await;
    assert_eq!(until_live(&watch).await.entries.len(), 1);
    lounge.server.kick(&lounge.space, BOB).unwrap();
    let closed = until(&watch, |it| it.status == Status::Closed).await;
    assert!(closed.entries.is_empty());
    assert_eq!(closed.error.unwrap().kind, ErrorKind::AccessLost);
    assert_eq!(
        lounge.server.stats().sse,
        1,
        "it does not come back with the ticket it has"
    );
}

#[tokio::test]
async fn a_failing_query_shows_the_servers_words_and_is_tried_again() {
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let fault = Fault {
        snapshot_error: Some("injected db failure".into()),
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let watch = engine().watch(lounge.spec()).await;
    let failed = until_error(&watch, ErrorKind::Server).await;
    assert!(
        failed
            .error
            .unwrap()
            .message
            .contains("injected db failure")
    );
    assert_eq!(until_live(&watch).await.error, None);
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_within_the_idle_time_out() {
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let fault = Fault {
        stall: true,
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let mut spec = lounge.spec();
    spec.idle_timeout = Duration::from_millis(300);
    let watch = engine().watch(spec).await;
    until_error(&watch, ErrorKind::IdleTimeout).await;
    assert_eq!(rkeys(&until_live(&watch).await), ["a"]);
}

#[tokio::test]
async fn one_uri_in_two_spaces_is_two_records_and_an_unclear_deletion_asks_again() {
    for first in [true, false] {
        let mut lounge = Lounge::open().await;
        // Nowhere else does a watch span spaces, and in the documented set-up nobody is told what a community deletes.
        let community = Community {
            did: ALICE.into(),
            spaces: vec!["lounge".into(), "den".into()],
            ..Community::default()
        };
        lounge.server.community(&community).unwrap();
        lounge.server.set_losses(Losses {
            community_events: false,
            ..Losses::default()
        });
        let mut kept = lounge.server.space("den", ALICE).unwrap();
        for space in [&lounge.space, &kept] {
            let put = Put {
                space_uri: Some(space.clone()),
                collection: "message".into(),
                did: ALICE.into(),
                rkey: "self".into(),
                record: serde_json::json!({ "text": space }),
                ..Put::default()
            };
            lounge.server.put(put).unwrap();
        }
        let url = format!(
            "{}/xrpc/com.example.message.watchRecords?actor={ALICE}",
            lounge.server.url()
        );
        let mut spec = anywhere(url.parse().unwrap());
        let ticket = lounge.server.ticket(TicketFor {
            actor: Some(ALICE.into()),
            collection: "message".into(),
            did: ALICE.into(),
            ..TicketFor::default()
        });
        spec.tickets = TicketSource::Static(Ticket::parse(&ticket.unwrap()).unwrap());
        let watch = engine().watch(spec).await;
        let live = until_live(&watch).await;
        assert_eq!(rkeys(&live), ["self", "self"]);
        if first {
            std::mem::swap(&mut lounge.space, &mut kept);
        }
        lounge.delete(ALICE, "message", "self", false);
        let left = until(&watch, |it| it.entries.len() == 1).await;
        assert_eq!(texts(&left), [kept]);
    }
}

#[tokio::test]
async fn a_private_watch_without_a_ticket_says_so_and_asks_once() {
    let lounge = Lounge::open().await;
    let engine = engine();
    for transport in [TransportKind::Sse, TransportKind::Ws, TransportKind::Auto] {
        let mut spec = anywhere(lounge.url("message", ""));
        spec.transport = transport;
        let before = lounge.server.stats().requests;
        let watch = engine.watch(spec).await;
        let closed = until(&watch, |it| it.status == Status::Closed).await;
        let error = closed.error.unwrap();
        assert_eq!(error.kind, ErrorKind::AuthRequired);
        assert!(
            error
                .message
                .starts_with("this watch needs a ticket: give it mintTicket"),
            "{error:?}"
        );
        assert_eq!(lounge.server.stats().requests, before + 1);
    }
}

#[tokio::test]
async fn a_wrong_url_is_told_with_method_origin_and_path_and_never_the_query() {
    let lounge = Lounge::open().await;
    let mut spec = lounge.spec();
    spec.url.set_path("/nowhere");
    let watch = engine().watch(spec).await;
    let state = until_error(&watch, ErrorKind::HttpStatus).await;
    let message = state.error.unwrap().message;
    let at = format!("GET {}/nowhere answered 404: ", lounge.server.url());
    assert!(
        message.starts_with(&at) && message.contains("check the URL's host and path"),
        "{message}"
    );
    assert!(
        !message.contains('?') && !message.contains("spaceUri"),
        "{message}"
    );
}
