//! A watch with the cache: last session's records before the network answers, and never anything wrong.

mod common;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use appview::{Bulk, Options, Server};
use common::*;
use contrail_sync_engine::{
    Cache, CacheConfig, CacheOptions, Engine, ErrorKind, NamedMinter, Status, Ticket, TicketError,
    TicketSource, WatchSpec,
};
use futures_util::FutureExt;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

fn cached(mut spec: WatchSpec) -> WatchSpec {
    spec.cache = Some(CacheOptions::default());
    spec
}

async fn rows(engine: &Engine) -> u64 {
    engine.cache().unwrap().info().await.unwrap().rows
}

/// Follows the watch until it is live, and ends the session.
async fn once(file: &Path, spec: &WatchSpec) -> Vec<String> {
    let engine = session(file);
    let watch = engine.watch(spec.clone()).await;
    let seen = texts(&until_live(&watch).await);
    end(engine).await;
    seen
}

#[tokio::test]
async fn last_sessions_records_are_shown_before_the_network_answers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    for n in 0..5 {
        lounge.say(&n.to_string(), &format!("message {n}"));
    }
    let spec = cached(lounge.spec());
    let seen = once(&file, &spec).await;
    assert_eq!(seen.len(), 5);
    lounge.server.shutdown().await;

    let engine = session(&file);
    let watch = engine.watch(spec).await;
    let painted = until(&watch, |it| it.entries.len() == 5).await;
    assert_eq!(texts(&painted), seen, "the same records in the same order");
    assert_ne!(painted.status, Status::Live);
    let offline = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert_eq!(offline.entries.len(), 5);
}

#[tokio::test]
async fn a_watch_that_closes_at_once_ends_with_all_of_last_sessions_records() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    for n in 0..5 {
        lounge.say(&n.to_string(), &format!("message {n}"));
    }
    let mut spec = cached(lounge.spec());
    let seen = once(&file, &spec).await;
    lounge.server.shutdown().await;

    spec.reconnect = false;
    for _ in 0..20 {
        let engine = session(&file);
        let watch = engine.watch(spec.clone()).await;
        let closed = until(&watch, |it| it.status == Status::Closed).await;
        assert_eq!(texts(&closed), seen);
        assert_eq!(closed.error.unwrap().kind, ErrorKind::Connect);
        end(engine).await;
    }
}

#[tokio::test]
async fn a_snapshot_wins_over_what_was_cached() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("kept", "old");
    lounge.say("gone", "old");
    let spec = cached(lounge.spec());
    once(&file, &spec).await;
    lounge.say("kept", "new");
    lounge.delete(ALICE, "message", "gone", false);
    assert_eq!(once(&file, &spec).await, ["new"]);
    lounge.server.shutdown().await;
    let engine = session(&file);
    let watch = engine.watch(spec).await;
    let painted = until(&watch, |it| !it.entries.is_empty()).await;
    assert_eq!(texts(&painted), ["new"], "the cache followed");
}

#[tokio::test]
async fn live_changes_reach_the_cache_and_a_stop_leaves_it_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    let spec = cached(lounge.spec());
    let engine = session(&file);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    for n in 0..30 {
        lounge.say(&format!("{n:02}"), "x");
    }
    lounge.delete(ALICE, "message", "00", false);
    until(&watch, |it| it.entries.len() == 29).await;
    // The last one lets go: what is not written yet is written now.
    drop(watch);
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 29);
    // Starting again without the server empties nothing.
    lounge.server.shutdown().await;
    let again = engine.watch(spec).await;
    until(&again, |it| {
        it.status == Status::Reconnecting && it.entries.len() == 29
    })
    .await;
    drop(again);
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 29);
}

#[tokio::test]
async fn a_stop_before_anything_was_known_leaves_the_cache_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let spec = cached(lounge.spec());
    once(&file, &spec).await;
    lounge.server.shutdown().await;
    let engine = session(&file);
    drop(engine.watch(spec).await);
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 1);
}

#[tokio::test]
async fn losing_access_leaves_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    lounge.say("a", "for members");
    let mut spec = cached(lounge.spec());
    spec.account = Some(BOB.into());
    spec.tickets = TicketSource::Static(Ticket::parse(&lounge.ticket(BOB, &[])).unwrap());
    let engine = session(&file);
    let watch = engine.watch(spec).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 1);
    lounge.server.kick(&lounge.space, BOB).unwrap();
    until(&watch, |it| it.status == Status::Closed).await;
    engine.flush(Duration::from_secs(5)).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while rows(&engine).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the rows are gone");
    end(engine).await;
    let bytes = std::fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("for members"), "not even in free pages");
}

