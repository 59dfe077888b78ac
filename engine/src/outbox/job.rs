//! What is asked of the outbox's task.

use std::sync::Weak;

use tokio::sync::{mpsc, oneshot};

use super::{
    Sender,
    terms::{WriteChanges, WriteError, WriteInfo},
};
use crate::{
    pure::outbox::{row::NewWrite, write::WriteId},
    watch::command::Command,
};

/// A watch that shows what its account is about to write.
pub(super) struct WatchRef {
    pub account: Option<String>,
    pub commands: mpsc::Sender<Command>,
}

/// What others ask of the outbox.
pub(super) enum Job {
    /// Keep and send this.
    Put {
        new: Box<NewWrite>,
        reply: oneshot::Sender<Result<WriteId, WriteError>>,
    },
    /// Try this again now.
    Retry {
        id: WriteId,
        reply: oneshot::Sender<Result<(), WriteError>>,
    },
    /// Take this back.
    Discard {
        id: WriteId,
        reply: oneshot::Sender<Result<(), WriteError>>,
    },
    /// Take back all that an account is about to write; answers how many.
    DiscardAll {
        account: Option<String>,
        reply: oneshot::Sender<Result<usize, WriteError>>,
    },
    /// Tell what an account is about to write.
    List {
        account: Option<String>,
        reply: oneshot::Sender<Vec<WriteInfo>>,
    },
    /// Tell the last word on a write.
    Info {
        id: WriteId,
        reply: oneshot::Sender<Option<WriteInfo>>,
    },
    /// Tell what changed of an account's writes after this revision, as soon as something has.
    Changes {
        account: Option<String>,
        after: u64,
        reply: oneshot::Sender<WriteChanges>,
    },
    /// Say when a write is taken, refused or over.
    Settled {
        id: WriteId,
        reply: oneshot::Sender<WriteInfo>,
    },
    /// Keep this watch informed.
    Attach(WatchRef),
    /// This account's writes may be sent.
    SignIn { account: Option<String> },
    /// Nobody's may.
    SignOut { reply: oneshot::Sender<()> },
    /// A follower of this query sends for its account.
    Lend {
        account: Option<String>,
        view: String,
        sender: Weak<dyn Sender>,
    },
    /// The network may be back.
    Wake,
    /// Let go of the file.
    Close { reply: oneshot::Sender<()> },
}
