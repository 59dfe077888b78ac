//! The writer task: it alone changes the database, and it alone decides which database that is.

use std::{path::PathBuf, sync::Arc};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, broadcast, mpsc},
    time::Instant,
};

use super::{
    CacheConfig, CacheError, CacheWarning, Clear, Standing, WarningKind,
    damage::{self, FileId, Remedy, Trouble},
    db,
    job::{Change, Job},
    reader::Reader,
    upkeep,
    write::{self, Failure},
};

/// Purges remembered for a file that cannot be changed now; beyond, everything is to be purged.
const MOST_OWED: usize = 64;

pub(super) struct Writer {
    config: CacheConfig,
    jobs: mpsc::Receiver<Job>,
    reader: Arc<Mutex<Reader>>,
    warnings: broadcast::Sender<CacheWarning>,
    /// `None` in memory: then the reader's is the only connection.
    conn: Option<SqliteConnection>,
    generation: u64,
    /// Which file `conn` is on.
    file: Option<FileId>,
    /// When to try the file again, if it cannot be used now.
    retry: Option<Instant>,
    /// Purges that the file has not seen.
    owed: Vec<Clear>,
}

impl Writer {
    pub(super) fn new(
        config: CacheConfig,
        jobs: mpsc::Receiver<Job>,
        reader: Arc<Mutex<Reader>>,
        warnings: broadcast::Sender<CacheWarning>,
    ) -> Self {
        Self {
            config,
            jobs,
            reader,
            warnings,
            conn: None,
            generation: 0,
            file: None,
            retry: None,
            owed: Vec::new(),
        }
    }

    /// Opens the database, then works until the cache is closed or nobody has it any more.
    pub(super) async fn run(mut self, mut opening: OwnedMutexGuard<Reader>) {
        self.start(&mut opening).await;
        drop(opening);
        let mut closing = None;
        while closing.is_none() {
            let job = tokio::select! {
                job = self.jobs.recv() => job,
                () = elapsed(self.retry) => {
                    self.try_again().await;
                    continue;
                }
            };
            match job {
                Some(Job::Change(change, reply)) => {
                    let _ = reply.send(self.change(change).await);
                }
                Some(Job::Trouble(generation, trouble, reply)) => {
                    if generation == self.generation {
                        self.mend(trouble).await;
                    }
                    let _ = reply.send(());
                }
                Some(Job::Flush(reply)) => {
                    let _ = reply.send(());
                }
                Some(Job::Close(reply)) => closing = Some(Some(reply)),
                None => closing = Some(None),
            }
        }
        // Whoever asks from here on hears that the cache is closed, when its answer is dropped.
        self.jobs.close();
        let reader = self.reader.clone();
        self.let_go(&mut *reader.lock().await).await;
        if let Some(Some(reply)) = closing {
            let _ = reply.send(());
        }
    }

    async fn change(&mut self, change: Change) -> Result<(), CacheError> {
        let mut result = self.attempt(&change).await;
        if let Err(Failure::Sql(error)) = result {
            self.mend(error.into()).await;
            result = self.attempt(&change).await;
        }
        if let Change::Clear(clearing) = &change {
            self.clear_files(&clearing.clear);
        }
        result.map_err(|failure| match failure {
            Failure::Incomplete => CacheError::Incomplete,
            Failure::Cleared => CacheError::Cleared,
            Failure::TooLarge => CacheError::TooLarge,
            Failure::Sql(error) => CacheError::Failed(error.to_string()),
        })
    }

    async fn attempt(&mut self, change: &Change) -> Result<(), Failure> {
        let mut shared;
        let conn = match &mut self.conn {
            Some(conn) => conn,
            None => {
                shared = self.reader.lock().await;
                let Some(conn) = &mut shared.conn else {
                    return Err(sqlx::Error::PoolClosed.into());
                };
                conn
            }
        };
        let current = |generation: &u64| *generation == self.generation;
        match change {
            Change::Write(lease, _) if lease.standing() != Standing::Good => {
                return Err(Failure::Cleared);
            }
            Change::Write(lease, changes) => {
                let watch = write::write(conn, lease, changes).await?;
                if !upkeep::enforce_budget(conn, self.config.budget_bytes, watch).await? {
                    return Err(Failure::TooLarge);
                }
            }
            Change::Touch { generation, watch } if current(generation) => {
                upkeep::touch(conn, *watch).await?;
            }
            Change::Forget {
                generation,
                watch,
                rows,
            } if current(generation) => upkeep::forget(conn, *watch, rows).await?,
            Change::Evict { generation, watch } if current(generation) => {
                upkeep::evict(conn, *watch).await?;
            }
            Change::Clear(clearing) => upkeep::clear(conn, &clearing.clear).await?,
            // The database that it was about is gone.
            Change::Touch { .. } | Change::Forget { .. } | Change::Evict { .. } => {}
        }
        Ok(())
    }

    /// What a purge means beyond the database in use: files set aside, and a file left for memory.
    fn clear_files(&mut self, clear: &Clear) {
        let Some(path) = &self.config.path else {
            return;
        };
        let mut removed = damage::remove_aside(path);
        if self.conn.is_none() {
            removed = removed.and_then(|()| damage::remove_with_sides(path));
        }
        if let Err(error) = removed {
            self.owed.push(clear.clone());
            if self.owed.len() > MOST_OWED {
                let (key, account) = (None, None);
                self.owed = vec![Clear::Named { key, account }];
            }
            self.warn(WarningKind::PurgeOwed, error.to_string(), None);
        }
    }

