//! The one thread that talks to the keyring.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    Layout, Reason, Secret,
    items::Items,
    layout::Drawer,
    state::{Failure, Standing},
};

/// What the thread is asked to do.
pub(super) enum Op {
    Get(String),
    Set(String, Secret),
    Delete(String),
    /// `known`: names with this prefix that may be missing in the keyring's index.
    Clear {
        prefix: String,
        known: Vec<String>,
    },
}

/// A question, and where its answer goes. Only `Op::Get` is answered with a secret.
pub(super) struct Command {
    pub op: Op,
    pub reply: oneshot::Sender<Result<Option<Secret>, Failure>>,
}

/// Starts the thread. It ends when the vault is gone or has given the keyring up; nobody waits for it, as
/// it may hang inside the keyring for ever. If it cannot start, the queue is closed.
pub(super) fn start(
    service: String,
    layout: Layout,
    standing: Arc<Standing>,
    mut queue: mpsc::Receiver<Command>,
) {
    let run = move || {
        let mut owner = Owner {
            service,
            layout,
            standing,
            items: None,
            worked: false,
        };
        while let Some(Command { op, reply }) = queue.blocking_recv() {
            // What still waits was answered from memory: doing it later could undo a logout.
            if owner.standing.fallen().is_some() {
                return;
            }
            let answer = owner.perform(&op);
            if let Err(Failure::Unusable { reason, detail }) = &answer {
                owner.standing.fall(*reason, detail);
            }
            // The caller may have gone: its matter.
            drop(reply.send(answer));
        }
    };
    let thread = std::thread::Builder::new().name("contrail-vault".into());
    if let Err(error) = thread.spawn(run) {
        tracing::debug!(%error, "cannot start the keyring's thread");
    }
}

struct Owner {
    service: String,
    layout: Layout,
    standing: Arc<Standing>,
    items: Option<Items>,
    /// Whether a keyring was ever opened.
    worked: bool,
}

impl Owner {
    /// Does it, a second time with a keyring opened anew if the first fails.
    fn perform(&mut self, op: &Op) -> Result<Option<Secret>, Failure> {
        match self.attempt(op) {
            // A locked keyring would only prompt once more.
            Err(Failure::Unusable { reason, .. })
                if reason != Reason::Locked && self.standing.fallen().is_none() =>
            {
                self.items = None;
                self.attempt(op)
            }
            answer => answer,
        }
    }

    fn attempt(&mut self, op: &Op) -> Result<Option<Secret>, Failure> {
        let items = match self.items.take() {
            Some(items) => items,
            None => self.open()?,
        };
        let drawer = Drawer::new(self.items.insert(items), self.layout);
        match op {
            Op::Get(name) => drawer.get(name),
            Op::Set(name, secret) => drawer.set(name, secret).map(|()| None),
            Op::Delete(name) => drawer.delete(name).map(|()| None),
            Op::Clear { prefix, known } => drawer.clear(prefix, known).map(|()| None),
        }
    }

    fn open(&mut self) -> Result<Items, Failure> {
        let items = Items::open(&self.service).map_err(|failure| match failure {
            Failure::Unusable {
                reason: Reason::Failed,
                detail,
            } if !self.worked => Failure::Unusable {
                reason: Reason::Absent,
                detail,
            },
            failure => failure,
        })?;
        self.worked = true;
        Ok(items)
    }
}
