//! Several processes on one file, and processes that are killed.

mod cache_support;

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use cache_support::*;
use contrail_sync_engine::{Cache, CacheConfig, Profile, WarningKind, internals::Changes};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::tempdir;
use tokio::runtime::Handle;

const KILLS: usize = 100;
const ROWS: usize = 200;
const BODY: usize = 1_000;
/// What a peer writes, and how often.
const ROUNDS: usize = 60;

/// This test binary again, in another role, on a file. Its lines of interest start with `> `.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["role", "--exact", "--ignored", "--nocapture"])
            .env("CACHE_TEST_ROLE", role)
            .env("CACHE_TEST_FILE", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line it says; `None` at its end.
    fn line(&mut self) -> Option<String> {
        self.lines.find_map(|line| {
            let line = line.unwrap();
            let said = line.split_once("> ")?.1;
            Some(said.to_owned())
        })
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by its standard input, and tells whether it was content.
    fn end(mut self) -> bool {
        drop(self.child.stdin.take());
        while self.line().is_some() {}
        self.child.wait().unwrap().success()
    }
}

fn say(line: &str) {
    println!("> {line}");
}

/// What the processes are that the other tests start.
#[tokio::test]
#[ignore = "started by the other tests"]
async fn role() {
    let Ok(role) = std::env::var("CACHE_TEST_ROLE") else {
        return;
    };
    let path = std::env::var("CACHE_TEST_FILE").unwrap();
    let path = Path::new(&path);
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("write", _) => write_for_ever(path).await,
        ("peer", name) => be_peer(path, name).await,
        ("lock", mode) => hold_lock(path, mode == "exclusive").await,
        other => panic!("{other:?}"),
    }
}

