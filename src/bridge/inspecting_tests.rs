//! The inspector's commands, on a real engine and appview.

use std::sync::Arc;

use contrail_sync_engine::{EngineConfig, ErrorKind, Status};
use serde_json::{Value, json};

use super::{
    super::tests::{Lounge, PAGE, until},
    *,
};
use crate::bridge::Send;

async fn asked(bridge: &Bridge, since: u64) -> Value {
    serde_json::to_value(bridge.inspect(since).await).unwrap()
}

#[tokio::test]
async fn a_page_sees_each_watch_where_it_is_shown_and_what_happened_since() {
    let lounge = Lounge::open().await;
    lounge.put("a", "one");
    let runtime = tokio::runtime::Handle::current();
    let engine = contrail_sync_engine::Engine::new(runtime, EngineConfig::default()).unwrap();
    let other = engine.watch(lounge.spec()).await;
    until(&other, |state| state.status == Status::Live).await;
    let bridge = Arc::new(Bridge::new(engine));
    assert_eq!(asked(&bridge, 0).await["watches"][0]["windows"], json!([]));
    for label in ["main", "aside"] {
        let send: Send = Arc::new(|_, _| true);
        let opened = bridge.open(label, PAGE.into(), 1, lounge.spec(), send);
        opened.await.unwrap();
    }
    let all = asked(&bridge, 0).await;
    let watch = &all["watches"][0];
    assert_eq!(watch["id"], other.watch_id().unwrap().number());
    assert_eq!(watch["windows"], json!(["aside", "main"]));
    assert_eq!(
        (&watch["status"], &watch["followers"]),
        (&json!("live"), &json!(3))
    );
    assert_eq!(watch["timeline"][0]["kind"], "connecting");
    assert_eq!(
        watch["ticket"],
        json!({ "state": "none", "expiresAt": null })
    );
    assert_eq!(all["counters"]["connects"], 1);
    assert!(!all.to_string().contains("inviteToken"), "{all}");

    let last = all["log"]["last"].as_u64().unwrap();
    lounge.put("b", "two");
    until(&other, |state| state.entries.len() == 2).await;
    let log = &asked(&bridge, last).await["log"]["lines"];
    assert_eq!(
        (&log[0]["kind"], &log[0]["watch"]),
        (&json!("created"), &watch["id"])
    );
}

#[tokio::test]
async fn a_deed_is_done_or_refused_in_words() {
    let lounge = Lounge::open().await;
    let runtime = tokio::runtime::Handle::current();
    let engine = contrail_sync_engine::Engine::new(runtime, EngineConfig::default()).unwrap();
    let watch = engine.watch(lounge.spec()).await;
    until(&watch, |state| state.status == Status::Live).await;
    let (bridge, id) = (Bridge::new(engine), watch.watch_id().unwrap());
    bridge.act(Deed::Offline).await.unwrap();
    until(&watch, |state| state.status == Status::Reconnecting).await;
    assert_eq!(asked(&bridge, 0).await["offline"], true);
    bridge.act(Deed::Online).await.unwrap();
    until(&watch, |state| state.status == Status::Live).await;
    for deed in [Deed::Refresh(id), Deed::ClearCache(id), Deed::Drop(id)] {
        bridge.act(deed).await.unwrap();
    }
    until(&watch, |state| state.status == Status::Reconnecting).await;
    let unknown = WatchId::of_number(u64::MAX);
    for deed in [
        Deed::Refresh(unknown),
        Deed::ClearCache(unknown),
        Deed::Drop(unknown),
    ] {
        let error = bridge.act(deed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownWatch);
    }
}

#[test]
fn a_deed_of_a_page_is_known_and_has_what_it_needs() {
    let id = WatchId::of_number(7);
    assert_eq!(Deed::read("drop", Some(7)).unwrap(), Deed::Drop(id));
    assert_eq!(Deed::read("offline", None).unwrap(), Deed::Offline);
    let long = "drop".repeat(1 << 20);
    for (deed, watch) in [
        ("drop", None),
        ("online", Some(7)),
        ("Drop", Some(7)),
        ("", None),
        (&*long, Some(7)),
    ] {
        let error = Deed::read(deed, watch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        assert!(error.to_string().len() < 200);
    }
}
