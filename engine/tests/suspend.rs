//! Before the app sleeps, and after.

mod common;

use std::time::Duration;

use common::{Lounge, engine, texts, until, until_live};
use contrail_sync_engine::Status;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_suspended_engine_has_no_connection_and_one_that_wakes_catches_up() {
    let lounge = Lounge::open().await;
    lounge.say("a", "one");
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    engine.suspend(DEADLINE).await;
    let asleep = watch.state().await.unwrap();
    assert_eq!(asleep.status, Status::Reconnecting);
    assert_eq!(texts(&asleep), ["one"], "what it shows stays");
    let closed = async {
        while lounge.server.stats().watches > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.unwrap();

    lounge.say("b", "two");
    engine.wake().await;
    let awake = until(&watch, |state| state.entries.len() == 2).await;
    assert_eq!(texts(&awake), ["two", "one"]);
    assert_eq!(lounge.server.stats().sse, 2);
}

#[tokio::test]
async fn what_only_lingered_stays_closed_and_opens_for_whoever_comes() {
    let lounge = Lounge::open().await;
    let engine = engine();
    let watch = engine.watch(lounge.spec()).await;
    until_live(&watch).await;
    drop(watch);
    engine.suspend(DEADLINE).await;
    engine.wake().await;
    let again = engine.watch(lounge.spec()).await;
    until_live(&again).await;
    assert_eq!(lounge.server.stats().sse, 2);
}