#[tokio::test]
async fn a_minter_that_says_that_access_is_lost_leaves_no_row_of_last_session() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "for members");
    let is_member = Arc::new(AtomicBool::new(true));
    let (asked, ticket) = (is_member.clone(), lounge.ticket(ALICE, &[]));
    let mint = move |_| {
        let reason = "not-member".to_owned();
        let answer = match asked.load(Ordering::SeqCst) {
            true => Ok(ticket.clone()),
            false => Err(TicketError::Forbidden { reason }),
        };
        async { answer }
    };
    let mut spec = cached(lounge.spec());
    spec.account = Some(ALICE.into());
    spec.tickets = TicketSource::Minter(NamedMinter::new("members", mint));
    assert_eq!(once(&file, &spec).await, ["for members"]);

    is_member.store(false, Ordering::SeqCst);
    let engine = session(&file);
    let watch = engine.watch(spec).await;
    let closed = until(&watch, |it| it.status == Status::Closed).await;
    assert_eq!(closed.error.unwrap().kind, ErrorKind::Forbidden);
    assert!(closed.entries.is_empty());
    tokio::time::timeout(Duration::from_secs(10), async {
        while rows(&engine).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the rows are gone");
    end(engine).await;
}

#[tokio::test]
async fn another_account_never_sees_the_rows_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "alice's");
    let mut alice = cached(lounge.spec());
    alice.account = Some(ALICE.into());
    once(&file, &alice).await;
    lounge.server.shutdown().await;
    let mut bob = alice.clone();
    bob.account = Some(BOB.into());
    let engine = session(&file);
    let watch = engine.watch(bob).await;
    let state = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert!(state.entries.is_empty());
    tokio::time::timeout(Duration::from_secs(10), async {
        while rows(&engine).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("they are purged");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_does_not_keep_a_watch_from_going_live() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    std::fs::create_dir(&file).unwrap();
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    assert_eq!(once(&file, &cached(lounge.spec())).await, ["x"]);
}

#[tokio::test]
async fn a_cache_that_hangs_does_not_delay_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .pragma("locking_mode", "EXCLUSIVE");
    let mut holder = SqliteConnection::connect_with(&options).await.unwrap();
    let lock = holder.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let mut config = CacheConfig::new(Some(file));
    config.busy_timeout = Duration::from_secs(3600);
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    let engine = engine_with(|engine| engine.cache = Some(cache.clone()));
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let watch = engine.watch(cached(lounge.spec())).await;
    assert_eq!(texts(&until_live(&watch).await), ["x"]);
    // Nor does it hold up what goes on.
    lounge.say("b", "y");
    until(&watch, |it| texts(it) == ["y", "x"]).await;
    let asked = std::pin::pin!(cache.info()).now_or_never();
    assert!(asked.is_none(), "the cache waits for the file all the time");
    lock.rollback().await.unwrap();
    holder.close().await.unwrap();
    end(engine).await;
}

#[tokio::test]
async fn nobody_waits_for_a_write_that_cannot_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = session(&dir.path().join("cache.sqlite"));
    let lounge = Lounge::open().await;
    let watch = engine.watch(cached(lounge.spec())).await;
    until_live(&watch).await;
    engine.cache().unwrap().close().await.unwrap();
    lounge.say("a", "x");
    until(&watch, |it| it.entries.len() == 1).await;
    let flushed = engine.flush(Duration::from_secs(3600));
    tokio::time::timeout(Duration::from_secs(10), flushed)
        .await
        .expect("the watch gives up");
}

#[tokio::test]
async fn the_first_page_of_a_large_watch_does_not_wait_for_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    let bulk = Bulk {
        space_uri: lounge.space.clone(),
        n: 3000,
        size: 300,
        silent: false,
    };
    let mut spec = cached(lounge.spec());
    let mut large = CacheOptions::default();
    (large.key, large.max_records) = (Some("large".into()), 10_000);
    spec.cache = Some(large);
    let engine = session(&file);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    lounge.server.bulk(bulk).unwrap();
    until(&watch, |it| it.entries.len() == 3000).await;
    end(engine).await;
    let (world, port) = (lounge.server.world(), lounge.server.port());
    lounge.server.shutdown().await;

    // A machine that is slow to read the rows must not use up the connects of a minute meanwhile.
    let engine = patient_session(&file);
    let watch = engine.watch(spec).await;
    let mut len = watch.state().await.unwrap().entries.len();
    while len == 0 {
        len = watch.next().await.unwrap().len;
    }
    assert!((50..3000).contains(&len), "{len}");
    until(&watch, |it| it.entries.len() == 3000).await;
    // The snapshot is a window of 50: of what lies below it says nothing.
    let _server = Server::start(Options {
        port,
        world: Some(world),
        ..Options::default()
    })
    .await
    .unwrap();
    let live = until_live(&watch).await;
    assert_eq!(live.entries.len(), 3000);
}

