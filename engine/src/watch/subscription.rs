//! How others follow a watch: a state to begin with, then deltas, pulled.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    command::{Admission, Command},
    error::WatchError,
    presence::Alive,
    writes::Wanted,
};
use crate::{
    id::WatchId,
    pure::{
        ledger::delta::{Delta, State},
        lifecycle::machine::Status,
        store::{edit::Edit, written::Target},
    },
};

/// One follower of a watch. Dropping it ends it; the watch goes on for the others.
///
/// A delta says what changed since the one before: who applies it has the list without fetching it anew.
///
/// ```
/// use std::sync::Arc;
/// use contrail_sync_engine::{Edit, EditRecord, Engine, EngineConfig, Entry, Status, WatchSpec};
/// use serde_json::value::to_raw_value;
///
/// fn apply(list: &mut Vec<Arc<Entry>>, delta: contrail_sync_engine::Delta) {
///     let is_old = |id| delta.removed.contains(&id) || delta.changed.iter().any(|it| it.entry.id == id);
///     list.retain(|it| !is_old(it.id));
///     for changed in delta.changed {
///         list.insert(changed.index, changed.entry);
///     }
///     assert_eq!(list.len(), delta.len);
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let appview = appview::Server::start(appview::Options::default()).await?;
/// # let space = appview.open_space("lounge", "did:plc:alice")?;
/// # let say = |rkey: &str, text: &str| {
/// #     appview.put(appview::Put {
/// #         space_uri: Some(space.uri.clone()),
/// #         collection: "message".into(),
/// #         did: "did:plc:alice".into(),
/// #         rkey: rkey.into(),
/// #         record: serde_json::json!({ "text": text }),
/// #         ..Default::default()
/// #     })
/// # };
/// # say("1", "hello")?;
/// # let url = format!("{}/xrpc/com.example.message.watchRecords?{}", appview.url(), space.query);
/// # let url: url::Url = url.parse()?;
/// # let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default())?;
/// let watch = engine.watch(WatchSpec::new(url, Arc::new(|_| true))).await;
/// let mut list = watch.state().await.ok_or("the engine ended")?.entries;
/// loop {
///     let delta = watch.next().await.ok_or("the engine ended")?;
///     let status = delta.status;
///     apply(&mut list, delta);
///     if status == Status::Live {
///         break;
///     }
/// }
///
/// // Shown before the server has it, to all who follow the watch.
/// let body = to_raw_value(&serde_json::json!({ "text": "hello to you" }))?;
/// let record = EditRecord::new("did:plc:alice", "2", body);
/// watch.edit(Edit::Add { record }).await?;
/// apply(&mut list, watch.next().await.ok_or("the engine ended")?);
/// assert_eq!(list[0].record.value.get(), r#"{"text":"hello to you"}"#);
/// assert!(list[0].optimistic.is_some());
///
/// // The server's own takes its place.
/// # say("2", "hello to you")?;
/// apply(&mut list, watch.next().await.ok_or("the engine ended")?);
/// assert!(list[0].optimistic.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    watch: Option<WatchId>,
    commands: mpsc::Sender<Command>,
    /// The last revision that arrived here.
    seen: AtomicU64,
    /// About how many bytes of JSON a delta may have.
    budget: usize,
    /// Why there is nothing to follow.
    refused: Option<WatchError>,
    alive: Option<Arc<Alive>>,
}

/// Asks a watch which record is meant.
#[derive(Debug, Clone)]
pub(crate) struct Targeting {
    commands: mpsc::Sender<Command>,
    refused: Option<WatchError>,
}

impl Targeting {
    pub(crate) async fn target(&self, wanted: Wanted) -> Result<Target, WatchError> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Target { wanted, reply }).await;
        sent.map_err(|_| WatchError::Ended)?;
        answer.await.map_err(|_| WatchError::Ended)?
    }
}

impl Subscription {
    pub(crate) fn new(admission: Admission, commands: mpsc::Sender<Command>) -> Self {
        Self {
            id: admission.id,
            watch: Some(admission.watch),
            commands,
            seen: AtomicU64::new(0),
            budget: usize::MAX,
            refused: None,
            alive: Some(admission.alive),
        }
    }

    /// A subscription to nothing.
    pub(crate) fn ended() -> Self {
        Self {
            id: 0,
            watch: None,
            commands: mpsc::channel(1).0,
            seen: AtomicU64::new(0),
            budget: usize::MAX,
            refused: None,
            alive: None,
        }
    }

