//! Trouble with the file: what it is, what is done about it, and who is told.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::sync::broadcast;
use tracing::warn;

/// How many damaged files are kept for a look at them.
const KEEP_ASIDE: usize = 2;
/// What SQLite keeps beside a database.
const SIDES: [&str; 2] = ["-wal", "-shm"];
/// How often a file that is held is tried for, and the pause in between.
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// What happened to the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum WarningKind {
    /// The file was truncated or damaged. It is set aside, a fresh one is used.
    DamagedFile,
    /// The file is no database, or another application's. It is set aside, a fresh one is used.
    ForeignFile,
    /// A newer version of the app has used the file. It is set aside, a fresh one is used.
    NewerSchema,
    /// Rows were not what had been written. They are dropped, the others are kept.
    DamagedRows,
    /// The disk is full. The cache goes on in memory and tries the file again later.
    DiskFull,
    /// Another process holds the file. The cache goes on in memory and tries the file again later.
    Locked,
    /// The file or its directory cannot be written. The cache goes on in memory and tries again later.
    NotWritable,
    /// Anything else that keeps SQLite from the file. The cache goes on in memory and tries again later.
    Unavailable,
    /// Rows that should be gone are in a file that can be neither changed nor removed now.
    PurgeOwed,
    /// The file can be used again; what was in memory is in it.
    Restored,
}

/// What an app may want to tell its user. Contains no key, URI or body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheWarning {
    /// The kind, for code.
    pub kind: WarningKind,
    /// What happened, for people.
    pub message: String,
    /// Where the file is now, if it was set aside.
    pub moved_to: Option<PathBuf>,
}

impl CacheWarning {
    /// Of this kind, in these words, with no file set aside.
    pub fn new(kind: WarningKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            moved_to: None,
        }
    }

    /// Tells whoever listens, and the log.
    pub(super) fn send(self, to: &broadcast::Sender<CacheWarning>) {
        warn!(kind = ?self.kind, message = %self.message, "cache");
        // Nobody listens: then nobody wants to know.
        let _ = to.send(self);
    }
}

/// What is done about trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Set the file aside and start a fresh one.
    SetAside,
    /// Open what is at the path now.
    Reopen,
    /// Leave the file alone, go on in memory and try again later.
    Memory,
}

/// Trouble, understood.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub kind: WarningKind,
    pub remedy: Remedy,
    pub message: String,
}

impl Trouble {
    /// The file is a database that somebody else has made.
    pub(crate) fn foreign() -> Self {
        Self {
            kind: WarningKind::ForeignFile,
            remedy: Remedy::SetAside,
            message: "the file is another application's database".into(),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WarningKind::DiskFull,
            _ if is_held(&error) => WarningKind::Locked,
            _ => WarningKind::NotWritable,
        };
        Self {
            kind,
            remedy: Remedy::Memory,
            message: error.to_string(),
        }
    }
}

/// Tells one file from another at the same path. Always equal where the platform does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// The file at the path; `None` if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Some(Self(metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        {
            let _ = metadata;
            Some(Self(0, 0))
        }
    }
}

/// Makes the file's directory, and the file so that only its owner can read it.
///
/// Never opens a file that exists: closing it would drop the locks that SQLite holds in this process.
pub(crate) fn prepare(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Renames the file and what SQLite keeps beside it, and says where it is now.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut stamp = now.unwrap_or_default().as_millis();
    let mut target = with_suffix(path, &format!(".damaged-{stamp:013}"));
    while target.exists() {
        stamp += 1;
        target = with_suffix(path, &format!(".damaged-{stamp:013}"));
    }
    // The sides first: a log that stays behind would be played into the fresh file.
    for side in SIDES {
        match rename(&with_suffix(path, side), &with_suffix(&target, side)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    rename(path, &target)?;
    let aside = list_aside(path);
    for old in aside.iter().rev().skip(KEEP_ASIDE) {
        remove_with_sides(old)?;
    }
    Ok(target)
}

/// Removes what was set aside.
pub(crate) fn remove_aside(path: &Path) -> io::Result<()> {
    list_aside(path)
        .iter()
        .try_for_each(|aside| remove_with_sides(aside))
}

/// Removes a database and what SQLite keeps beside it.
pub(crate) fn remove_with_sides(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{NotADirectory, NotFound};
    for suffix in ["", SIDES[0], SIDES[1]] {
        match once_free(|| fs::remove_file(with_suffix(path, suffix))) {
            Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Renames a file, as soon as nobody holds it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    once_free(|| fs::rename(from, to))
}

/// Windows neither renames nor removes a file that somebody has open: a virus scanner for a moment, or the thread of a
/// connection that has just failed, whose end cannot be awaited. It blocks, as the work on the file does.
fn once_free(mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if is_held(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    act()
}

/// Whether Windows means that the file is open elsewhere, locked, or mapped into memory.
fn is_held(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33 | 1224))
}

/// Files that were set aside, without their sides, oldest first.
fn list_aside(path: &Path) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let mut prefix = name.to_os_string();
    prefix.push(".damaged-");
    let ours = |name: &OsStr| {
        let stamp = name
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes());
        stamp.is_some_and(|stamp| stamp.iter().all(u8::is_ascii_digit))
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let mut found: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| ours(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_set_aside_with_its_sides_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.sqlite");
        fs::write(with_suffix(&path, ".damaged-by-me"), "not ours").unwrap();
        let mut asides = Vec::new();
        for content in ["1", "2", "3"] {
            for suffix in ["", "-wal", "-shm"] {
                fs::write(with_suffix(&path, suffix), content).unwrap();
            }
            asides.push(set_aside(&path).unwrap());
        }
        assert_eq!(list_aside(&path), asides[1..]);
        for (aside, content) in asides[1..].iter().zip(["2", "3"]) {
            for suffix in ["", "-wal", "-shm"] {
                let kept = fs::read_to_string(with_suffix(aside, suffix)).unwrap();
                assert_eq!(kept, content);
            }
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2 * 3 + 1);
        remove_aside(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(windows)]
    #[test]
    fn a_file_that_somebody_holds_is_set_aside_once_it_is_let_go_of_and_locked_until_then() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.sqlite");
        fs::write(&path, "1").unwrap();
        // As SQLite opens it: others may read and write it, but not rename it.
        let held = fs::File::options()
            .read(true)
            .share_mode(3)
            .open(&path)
            .unwrap();
        let error = set_aside(&path).unwrap_err();
        assert_eq!(Trouble::from(error).kind, WarningKind::Locked);
        let holder = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(60));
            drop(held);
        });
        set_aside(&path).unwrap();
        holder.join().unwrap();
    }
}
