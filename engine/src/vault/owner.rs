//! The one thread that talks to the keyring.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    Layout, Reason, Secret, Shared,
    items::{Items, is_open},
    layout::Drawer,
    state::Failure,
};

/// Bounds of the time between two looks at a keyring that was given up; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
    /// Nothing, but the vault may have given the keyring up.
    Look,
}

/// A question, and where its answer goes. Only `Op::Get` is answered with a secret.
pub(super) struct Command {
    pub op: Op,
    /// The number of the write in memory; 0 for what writes nothing.
    pub write: u64,
    pub reply: oneshot::Sender<Result<Option<Secret>, Failure>>,
}

/// Starts the thread. It ends when the vault is gone; nobody waits for it, as it may hang inside the keyring for ever. If
/// it cannot start, the queue is closed.
pub(super) fn start(
    service: String,
    layout: Layout,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Command>,
) {
    let owner = Owner {
        service,
        layout,
        shared,
        queue,
        items: None,
        worked: false,
    };
    let thread = std::thread::Builder::new().name("contrail-vault".into());
    if let Err(error) = thread.spawn(|| owner.run()) {
        tracing::debug!(%error, "cannot start the keyring's thread");
    }
}

struct Owner {
    service: String,
    layout: Layout,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Command>,
    items: Option<Items>,
    /// Whether a keyring was ever opened.
    worked: bool,
}

impl Owner {
    fn run(mut self) {
        while let Some(Command { op, write, reply }) = self.queue.blocking_recv() {
            let answer = self.perform(&op);
            let standing = &self.shared.standing;
            let trouble = match &answer {
                Err(Failure::Unusable { reason, detail }) => {
                    standing.fall(*reason, detail);
                    Some(*reason)
                }
                _ => {
                    self.shared.remembered().settle(write);
                    None
                }
            };
            // The caller may have gone: its matter.
            drop(reply.send(answer));
            if self.shared.standing.fallen().is_some() && !self.return_to_it(trouble) {
                return;
            }
        }
    }

    /// Waits for a keyring that was given up, whose last call had this `trouble`, and has it do what it missed. An answer
    /// that only came late is no trouble. Says whether anybody still wants it.
    fn return_to_it(&mut self, mut trouble: Option<Reason>) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            if trouble.is_none() {
                trouble = self.make_up().err();
            }
            let Some(reason) = trouble else {
                return true;
            };
            std::thread::sleep(pause);
            if self.queue.is_closed() {
                return false;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            if is_open(reason) {
                self.items = None;
                trouble = None;
            }
        }
    }

    /// Has the keyring do what it owes, until there is nothing left: from that moment on it is in use again.
    fn make_up(&mut self) -> Result<(), Reason> {
        loop {
            let owed = {
                let memory = self.shared.remembered();
                // Who still waits in the queue wrote to memory in the same step.
                while let Ok(Command { reply, .. }) = self.queue.try_recv() {
                    let reason = self.shared.standing.fallen().unwrap_or(Reason::Failed);
                    drop(reply.send(Err(Failure::unusable(reason))));
                }
                let owed = memory.owed();
                if owed.is_empty() {
                    self.shared.standing.regain();
                    return Ok(());
                }
                owed
            };
            for (write, op) in owed {
                match self.attempt(&op) {
                    Err(Failure::Unusable { reason, .. }) => return Err(reason),
                    Err(_) => tracing::warn!("the keyring refuses what was kept in memory"),
                    Ok(_) => {}
                }
                self.shared.remembered().settle(write);
            }
        }
    }

    /// Does it, a second time with a keyring opened anew if the first fails.
    fn perform(&mut self, op: &Op) -> Result<Option<Secret>, Failure> {
        // It was answered from memory: doing it now could undo a logout.
        if let Some(reason) = self.shared.standing.fallen() {
            return Err(Failure::unusable(reason));
        }
        match self.attempt(op) {
            // A locked keyring would only prompt once more.
            Err(Failure::Unusable { reason, .. })
                if reason != Reason::Locked && self.shared.standing.fallen().is_none() =>
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
            Op::Look => Ok(None),
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
