//! Disks that fill up, files that may not grow or are gone, and processes that are stopped: a watch goes on whatever becomes of
//! its cache.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::{TempDir, tempdir};

use super::{
    app::App,
    moments::is_sound,
    traffic::{Home, Watched},
};

fn run(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

/// A small file system of its own; `None` where the test may not mount one.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn new(size: &str) -> Option<Self> {
        let tmpfs = Self(tempdir().unwrap());
        let (options, path) = (format!("size={size}"), tmpfs.0.path().to_str().unwrap());
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", path]);
        if !mounted {
            println!("skipped: mounting a tmpfs needs root");
        }
        mounted.then_some(tmpfs)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("cache.sqlite")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

/// Ends the app, which was live to its end, with its rows in the file.
async fn ends_well(app: App, home: &Home, file: &Path, watches: &[Watched; 2]) {
    let said = tokio::task::block_in_place(|| app.end());
    let live = said.iter().filter(|it| *it == "ends Live None").count();
    assert_eq!(live, 2, "{said:?}");
    assert!(said.contains(&"memory only: false".into()), "{said:?}");
    let shown = is_sound(home, file, watches).await;
    assert!(shown.iter().all(|it| *it > 0), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_under_traffic_is_worked_on_again_once_there_is_room() {
    let Some(disk) = Tmpfs::new("4m") else {
        return;
    };
    let mut home = Home::new().await;
    let watches = home.watched();
    home.talk();
    let file = disk.file();
    let mut app = App::start(&file, &watches, false);
    tokio::task::block_in_place(|| {
        app.until("live");
        let filler = disk.file().with_file_name("filler");
        let mut filling = fs::File::create(&filler).unwrap();
        // What the app frees meanwhile is taken, too.
        let (began, mut said) = (Instant::now(), Vec::new());
        while began.elapsed() < Duration::from_secs(1) {
            while filling.write_all(&[0; 512]).is_ok() {}
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(filler).unwrap();
        drop(filling);
        said.extend(app.until("warning: Restored"));
        assert!(said.contains(&"warning: DiskFull".into()), "{said:?}");
    });
    home.hush().await;
    ends_well(app, &home, &file, &watches).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_grow_is_worked_on_again_once_it_may() {
    let mut home = Home::new().await;
    let watches = home.watched();
    home.talk();
    let dir = tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    // A shell that ignores the signal of the limit, and so do those whom it becomes.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap());
    let mut app = App::of(&mut shell, &file, &watches);
    let limit = |to: &str, pid: &str| {
        run(
            "prlimit",
            &["--pid", pid, &format!("--fsize={to}:unlimited")],
        )
    };
    tokio::task::block_in_place(|| {
        app.until("live");
        assert!(limit("16384", &app.pid()), "prlimit is there");
        std::thread::sleep(Duration::from_secs(1));
        assert!(limit("unlimited", &app.pid()));
        let said = app.until("warning: Restored");
        assert_eq!(said, ["warning: Unavailable", "warning: Restored"]);
    });
    home.hush().await;
    ends_well(app, &home, &file, &watches).await;
    let asides = fs::read_dir(dir.path()).unwrap().flatten();
    let asides = asides.filter(|it| it.path().to_string_lossy().contains(".damaged-"));
    assert_eq!(asides.count(), 0, "nothing was damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_whose_file_is_removed_goes_on_and_the_next_start_is_a_fresh_one() {
    let mut home = Home::new().await;
    let watches = home.watched();
    home.talk();
    let dir = tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let mut app = App::start(&file, &watches, false);
    tokio::task::block_in_place(|| app.until("live"));
    for side in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{side}", file.display()));
    }
    home.hush().await;
    let said = tokio::task::block_in_place(|| app.end());
    let live = said.iter().filter(|it| *it == "ends Live None").count();
    assert_eq!(live, 2, "{said:?}");
    is_sound(&home, &file, &watches).await;
    let mut next = App::start(&file, &watches, false);
    tokio::task::block_in_place(|| next.until("live"));
    ends_well(next, &home, &file, &watches).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_stopped_at_any_moment_holds_no_other_up() {
    let mut home = Home::new().await;
    let watches = home.watched();
    home.talk();
    let dir = tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let mut rng = fastrand::Rng::new();
    for _ in 0..4 {
        let mut stopped = App::start(&file, &watches, false);
        let said = tokio::task::block_in_place(|| {
            stopped.until("live");
            std::thread::sleep(Duration::from_micros(rng.u64(..400_000)));
            assert!(run("kill", &["-STOP", &stopped.pid()]));
            let (began, mut other) = (Instant::now(), App::start(&file, &watches, false));
            other.until("live");
            let live = began.elapsed();
            assert!(live < Duration::from_secs(8), "live after {live:?}");
            assert!(run("kill", &["-CONT", &stopped.pid()]));
            let said = other.end();
            stopped.kill();
            said
        });
        assert!(!said.iter().any(|it| it.starts_with("wrong")), "{said:?}");
        is_sound(&home, &file, &watches).await;
    }
    home.hush().await;
}
