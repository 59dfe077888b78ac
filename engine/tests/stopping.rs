//! Who lets go of a watch has the last word, whatever is under way by then.

mod common;

use std::time::Duration;

use appview::{Fault, On, Stats, WsMode};
use common::*;
use contrail_sync_engine::TransportKind;

async fn eventually(lounge: &Lounge, what: &str, wanted: impl Fn(&Stats) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !wanted(&lounge.server.stats()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let waited = waited.await;
    waited.unwrap_or_else(|_| panic!("{what}: {:?}", lounge.server.stats()));
}

#[tokio::test]
async fn a_stop_ends_the_connect_the_handshake_or_the_upgrade_that_is_under_way() {
    type Seen = fn(&Stats) -> bool;
    let phases: [(On, TransportKind, Seen); 3] = [
        (On::Sse, TransportKind::Sse, |it| it.sse == 1),
        (On::Handshake, TransportKind::Ws, |it| it.handshakes == 1),
        (On::Upgrade, TransportKind::Ws, |it| it.upgrades == 1),
    ];
    for (on, kind, seen) in phases {
        let lounge = Lounge::with(appview::Options {
            ws: WsMode::Worker,
            ..appview::Options::default()
        })
        .await;
        let fault = Fault {
            on: Some(on),
            stall_before_headers: true,
            ..Fault::default()
        };
        lounge.server.fault(fault).unwrap();
        // A connection would linger for longer than this test.
        let engine = engine_with(|config| config.linger = Duration::from_secs(3600));
        let mut spec = lounge.spec();
        spec.transport = kind;
        let watch = engine.watch(spec).await;
        eventually(&lounge, "it is asked for", seen).await;
        drop(watch);
        eventually(&lounge, "nobody waits for the answer", |it| it.open == 0).await;
    }
}
