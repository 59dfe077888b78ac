use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::{
    engine::{Engine, config::EngineConfig},
    failure::ErrorKind,
    pure::lifecycle::machine::Status,
    watch::{error::WatchError, spec::WatchSpec, subscription::Subscription},
};

/// Room for three, and nobody ends by itself.
fn engine() -> Engine {
    let config = EngineConfig {
        max_watches: 3,
        linger: Duration::from_secs(3600),
        ..EngineConfig::default()
    };
    Engine::new(Handle::current(), config).unwrap()
}

/// A watch of its own for each number. Nobody answers it: it is held all the same.
fn spec(n: usize) -> WatchSpec {
    let url = format!("http://127.0.0.1:1/xrpc/c.watchRecords?actor={n}");
    WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true))
}

async fn follow(engine: &Engine, n: usize) -> Subscription {
    engine.watch(spec(n)).await
}

async fn is_refused(watch: &Subscription) -> bool {
    watch.state().await.unwrap().status == Status::Closed
}

async fn until_held(engine: &Engine, count: usize) {
    let ended = async {
        while engine.watch_count() > count {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended);
    ended.await.expect("the others end");
}

#[tokio::test]
async fn however_many_are_opened_and_closed_no_more_linger_than_may_be_held() {
    let engine = engine();
    for n in 0..100 {
        assert!(!is_refused(&follow(&engine, n).await).await, "{n}");
    }
    until_held(&engine, 3).await;
}

#[tokio::test]
async fn the_one_that_lingers_longest_makes_room() {
    let engine = engine();
    for n in [0, 1, 2, 0] {
        drop(follow(&engine, n).await);
    }
    // 1 was let go of first.
    let _new = follow(&engine, 3).await;
    until_held(&engine, 3).await;
    let held = engine.inner.watches.lock();
    let held = [0, 1, 2, 3].map(|n| held.contains_key(&spec(n).key()));
    assert_eq!(held, [true, false, true, true]);
}

#[tokio::test]
async fn where_each_is_followed_one_more_is_closed_with_an_error_that_names_the_bound() {
    let engine = engine();
    let mut held = Vec::new();
    for n in 0..3 {
        held.push(follow(&engine, n).await);
    }
    // Who follows one that is there adds none.
    assert!(!is_refused(&follow(&engine, 1).await).await);
    let refused = follow(&engine, 3).await;
    let state = refused.state().await.unwrap();
    let error = state.error.unwrap();
    assert_eq!(
        (state.status, error.kind),
        (Status::Closed, ErrorKind::TooManyWatches)
    );
    assert!(error.message.contains('3'), "{}", error.message);
    assert!(refused.try_next().await.is_none());
    let more = refused.load_more().await;
    assert!(matches!(more, Err(WatchError::TooManyWatches { limit: 3 })));
    held.pop();
    assert!(!is_refused(&follow(&engine, 4).await).await);
    // The refused one has no more to tell, until the engine ends.
    let mut next = std::pin::pin!(refused.next());
    assert!(next.as_mut().now_or_never().is_none());
    drop((held, engine));
    let ended = tokio::time::timeout(Duration::from_secs(10), next).await;
    assert!(ended.expect("it ends with the engine").is_none());
    assert!(refused.state().await.is_none());
}