    /// A subscription to a watch that is closed from the beginning. `engine` closes with the engine.
    pub(crate) fn refused(why: WatchError, engine: mpsc::Sender<Command>) -> Self {
        Self {
            commands: engine,
            refused: Some(why),
            ..Self::ended()
        }
    }

    /// What its watch is called in the log; `None` where there is nothing to follow.
    pub fn watch_id(&self) -> Option<WatchId> {
        self.watch
    }

    /// Asks its watch which record is meant.
    pub(crate) fn targeting(&self) -> Targeting {
        Targeting {
            commands: self.commands.clone(),
            refused: self.refused.clone(),
        }
    }

    /// Takes states and deltas in parts of about this many bytes of JSON; in one part by default. The first one with
    /// records is smaller than the others: what is on top of the list is wanted most.
    pub fn in_parts(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The watch was told all edits that one of this number had, which ended: nobody else need tell them.
    pub fn inherit(&self, watch: u64) {
        if let Some(alive) = &self.alive {
            alive.inherit(watch);
        }
    }

    /// The numbers of the watches whose edits this one was told, the last ones.
    pub fn inherited(&self) -> Vec<u64> {
        self.alive
            .as_ref()
            .map_or_else(Vec::new, |it| it.inherited())
    }

    /// The whole state, in parts the first one. Deltas after it build on it. `None` once the engine is gone.
    pub async fn state(&self) -> Option<State> {
        if let Some(why) = &self.refused {
            let closed = State {
                status: Status::Closed,
                error: Some(why.payload()),
                ..State::default()
            };
            return (!self.commands.is_closed()).then_some(closed);
        }
        let (reply, state) = oneshot::channel();
        let command = Command::State {
            id: self.id,
            seen: self.seen.load(Ordering::Relaxed),
            budget: self.budget,
            reply,
        };
        self.commands.send(command).await.ok()?;
        let state = state.await.ok()?;
        self.seen.fetch_max(state.rev, Ordering::Relaxed);
        Some(state)
    }

    /// Waits for something to change and gives all that did since the last state or delta.
    /// `None` once the engine is gone. Cancelling loses nothing.
    pub async fn next(&self) -> Option<Delta> {
        self.pull(false).await
    }

    /// Gives what changed since the last state or delta, without waiting for anything to change. `None` if
    /// nothing did, or the engine is gone. Ends a [`next`](Self::next) that waits meanwhile.
    pub async fn try_next(&self) -> Option<Delta> {
        self.pull(true).await
    }

    async fn pull(&self, now: bool) -> Option<Delta> {
        if self.refused.is_some() {
            if !now {
                self.commands.closed().await;
            }
            return None;
        }
        let (reply, delta) = oneshot::channel();
        let command = Command::Pull {
            id: self.id,
            seen: self.seen.load(Ordering::Relaxed),
            now,
            budget: self.budget,
            reply,
        };
        self.commands.send(command).await.ok()?;
        let delta = delta.await.ok()?;
        self.seen.fetch_max(delta.rev, Ordering::Relaxed);
        Some(delta)
    }
}

impl Subscription {
    /// Shows an edit before the server confirms it, to all who follow the watch.
    pub async fn edit(&self, edit: Edit) -> Result<(), WatchError> {
        let (reply, done) = oneshot::channel();
        self.ask(Command::Edit { edit, reply }, done).await
    }

    /// Fetches the next page of older records, if there is one. Gives the revision of the delta, or state, from which
    /// on they are told.
    pub async fn load_more(&self) -> Result<u64, WatchError> {
        let (reply, done) = oneshot::channel();
        self.ask(Command::LoadMore { id: self.id, reply }, done)
            .await
    }

    /// Fetches the list anew, after an own write, say. Gives the revision of the delta, or state, from which on what the
    /// server had at the time of the call is told. Calls that come together share one request; a watch makes one a second
    /// at most.
    ///
    /// # Errors
    /// The list could not be had, or the watch has ended.
    pub async fn refresh(&self) -> Result<u64, WatchError> {
        let (reply, done) = oneshot::channel();
        self.ask(Command::Refresh { id: self.id, reply }, done)
            .await
    }

    /// Whether somebody looks at what this subscription shows; yes by default. A server without a stream is asked less
    /// often while nobody looks at any.
    ///
    /// A watch that is busy may not hear of it: say it again now and then.
    pub fn set_seen(&self, seen: bool) {
        let _ = self.commands.try_send(Command::Seen { id: self.id, seen });
    }

    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, WatchError>>,
    ) -> Result<T, WatchError> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let sent = self.commands.send(command).await;
        sent.map_err(|_| WatchError::Ended)?;
        answer.await.map_err(|_| WatchError::Ended)?
    }
}
