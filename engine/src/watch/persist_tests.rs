use tokio::runtime::Handle;

use super::*;
use crate::cache::CacheConfig;

fn record(n: u64) -> Record {
    let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":0}}"#);
    serde_json::from_str(&json).unwrap()
}

/// A live watch of one view of a space.
struct Live {
    store: Store,
    persist: Persist,
}

impl Live {
    fn of(cache: &Cache, view: &str) -> Self {
        let key = CacheKey {
            key: format!("list.{view}"),
            source: "query".into(),
            realm: "space".into(),
            account: None,
        };
        let mut live = Self {
            store: Store::default(),
            persist: Persist::new(WatchId::next(), cache.clone(), key, 200),
        };
        live.persist.synced();
        live
    }

    fn say(&mut self, n: u64) {
        self.store.upsert(record(n));
        self.note();
    }

    fn note(&mut self) {
        for change in self.store.take_changes() {
            self.persist.note(&change);
        }
        self.persist.heed_profiles(self.store.profiles());
    }

    /// Writes what there is to write.
    async fn flush(&mut self) {
        let (done, mut flushed) = oneshot::channel();
        self.persist.flush(&self.store, done);
        while flushed.try_recv().is_err() {
            if matches!(self.persist.next().await, News::Due) {
                self.persist.write(&self.store);
            }
        }
    }
}

async fn rows(cache: &Cache) -> u64 {
    cache.info().await.unwrap().rows
}

#[tokio::test]
async fn a_view_that_hears_nothing_of_a_kick_writes_nothing_until_the_server_says_it_again() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let (mut kicked, mut deaf) = (Live::of(&cache, "a"), Live::of(&cache, "b"));
    for view in [&mut kicked, &mut deaf] {
        view.say(1);
        view.flush().await;
    }
    assert_eq!(rows(&cache).await, 2);
    kicked.persist.purge();
    // Before the purge is even under way.
    deaf.say(2);
    deaf.flush().await;
    kicked.flush().await;
    assert_eq!(rows(&cache).await, 0);
    deaf.say(3);
    deaf.flush().await;
    assert_eq!(rows(&cache).await, 0);
    tokio::time::pause();
    deaf.persist.synced();
    tokio::time::advance(QUIET).await;
    tokio::time::resume();
    deaf.flush().await;
    assert_eq!(rows(&cache).await, 3);
}

#[tokio::test]
async fn a_space_that_one_view_lost_leaves_no_rows_in_another_and_both_write_on() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let (mut told, mut deaf) = (Live::of(&cache, "a"), Live::of(&cache, "b"));
    let of_space = |n: u64, space: &str| Record {
        space: Some(space.into()),
        ..record(n)
    };
    for view in [&mut told, &mut deaf] {
        view.store.upsert(of_space(1, "lost"));
        view.store.upsert(of_space(2, "kept"));
        view.note();
        view.flush().await;
    }
    assert_eq!(rows(&cache).await, 4);
    told.store.purge_space("lost");
    told.note();
    told.persist.purge_space("lost".into());
    told.flush().await;
    assert_eq!(rows(&cache).await, 2);
    for view in [&mut told, &mut deaf] {
        view.say(3);
        view.flush().await;
    }
    assert_eq!(rows(&cache).await, 4);
}

#[tokio::test]
async fn a_watch_that_was_about_to_end_when_its_rows_were_cleared_writes_none_of_them() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let mut ending = Live::of(&cache, "a");
    ending.say(1);
    // The first write is under way, and more is left to write.
    ending.persist.write(&ending.store);
    ending.say(2);
    cache.clear(None, None).await.unwrap();
    let Live { store, persist } = ending;
    persist.finish(&store).await;
    assert_eq!(rows(&cache).await, 0);
}

#[tokio::test(start_paused = true)]
async fn profiles_that_waited_to_be_written_bring_nothing_back_after_a_clear() {
    let cache = Cache::open(CacheConfig::new(None), &Handle::current());
    let mut live = Live::of(&cache, "a");
    live.say(1);
    live.flush().await;
    let profile = Profile::parse(r#"{"did":"did:plc:bob"}"#).unwrap();
    live.store.learn(vec![profile]);
    live.note();
    cache.clear(None, None).await.unwrap();
    live.persist.heed_clears();
    live.note();
    tokio::time::sleep(2 * QUIET).await;
    live.flush().await;
    assert_eq!(rows(&cache).await, 0, "nothing changed since");
    live.say(2);
    live.flush().await;
    assert_eq!(rows(&cache).await, 2);
    let loaded = cache.load(&live.persist.key, 50).await.unwrap().unwrap();
    assert_eq!(loaded.profiles.len(), 1);
}
