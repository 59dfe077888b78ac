//! The task's file: opened, read again after others, written to; and which of several processes sends.

use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
};

use tracing::{debug, warn};

use super::Task;
use crate::{
    cache::{CacheWarning, WarningKind, files::Trouble},
    clock::now_ms,
    outbox::{db::Db, shown, terms::WriteError},
    pure::outbox::write::WriteId,
};

impl Task {
    /// Opens the file and takes what waits there.
    pub(super) async fn open(&mut self) -> Result<(), Trouble> {
        let opened = Db::open(self.around.config.path.as_deref()).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(trouble) => {
                // Once is enough: it is tried again and again.
                if self.unusable != Some(trouble.kind) {
                    self.unusable = Some(trouble.kind);
                    self.warn(trouble.kind, &trouble.message);
                }
                return Err(trouble);
            }
        };
        self.unusable = None;
        if let Some((trouble, saved)) = opened.mended {
            let message = format!(
                "the outbox was damaged and is set aside, {saved} writes were carried over ({})",
                trouble.message
            );
            self.warn(trouble.kind, &message);
        }
        let mut db = opened.db;
        self.version = db.version().await?;
        let (rows, damaged) = db.load().await?;
        if damaged > 0 {
            let message = format!("{damaged} writes were not what had been written");
            self.warn(WarningKind::DamagedRows, &message);
        }
        for (record, versions) in db.made().await? {
            self.queue.restore_made(record, versions);
        }
        for row in rows {
            self.queue.insert(self.epoch.elapsed(), row);
        }
        self.db = Some(db);
        self.elect();
        Ok(())
    }

    pub(super) fn warn(&self, kind: WarningKind, message: &str) {
        warn!(?kind, message, "outbox");
        let warning = CacheWarning::new(kind, message);
        // Nobody listens: then nobody wants to know.
        let _ = self.around.warnings.send(warning);
    }

    /// Of several processes one sends. The system gives the lock back when that one ends, however it does.
    pub(super) fn elect(&mut self) {
        let Some(path) = self.path().filter(|_| self.lock.is_none() && !self.alone) else {
            return;
        };
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(name);
        // What goes wrong with the file itself is tried again at the next look.
        let Ok(file) = file else { return };
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => debug!("another process sends"),
            // Without locks there is nothing to tell processes apart by.
            Err(TryLockError::Error(error)) => self.alone = error.kind() == ErrorKind::Unsupported,
        }
    }

    /// Looks at whether another process has written, or has ended.
    pub(super) async fn look(&mut self) {
        if self.db.is_none() {
            if self.path().is_some_and(|it| it.exists()) {
                // It says by itself what is wrong, and is tried again.
                let _ = self.open().await;
            }
            return;
        }
        // What the process that sent until now has left behind is still its word.
        let sent = self.sends();
        self.elect();
        self.keep().await;
        if self.owed.is_empty() {
            self.reconcile(sent, false).await;
        }
    }

    /// Takes what another process has made of the file, if it has changed it, or if it is to be read in any case.
    pub(super) async fn reconcile(&mut self, sends: bool, in_any_case: bool) {
        let Some(db) = &mut self.db else { return };
        let Ok(version) = db.version().await else {
            return;
        };
        if version == self.version && !in_any_case {
            return;
        }
        if let Ok((rows, _)) = db.load().await {
            self.version = version;
            shown::reconcile(&mut self.queue, rows, sends, self.epoch.elapsed(), now_ms());
        }
    }

    pub(super) fn sends(&self) -> bool {
        self.alone || self.lock.is_some()
    }

    /// Writes what changed to the disk. What cannot be written now is tried again with the next change. Answers what another
    /// process has changed meanwhile.
    pub(super) async fn keep(&mut self) -> Vec<WriteId> {
        self.owed.append(&mut self.queue.take_dirty());
        let made = self.queue.take_made();
        let Some(db) = &mut self.db else {
            return Vec::new();
        };
        if !made.is_empty()
            && let Err(trouble) = db.keep_made(&made).await
        {
            // It saves a question to the user after a restart, no more.
            debug!(message = trouble.message, "versions were not kept");
        }
        if self.owed.is_empty() {
            return Vec::new();
        }
        let changed = self.owed.iter().map(|id| (*id, self.queue.get(*id)));
        match db.keep(changed).await {
            Ok(others) => {
                self.owed.clear();
                others
            }
            Err(trouble) => {
                self.warn(trouble.kind, &trouble.message);
                Vec::new()
            }
        }
    }

    /// Whether the disk knows what became of these.
    pub(super) fn is_kept(&self, ids: &[WriteId]) -> Result<(), WriteError> {
        match ids.iter().any(|id| self.owed.contains(id)) {
            true => Err(WriteError::Disk("the file cannot be changed now".into())),
            false => Ok(()),
        }
    }
}
