//! However many watches follow the lists of one appview, it is asked no more often than is promised. Real sockets, with the
//! clock of the client stepped by hand; the server runs on its own clock.

mod common;

use std::{sync::Arc, time::Duration};

use appview::{Contrail, Fault, On, Options, Put, Server};
use common::*;
use contrail_sync_engine::{Engine, EngineConfig, Status, Subscription, TransportKind};
use serde_json::json;

/// Watches of one appview.
const WATCHES: usize = 500;
/// One step of the client's clock, and how long the sockets get to react to each.
const STEP: Duration = Duration::from_secs(1);
const REACTION: Duration = Duration::from_millis(15);
/// Most lists that all watches together ask for in a minute.
const LISTS_A_MINUTE: u64 = 600;
/// Those of two seconds.
const LATE: u64 = 20;
/// Looks at the position in a minute, at the interval that is the default.
const LOOKS_A_MINUTE: u64 = 6;

fn put(server: &Server, author: usize) {
    let put = Put {
        collection: "message".into(),
        did: format!("did:plc:author{author}"),
        rkey: "1".into(),
        record: json!({ "text": "hello" }),
        ..Put::default()
    };
    server.put(put).unwrap();
}

async fn step(server: &Server, seconds: u64) -> (u64, u64) {
    let before = server.stats();
    for _ in 0..seconds {
        tokio::time::advance(STEP).await;
        let reacted = std::time::Instant::now() + REACTION;
        while std::time::Instant::now() < reacted {
            tokio::task::yield_now().await;
        }
    }
    let after = server.stats();
    (
        after.lists - before.lists,
        after.positions - before.positions,
    )
}

async fn all_live(server: &Server, watches: &[Subscription]) {
    for watch in watches {
        while watch.state().await.unwrap().status != Status::Live {
            step(server, 1).await;
        }
    }
}

/// Runs a client on a clock that is stepped by hand, against a server of lists on its own clock.
fn stepped(client: impl AsyncFnOnce(Arc<Server>, Engine)) {
    let on_its_clock = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        contrail: Contrail::V0_19,
        ..Options::default()
    };
    let server = Arc::new(on_its_clock.block_on(Server::start(options)).unwrap());
    let paused = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    paused.block_on(async {
        // While a blocking task runs, the paused clock does not run ahead by itself.
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let hold = tokio::task::spawn_blocking(move || wait.recv());
        let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default());
        client(server.clone(), engine.unwrap()).await;
        drop(done);
        let _ = hold.await;
    });
}

#[test]
fn a_server_that_takes_its_own_cursors_for_none_is_asked_no_more_often_than_others() {
    stepped(async |server, engine| {
        for author in 0..6 {
            put(&server, author);
        }
        let url = format!(
            "{}/xrpc/com.example.message.listRecords?limit=2",
            server.url()
        );
        let mut spec = anywhere(url.parse().unwrap());
        spec.transport = TransportKind::Poll;
        let watch = engine.watch(spec).await;
        all_live(&server, std::slice::from_ref(&watch)).await;
        let (more, _) = tokio::join!(watch.load_more(), step(&server, 2));
        more.unwrap();
        let shown = watch.state().await.unwrap().entries;
        assert_eq!(shown.len(), 4);

        // From now on a cache in front of it answers every page with the first one.
        let first: Vec<_> = shown[..2].iter().map(|it| &it.record).collect();
        let fault = Fault {
            on: Some(On::List),
            body: Some(json!({ "records": first, "cursor": "x" }).to_string()),
            ..Fault::default()
        };
        server.fault(fault).unwrap();
        step(&server, 95).await;
        let (lists, _) = step(&server, 60).await;
        // One list at most, and a few looks at what lies below.
        assert!(lists <= 6, "{lists}");
    });
}

#[test]
fn five_hundred_watches_ask_an_appview_no_more_often_than_is_promised_idle_or_busy() {
    stepped(async |server, engine| {
        let mut watches = Vec::new();
        for author in 0..WATCHES {
            let url = format!(
                "{}/xrpc/com.example.message.listRecords?actor=did:plc:author{author}",
                server.url()
            );
            let mut spec = anywhere(url.parse().unwrap());
            spec.transport = TransportKind::Poll;
            watches.push(engine.watch(spec).await);
        }
        all_live(&server, &watches).await;
        assert_eq!(server.stats().lists, WATCHES as u64);

        // The position has holes, so each lists anew within 90 s, and a little more while they wait for one another.
        step(&server, 95).await;
        let (lists, looks) = step(&server, 60).await;
        println!("idle: {lists} lists and {looks} looks at the position a minute");
        assert!((200..=LISTS_A_MINUTE).contains(&lists), "{lists}");
        assert!(
            (LOOKS_A_MINUTE - 1..=LOOKS_A_MINUTE + 1).contains(&looks),
            "{looks}"
        );

        let mut all = 0;
        for minute in 0..3 {
            let (mut lists, mut looks) = (0, 0);
            for second in 0..60 {
                put(&server, (minute * 60 + second) % WATCHES);
                let asked = step(&server, 1).await;
                (lists, looks) = (lists + asked.0, looks + asked.1);
            }
            println!("busy: {lists} lists and {looks} looks at the position a minute");
            assert!(looks <= LOOKS_A_MINUTE + 1, "{looks}");
            // Asked for in one minute, a few may be heard of in the next one.
            assert!(lists <= LISTS_A_MINUTE + LATE, "{lists}");
            all += lists;
        }
        assert!(
            (LISTS_A_MINUTE..=3 * LISTS_A_MINUTE + LATE).contains(&all),
            "{all}"
        );

        // All know all: nobody is left out by the bound.
        step(&server, 95).await;
        for (author, watch) in watches.iter().enumerate() {
            let state = watch.state().await.unwrap();
            assert_eq!(state.status, Status::Live);
            assert_eq!(state.entries.len(), usize::from(author < 180), "{author}");
        }
    });
}
