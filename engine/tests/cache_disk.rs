//! Disks that are full or cannot be written, on real small file systems where the test may mount them.
//!
//! Its lines belong to the table of `cache_damage`.

mod cache_support;

use std::fs;
#[cfg(target_os = "linux")]
use std::{io::Write, path::PathBuf, process::Command, time::Instant};

use cache_support::{session::*, *};
#[cfg(target_os = "linux")]
use contrail_sync_engine::Cache;
use contrail_sync_engine::WarningKind;
#[cfg(target_os = "linux")]
use tempfile::TempDir;
use tempfile::tempdir;
#[cfg(target_os = "linux")]
use tokio::runtime::Handle;

#[tokio::test]
async fn a_path_that_cannot_be_a_file_means_memory() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [dir.path().to_owned(), file.join("contrail-sync.sqlite")] {
        let outcome = start("path that cannot be a file", &path).await;
        assert!(outcome.info.memory_only);
        assert_eq!(outcome.warnings.len(), 1);
        assert_eq!(outcome.warnings[0].kind, WarningKind::NotWritable);
    }
}

/// A small file system of its own; `None` where the test may not mount one.
#[cfg(target_os = "linux")]
struct Tmpfs(TempDir);

#[cfg(target_os = "linux")]
impl Tmpfs {
    fn new(options: &str) -> Option<Self> {
        let tmpfs = Self(tempdir().unwrap());
        let mounted = tmpfs.mount(&["-t", "tmpfs", "-o", options, "tmpfs"]);
        if !mounted {
            println!("skipped: mounting a tmpfs needs root");
        }
        mounted.then_some(tmpfs)
    }

    fn remount(&self, options: &str) {
        assert!(self.mount(&["-o", &format!("remount,{options}")]));
    }

    fn mount(&self, args: &[&str]) -> bool {
        let mount = Command::new("mount").args(args).arg(self.0.path()).output();
        mount.is_ok_and(|output| output.status.success())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("contrail-sync.sqlite")
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A disk that holds the small watch and has no room for the large one.
#[cfg(target_os = "linux")]
async fn nearly_full() -> Option<Tmpfs> {
    let disk = Tmpfs::new("size=1m")?;
    let cache = open(&disk.file());
    let small = changes(records(ROWS, 1, SMALL), true);
    write(&cache, &key("small"), small).await.unwrap();
    assert!(!cache.info().await.unwrap().memory_only);
    cache.close().await.unwrap();
    Some(disk)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_full_disk_memory_serves_until_there_is_room() {
    let Some(disk) = nearly_full().await else {
        return;
    };
    let cache = open(&disk.file());
    let mut warnings = cache.warnings();
    let shown = all(&cache, &key("small")).await.unwrap();
    assert!(shown.iter().all(|row| genuine(row, SMALL).1 == 1));
    resync(&cache, "large", ROWS, LARGE).await;
    let full = warning(&mut warnings).await;
    assert_eq!(full.kind, WarningKind::DiskFull);
    let info = cache.info().await.unwrap();
    assert!(info.memory_only);
    let outcome = Outcome {
        shown: shown.len() + ROWS,
        warnings: vec![full],
        info,
    };
    table("disk full at a write", &outcome);

    // The file is tried again and again meanwhile, in vain.
    let start = Instant::now();
    while start.elapsed() < 10 * config(&disk.file()).retry_after {
        resync(&cache, "large", ROWS, LARGE).await;
        let lease = cache.lease(key("large"));
        let whole = changes(records(ROWS, 2, LARGE), true);
        cache.write(&lease, whole).await.unwrap();
        let some = changes(vec![record(0, 2, LARGE)], false);
        cache.write(&lease, some).await.unwrap();
    }
    assert!(cache.info().await.unwrap().memory_only);

    disk.remount("size=64m");
    // Said once, however often the file was tried meanwhile.
    assert_eq!(warning(&mut warnings).await.kind, WarningKind::Restored);
    assert_eq!(cache.info().await.unwrap().file, Some(disk.file()));
    cache.close().await.unwrap();
    // What was in memory is in the file, and the file's own watch is still there.
    let cache = open(&disk.file());
    for (name, body, version) in [("large", LARGE, 2), ("small", SMALL, 1)] {
        let rows = all(&cache, &key(name)).await.unwrap();
        assert_eq!(rows.len(), ROWS);
        assert!(rows.iter().all(|row| genuine(row, body).1 == version));
    }
    cache.close().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_start_on_a_full_disk_works_in_memory() {
    let Some(disk) = nearly_full().await else {
        return;
    };
    let mut filler = fs::File::create(disk.file().with_file_name("filler")).unwrap();
    while filler.write_all(&[0; 1024]).is_ok() {}
    let outcome = start("disk full at the start", &disk.file()).await;
    assert!(outcome.info.memory_only);
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    assert_eq!(outcome.warnings[0].kind, WarningKind::DiskFull);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_purge_on_a_full_disk_still_leaves_nothing() {
    let Some(disk) = Tmpfs::new("size=1m") else {
        return;
    };
    let path = disk.file();
    // Not tried again here: once removed, the file would come back, fresh.
    let mut config = config(&path);
    config.retry_after = PATIENCE;
    let cache = Cache::open(config, &Handle::current());
    let small = changes(records(ROWS, 1, SMALL), true);
    write(&cache, &key("small"), small).await.unwrap();
    resync(&cache, "large", ROWS, LARGE).await;
    assert!(cache.info().await.unwrap().memory_only);
    cache.purge(&key("small")).await.unwrap();
    assert!(!path.exists(), "a file that cannot be changed is removed");
    cache.close().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn in_a_read_only_directory_memory_serves_and_a_purge_is_owed() {
    let Some(disk) = Tmpfs::new("size=64m") else {
        return;
    };
    let path = disk.file();
    for (case, fresh) in [
        ("read-only directory, no file", true),
        ("read-only directory", false),
    ] {
        if !fresh {
            disk.remount("rw");
            let cache = open(&path);
            let small = changes(records(ROWS, 1, SMALL), true);
            write(&cache, &key("small"), small).await.unwrap();
            cache.close().await.unwrap();
        }
        disk.remount("ro");
        let outcome = start(case, &path).await;
        assert!(outcome.info.memory_only);
        assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
        assert_eq!(outcome.warnings[0].kind, WarningKind::NotWritable);
    }
    let cache = open(&path);
    let mut warnings = cache.warnings();
    cache.purge(&key("small")).await.unwrap();
    warned(&mut warnings, WarningKind::PurgeOwed).await;
    disk.remount("rw");
    warned(&mut warnings, WarningKind::Restored).await;
    assert!(all(&cache, &key("small")).await.is_none());
    cache.close().await.unwrap();
}
