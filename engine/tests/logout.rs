//! A logout, among many watches and live traffic: what is cleared stays cleared, and nobody waits for a watch.

mod common;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use contrail_sync_engine::{
    Cache, CacheConfig, Engine, NamedMinter, Subscription, TicketSource, WatchSpec,
};
use futures_util::future::join_all;
use tokio::{sync::oneshot, task::JoinHandle};

/// An engine whose watches linger for longer than a test.
fn lingering(file: &Path) -> Engine {
    let config = CacheConfig::new(Some(file.to_owned()));
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    engine_with(|engine| {
        engine.cache = Some(cache);
        engine.linger = Duration::from_secs(3600);
    })
}

/// As many cached watches of the lounge, each with a name of its own.
fn many(lounge: &Lounge, count: usize) -> impl Iterator<Item = WatchSpec> {
    let spec = lounge.spec();
    (0..count).map(move |n| {
        let mut spec = spec.clone();
        spec.account = Some(ALICE.into());
        spec.cache.get_or_insert_default().key = Some(format!("list {n}"));
        spec
    })
}

/// Follows a watch as a page does: by a task, which lets go of it some time after it was told to.
async fn follow(watch: Subscription) -> (oneshot::Sender<()>, JoinHandle<()>) {
    until_live(&watch).await;
    let (stop, mut stopped) = oneshot::channel();
    let watch = Arc::new(watch);
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                delta = watch.next() => drop(delta.expect("the watch lives")),
            }
        }
    });
    (stop, task)
}

async fn rows(engine: &Engine) -> u64 {
    engine.cache().unwrap().info().await.unwrap().rows
}

async fn eventually(what: &str, wanted: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_clear_that_follows_at_once_leave_no_row_and_no_watch_behind() {
    const WATCHES: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let lounge = Arc::new(Lounge::open().await);
    lounge.say("0", "before");
    let engine = lingering(&dir.path().join("cache.sqlite"));
    let mut followers = Vec::new();
    for spec in many(&lounge, WATCHES) {
        followers.push(follow(engine.watch(spec).await).await);
    }
    eventually("all are cached", async || {
        rows(&engine).await == WATCHES as u64
    })
    .await;
    let talker = lounge.clone();
    let talk = tokio::spawn(async move {
        for n in 1.. {
            talker.say(&n.to_string(), "live");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let tasks: Vec<_> = followers
        .into_iter()
        .map(|(stop, task)| {
            stop.send(()).unwrap();
            task
        })
        .collect();
    let all = (None, Some(ALICE.to_owned()));
    engine.clear_cache(all.0, all.1).await.unwrap();
    assert_eq!(rows(&engine).await, 0);
    for task in tasks {
        task.await.unwrap();
    }
    eventually("all watches end at once", async || {
        engine.watch_count() == 0
    })
    .await;
    // Longer than a change waits for its write.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rows(&engine).await, 0);
    talk.abort();
}

#[tokio::test]
async fn a_watch_that_is_followed_on_writes_again_after_a_while_and_lingers_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let engine = lingering(&dir.path().join("cache.sqlite"));
    let spec = many(&lounge, 1).next().unwrap();
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 1);
    engine.clear_cache(None, None).await.unwrap();
    lounge.say("b", "y");
    until(&watch, |it| it.entries.len() == 2).await;
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(
        rows(&engine).await,
        0,
        "whoever cleared may let go of it yet"
    );
    eventually("it is written", async || rows(&engine).await == 2).await;
    drop(watch);
    eventually("it ends", async || engine.watch_count() == 0).await;
    assert_eq!(rows(&engine).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn neither_tickets_nor_rows_wait_for_a_watch_that_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let lounge = Lounge::open().await;
    let engine = lingering(&dir.path().join("cache.sqlite"));
    let (asked, minting) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (released, ticket) = (Mutex::new(released), lounge.ticket(ALICE, &[]));
    let minter = NamedMinter::new("busy", move |_| {
        asked.send(()).unwrap();
        // The watch's task does nothing else meanwhile. The second time nobody holds it up.
        let _ = released.lock().unwrap().recv();
        let ticket = ticket.clone();
        async move { Ok::<_, String>(ticket) }
    });
    let mut spec = many(&lounge, 1).next().unwrap();
    spec.tickets = TicketSource::Minter(minter);
    let watch = engine.watch(spec).await;
    let began = tokio::task::spawn_blocking(move || {
        minting.recv().unwrap();
        minting
    });
    let minting = began.await.unwrap();
    // More than a busy watch takes.
    let impatient = (0..100).map(|_| engine.flush(Duration::from_millis(100)));
    join_all(impatient).await;

    let patience = Duration::from_secs(5);
    let cleared = tokio::time::timeout(patience, engine.clear_tickets());
    cleared.await.expect("nobody waits").unwrap();
    let cleared = tokio::time::timeout(patience, engine.clear_cache(None, None));
    cleared.await.expect("nobody waits").unwrap();
    drop(release);
    until_live(&watch).await;
    // The ticket of before the logout opened nothing.
    assert_eq!(minting.try_iter().count(), 1);
}
