//! Kills at any moment.

use std::{path::Path, sync::Arc, time::Duration};

use contrail_sync_engine::{State, Status, WatchSpec};

use super::{
    app::App,
    common::*,
    traffic::{ACCOUNTS, Home, Watched, wrong},
};

/// Kills in a usual run; `KILLS` takes another number.
const KILLS: usize = 15;
/// Longest life of an app that is killed while it starts, and once it is live, in microseconds.
const LIVES: [u64; 2] = [150_000, 500_000];

/// What the next start shows of a watch before it has heard of any server.
async fn first_sight(file: &Path, spec: &WatchSpec) -> State {
    let mut spec = spec.clone();
    spec.guard = Arc::new(|_: &url::Url| false);
    spec.reconnect = false;
    let engine = session(file);
    let cache = engine.cache().unwrap().clone();
    let mut warnings = cache.warnings();
    let watch = engine.watch(spec).await;
    let state = until(&watch, |it| it.status == Status::Closed).await;
    let info = cache.info().await.unwrap();
    assert!(!info.memory_only, "the file is not in use");
    assert!(warnings.try_recv().is_err(), "the start warned");
    drop(watch);
    end(engine).await;
    state
}

/// All is as it was said, and nothing is anybody else's.
pub(crate) async fn is_sound(home: &Home, file: &Path, watches: &[Watched; 2]) -> [usize; 2] {
    let mut shown = [0; 2];
    for (n, did) in ACCOUNTS.into_iter().enumerate() {
        let state = first_sight(file, &watches[n].spec).await;
        assert_eq!(wrong(&state, did, home.said()), None);
        shown[n] = state.entries.len();
        let mut anothers = watches[n].spec.clone();
        anothers.account = Some(ACCOUNTS[1 - n].to_owned());
        // It leaves nothing either: the rows are for the one who asked last. So a copy is looked at.
        let copy = tempfile::tempdir().unwrap();
        let name = |side: &str| format!("{}{side}", file.display());
        let copied = copy.path().join("copy.sqlite");
        for side in ["", "-wal", "-shm"] {
            let _ = std::fs::copy(name(side), format!("{}{side}", copied.display()));
        }
        let state = first_sight(&copied, &anothers).await;
        assert_eq!(state.entries.len(), 0, "another account sees it");
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_killed_at_any_moment_starts_with_what_was_said_and_nothing_else() {
    let kills = std::env::var("KILLS").map_or(KILLS, |it| it.parse().unwrap());
    let seed =
        std::env::var("KILLS_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    println!("KILLS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let mut home = Home::new().await;
    let watches = home.watched();
    home.talk();
    let (mut live, mut painted, mut logged_out, mut beside) = (0, 0, 0, 0);
    for kill in 0..kills {
        // One in three while it starts, and one in four logs the second account out.
        let (early, logout) = (rng.u8(..3) == 0, rng.u8(..4) == 0);
        let life = Duration::from_micros(rng.u64(..LIVES[usize::from(!early)]));
        // Now and then another process has the file at the same time, and goes on.
        let other = (rng.u8(..6) == 0).then(|| App::start(&file, &watches, false));
        let app = App::start(&file, &watches, logout);
        let said = tokio::task::spawn_blocking(move || {
            let mut app = app;
            let mut said = Vec::new();
            if !early {
                said.extend(app.until("live"));
            }
            // Not waiting for anything: this chooses the moment.
            std::thread::sleep(life);
            said.extend(app.kill());
            if let Some(mut other) = other {
                let mut heard = other.until("live");
                heard.extend(other.end());
                assert!(heard.contains(&"memory only: false".into()), "{heard:?}");
                let unwell = heard.iter().any(|it| it.starts_with("w"));
                assert!(!unwell, "{heard:?}");
                said.push("beside".into());
            }
            said
        });
        let said = said.await.unwrap();
        let heard = |what: &str| said.iter().any(|it| it == what);
        let unwell: Vec<_> = said.iter().filter(|it| it.starts_with("w")).collect();
        assert!(unwell.is_empty(), "kill {kill}: {unwell:?}");
        let shown = is_sound(&home, &file, &watches).await;
        live += usize::from(heard("live"));
        painted += usize::from(shown[0] > 0);
        beside += usize::from(heard("beside"));
        if heard("logged out") && !heard("beside") {
            assert_eq!(shown[1], 0, "kill {kill}: rows of one who logged out");
            logged_out += 1;
        }
    }
    home.hush().await;
    println!(
        "{kills} kills: {live} while live, {painted} starts showed records, {logged_out} after a logout, {beside} beside another process"
    );
    assert!(kills < KILLS || live > 0 && painted > 0);
    // And in the end all have what the server has.
    let engine = session(&file);
    for (n, did) in ACCOUNTS.into_iter().enumerate() {
        let watch = engine.watch(watches[n].spec.clone()).await;
        let state = until_live(&watch).await;
        let mut fresh = watches[n].spec.clone();
        fresh.cache = None;
        let fresh = super::common::engine().watch(fresh).await;
        let fresh = until_live(&fresh).await;
        assert_eq!(texts(&state), texts(&fresh));
        assert_eq!(wrong(&state, did, home.said()), None);
    }
    end(engine).await;
}
