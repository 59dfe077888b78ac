//! Appviews whose lists are late, are none, or come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use contrail_sync_engine::{ErrorKind, Status, Subscription, TransportKind};

use super::{
    clocks::*,
    common::*,
    lists,
    server::{Asked, Place, Reply, Server, Then, answer, json, stream},
};

/// A list whose watches are distinguished by their actor.
fn path(actor: &str) -> String {
    format!("/xrpc/com.example.message.listRecords?actor={actor}")
}

async fn polled(engine: &contrail_sync_engine::Engine, url: url::Url) -> Subscription {
    let mut spec = anywhere(url);
    spec.transport = TransportKind::Poll;
    spec.poll_interval = Duration::from_secs(2);
    engine.watch(spec).await
}

#[test]
fn a_list_that_hangs_keeps_no_other_watch_of_its_appview_waiting() {
    let (servers_clock, client_clock) = (of_servers(), of_client());
    let (known, hanging) = (Arc::new(AtomicUsize::new(1)), AtomicUsize::new(0));
    let texts = known.clone();
    let server = Server::start(move |asked| match asked.place {
        Place::Position => json(&format!(r#"{{"time_us":{}}}"#, texts.load(Relaxed))),
        Place::List if asked.head.contains("hangs") && hanging.fetch_add(1, Relaxed) == 0 => {
            Reply::new("", Then::Hold)
        }
        _ => json(&lists::list(
            &["one", "two", "three"][..texts.load(Relaxed)],
        )),
    });
    let server = servers_clock.block_on(server);
    client_clock.block_on(async {
        let _stopped = stop();
        let engine = engine();
        let hangs = polled(&engine, server.url(&path("hangs"))).await;
        let mut others = Vec::new();
        for n in 0..5 {
            others.push(polled(&engine, server.url(&path(&format!("other{n}")))).await);
        }
        let mut failed = None;
        for second in 0..40 {
            if second == 10 || second == 20 {
                known.fetch_add(1, Relaxed);
            }
            // A change is seen at the next look, and lists follow at once.
            let wanted = match second {
                0..6 => 0,
                6..16 => 1,
                16..26 => 2,
                _ => 3,
            };
            for other in &others {
                let state = other.state().await.unwrap();
                let len = state.entries.len();
                assert!(len >= wanted, "{second}: {len} of {wanted}");
                assert_eq!(state.error, None);
            }
            let state = hangs.state().await.unwrap();
            failed = failed.or(state.error.map(|it| (it.kind, second)));
            step().await;
        }
        let (kind, second) = failed.unwrap();
        assert_eq!(kind, ErrorKind::Connect);
        assert!((29..=36).contains(&second), "{second}");
        let state = hangs.state().await.unwrap();
        assert_eq!((state.status, state.entries.len()), (Status::Live, 3));
    });
    drop(server);
}

#[tokio::test]
async fn a_first_list_that_is_none_is_a_typed_error_until_there_is_one() {
    let json = "application/json";
    for (status, content_type, body, kind) in [
        (
            "400 X",
            json,
            r#"{"error":"Could not resolve actor"}"#,
            ErrorKind::HttpStatus,
        ),
        ("200 OK", "text/html", "<h1>Hello</h1>", ErrorKind::BadPage),
        ("200 OK", json, "", ErrorKind::BadPage),
        ("200 OK", json, "{}", ErrorKind::BadPage),
        ("200 OK", json, r#"{"records":null}"#, ErrorKind::BadPage),
        ("200 OK", json, r#"[{"records":[]}]"#, ErrorKind::BadPage),
        ("204 X", json, "", ErrorKind::BadPage),
        ("304 X", json, "", ErrorKind::HttpStatus),
        (
            "404 X",
            "text/plain",
            "404 Not Found",
            ErrorKind::HttpStatus,
        ),
        ("429 X", json, "{}", ErrorKind::HttpStatus),
        (
            "502 X",
            "text/html",
            "<h1>Bad Gateway</h1>",
            ErrorKind::HttpStatus,
        ),
    ] {
        let server = Server::start(move |asked: &Asked| match asked.place {
            Place::List if asked.nth == 1 => {
                Reply::new(answer(status, content_type, body), Then::Close)
            }
            _ => lists::reply(asked),
        });
        let server = server.await;
        let engine = engine();
        let watch = polled(&engine, server.url(lists::PATH)).await;
        let state = until(&watch, |it| it.error.is_some() || it.status == Status::Live).await;
        let error = state
            .error
            .unwrap_or_else(|| panic!("{status} {body}: live"));
        assert_eq!(error.kind, kind, "{status} {body}: {}", error.message);
        assert_eq!(texts(&until_live(&watch).await), ["two", "one"]);
        assert_eq!(server.count(Place::List), 2);
    }
}

/// A server of lists, or of streams, as it says at the time. It has nothing of the other sort.
fn as_of(time: usize, asked: &Asked) -> Reply {
    let nothing = || Reply::new(answer("404 X", "text/plain", "404 Not Found"), Then::Next);
    let text = format!("of {time}");
    let texts: [&str; 1] = [&text];
    match (asked.place, time % 2) {
        (Place::List, 0) => json(&lists::list(&texts)),
        (Place::Position, 0) => json(&format!(r#"{{"time_us":{time}}}"#)),
        (Place::Handshake, 1) => Reply::new(answer("426 X", "text/plain", ""), Then::Next),
        (Place::Stream, 1) => {
            let record = lists::record(1, &text);
            let mut reply = stream(&format!(
                "event: snapshot.record\ndata: {{\"record\":{record}}}\n\nevent: snapshot.end\ndata: {{}}\n\n"
            ));
            // Until the server changes.
            reply.then = Then::Close;
            reply.followed(b":\n".repeat(100), Duration::from_millis(10))
        }
        _ => nothing(),
    }
}

#[tokio::test]
async fn auto_follows_a_server_from_lists_to_streams_and_back() {
    let time = Arc::new(AtomicUsize::new(0));
    let now = time.clone();
    let server = Server::start(move |asked| as_of(now.load(Relaxed), asked)).await;
    let engine = engine();
    let mut spec = anywhere(server.url(lists::PATH));
    (spec.transport, spec.poll_interval) = (TransportKind::Auto, Duration::from_secs(2));
    let watch = engine.watch(spec).await;
    for at in 0..4 {
        time.store(at, Relaxed);
        if at % 2 == 1 {
            // Lists are looked at now and then only; streams say themselves when they end.
            let _ = watch.refresh().await;
        }
        let text = format!("of {at}");
        until(&watch, |it| {
            it.status == Status::Live && texts(it).contains(&text)
        })
        .await;
    }
}

#[tokio::test]
async fn auto_tries_a_socket_again_that_failed_as_any_request_may() {
    for fault in [
        Reply::new("", Then::Close),
        Reply::new("", Then::Reset),
        Reply::new(answer("503 X", "text/plain", "later"), Then::Close),
        Reply::new(answer("429 X", "text/plain", "later"), Then::Close),
    ] {
        let name = format!("{fault:?}");
        // Somebody on the way lets no stream of events through, but sockets.
        let server = Server::start(move |asked: &Asked| match (asked.place, asked.nth) {
            (Place::Stream, _) => stream(""),
            (Place::Socket, 1) => fault.clone(),
            _ => lists::reply(asked),
        });
        let server = server.await;
        let mut spec = anywhere(server.url(lists::PATH));
        (spec.transport, spec.idle_timeout) = (TransportKind::Auto, Duration::from_millis(300));
        let watch = engine().watch(spec).await;
        let state = until(&watch, |it| {
            it.status == Status::Live || server.count(Place::Stream) > 2
        });
        assert_eq!(state.await.status, Status::Live, "{name}");
    }
}