/// Writes version after version of one watch, each in one flush.
async fn write_for_ever(path: &Path) {
    let cache = Cache::open(CacheConfig::new(Some(path.to_owned())), &Handle::current());
    let last = all(&cache, &key("a")).await;
    let last = last.map_or(0, |rows| genuine(&rows[0], BODY).1);
    let lease = cache.lease(key("a"));
    for version in last + 1.. {
        let replace = version == last + 1 || version % 3 == 0;
        let all = changes(records(ROWS, version, BODY), replace);
        say(&format!("begin {version}"));
        cache.write(&lease, all).await.unwrap();
        say(&format!("end {version}"));
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_flush_leaves_the_flush_before_or_all_of_it() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("contrail-sync.sqlite");
    let mut rng = fastrand::Rng::with_seed(4);
    let mut in_flush = 0;
    for _ in 0..KILLS {
        let mut writer = Process::start("write", &path);
        let (mut begun, mut ended) = (0, 0);
        let mut note = |line: String| {
            let (what, version) = line.split_once(' ').unwrap();
            let last = if what == "begin" {
                &mut begun
            } else {
                &mut ended
            };
            *last = version.parse().unwrap();
        };
        for _ in 0..rng.usize(1..6) {
            note(writer.line().unwrap());
        }
        // Not waiting for anything: this chooses the place in the flush.
        std::thread::sleep(Duration::from_micros(rng.u64(0..12_000)));
        writer.kill();
        while let Some(line) = writer.line() {
            note(line);
        }

        let cache = open(&path);
        let rows = all(&cache, &key("a")).await;
        assert!(cache.warnings().try_recv().is_err());
        assert!(!cache.info().await.unwrap().memory_only);
        cache.close().await.unwrap();
        let Some(rows) = rows else {
            assert_eq!(ended, 0, "a flush that ended is lost");
            continue;
        };
        let version = genuine(&rows[0], BODY).1;
        assert!(version >= ended, "a flush that ended is lost");
        assert_eq!(rows.len(), ROWS);
        for (row, number) in rows.iter().zip((0..ROWS).rev()) {
            assert_eq!(genuine(row, BODY), (number, version), "half a flush");
        }
        in_flush += usize::from(begun > ended);
    }
    println!("killed {KILLS} times, {in_flush} times in a flush");
    assert!(in_flush > 0);
}

/// Writes its watch and reads the other's, many times.
async fn be_peer(path: &Path, name: &str) {
    let other = if name == "a" { "b" } else { "a" };
    let mut config = CacheConfig::new(Some(path.to_owned()));
    config.busy_timeout = PATIENCE;
    let cache = Cache::open(config, &Handle::current());
    let mut warnings = cache.warnings();
    cache.info().await.unwrap();
    say("open");
    let mut seen = 0;
    let lease = cache.lease(key(name));
    for version in 1..=ROUNDS {
        let all_rows = changes(records(ROWS, version, BODY), version == 1);
        cache.write(&lease, all_rows).await.unwrap();
        let Some(loaded) = cache.load(&key(other), ROWS).await.unwrap() else {
            continue;
        };
        // One page is one read: all of a flush or nothing.
        let versions: Vec<_> = loaded.first.iter().map(|it| genuine(it, BODY).1).collect();
        assert_eq!(versions.len(), ROWS);
        assert!(versions.iter().all(|it| *it == versions[0]));
        assert!(versions[0] >= seen);
        seen = versions[0];
    }
    assert!(!cache.info().await.unwrap().memory_only);
    assert!(warnings.try_recv().is_err());
    cache.close().await.unwrap();
}

#[tokio::test]
async fn two_processes_work_on_one_file_from_its_making_on() {
    for _ in 0..5 {
        let dir = tempdir().unwrap();
        let path = dir.path().join("contrail-sync.sqlite");
        let peers = ["a", "b"].map(|name| Process::start(&format!("peer {name}"), &path));
        assert!(peers.into_iter().all(Process::end), "see its output above");
        let cache = open(&path);
        for name in ["a", "b"] {
            let rows = all(&cache, &key(name)).await.unwrap();
            assert_eq!(rows.len(), ROWS);
            assert!(rows.iter().all(|row| genuine(row, BODY).1 == ROUNDS));
        }
        cache.close().await.unwrap();
    }
}

/// Holds the file until its standard input ends: against writers, or against everyone.
async fn hold_lock(path: &Path, exclusive: bool) {
    let options = SqliteConnectOptions::new().filename(path);
    let options = if exclusive {
        options.pragma("locking_mode", "EXCLUSIVE")
    } else {
        options
    };
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    let lock = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    say("locked");
    std::io::stdin().lines().for_each(drop);
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn a_file_that_another_process_holds_means_memory_until_it_lets_go() {
    for mode in ["writers", "exclusive"] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("contrail-sync.sqlite");
        let cache = open(&path);
        let whole = || changes(records(ROWS, 1, BODY), true);
        write(&cache, &key("a"), whole()).await.unwrap();
        cache.close().await.unwrap();

        let mut holder = Process::start(&format!("lock {mode}"), &path);
        assert_eq!(holder.line().unwrap(), "locked");
        let cache = open(&path);
        let mut warnings = cache.warnings();
        let shown = all(&cache, &key("a")).await.map_or(0, |rows| rows.len());
        // A process that only writes does not keep this one from reading.
        assert_eq!(shown, if mode == "writers" { ROWS } else { 0 });
        write(&cache, &key("b"), whole()).await.unwrap();
        assert_eq!(warning(&mut warnings).await.kind, WarningKind::Locked);
        assert_eq!(all(&cache, &key("b")).await.unwrap().len(), ROWS);
        assert!(cache.info().await.unwrap().memory_only);
        println!(
            "| held by another process ({mode}) | Locked; goes on in memory | {} of {ROWS}, until it lets go |",
            ROWS - shown
        );
        assert!(holder.end());
        // One warning for however many attempts, then the way back, with what was in memory.
        assert_eq!(warning(&mut warnings).await.kind, WarningKind::Restored);
        for name in ["a", "b"] {
            assert_eq!(all(&cache, &key(name)).await.unwrap().len(), ROWS);
        }
        cache.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_that_comes_later_costs_no_row() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("contrail-sync.sqlite");
    let cache = open(&path);
    let mut warnings = cache.warnings();
    let bob = Profile::parse(r#"{"did":"did:plc:bob","handle":"bob.test"}"#).unwrap();
    let whole = |version| Changes {
        profiles: Some(vec![bob.clone()]),
        ..changes(records(ROWS, version, BODY), true)
    };
    write(&cache, &key("a"), whole(1)).await.unwrap();
    let mut holder = Process::start("lock writers", &path);
    assert_eq!(holder.line().unwrap(), "locked");
    // Reading goes on.
    assert_eq!(all(&cache, &key("a")).await.unwrap().len(), ROWS);
    write(&cache, &key("a"), whole(2)).await.unwrap();
    warned(&mut warnings, WarningKind::Locked).await;
    assert!(holder.end());
    warned(&mut warnings, WarningKind::Restored).await;
    cache.close().await.unwrap();
    let cache = open(&path);
    let loaded = cache.load(&key("a"), 50).await.unwrap().unwrap();
    assert_eq!(loaded.profiles, [bob]);
    let rows = drain(loaded).await;
    assert_eq!(rows.len(), ROWS);
    assert!(rows.iter().all(|row| genuine(row, BODY).1 == 2));
    cache.close().await.unwrap();
}

// Windows renames no file that another process has open.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_another_process_set_aside_is_not_set_aside_again() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("contrail-sync.sqlite");
    let whole = |version| changes(records(ROWS, version, BODY), true);
    let cache = open(&path);
    write(&cache, &key("a"), whole(1)).await.unwrap();
    cache.close().await.unwrap();
    let ours = open(&path);
    assert_eq!(ours.info().await.unwrap().rows, ROWS as u64);
    // Damage, which another process finds first: it sets the file aside and starts a fresh one.
    let aside = dir
        .path()
        .join("contrail-sync.sqlite.damaged-1795000000000");
    for side in ["", "-wal", "-shm"] {
        let name = |path: &Path| format!("{}{side}", path.display());
        std::fs::rename(name(&path), name(&aside)).unwrap();
    }
    let mut bytes = std::fs::read(&aside).unwrap();
    bytes[8 * 4096..].fill(0xa5);
    std::fs::write(&aside, bytes).unwrap();
    let theirs = open(&path);
    write(&theirs, &key("b"), whole(2)).await.unwrap();
    // We find it too, and go over to their file instead of setting that aside.
    assert!(all(&ours, &key("a")).await.unwrap_or_default().len() < ROWS);
    for cache in [&ours, &theirs] {
        assert_eq!(all(cache, &key("b")).await.unwrap().len(), ROWS);
        assert!(cache.warnings().try_recv().is_err());
    }
    write(&ours, &key("a"), whole(3)).await.unwrap();
    assert_eq!(all(&theirs, &key("a")).await.unwrap().len(), ROWS);
    for cache in [ours, theirs] {
        cache.close().await.unwrap();
    }
    let asides = std::fs::read_dir(dir.path()).unwrap().flatten();
    let asides = asides.filter(|it| it.path().to_string_lossy().contains(".damaged-"));
    assert!(asides.count() <= 3, "one, with its sides");
}
