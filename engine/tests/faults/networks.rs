//! Loops of redirects, addresses of another sort, and servers whose clock is wrong.

use std::net::Ipv6Addr;

use contrail_sync_engine::{ErrorKind, Status, TransportKind};

use super::{
    common::*,
    lists,
    server::{Asked, Place, Reply, Server, Then, answer},
};

const ALL: [TransportKind; 4] = [
    TransportKind::Sse,
    TransportKind::Ws,
    TransportKind::Auto,
    TransportKind::Poll,
];

#[tokio::test]
async fn an_appview_at_an_ipv6_address_is_followed_over_every_transport() {
    for transport in ALL {
        let server = Server::start_at(Ipv6Addr::LOCALHOST.into(), lists::reply).await;
        let mut spec = anywhere(server.url(lists::PATH));
        assert!(spec.url.as_str().starts_with("http://[::1]:"));
        spec.transport = transport;
        let url = spec.url.clone();
        let engine = engine();
        let watch = engine.watch(spec).await;
        assert_eq!(
            texts(&until_live(&watch).await),
            ["two", "one"],
            "{transport:?}"
        );
        drop(watch);
        server.end().await;
        let watch = engine.watch(anywhere(url)).await;
        let error = until_error(&watch, ErrorKind::Connect).await.error.unwrap();
        assert!(error.message.contains("http://[::1]:"), "{}", error.message);
        assert!(
            error.message.contains("nobody listens there"),
            "{}",
            error.message
        );
    }
}

/// The same answer, with these lines in its head.
fn with(mut reply: Reply, lines: &str) -> Reply {
    let at = reply.bytes.windows(2).position(|it| it == b"\r\n").unwrap();
    reply
        .bytes
        .splice(at..at, format!("\r\n{lines}").into_bytes());
    reply
}

#[tokio::test]
async fn a_servers_clock_may_be_wrong_by_any_time() {
    for date in [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "yesterday",
    ] {
        for transport in ALL {
            // The first answer says when it may be asked again, by its own clock.
            let server = Server::start(move |asked: &Asked| {
                let lines = format!("date: {date}\r\nage: 99999999999\r\nretry-after: {date}");
                let first = asked.nth == 1 && asked.place != Place::Position;
                let reply = match first {
                    true => Reply::new(answer("503 X", "text/plain", ""), Then::Next),
                    false => lists::reply(asked),
                };
                with(reply, &lines)
            });
            let server = server.await;
            let mut spec = anywhere(server.url(lists::PATH));
            spec.transport = transport;
            let engine = engine();
            let watch = engine.watch(spec).await;
            let state = until(&watch, |it| it.error.is_some() || it.status == Status::Live).await;
            let kind = state.error.map(|it| it.kind);
            assert!(
                kind.is_none_or(|it| it == ErrorKind::HttpStatus),
                "{kind:?}"
            );
            let state = until_live(&watch).await;
            assert_eq!(texts(&state), ["two", "one"], "{date} {transport:?}");
        }
    }
}

#[tokio::test]
async fn a_watch_is_live_again_once_redirects_lead_somewhere() {
    for transport in ALL {
        // Onto itself, there and back, ever further: each in turn, and then no more.
        let server = Server::start(move |asked: &Asked| {
            let way = match asked.nth {
                1 => "?actor=did:plc:alice",
                2..=4 => "?actor=did:plc:alice&more=1",
                _ => return lists::reply(asked),
            };
            let path = asked
                .head
                .split(' ')
                .nth(1)
                .unwrap()
                .split('?')
                .next()
                .unwrap();
            let mode = if asked.place == Place::Handshake {
                "&mode=ws"
            } else {
                ""
            };
            let reply = Reply::new(answer("302 X", "text/plain", ""), Then::Next);
            with(reply, &format!("location: {path}{way}{mode}"))
        });
        let server = server.await;
        let mut spec = anywhere(server.url(lists::PATH));
        spec.transport = transport;
        let watch = engine().watch(spec).await;
        let state = until(&watch, |it| it.error.is_some() || it.status == Status::Live).await;
        let error = state
            .error
            .unwrap_or_else(|| panic!("{transport:?}: no error"));
        assert_eq!(
            error.kind,
            ErrorKind::HttpStatus,
            "{transport:?}: {}",
            error.message
        );
        assert_eq!(
            texts(&until_live(&watch).await),
            ["two", "one"],
            "{transport:?}"
        );
    }
}