    /// Gets the cache going again after trouble with the database in use.
    async fn mend(&mut self, trouble: Trouble) {
        let reader = self.reader.clone();
        let mut reader = reader.lock().await;
        let was_file = self.conn.is_some();
        self.let_go(&mut reader).await;
        match trouble.remedy {
            _ if !was_file => self.in_memory(&mut reader).await,
            Remedy::Memory => {
                self.give_up(trouble);
                self.in_memory(&mut reader).await;
            }
            Remedy::Reopen => self.start(&mut reader).await,
            Remedy::SetAside if self.set_aside(trouble, self.file) => {
                self.start(&mut reader).await;
            }
            Remedy::SetAside => self.in_memory(&mut reader).await,
        }
    }

    /// Opens the file if there is one to open, or memory.
    async fn start(&mut self, reader: &mut Reader) {
        match self.open_file().await {
            Some((path, pair)) => self.on_file(reader, path, pair),
            None => self.in_memory(reader).await,
        }
    }

    /// Opens the file, setting damaged ones aside. `None` if it cannot be used now.
    async fn open_file(&mut self) -> Option<(PathBuf, db::Pair)> {
        let path = self.config.path.clone()?;
        let mut attempts = 2;
        loop {
            let before = FileId::of(&path);
            let opened = match damage::prepare(&path) {
                Ok(()) => db::open_file(&path, self.config.busy_timeout).await,
                Err(error) => Err(error.into()),
            };
            let trouble = match opened {
                Ok(pair) => return Some((path, pair)),
                Err(trouble) => trouble,
            };
            attempts -= 1;
            match trouble.remedy {
                Remedy::SetAside if attempts > 0 => {
                    if !self.set_aside(trouble, before) {
                        return None;
                    }
                }
                Remedy::Reopen if attempts > 0 => {}
                _ => {
                    self.give_up(trouble);
                    return None;
                }
            }
        }
    }

    /// Sets the file aside, unless another process already has. Says whether the path can be opened now.
    fn set_aside(&mut self, trouble: Trouble, expected: Option<FileId>) -> bool {
        let Some(path) = &self.config.path else {
            return false;
        };
        if FileId::of(path) != expected {
            return true;
        }
        match damage::set_aside(path) {
            Ok(target) => {
                self.warn(trouble.kind, trouble.message, Some(target));
                true
            }
            Err(error) => {
                self.give_up(error.into());
                false
            }
        }
    }

    /// Leaves the file alone for a while. Says so the first time, not at each attempt that fails.
    fn give_up(&mut self, trouble: Trouble) {
        let at = Instant::now() + self.config.retry_after;
        if self.retry.replace(at).is_none() {
            self.warn(trouble.kind, trouble.message, None);
        }
    }

    /// Tries the file again and brings into it what is in memory.
    async fn try_again(&mut self) {
        let Some((path, mut pair)) = self.open_file().await else {
            return;
        };
        let reader = self.reader.clone();
        let mut reader = reader.lock().await;
        if let Err(error) = self.bring_in(&mut reader, &path, &mut pair.0).await {
            close(Some(pair.0)).await;
            close(Some(pair.1)).await;
            return self.give_up(error.into());
        }
        close(reader.conn.take()).await;
        self.on_file(&mut reader, path, pair);
        let message = "the file can be used again".to_owned();
        self.warn(WarningKind::Restored, message, None);
    }

    async fn bring_in(
        &mut self,
        reader: &mut Reader,
        path: &std::path::Path,
        file: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        for clear in &self.owed {
            upkeep::clear(file, clear).await?;
        }
        self.owed.clear();
        if let Some(memory) = &mut reader.conn {
            upkeep::carry_over(memory, path).await?;
        }
        upkeep::enforce_budget(file, self.config.budget_bytes, 0).await?;
        Ok(())
    }

    fn on_file(&mut self, reader: &mut Reader, path: PathBuf, (writer, conn): db::Pair) {
        self.file = FileId::of(&path);
        self.conn = Some(writer);
        self.retry = None;
        self.generation += 1;
        *reader = Reader {
            conn: Some(conn),
            generation: self.generation,
            file: Some(path),
        };
    }

    async fn in_memory(&mut self, reader: &mut Reader) {
        let opened = db::open_memory().await;
        self.generation += 1;
        *reader = Reader {
            conn: None,
            generation: self.generation,
            file: None,
        };
        match opened {
            Ok(conn) => reader.conn = Some(conn),
            Err(trouble) => self.warn(trouble.kind, trouble.message, None),
        }
    }

    async fn let_go(&mut self, reader: &mut Reader) {
        close(reader.conn.take()).await;
        close(self.conn.take()).await;
    }

    fn warn(&self, kind: WarningKind, message: String, moved_to: Option<PathBuf>) {
        CacheWarning {
            kind,
            message,
            moved_to,
        }
        .send(&self.warnings);
    }
}

async fn close(conn: Option<SqliteConnection>) {
    if let Some(conn) = conn {
        // A connection that cannot close cleanly is dropped; what was committed is in the log.
        let _ = conn.close().await;
    }
}

async fn elapsed(retry: Option<Instant>) {
    match retry {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