#[tokio::test]
async fn a_bad_ticket_shows_the_error_beside_what_was_cached() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let spec = cached(lounge.spec());
    once(&file, &spec).await;
    let mut expired = spec;
    expired.tickets = TicketSource::Static(Ticket::parse("expired.ticket").unwrap());
    let engine = session(&file);
    let watch = engine.watch(expired).await;
    let state = until_error(&watch, ErrorKind::AuthRequired).await;
    assert_eq!(state.status, Status::Reconnecting);
}

#[tokio::test]
async fn a_cleared_cache_stays_clear_while_a_watch_only_lingers() {
    let dir = tempfile::tempdir().unwrap();
    let lounge = Lounge::open().await;
    lounge.say("a", "x");
    let engine = session(&dir.path().join("cache.sqlite"));
    let spec = cached(lounge.spec());
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 1);
    // Logout: the store stops, then the cache is cleared, well within the linger time.
    drop(watch);
    engine.clear_cache(None, None).await.unwrap();
    lounge.say("b", "live while lingering");
    tokio::time::timeout(Duration::from_secs(10), async {
        while engine.watch_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it ends at once");
    assert_eq!(rows(&engine).await, 0);
    // A key is the URL, or the name that the watch was given.
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    assert_eq!(rows(&engine).await, 2);
    drop(watch);
    engine
        .clear_cache(Some("another".into()), None)
        .await
        .unwrap();
    assert_eq!(rows(&engine).await, 2);
    engine
        .clear_cache(Some(spec.url.to_string()), None)
        .await
        .unwrap();
    assert_eq!(rows(&engine).await, 0);
}

#[tokio::test]
async fn purged_rows_are_not_painted_by_a_start_that_follows_at_once() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let lounge = Lounge::open().await;
        lounge.server.add_member(&lounge.space, BOB).unwrap();
        for n in 0..40 {
            lounge.say(&n.to_string(), "for members");
        }
        let mut spec = cached(lounge.spec());
        spec.tickets = TicketSource::Static(Ticket::parse(&lounge.ticket(BOB, &[])).unwrap());
        let engine = session(&dir.path().join("cache.sqlite"));
        let watch = engine.watch(spec.clone()).await;
        until_live(&watch).await;
        engine.flush(Duration::from_secs(5)).await;
        assert_eq!(rows(&engine).await, 40);
        lounge.server.kick(&lounge.space, BOB).unwrap();
        until(&watch, |it| it.status == Status::Closed).await;
        let again = engine.watch(spec).await;
        loop {
            let state = again.state().await.unwrap();
            assert!(state.entries.is_empty(), "{:?}", state.status);
            if state.status == Status::Closed && rows(&engine).await == 0 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn naming_the_cache_key_of_another_query_shows_nothing_of_it_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "of one query");
    let mut spec = cached(lounge.spec());
    spec.account = Some(ALICE.into());
    spec.cache.as_mut().unwrap().key = Some("messages".into());
    assert_eq!(once(&file, &spec).await.len(), 1);
    let mut other = spec.clone();
    other.url = lounge.url("message", "&limit=1");
    lounge.server.shutdown().await;
    let engine = session(&file);
    let watch = engine.watch(other).await;
    let purged = async {
        while rows(&engine).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), purged)
        .await
        .expect("they are purged");
    let state = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert!(state.entries.is_empty());
}

#[tokio::test]
async fn naming_anothers_cache_key_shows_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let (lounge, other) = (Lounge::open().await, Lounge::open().await);
    lounge.say("a", "private to this origin");
    let mut spec = cached(lounge.spec());
    spec.cache.as_mut().unwrap().key = Some("messages".into());
    assert_eq!(once(&file, &spec).await.len(), 1);
    let mut foreign = cached(other.spec());
    foreign.cache.clone_from(&spec.cache);
    other.server.shutdown().await;
    let engine = session(&file);
    let watch = engine.watch(foreign).await;
    let state = until(&watch, |it| it.status == Status::Reconnecting).await;
    assert!(state.entries.is_empty());
    engine
        .cache()
        .unwrap()
        .flush(Duration::from_secs(5))
        .await
        .unwrap();
    assert!(watch.state().await.unwrap().entries.is_empty());
}
