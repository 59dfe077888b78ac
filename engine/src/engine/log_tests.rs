//! Watches in the log.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use appview::{Fault, On, Put, Server};

use super::{Engine, config::EngineConfig};
use crate::{
    pure::{
        lifecycle::machine::Status,
        view::sort::{Sort, SortBy},
    },
    tickets::{NamedMinter, TicketSource},
    transport::ws,
    watch::{
        logged::logged,
        spec::{TransportKind, WatchSpec},
        subscription::Subscription,
    },
};

/// Nobody listens on this port.
async fn watch(engine: &Engine, query: &str, sort: Sort) -> Subscription {
    let url = format!("http://127.0.0.1:1/xrpc/x.watchRecords?{query}");
    let mut spec = WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true));
    spec.view.sort = sort;
    let watch = engine.watch(spec).await;
    while watch.state().await.unwrap().error.is_none() {
        watch.next().await.unwrap();
    }
    watch
}

fn engine() -> Engine {
    Engine::new(tokio::runtime::Handle::current(), EngineConfig::default()).unwrap()
}

#[tokio::test]
async fn watches_that_differ_in_the_query_alone_are_told_apart_in_the_log_without_it() {
    let (log, _guard) = logged();
    let engine = engine();
    let a = watch(&engine, "spaceUri=sesame-a", Sort::default()).await;
    let b = watch(&engine, "spaceUri=sesame-b", Sort::default()).await;
    assert_ne!(a.watch_id(), b.watch_id());
    let lines = log.lines();
    for watch in [a, b] {
        let name = format!("watch={} ", watch.watch_id().unwrap());
        let failed = |line: &&String| line.contains("connection failed") && line.contains(&name);
        assert_eq!(lines.iter().filter(failed).count(), 1, "{name}: {lines:?}");
    }
    assert!(!lines.iter().any(|it| it.contains("sesame")), "{lines:?}");
}

#[tokio::test]
async fn an_order_in_the_url_that_the_watch_does_not_show_is_warned_of_once() {
    let (log, _guard) = logged();
    let engine = engine();
    let warned = async |query: &str, sort: Sort| {
        let _both = [
            watch(&engine, query, sort.clone()).await,
            watch(&engine, query, sort).await,
        ];
        let lines = log.lines();
        lines
            .iter()
            .filter(|it| it.contains("WARN") && it.contains("`sort`"))
            .count()
    };
    for query in ["sort=score", "order=asc", "sort=time_us&order=asc"] {
        assert_eq!(warned(query, Sort::default()).await, 1, "{query}");
    }
    for query in ["sort=time_us&order=desc", "sorted=yes"] {
        assert_eq!(warned(query, Sort::default()).await, 0, "{query}");
    }
    assert_eq!(
        warned("sort=rkey&limit=1", Sort::descending(SortBy::Rkey)).await,
        0
    );
}

/// An appview with a space of three messages, to be watched over a WebSocket that it does not give, with a ticket that is
/// minted at the second attempt.
async fn troubled() -> (Server, WatchSpec) {
    let server = Server::start(appview::Options::default()).await.unwrap();
    let space = server.open_space("lounge", "did:plc:alice").unwrap();
    for rkey in ["a", "b", "c"] {
        let put = Put {
            space_uri: Some(space.uri.clone()),
            collection: "message".into(),
            did: "did:plc:alice".into(),
            rkey: rkey.into(),
            record: serde_json::json!({ "text": rkey }),
            ..Put::default()
        };
        server.put(put).unwrap();
    }
    let no_socket = Fault {
        refuse_upgrade: true,
        ..Fault::default()
    };
    server.fault(no_socket).unwrap();
    let url = format!(
        "{}/xrpc/com.example.message.watchRecords?limit=1&{}",
        server.url(),
        space.query
    );
    let mut spec = WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true));
    spec.transport = TransportKind::Auto;
    let tried = AtomicBool::new(false);
    let minter = NamedMinter::new("late", move |_| {
        let has_ticket = tried.swap(true, Ordering::SeqCst);
        async move { has_ticket.then(|| "a.b".to_owned()).ok_or("not yet") }
    });
    spec.tickets = TicketSource::Minter(minter);
    (server, spec)
}

#[tokio::test]
async fn what_the_ticket_desk_and_the_transport_log_names_the_watch_too() {
    let (log, _guard) = logged();
    let (server, spec) = troubled().await;
    let watch = engine().watch(spec).await;
    while watch.state().await.unwrap().status != Status::Live {
        watch.next().await.unwrap();
    }
    let unreadable = Fault {
        on: Some(On::Handshake),
        body: Some(r#"{"snapshot":{"records":[{"uri":7}]},"wsUrl":"/ws"}"#.into()),
        ..Fault::default()
    };
    server.fault(unreadable).unwrap();
    watch.load_more().await.unwrap();

    let name = format!("watch={} ", watch.watch_id().unwrap());
    let mut lines = log.lines();
    lines.retain(|line| line.contains("contrail_sync_engine"));
    let of_sockets: &[&str] = match ws::IS_BUILT_IN {
        true => &["the upgrade failed", "no WebSocket, using SSE"],
        false => &[],
    };
    for what in [&["mint failed", "skipped unreadable records"], of_sockets].concat() {
        assert!(
            lines.iter().any(|it| it.contains(what)),
            "{what}: {lines:?}"
        );
    }
    // The way to a connection is a span of its own, within the watch's.
    let span = format!("watch{{id={} ", watch.watch_id().unwrap());
    let is_within = |line: &&String| line.contains(&span) && line.contains("}:connect{attempt=");
    let within = lines.iter().filter(is_within);
    let outside = |what: &&str| !within.clone().any(|line| line.contains(what));
    let on_the_way = [&["mint failed"], of_sockets].concat();
    let outside: Vec<_> = on_the_way.iter().filter(|it| outside(it)).collect();
    assert_eq!(outside, [&""; 0], "{lines:?}");
    let nameless: Vec<_> = lines.iter().filter(|it| !it.contains(&name)).collect();
    assert_eq!(nameless, [""; 0]);
}
