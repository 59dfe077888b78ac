//! Watches that show the same records in different ways, with the cache.

mod common;

use std::{path::Path as FilePath, time::Duration};

use common::*;
use contrail_sync_engine::{
    Cache, CacheConfig, Edit, EditRecord, Filter, Path, Sort, SortBy, Status, Ticket, TicketSource,
    TransportKind, WatchSpec,
};

fn keeping(mut spec: WatchSpec, max_records: usize) -> WatchSpec {
    spec.cache.get_or_insert_default().max_records = max_records;
    spec
}

/// The largest `n` first.
fn by_number() -> Sort {
    Sort::descending(SortBy::Value(Path::parse("value.n").unwrap()))
}

/// What a session shows that has no server.
async fn offline(file: &FilePath, spec: &WatchSpec, wanted: usize) -> Vec<String> {
    let engine = session(file);
    let watch = engine.watch(spec.clone()).await;
    let state = until(&watch, |it| {
        it.entries.len() >= wanted && it.status == Status::Reconnecting
    });
    let shown = rkeys(&state.await).into_iter().map(str::to_owned).collect();
    end(engine).await;
    shown
}

#[tokio::test]
async fn two_views_of_one_url_keep_rows_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    for (rkey, room) in [("1", "A"), ("2", "B"), ("3", "A")] {
        let body = serde_json::json!({ "text": rkey, "room": room });
        lounge.put(ALICE, "message", rkey, body);
    }
    let all = keeping(lounge.spec(), 200);
    let mut some = all.clone();
    some.view.filter = Filter::new(vec![(Path::parse("value.room").unwrap(), "A".into())]);
    let engine = session(&file);
    for spec in [&all, &some] {
        until_live(&engine.watch(spec.clone()).await).await;
    }
    end(engine).await;
    lounge.server.shutdown().await;
    assert_eq!(offline(&file, &all, 3).await, ["3", "2", "1"]);
    assert_eq!(offline(&file, &some, 2).await, ["3", "1"]);

    let engine = session(&file);
    let key = all.url.to_string();
    engine.clear_cache(Some(key), None).await.unwrap();
    let left = engine.cache().unwrap().info().await.unwrap();
    assert_eq!((left.rows, left.watches), (0, 0), "both go with their key");
}

#[tokio::test]
async fn the_cache_keeps_the_first_ones_of_the_order_whatever_the_order_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    let say = |rkey: &str, n: i64| {
        let body = serde_json::json!({ "text": rkey, "n": n });
        lounge.put(ALICE, "message", rkey, body);
    };
    say("a", 10);
    say("b", 9);
    let mut spec = keeping(lounge.spec(), 2);
    spec.view.sort = by_number();
    let engine = session(&file);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    say("c", 11);
    until(&watch, |it| rkeys(it) == ["c", "a", "b"]).await;
    end(engine).await;
    lounge.server.shutdown().await;
    assert_eq!(offline(&file, &spec, 2).await, ["c", "a"]);
}

#[tokio::test]
async fn what_takes_the_place_of_a_record_that_left_is_cached_though_another_moved_down() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    let say = |rkey: &str, n: i64| {
        let body = serde_json::json!({ "text": rkey, "n": n });
        lounge.put(ALICE, "message", rkey, body);
    };
    let all = [("a", 10), ("b", 9), ("c", 8), ("d", 6)];
    all.iter().for_each(|(rkey, n)| say(rkey, *n));
    let mut spec = keeping(lounge.spec(), 2);
    spec.view.sort = by_number();
    let engine = session(&file);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    engine.flush(Duration::from_secs(5)).await;
    lounge.delete(ALICE, "message", "b", false);
    say("a", 7);
    until(&watch, |it| rkeys(it) == ["c", "a", "d"]).await;
    end(engine).await;
    lounge.server.shutdown().await;
    assert_eq!(offline(&file, &spec, 2).await, ["c", "a"]);
}

#[tokio::test]
async fn a_watch_that_alone_is_too_large_keeps_the_first_part_of_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    let filler = "x".repeat(10_000);
    for n in 0..40 {
        // The first ones of the order are the oldest.
        let body = serde_json::json!({ "text": filler, "n": 100 - n });
        lounge.put(ALICE, "message", &format!("{n:02}"), body);
    }
    let mut spec = keeping(lounge.spec(), 200);
    spec.view.sort = by_number();
    let mut config = CacheConfig::new(Some(file.clone()));
    config.budget_bytes = 300_000;
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    let engine = engine_with(|engine| engine.cache = Some(cache));
    until_live(&engine.watch(spec.clone()).await).await;
    end(engine).await;
    lounge.server.shutdown().await;
    let shown = offline(&file, &spec, 20).await;
    let first: Vec<_> = (0..20).map(|n| format!("{n:02}")).collect();
    assert_eq!(shown, first);
}

#[tokio::test]
async fn access_lost_in_one_view_leaves_rows_in_no_other_of_the_space() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let (lounge, garden) = (Lounge::open().await, Lounge::open().await);
    let of_bob = |lounge: &Lounge| {
        lounge.server.add_member(&lounge.space, BOB).unwrap();
        lounge.say("a", "for members");
        let mut spec = keeping(lounge.spec(), 200);
        spec.account = Some(BOB.into());
        spec.tickets = TicketSource::Static(Ticket::parse(&lounge.ticket(BOB, &[])).unwrap());
        spec
    };
    let plain = of_bob(&lounge);
    let elsewhere = of_bob(&garden);
    let (mut sorted, mut named, mut few) = (plain.clone(), plain.clone(), plain.clone());
    sorted.view.sort = by_number();
    named.cache.as_mut().unwrap().key = Some("messages".into());
    named.transport = TransportKind::Ws;
    few.url = lounge.url("message", "&limit=5");
    let others = [&plain, &named, &few];
    let engine = session(&file);
    for spec in others.into_iter().chain([&elsewhere]) {
        until_live(&engine.watch(spec.clone()).await).await;
    }
    end(engine).await;

    // The next session shows one of them only, and in it the kick arrives.
    let engine = session(&file);
    let watch = engine.watch(sorted.clone()).await;
    until_live(&watch).await;
    lounge.server.kick(&lounge.space, BOB).unwrap();
    until(&watch, |it| it.status == Status::Closed).await;
    engine.flush(Duration::from_secs(5)).await;
    let left = engine.cache().unwrap().info().await.unwrap();
    assert_eq!((left.rows, left.watches), (1, 1), "all views of the space");
    end(engine).await;
    garden.server.shutdown().await;
    assert_eq!(offline(&file, &elsewhere, 1).await, ["a"]);
}

#[tokio::test]
async fn what_nobody_confirmed_is_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let lounge = Lounge::open().await;
    lounge.say("a", "real");
    let spec = keeping(lounge.spec(), 200);
    let engine = session(&file);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    for rkey in ["a", "b"] {
        let body = serde_json::json!({ "text": "soon" });
        let body = serde_json::value::to_raw_value(&body).unwrap();
        let record = EditRecord::new(ALICE, rkey, body);
        watch.edit(Edit::Add { record }).await.unwrap();
    }
    until(&watch, |it| texts(it) == ["soon", "soon"]).await;
    end(engine).await;
    lounge.server.shutdown().await;
    let engine = session(&file);
    let watch = engine.watch(spec).await;
    let painted = until(&watch, |it| !it.entries.is_empty()).await;
    assert_eq!(texts(&painted), ["real"]);
}
