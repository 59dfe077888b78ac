//! The outbox's task: it alone owns the queue and its file. It asks senders and tells watches.

mod disk;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::debug;

use super::{
    OutboxConfig, Sender,
    db::{Db, HAS_FILES},
    job::{Job, WatchRef},
    sender::SendRequest,
    shown,
    terms::WriteError,
    told::Told,
};
use crate::{
    cache::{
        CacheWarning, WarningKind,
        files::{Trouble, remove_aside},
    },
    clock::now_ms,
    pure::outbox::{
        limits::Place,
        queue::Queue,
        row::{NewWrite, RecordKey, Row, SentBy},
        write::{Outcome, SendReason, Write, WriteId},
    },
    transport::http::Http,
    vault::Vault,
    watch::{command::Command, writes::Notes},
};

/// Time between two looks at whether another process has written, or has left the sending to this one.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Writes that another process has changed, in one go.
const MOST_SURPRISES: usize = 64;

/// What an outbox needs of its engine.
pub(super) struct Surroundings {
    pub config: OutboxConfig,
    pub http: Http,
    pub vault: Vault,
    pub notes: Arc<Notes>,
    pub warnings: broadcast::Sender<CacheWarning>,
}

/// A follower that sends.
struct Lent {
    account: Option<String>,
    view: String,
    sender: Weak<dyn Sender>,
}

pub(super) struct Task {
    around: Surroundings,
    senders: HashMap<String, Arc<dyn Sender>>,
    lent: Vec<Lent>,
    queue: Queue,
    told: Told,
    db: Option<Db>,
    /// The file as another process left it.
    version: i64,
    /// Held by the one process that sends.
    lock: Option<File>,
    /// The platform or the file has no locks.
    alone: bool,
    watches: Vec<WatchRef>,
    /// Accounts that opened a watch since the last logout: only their writes are sent.
    signed_in: HashSet<Option<String>>,
    sending: JoinSet<Outcome>,
    attempts: HashMap<Id, WriteId>,
    /// What could not be kept on disk yet.
    owed: BTreeSet<WriteId>,
    /// Why the file could not be opened, as was told already.
    unusable: Option<WarningKind>,
    /// When it was looked last at what grew too old.
    ticked: Duration,
    epoch: Instant,
}

impl Task {
    pub(super) fn new(around: Surroundings) -> Self {
        let named = around.config.senders.iter();
        let senders = named
            .map(|it| (it.name().to_owned(), it.sender.clone()))
            .collect();
        let limits = around.config.limits.clone();
        Self {
            senders,
            lent: Vec::new(),
            queue: Queue::new(limits, fastrand::Rng::new()),
            told: Told::default(),
            db: None,
            version: 0,
            lock: None,
            alone: around.config.path.is_none(),
            watches: Vec::new(),
            signed_in: HashSet::new(),
            sending: JoinSet::new(),
            attempts: HashMap::new(),
            owed: BTreeSet::new(),
            unusable: None,
            ticked: Duration::ZERO,
            epoch: Instant::now(),
            around,
        }
    }

