//! Watches of a community: what it wrote, in those of its spaces that the account reaches, and in public.

mod common;

use std::time::Duration;

use appview::{Community, Put, Server, TicketFor};
use common::*;
use contrail_sync_engine::{Status, Ticket, TicketSource, WatchSpec};

const CIRCLE: &str = "did:plc:circle";

/// A community with two spaces, in which it wrote as often as asked, and in public, and a watch of it as bob.
async fn circle(each: usize, query: &str) -> (Server, Vec<String>, WatchSpec) {
    let server = Server::start(Default::default()).await.unwrap();
    let community = Community {
        did: CIRCLE.into(),
        spaces: vec!["one".into(), "two".into()],
        members: vec![BOB.into()],
        ..Community::default()
    };
    let spaces = server.community(&community).unwrap();
    for n in 0..each {
        for (place, name) in [(Some(0), "one"), (Some(1), "two"), (None, "public")] {
            let space = place.map(|at: usize| spaces[at].clone());
            write(&server, space, &format!("{name}{n}"));
        }
    }
    let ticket = server.ticket(TicketFor {
        space_uri: None,
        actor: Some(CIRCLE.into()),
        collection: "message".into(),
        did: BOB.into(),
        ttl_ms: Some(3_600_000),
        hydrate: Vec::new(),
    });
    let url = format!(
        "{}/xrpc/com.example.message.watchRecords?actor={CIRCLE}{query}",
        server.url()
    );
    let mut spec = anywhere(url.parse().unwrap());
    spec.account = Some(BOB.into());
    spec.tickets = TicketSource::Static(Ticket::parse(&ticket.unwrap()).unwrap());
    (server, spaces, spec)
}

fn write(server: &Server, space_uri: Option<String>, rkey: &str) {
    let put = Put {
        space_uri,
        collection: "message".into(),
        did: CIRCLE.into(),
        rkey: rkey.into(),
        record: serde_json::json!({ "text": rkey }),
        ..Put::default()
    };
    server.put(put).unwrap();
}

#[tokio::test]
async fn a_kick_from_one_of_two_spaces_takes_its_records_and_no_others() {
    let (server, spaces, spec) = circle(1, "").await;
    server.set_losses(appview::Losses {
        community_events: false,
        ..appview::Losses::default()
    });
    let watch = engine().watch(spec).await;
    let live = until_live(&watch).await;
    assert_eq!(rkeys(&live), ["public0", "two0", "one0"]);
    server.kick(&spaces[0], BOB).unwrap();
    let left = until(&watch, |it| it.entries.len() == 2).await;
    assert_eq!(rkeys(&left), ["public0", "two0"]);
    // The server ends the stream after it; the watch goes on with what is left.
    let live = until_live(&watch).await;
    assert_eq!(rkeys(&live), ["public0", "two0"]);
}

#[tokio::test]
async fn older_records_of_a_community_come_page_by_page_until_there_are_no_more() {
    let (_server, _, spec) = circle(4, "&limit=5").await;
    let watch = engine().watch(spec).await;
    let live = until_live(&watch).await;
    assert_eq!(live.entries.len(), 5);
    let mut state = live;
    while state.cursor.is_some() {
        watch.load_more().await.unwrap();
        state = watch.state().await.unwrap();
    }
    assert_eq!(state.entries.len(), 12);
    let times: Vec<i64> = state.entries.iter().map(|it| it.record.time_us).collect();
    assert!(
        times.is_sorted_by(|a, b| a >= b),
        "milliseconds among microseconds"
    );
}

#[tokio::test]
async fn what_a_community_writes_without_publishing_it_is_found_by_comparing() {
    let (server, spaces, spec) = circle(1, "").await;
    let engine = engine_with(|config| config.compare_every = Duration::from_secs(5));
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    let connects = server.stats().sse;
    write(&server, Some(spaces[1].clone()), "unpublished");
    let found = until(&watch, |it| it.entries.len() == 4).await;
    assert_eq!(rkeys(&found)[0], "unpublished");
    assert_eq!(found.status, Status::Live);
    assert_eq!(server.stats().sse, connects, "beside the open stream");
    let statistics = engine.statistics();
    assert!(
        statistics.compared >= 1 && statistics.mended == 1,
        "{statistics:?}"
    );
}
