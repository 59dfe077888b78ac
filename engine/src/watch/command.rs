//! What is asked of a watch's task.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    error::WatchError,
    presence::Alive,
    report::WatchReport,
    writes::{News, Wanted},
};
use crate::{
    id::WatchId,
    pure::{
        ledger::delta::{Delta, State},
        store::{edit::Edit, written::Target},
    },
    tickets::Minter,
};

/// What others ask of a watch.
pub(crate) enum Command {
    /// Join.
    Subscribe {
        alive: Alive,
        minter: Option<Arc<dyn Minter>>,
        reply: oneshot::Sender<Admission>,
    },
    /// Tell everything.
    State {
        id: u64,
        /// The last revision that arrived.
        seen: u64,
        /// About how many bytes of JSON it may have.
        budget: usize,
        reply: oneshot::Sender<State>,
    },
    /// Tell what is new, as soon as something is.
    Pull {
        id: u64,
        /// The last revision that arrived.
        seen: u64,
        /// Do not wait: without news, drop the reply.
        now: bool,
        /// About how many bytes of JSON the delta may have.
        budget: usize,
        reply: oneshot::Sender<Delta>,
    },
    /// Show this before the server says it.
    Edit {
        edit: Edit,
        reply: oneshot::Sender<Result<(), WatchError>>,
    },
    /// Say which record is meant.
    Target {
        wanted: Wanted,
        reply: oneshot::Sender<Result<Target, WatchError>>,
    },
    /// Show what the outbox is about to write.
    Written(News),
    /// Fetch the next page of older records; answers the revision from which on the subscriber has it.
    LoadMore {
        id: u64,
        reply: oneshot::Sender<Result<u64, WatchError>>,
    },
    /// Fetch the list anew; answers the revision from which on the subscriber has it.
    Refresh {
        id: u64,
        reply: oneshot::Sender<Result<u64, WatchError>>,
    },
    /// Somebody looks at what the subscriber shows, or nobody does.
    Seen { id: u64, seen: bool },
    /// Tell all about yourself.
    Report { reply: oneshot::Sender<WatchReport> },
    /// End the connection as a network would that failed.
    Drop {
        reply: oneshot::Sender<Result<(), WatchError>>,
    },
    /// Fetch the list anew, for nobody in particular.
    LookAgain {
        reply: oneshot::Sender<Result<(), WatchError>>,
    },
    /// The network may be back.
    Wake,
    /// Close the connection until `Wake`, write what is not in the cache yet, and say when that is done.
    Suspend { done: oneshot::Sender<()> },
    /// Write what is not in the cache yet, and say when that is done.
    Flush { done: oneshot::Sender<()> },
}

/// What a watch's task gives a new follower.
#[derive(Debug)]
pub(crate) struct Admission {
    pub id: u64,
    pub watch: WatchId,
    pub alive: Arc<Alive>,
}
