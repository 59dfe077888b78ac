//! What an engine tells of itself to those who look into it, and what they can do to its watches.

mod common;

use std::time::Duration;

use appview::{Contrail, Fault, On, Options, Put, Server};
use common::{
    ALICE, Lounge, anywhere, engine, engine_with, session, until, until_error, until_live,
};
use contrail_sync_engine::{
    Carrier, Engine, ErrorKind, LogEntry, MomentKind, NamedMinter, NamedSender, NewRecord,
    OutboxConfig, Outcome, SendRequest, SenderSource, Status, TicketSource, TicketState,
    TransportKind, WatchId, WatchReport,
};

const LATE: Duration = Duration::from_secs(20);

async fn report(engine: &Engine) -> WatchReport {
    let overview = engine.inspector().overview().await;
    assert_eq!(overview.unanswered, 0);
    let mut watches = overview.watches.into_iter();
    watches.next().expect("there is a watch")
}

/// Asks until the report is as wanted.
async fn reported(engine: &Engine, wanted: impl Fn(&WatchReport) -> bool) -> WatchReport {
    let found = async {
        loop {
            let report = report(engine).await;
            if wanted(&report) {
                return report;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LATE, found).await.expect("it comes")
}

fn kinds(report: &WatchReport) -> Vec<MomentKind> {
    report.timeline.iter().map(|it| it.kind).collect()
}

#[tokio::test]
async fn a_watch_tells_where_it_stands_and_what_came() {
    let lounge = Lounge::open().await;
    lounge.say("a", "one");
    let engine = engine();
    let mut spec = lounge.spec();
    spec.account = Some(ALICE.into());
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    lounge.say("b", "two");
    until(&watch, |state| state.entries.len() == 2).await;

    let overview = engine.inspector().overview().await;
    assert!(!overview.offline);
    let report = &overview.watches[0];
    assert_eq!(Some(report.id), watch.watch_id());
    assert_eq!(report.namespace.as_deref(), Some("com.example"));
    assert_eq!(report.collection.as_deref(), Some("message"));
    assert_eq!(report.space.as_deref(), Some(&*lounge.space));
    assert_eq!(report.account.as_deref(), Some(ALICE));
    assert_eq!((report.status, &report.error), (Status::Live, &None));
    assert_eq!(report.transport, TransportKind::Sse);
    assert_eq!(report.carrier, Some(Carrier::Sse));
    assert_eq!((report.followers, report.seen), (1, true));
    assert_eq!(report.records, 2);
    assert!(report.bytes > 0 && report.bytes_received > report.bytes as u64 / 2);
    // The snapshot's beginning, its record and its end, and one change.
    assert_eq!(report.events, 4);
    assert!(
        report
            .latency_ms
            .is_some_and(|it| it > 0.0 && it < 20_000.0)
    );
    let age = overview.now - report.heard_at.expect("it was heard");
    assert!((0..20_000).contains(&age), "{age}");
    assert_eq!((report.connects, report.reconnects), (1, 0));
    use MomentKind::*;
    assert_eq!(kinds(report), [Connecting, Connected, Live]);
    assert_eq!(report.ticket.state, TicketState::Held);
    let life = report.ticket.expires_at.expect("it says so") - overview.now;
    assert!((3_500_000..3_700_000).contains(&life), "{life}");
    assert_eq!((&report.cache, report.waiting_writes), (&None, None));
    assert_eq!(overview.counters.connects, 1);
}

#[tokio::test]
async fn nothing_that_it_tells_opens_anything() {
    let lounge = Lounge::open().await;
    let open = lounge.server.open_space("attic", ALICE).unwrap();
    let token = open.query.split("inviteToken=").nth(1).unwrap();
    let invited = format!(
        "{}/xrpc/com.example.message.watchRecords?{}&secret=sesame",
        lounge.server.url(),
        open.query
    );
    let (ticket, engine) = (lounge.ticket(ALICE, &[]), engine());
    let mut spec = anywhere(lounge.url("message", ""));
    let minted = ticket.clone();
    let minter = NamedMinter::new("api", move |_| {
        let ticket = minted.clone();
        async move { Ok::<_, String>(ticket) }
    });
    spec.tickets = TicketSource::Minter(minter);
    spec.transport = TransportKind::Ws;
    let with_ticket = engine.watch(spec).await;
    let by_token = engine.watch(anywhere(invited.parse().unwrap())).await;
    engine.inspector().log(0);
    until_live(&with_ticket).await;
    until_live(&by_token).await;

    // A server that repeats what it was asked.
    let echo = Fault {
        status: Some(500),
        body: Some(format!(r#"{{"message":"no {ticket} {token}"}}"#)),
        ..Fault::default()
    };
    lounge.server.fault(echo).unwrap();
    lounge.server.drop_connections();
    for watch in [&with_ticket, &by_token] {
        until_error(watch, ErrorKind::HttpStatus).await;
    }
    let overview = engine.inspector().overview().await;
    let log = engine.inspector().log(0);
    assert!(!log.lines.is_empty());
    let all = format!(
        "{}{overview:?}{log:?}",
        serde_json::to_string(&overview.watches).unwrap()
    );
    for secret in [&*ticket, token, "sesame", "inviteToken"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn a_dropped_connection_comes_back_and_the_timeline_says_why_it_went() {
    let lounge = Lounge::open().await;
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    let inspector = engine.inspector();
    inspector
        .drop_connection(report(&engine).await.id)
        .await
        .unwrap();
    let back = reported(&engine, |it| {
        it.reconnects == 1 && it.status == Status::Live
    })
    .await;
    use MomentKind::*;
    assert_eq!(
        kinds(&back)[3..],
        [Failed, Waiting, Connecting, Connected, Live]
    );
    let why = &back.timeline[3].words;
    assert!(why.contains("dropped on purpose"), "{why}");
    assert_eq!(lounge.server.stats().sse, 2);

    let nobody = WatchId::of_number(u64::MAX);
    let error = inspector.drop_connection(nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownWatch);
}

#[tokio::test]
async fn each_attempt_that_fails_is_on_the_timeline_in_the_servers_words() {
    let lounge = Lounge::open().await;
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    let down = Fault {
        status: Some(503),
        ..Fault::default()
    };
    lounge.server.fault(down).unwrap();
    lounge.server.drop_connections();
    let report = reported(&engine, |it| it.connects == 4).await;
    let failed = report
        .timeline
        .iter()
        .filter(|it| it.kind == MomentKind::Failed);
    let words: Vec<_> = failed.map(|it| &*it.words).collect();
    // The first one broke, the others were refused; the fourth may be on its way.
    assert!((3..=4).contains(&words.len()), "{report:?}");
    assert!(words[1..].iter().all(|it| it.contains("503")), "{words:?}");
}

#[tokio::test]
async fn what_auto_left_is_told_with_the_reason() {
    let lounge = Lounge::open().await;
    let no_socket = Fault {
        refuse_upgrade: true,
        ..Fault::default()
    };
    lounge.server.fault(no_socket).unwrap();
    let engine = engine();
    let mut spec = lounge.spec();
    spec.transport = TransportKind::Auto;
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    let first = report(&engine).await;
    assert_eq!(first.carrier, Some(Carrier::Sse));
    let [fallback] = &first.fallbacks[..] else {
        panic!("{:?}", first.fallbacks);
    };
    assert_eq!((fallback.from, fallback.to), (Carrier::Ws, Carrier::Sse));
    assert!(fallback.why.contains("no WebSocket"), "{fallback:?}");
    assert!(kinds(&first).contains(&MomentKind::Fallback));

    // It is not asked for again so soon, which is another reason.
    engine.inspector().drop_connection(first.id).await.unwrap();
    let second = reported(&engine, |it| {
        it.reconnects == 1 && it.status == Status::Live
    })
    .await;
    assert!(second.fallbacks[0].why.contains("in the last hour"));
    assert_eq!(second.fallbacks.len(), 1);
}

#[tokio::test]
async fn a_watch_over_lists_tells_how_often_it_asks_and_where_the_appview_stands() {
    let options = Options {
        contrail: Contrail::V0_19,
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    let put = Put {
        collection: "message".into(),
        did: ALICE.into(),
        rkey: "a".into(),
        record: serde_json::json!({ "text": "for all to see" }),
        ..Put::default()
    };
    server.put(put).unwrap();
    let engine = engine();
    let url = format!(
        "{}/xrpc/com.example.message.watchRecords?actor={ALICE}",
        server.url()
    );
    let mut spec = anywhere(url.parse().unwrap());
    spec.transport = TransportKind::Poll;
    spec.poll_interval = Duration::from_secs(7);
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    let report = report(&engine).await;
    assert_eq!(report.carrier, Some(Carrier::Poll));
    assert_eq!(report.actor.as_deref(), Some(ALICE));
    let poll = report.poll.expect("it has lists");
    assert_eq!(poll.interval_ms, 7_000);
    assert!(poll.position.is_some_and(|it| !it.is_empty()));
}

#[tokio::test]
async fn offline_holds_for_all_watches_and_for_new_ones_until_it_is_over() {
    let lounge = Lounge::open().await;
    let (engine, inspector) = {
        let engine = engine();
        (engine.clone(), engine.inspector())
    };
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    inspector.go_offline().await;
    let closed = async {
        while lounge.server.stats().watches > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LATE, closed).await.unwrap();
    // Neither a page that comes to the front nor another watch ends it.
    engine.wake().await;
    let mut other = lounge.spec();
    other.idle_timeout = Duration::from_secs(9);
    let other = engine.watch(other).await;
    let overview = inspector.overview().await;
    assert!(overview.offline);
    for report in &overview.watches {
        assert_eq!(report.status, Status::Reconnecting, "{report:?}");
    }
    assert_eq!(lounge.server.stats().sse, 1);

    inspector.go_online().await;
    until_live(&watch).await;
    until_live(&other).await;
    let overview = inspector.overview().await;
    assert!(!overview.offline);
    assert!(kinds(&overview.watches[0]).contains(&MomentKind::Disconnected));
}

#[tokio::test]
async fn a_refresh_mends_what_the_server_never_told_and_that_is_counted() {
    let lounge = Lounge::open().await;
    for rkey in ["a", "b", "c", "d"] {
        lounge.say(rkey, "hello");
    }
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    lounge.delete(ALICE, "message", "a", true);
    engine
        .inspector()
        .refresh(report(&engine).await.id)
        .await
        .unwrap();
    until(&watch, |state| state.entries.len() == 3).await;
    let report = reported(&engine, |it| it.compared == 1).await;
    assert_eq!(report.mended, 1);
    assert!(kinds(&report).contains(&MomentKind::Mended));
}

#[tokio::test]
async fn the_rows_of_a_watch_are_told_and_can_be_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let lounge = Lounge::open().await;
    lounge.say("a", "one");
    let engine = session(&folder.path().join("cache.sqlite"));
    let mut spec = lounge.spec();
    spec.cache = Some(Default::default());
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    engine.flush(LATE).await;
    let saved = report(&engine).await.cache.expect("it is cached");
    assert_eq!(saved.rows, Some(1));
    assert!(saved.saved_at.is_some());
    engine
        .inspector()
        .clear_cache(report(&engine).await.id)
        .await
        .unwrap();
    let cleared = report(&engine).await.cache.unwrap();
    assert_eq!((cleared.rows, cleared.saved_at), (None, None));
    assert_eq!(watch.state().await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn writes_that_wait_are_counted_for_watches_of_their_account_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lounge = Lounge::open().await;
    let engine = engine_with(|config| {
        let outbox = OutboxConfig::new(Some(folder.path().join("outbox.sqlite")));
        let never = |_: SendRequest| async { Outcome::later("later", "not today") };
        config.outbox = Some(outbox.sender(NamedSender::new("never", never)));
    });
    let mut spec = lounge.spec();
    spec.account = Some(ALICE.into());
    spec.sender = Some(SenderSource::Named("never".into()));
    let watch = engine.watch(spec.clone()).await;
    let other = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    until_live(&other).await;
    let value = serde_json::value::RawValue::from_string(r#"{"text":"soon"}"#.into()).unwrap();
    let writer = engine.writer(&watch, &spec);
    writer
        .put(NewRecord::new(ALICE, value).in_collection("com.example.chat.message"))
        .await
        .unwrap();
    let waiting: Vec<_> = engine.inspector().overview().await.watches;
    let waiting: Vec<_> = waiting.iter().map(|it| it.waiting_writes).collect();
    assert_eq!(waiting, [Some(1), Some(0)]);
}

#[tokio::test]
async fn the_log_has_what_comes_while_somebody_reads_it_and_no_bodies() {
    let lounge = Lounge::open().await;
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    let inspector = engine.inspector();
    let begun = inspector.log(0);
    assert_eq!(begun.lines, [], "nobody has read it so far");
    lounge.say("a", "a private word");
    until(&watch, |state| state.entries.len() == 1).await;
    let part = inspector.log(begun.last);
    let line: &LogEntry = part.lines.last().expect("it was told");
    assert_eq!((line.kind, Some(line.watch)), ("created", watch.watch_id()));
    assert_eq!(
        line.words,
        format!("at://{ALICE}/com.example.chat.message/a")
    );
    assert!(!format!("{part:?}").contains("private"));
    let refused = Fault {
        on: Some(On::Sse),
        status: Some(503),
        times: Some(1),
        ..Fault::default()
    };
    lounge.server.fault(refused).unwrap();
    lounge.server.drop_connections();
    reported(&engine, |it| {
        it.reconnects == 2 && it.status == Status::Live
    })
    .await;
    let kinds: Vec<_> = inspector
        .log(part.last)
        .lines
        .iter()
        .map(|it| it.kind)
        .collect();
    for kind in [
        "failed",
        "waiting",
        "connecting",
        "connected",
        "live",
        "snapshot-end",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}
