//! The outbox: writes that outlive the network, the window and the process.
//!
//! One task owns the queue, which decides (`pure/outbox`), and its file. A write is on the disk before anybody hears of it;
//! then the watches of its account show it, and a sender brings it to its server.

#[cfg_attr(not(feature = "cache"), path = "db_off.rs")]
mod db;
mod job;
mod sender;
mod shown;
mod task;
mod terms;
mod told;
mod xrpc;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc, oneshot},
};

pub use sender::{NamedSender, SendRequest, Sender};
pub use terms::{
    ActionKind, MAX_RECORD_BYTES, NewRecord, OutboxConfig, WriteChanges, WriteError, WriteInfo,
};
pub use xrpc::{SignRequest, XrpcSender};

use crate::{
    cache::CacheWarning,
    clock::now_us,
    pure::outbox::{row::NewWrite, tid::Tids, write::WriteId},
    transport::http::Http,
    vault::Vault,
    watch::{command::Command, writes::Notes},
};
use job::{Job, WatchRef};
use task::{Surroundings, Task};

/// Questions that may wait for the task; more wait at those who ask.
const QUEUE: usize = 64;
/// Warnings that a receiver may be behind.
const WARNINGS: usize = 32;

/// A handle on the outbox. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: mpsc::Sender<Job>,
    warnings: broadcast::Sender<CacheWarning>,
    /// Receives from the very first warning on, for the first to ask.
    early: Mutex<Option<broadcast::Receiver<CacheWarning>>>,
    tids: Mutex<Tids>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens the outbox on a task of its own: this returns at once and never fails.
    pub(crate) fn open(
        config: OutboxConfig,
        http: Http,
        vault: Vault,
        notes: Arc<Notes>,
        runtime: &Handle,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (warnings, early) = broadcast::channel(WARNINGS);
        let task = Task::new(Surroundings {
            config,
            http,
            vault,
            notes,
            warnings: warnings.clone(),
        });
        runtime.spawn(task.run(queue));
        Self {
            inner: Arc::new(Inner {
                jobs,
                warnings,
                early: Mutex::new(Some(early)),
                tids: Mutex::new(Tids::new(fastrand::u64(..))),
            }),
        }
    }

    /// What goes wrong with the file from now on; for the first caller, from the opening on.
    ///
    /// A receiver that is far behind misses the oldest warnings.
    pub fn warnings(&self) -> broadcast::Receiver<CacheWarning> {
        let early = self.inner.early.lock().ok().and_then(|mut it| it.take());
        early.unwrap_or_else(|| self.inner.warnings.subscribe())
    }

    /// A new record key, a TID: later than all that this process made before, whatever the clock does.
    pub fn next_tid(&self) -> String {
        let tids = self.inner.tids.lock();
        tids.unwrap_or_else(PoisonError::into_inner).next(now_us())
    }

    /// What this account is about to write, in order; `None` for all accounts, and watches without one.
    pub async fn writes(&self, account: Option<String>) -> Vec<WriteInfo> {
        let asked = self.ask(|reply| Job::List { account, reply }).await;
        asked.unwrap_or_default()
    }

    /// Takes back all that this account is about to write, as after a logout; `None` for all accounts. Says how many there
    /// were. What a sender has at the moment is taken back if the attempt fails.
    ///
    /// # Errors
    /// The file cannot be read or changed now, or the engine has ended.
    pub async fn discard_all(&self, account: Option<String>) -> Result<usize, WriteError> {
        self.ask(|reply| Job::DiscardAll { account, reply }).await?
    }

    /// Waits until something of this account's writes has changed after the revision `after`; 0 gives all of them at once.
    ///
    /// # Errors
    /// The engine has ended, or too many wait already.
    pub async fn changes(
        &self,
        account: Option<String>,
        after: u64,
    ) -> Result<WriteChanges, WriteError> {
        self.ask(|reply| Job::Changes {
            account,
            after,
            reply,
        })
        .await
    }

    /// The last word on a write; `None` for one that is not known, or not any more.
    pub async fn info(&self, id: WriteId) -> Option<WriteInfo> {
        let asked = self.ask(|reply| Job::Info { id, reply }).await;
        asked.ok().flatten()
    }

    /// Sends a write again that was refused, or one that waits without delay. After a conflict it takes the place of
    /// whatever is there.
    ///
    /// # Errors
    /// There is no such write, or the engine has ended.
    pub async fn retry(&self, id: WriteId) -> Result<(), WriteError> {
        self.ask(|reply| Job::Retry { id, reply }).await?
    }

    /// Takes a write back: what the server has is shown again. One that a sender has at the moment is taken back if the
    /// attempt fails.
    ///
    /// # Errors
    /// There is no such write, or the engine has ended.
    pub async fn discard(&self, id: WriteId) -> Result<(), WriteError> {
        self.ask(|reply| Job::Discard { id, reply }).await?
    }

    /// Waits until a write has been taken, was refused, or is over.
    ///
    /// # Errors
    /// There is no such write, or the engine has ended.
    pub async fn settled(&self, id: WriteId) -> Result<WriteInfo, WriteError> {
        let asked = self.ask(|reply| Job::Settled { id, reply }).await;
        asked.map_err(|_| WriteError::Unknown)
    }

    /// Lets go of the file: what waits there is sent by the next process, or the next engine, that opens it. Every later
    /// call fails with [`WriteError::Ended`].
    pub async fn close(&self) {
        let _ = self.ask(|reply| Job::Close { reply }).await;
    }

    pub(crate) async fn put(&self, new: NewWrite) -> Result<WriteId, WriteError> {
        let new = Box::new(new);
        self.ask(|reply| Job::Put { new, reply }).await?
    }

    pub(crate) async fn attach(&self, account: Option<String>, commands: mpsc::Sender<Command>) {
        self.tell(Job::Attach(WatchRef { account, commands })).await;
    }

    pub(crate) async fn sign_in(&self, account: Option<String>) {
        self.tell(Job::SignIn { account }).await;
    }

    pub(crate) async fn sign_out(&self) {
        // From here on none of their writes goes out.
        let _ = self.ask(|reply| Job::SignOut { reply }).await;
    }

    pub(crate) async fn lend(
        &self,
        account: Option<String>,
        view: String,
        sender: Weak<dyn Sender>,
    ) {
        self.tell(Job::Lend {
            account,
            view,
            sender,
        })
        .await;
    }

    pub(crate) async fn wake(&self) {
        self.tell(Job::Wake).await;
    }

    async fn tell(&self, job: Job) {
        // The runtime shuts down: nothing is sent any more.
        let _ = self.inner.jobs.send(job).await;
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inner.jobs.send(job(reply)).await;
        sent.map_err(|_| WriteError::Ended)?;
        answer.await.map_err(|_| WriteError::Ended)
    }
}