    /// Works until nobody has the outbox any more.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        if self.path().is_some_and(|it| it.exists()) {
            // What goes wrong is told, and tried again with the next write.
            let _ = self.open().await;
            self.pump().await;
        }
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let notes = self.around.notes.clone();
        let mut closing = None;
        loop {
            let now = self.now();
            let due = self.queue.due(now).map(|it| it.saturating_sub(now));
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(Job::Close { reply }) => {
                        closing = Some(reply);
                        break;
                    }
                    Some(job) => self.job(job).await,
                    None => break,
                },
                () = notes.told() => self.heed().await,
                Some(ended) = self.sending.join_next_with_id() => self.ended(ended),
                () = sleep(due.unwrap_or(LOOK_EVERY)), if due.is_some() => {
                    self.queue.tick(self.now(), now_ms());
                }
                _ = look.tick(), if self.path().is_some() => self.look().await,
            }
            self.pump().await;
        }
        self.sending.shutdown().await;
        if let Some(db) = self.db.take() {
            db.close().await;
        }
        // The next process may send.
        self.lock = None;
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    fn path(&self) -> Option<&PathBuf> {
        self.around.config.path.as_ref()
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    async fn job(&mut self, job: Job) {
        match job {
            Job::Put { new, reply } => {
                let put = self.put(*new).await;
                // It is shown before anybody hears of it.
                self.pump().await;
                let _ = reply.send(put);
            }
            Job::Retry { id, reply } => {
                let known = self.queue.get(id).is_some();
                self.queue.retry(now_ms(), id);
                self.pump().await;
                let _ = reply.send(known.then_some(()).ok_or(WriteError::Unknown));
            }
            Job::Discard { id, reply } => {
                let known = self.queue.get(id).is_some();
                self.queue.discard(id);
                self.pump().await;
                let done = known.then_some(()).ok_or(WriteError::Unknown);
                let _ = reply.send(done.and_then(|()| self.is_kept(&[id])));
            }
            Job::DiscardAll { account, reply } => {
                let discarded = self.discard_all(&account).await;
                let _ = reply.send(discarded);
            }
            Job::List { account, reply } => {
                let rows = self.queue.rows().filter(|it| is_of(it, &account));
                let _ = reply.send(rows.map(Into::into).collect());
            }
            Job::Info { id, reply } => {
                let _ = reply.send(self.told.info(id).cloned());
            }
            Job::Changes {
                account,
                after,
                reply,
            } => self.told.ask(account, after, reply),
            Job::Settled { id, reply } => self.told.wait(id, reply),
            Job::Attach(watch) => self.attach(watch).await,
            Job::SignIn { account } => {
                self.signed_in.insert(account);
            }
            Job::SignOut { reply } => {
                self.signed_in.clear();
                // They would go on with whoever's credentials are there by then.
                self.sending.abort_all();
                let _ = reply.send(());
            }
            Job::Lend {
                account,
                view,
                sender,
            } => {
                self.lent.retain(|it| it.sender.strong_count() > 0);
                self.lent.push(Lent {
                    account,
                    view,
                    sender,
                });
            }
            Job::Wake => self.queue.wake(),
            // The loop is over with it.
            Job::Close { .. } => {}
        }
    }

    /// Takes back what an account is about to write. Says how many.
    async fn discard_all(&mut self, account: &Option<String>) -> Result<usize, WriteError> {
        let disk = |trouble: Trouble| WriteError::Disk(trouble.message);
        if self.db.is_none() && self.path().is_some_and(|it| it.exists()) {
            self.open().await.map_err(disk)?;
        }
        let mut ids = self.of_account(account);
        ids.retain(|id| self.queue.get(*id).is_some_and(|it| !it.state.is_sent()));
        for id in &ids {
            self.queue.discard(*id);
        }
        self.queue.forget_made(account);
        self.pump().await;
        if let Some(db) = &mut self.db {
            db.forget_made(account.as_deref()).await.map_err(disk)?;
        }
        if let Some(path) = self.path() {
            // What a damaged file had is nobody's any more, either.
            remove_aside(path).map_err(|error| WriteError::Disk(error.to_string()))?;
        }
        self.is_kept(&ids)?;
        Ok(ids.len())
    }

    fn of_account(&self, account: &Option<String>) -> Vec<WriteId> {
        let rows = self.queue.rows();
        rows.filter(|it| is_of(it, account))
            .map(|it| it.write.id)
            .collect()
    }

    /// Keeps a write on disk, then takes it into the queue.
    async fn put(&mut self, new: NewWrite) -> Result<WriteId, WriteError> {
        if !HAS_FILES && self.path().is_some() {
            return Err(WriteError::NoFiles);
        }
        if self.db.is_none() {
            let opened = self.open().await;
            opened.map_err(|trouble| WriteError::Disk(trouble.message))?;
        }
        if let SentBy::Name(name) = &new.sent_by
            && !self.senders.contains_key(name)
        {
            let message = format!("there is no sender named {name:?}");
            return Err(WriteError::NoSender(message));
        }
        let disk = |trouble: Trouble| WriteError::Disk(trouble.message);
        let place = self.queue.place(self.now(), &new)?;
        let Some(db) = &mut self.db else {
            return Err(WriteError::Ended);
        };
        match place {
            Place::Known(id) => Ok(id),
            Place::InPlaceOf(id) => {
                let mut row = self.queue.get(id).cloned().ok_or(WriteError::Unknown)?;
                row.write.key.clone_from(&new.key);
                row.write.action = new.action.clone();
                row.write.queued_at = new.queued_at;
                row.view.clone_from(&new.view);
                if db.replace(&row).await.map_err(disk)? {
                    self.queue.replace(id, &new);
                    return Ok(id);
                }
                // Another process was about to send it.
                self.insert(NewWrite { swap: None, ..new }, true).await
            }
            Place::Own { over_last, swap } => {
                self.insert(NewWrite { swap, ..new }, over_last).await
            }
        }
    }

    async fn insert(&mut self, new: NewWrite, over_last: bool) -> Result<WriteId, WriteError> {
        let Some(db) = &mut self.db else {
            return Err(WriteError::Ended);
        };
        let id = db.insert(&new, over_last).await;
        let id = id.map_err(|trouble| WriteError::Disk(trouble.message))?;
        if self.queue.get(id).is_none() {
            self.queue
                .insert(self.epoch.elapsed(), Row::new(id, new, over_last));
        }
        Ok(id)
    }

    /// What watches have told.
    async fn heed(&mut self) {
        let heard = self.around.notes.take();
        for id in heard.confirmed {
            self.queue.confirm(id);
        }
        for (account, lost) in heard.lost {
            for lost in lost {
                self.queue.lose(&account, &lost);
            }
        }
        if heard.reached {
            self.queue.wake();
        }
    }

    /// An attempt has ended, as its sender says or because the sender is broken.
    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => (
                error.id(),
                Outcome::later("signed-out", "the account has signed out"),
            ),
            Err(error) => (
                error.id(),
                Outcome::later("sender-failed", "the sender panicked"),
            ),
        };
        if let Some(id) = self.attempts.remove(&task) {
            debug!(write = id, outcome = ?outcome, "an attempt ended");
            self.queue.ended(self.now(), now_ms(), id, outcome);
        }
    }

    /// Does what follows from what has changed: keeps it, tells it, and sends what may be sent now.
    async fn pump(&mut self) {
        if self.now().saturating_sub(self.ticked) >= Duration::from_secs(1) {
            self.ticked = self.now();
            self.queue.tick(self.now(), now_ms());
        }
        // Before anything that takes the disk's time.
        self.tell().await;
        let mut surprises = 0;
        loop {
            let next = self.next();
            let others = self.keep().await;
            if let Some((write, _)) = &next
                && others.contains(&write.id)
            {
                self.queue.unclaim(write.id);
                self.reconcile(true, true).await;
                surprises += 1;
                if surprises > MOST_SURPRISES {
                    // The file cannot be read now: the next look finds out.
                    break;
                }
                continue;
            }
            self.tell().await;
            let Some((write, reason)) = next else { break };
            self.send(write, reason);
        }
    }

    fn next(&mut self) -> Option<(Write, SendReason)> {
        if !self.sends() {
            return None;
        }
        let (signed_in, senders, lent) = (&self.signed_in, &self.senders, &self.lent);
        self.queue.next(self.epoch.elapsed(), |row| {
            signed_in.contains(&row.write.account) && find(senders, lent, row).is_some()
        })
    }

    fn send(&mut self, write: Write, reason: SendReason) {
        let row = self.queue.get(write.id);
        let sender = row.and_then(|row| find(&self.senders, &self.lent, row));
        let id = write.id;
        let request = SendRequest {
            write,
            reason,
            http: self.around.http.clone(),
            vault: self.around.vault.clone(),
        };
        let most = self.around.config.send_timeout;
        // A task of its own: what an app's code does to it ends nothing else.
        let attempt = self.sending.spawn(async move {
            let Some(sender) = sender else {
                return Outcome::later("no-sender", "nobody is there to send it");
            };
            let sent = timeout(most, sender.send(request)).await;
            sent.unwrap_or_else(|_| Outcome::later("timeout", "the sender took too long"))
        });
        self.attempts.insert(attempt.id(), id);
    }

    /// Tells watches and those who ask.
    async fn tell(&mut self) {
        for (record, confirmed) in self.queue.take_touched() {
            let news = shown::news(&self.queue, &record, self.now(), confirmed);
            self.watches.retain(|it| !it.commands.is_closed());
            for watch in self.watches.iter().filter(|it| it.account == record.0) {
                let _ = watch.commands.send(Command::Written(news.clone())).await;
            }
        }
        self.told.take(self.queue.take_told());
    }

    /// A watch of this account begins: tells it all that its account is about to write.
    async fn attach(&mut self, watch: WatchRef) {
        let of_account = |it: &&RecordKey| it.0 == watch.account;
        let records = self.queue.records().filter(of_account);
        let news: Vec<_> = records
            .map(|it| shown::news(&self.queue, it, self.now(), false))
            .collect();
        for news in news {
            let _ = watch.commands.send(Command::Written(news)).await;
        }
        self.watches.retain(|it| !it.commands.is_closed());
        self.watches.push(watch);
    }
}

/// Whether a write is of this account, or of whichever.
fn is_of(row: &Row, account: &Option<String>) -> bool {
    account.is_none() || row.write.account == *account
}

/// Who can send a write: the sender of its name, or the follower that came last.
fn find(
    senders: &HashMap<String, Arc<dyn Sender>>,
    lent: &[Lent],
    row: &Row,
) -> Option<Arc<dyn Sender>> {
    match &row.sent_by {
        SentBy::Name(name) => senders.get(name).cloned(),
        SentBy::Followers => lent
            .iter()
            .rev()
            .filter(|it| it.account == row.write.account && it.view == row.view)
            .find_map(|it| it.sender.upgrade()),
    }
}
