//! Older records, page by page from the handshake of the watch.

mod common;

use std::time::Duration;

use appview::{Fault, On, Options, Server};
use common::*;
use contrail_sync_engine::{ErrorKind, Filter, Path, Sort, SortBy, Status, View, WatchSpec};

/// `count` messages, the oldest first, and a watch of the newest ten.
async fn lounge(count: usize) -> (Lounge, WatchSpec) {
    let lounge = Lounge::open().await;
    for n in 0..count {
        lounge.say(&format!("{n:03}"), "x");
    }
    let mut spec = lounge.spec();
    spec.url = lounge.url("message", "&limit=10");
    (lounge, spec)
}

fn newest_first(range: std::ops::Range<usize>) -> Vec<String> {
    range.rev().map(|n| format!("{n:03}")).collect()
}

#[tokio::test]
async fn pages_of_older_records_join_below_until_there_are_no_more() {
    let (_lounge, spec) = lounge(25).await;
    let watch = engine().watch(spec).await;
    let first = until_live(&watch).await;
    assert_eq!(rkeys(&first), newest_first(15..25));
    assert!(first.cursor.is_some());

    let rev = watch.load_more().await.unwrap();
    let delta = watch.next().await.unwrap();
    assert_eq!((delta.rev, delta.len, delta.changed.len()), (rev, 20, 10));
    watch.load_more().await.unwrap();
    let all = watch.state().await.unwrap();
    assert_eq!(rkeys(&all), newest_first(0..25));
    assert_eq!(all.cursor, None);
    assert_eq!(
        watch.load_more().await.unwrap(),
        all.rev,
        "nothing more to tell"
    );
}

#[tokio::test]
async fn a_reconnect_keeps_the_older_pages_and_brings_them_up_to_date() {
    let (lounge, spec) = lounge(25).await;
    let watch = engine().watch(spec).await;
    until_live(&watch).await;
    watch.load_more().await.unwrap();
    let (port, world) = (lounge.server.port(), lounge.server.world());
    // Of the page, of the window, and an edit in the page.
    for gone in ["008", "020"] {
        lounge.delete(ALICE, "message", gone, true);
    }
    lounge.server.shutdown().await;
    until(&watch, |it| it.status == Status::Reconnecting).await;
    let options = Options {
        port,
        world: Some(world),
        ..Options::default()
    };
    let _server = Server::start(options).await.unwrap();
    let live = until_live(&watch).await;
    assert!(
        !rkeys(&live).contains(&"020"),
        "the snapshot covers its window"
    );
    assert!(rkeys(&live).contains(&"006"), "older pages stay");
    let fresh = until(&watch, |it| !rkeys(it).contains(&"008")).await;
    let wanted = newest_first(5..25);
    let wanted: Vec<_> = wanted
        .iter()
        .filter(|it| !["008", "020"].contains(&&***it))
        .collect();
    // The pages of now end elsewhere than those of before: a little more may have come with them.
    assert_eq!(rkeys(&fresh)[..wanted.len()], wanted);
}

#[tokio::test]
async fn a_page_that_a_reconnect_overtakes_is_asked_for_again() {
    let (lounge, spec) = lounge(25).await;
    let engine = engine();
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    let slowly = Fault {
        on: Some(On::Handshake),
        times: Some(1),
        delay_ms: Some(1000),
        ..Fault::default()
    };
    lounge.server.fault(slowly).unwrap();
    let again = async {
        while lounge.server.stats().handshakes == 0 {
            tokio::task::yield_now().await;
        }
        engine.suspend(Duration::from_secs(5)).await;
        engine.wake().await;
    };
    let (more, ()) = tokio::join!(watch.load_more(), again);
    more.unwrap();
    assert_eq!(watch.state().await.unwrap().entries.len(), 20);
}

#[tokio::test]
async fn a_page_that_fails_is_a_typed_error_and_can_be_asked_for_again() {
    let (lounge, spec) = lounge(25).await;
    let watch = engine().watch(spec).await;
    until_live(&watch).await;
    let strike = |fault: Fault| {
        let fault = Fault {
            on: Some(On::Handshake),
            times: Some(1),
            ..fault
        };
        lounge.server.fault(fault).unwrap();
    };
    strike(Fault {
        status: Some(502),
        ..Fault::default()
    });
    let error = watch.load_more().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpStatus);
    strike(Fault {
        body: Some("<html>".into()),
        content_type: Some("text/html".into()),
        ..Fault::default()
    });
    let error = watch.load_more().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadPage);
    let state = watch.state().await.unwrap();
    assert_eq!((state.status, state.entries.len()), (Status::Live, 10));
    watch.load_more().await.unwrap();
    assert_eq!(watch.state().await.unwrap().entries.len(), 20);
}

#[tokio::test]
async fn sort_where_and_max_records_hold_for_snapshot_live_and_older_records() {
    let lounge = Lounge::open().await;
    let say = |rkey: &str, room: &str, n: i64| {
        let body = serde_json::json!({ "text": rkey, "room": room, "n": n });
        lounge.put(ALICE, "message", rkey, body);
    };
    for (rkey, room, n) in [("a", "A", 5), ("b", "B", 9), ("c", "A", 7), ("d", "A", 1)] {
        say(rkey, room, n);
    }
    let mut spec = lounge.spec();
    spec.view.sort = Sort::descending(SortBy::Value(Path::parse("value.n").unwrap()));
    spec.view.filter = Filter::new(vec![(Path::parse("value.room").unwrap(), "A".into())]);
    spec.view.max_records = Some(3);
    let engine = engine();
    let watch = engine.watch(spec.clone()).await;
    assert_eq!(rkeys(&until_live(&watch).await), ["c", "a", "d"]);
    say("e", "A", 6);
    until(&watch, |it| rkeys(it) == ["c", "e", "a"]).await;
    say("f", "B", 99);
    say("a", "A", 8);
    until(&watch, |it| rkeys(it) == ["a", "c", "e"]).await;
    say("c", "B", 7);
    until(&watch, |it| rkeys(it) == ["a", "e", "d"]).await;

    spec.view = View::default();
    let all = engine.watch(spec).await;
    assert_eq!(
        until_live(&all).await.entries.len(),
        6,
        "another view is another watch"
    );
}
