//! Watches in the log.

use std::sync::Arc;

use super::{Engine, config::EngineConfig};
use crate::{
    pure::view::sort::{Sort, SortBy},
    watch::{logged::logged, spec::WatchSpec, subscription::Subscription},
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
