//! TLS and HTTP/2: whom to trust, what people read when it fails, and many streams on one connection.

mod common;

use appview::{Bulk, Fault, Options, Tls};
use common::*;
use contrail_sync_engine::{
    ErrorKind, Subscription, WatchId, WatchSpec,
    internals::{ConnectRequest, Events, Gauge, Http, Incoming, Polling, Sse, Transport},
    pure::protocol::wire::ServerEvent,
};
use futures_util::{StreamExt, stream};

async fn tls_lounge() -> Lounge {
    Lounge::with(Options {
        tls: Some(Tls::default()),
        ..Options::default()
    })
    .await
}

fn tls_spec(lounge: &Lounge, query: &str) -> WatchSpec {
    let mut spec = lounge.spec();
    spec.url = over_tls(&lounge.server, lounge.url("message", query));
    spec
}

async fn connect_error(watch: Subscription) -> String {
    let state = until_error(&watch, ErrorKind::Connect).await;
    state.error.unwrap().message
}

#[tokio::test]
async fn a_certificate_is_trusted_only_if_the_app_says_so() {
    let lounge = tls_lounge().await;
    lounge.say("a", "x");
    let certificate = lounge.server.certificate();
    let engine = engine_with(|config| config.tls = Some(trusting(certificate)));
    let watch = engine.watch(tls_spec(&lounge, "")).await;
    assert_eq!(rkeys(&until_live(&watch).await), ["a"]);
    let stranger = engine_with(|config| config.tls = Some(trusting([])));
    let message = connect_error(stranger.watch(tls_spec(&lounge, "")).await).await;
    assert!(
        message.contains("its certificate is not trusted (invalid peer certificate"),
        "{message}"
    );
}

#[tokio::test]
async fn why_there_is_no_connection_is_said_in_words_and_with_the_cause() {
    let lounge = Lounge::open().await;
    let url = lounge.url("message", "");
    lounge.server.shutdown().await;
    let engine = engine();
    let message = connect_error(engine.watch(anywhere(url.clone())).await).await;
    assert!(message.contains("nobody listens there ("), "{message}");
    // No name has a part of more than 63 characters: no name server is asked.
    let mut nowhere = url;
    nowhere.set_host(Some(&"x".repeat(64))).unwrap();
    let message = connect_error(engine.watch(anywhere(nowhere)).await).await;
    assert!(message.contains("its name is not known here"), "{message}");
}

#[tokio::test]
async fn a_subscriber_that_takes_nothing_delays_no_other() {
    let lounge = tls_lounge().await;
    let certificate = lounge.server.certificate();
    let engine = engine_with(|config| config.tls = Some(trusting(certificate)));
    let stuck = engine.watch(tls_spec(&lounge, "")).await;
    until_live(&stuck).await;
    let same = engine.watch(tls_spec(&lounge, "")).await;
    let other = engine.watch(tls_spec(&lounge, "&limit=7")).await;
    until_live(&same).await;
    until_live(&other).await;
    let bulk = Bulk {
        space_uri: lounge.space.clone(),
        n: 2_000,
        size: 4_096,
        silent: false,
    };
    lounge.server.bulk(bulk).unwrap();
    until(&same, |it| it.entries.len() == 2_000).await;
    until(&other, |it| it.entries.len() == 2_000).await;
    until(&stuck, |it| it.entries.len() == 2_000).await;
    assert_eq!(lounge.server.stats().connects, 1);
}

#[tokio::test]
async fn a_request_that_is_never_answered_delays_no_other() {
    let lounge = tls_lounge().await;
    let certificate = lounge.server.certificate();
    let fault = Fault {
        stall_before_headers: true,
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let engine = engine_with(|config| config.tls = Some(trusting(certificate)));
    let mut watches = Vec::new();
    for n in 1..=100 {
        watches.push(
            engine
                .watch(tls_spec(&lounge, &format!("&limit={n}")))
                .await,
        );
    }
    let live = stream::iter(&watches)
        .map(until_live)
        .buffer_unordered(watches.len());
    // The one that was struck gives up after half a minute.
    assert_eq!(live.take(99).count().await, 99);
    assert_eq!(lounge.server.stats().watches, 99);
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_up_no_other_on_their_connection() {
    let lounge = tls_lounge().await;
    let http = Http::new(Some(trusting(lounge.server.certificate()))).unwrap();
    let sse = Sse::new(http);
    let mut unread = Vec::new();
    for n in 1..=3 {
        unread.push(open(&sse, tls_spec(&lounge, &format!("&limit={n}"))).await);
    }
    let mut read = open(&sse, tls_spec(&lounge, "")).await;
    // More than an HTTP/2 connection may carry unread if nobody sets its windows, and more than the streams' own.
    for round in 0..4 {
        let big = "x".repeat(100_000);
        for n in 0..30 {
            lounge.say(&format!("{round}-{n}"), &big);
        }
        let mut arrived = 0;
        while arrived < 30 {
            match read.next().await {
                Some(Ok(Incoming::Event(ServerEvent::Created(_)))) => arrived += 1,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    // Had the server given up on the unread ones, that alone would have set the other free.
    let stats = lounge.server.stats();
    assert_eq!((stats.watches, stats.connects), (4, 1));
    drop(unread);
}

async fn open(sse: &Sse, spec: WatchSpec) -> Events {
    let contrail_sync_engine::TicketSource::Static(ticket) = spec.tickets else {
        panic!("a ticket that stays the same");
    };
    let request = ConnectRequest {
        gauge: Gauge::detached(WatchId::next()),
        ticket_in: spec.ticket_in,
        polling: Polling::every(std::time::Duration::from_secs(10)),
        watch: WatchId::next(),
        url: spec.url,
        ticket: Some(ticket),
        guard: spec.guard,
        idle_timeout: spec.idle_timeout,
        max_event_bytes: 1 << 20,
    };
    sse.connect(request).await.unwrap()
}
