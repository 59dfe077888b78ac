//! A follower as its watch's task sees it: whether it lives, what it can do, what it waits for.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::presence::Alive;
use crate::{
    pure::{
        ledger::{
            delta::{Delta, State},
            follower::FollowerLedger,
        },
        replica::Replica,
        store::change::Change,
    },
    tickets::Minter,
};

/// One who follows the watch.
pub(super) struct Follower {
    pub alive: Weak<Alive>,
    pub minter: Option<Arc<dyn Minter>>,
    /// Whether somebody looks at what it shows.
    pub seen: bool,
    /// What it has not heard yet.
    ledger: FollowerLedger,
    waiting: Option<Waiting>,
}

/// It wants the next delta.
struct Waiting {
    budget: usize,
    reply: oneshot::Sender<Delta>,
}

impl Follower {
    pub(super) fn new(alive: Weak<Alive>, minter: Option<Arc<dyn Minter>>) -> Self {
        Self {
            alive,
            minter,
            seen: true,
            ledger: FollowerLedger::default(),
            waiting: None,
        }
    }

    /// Merges a change into what is still to be told.
    pub(super) fn note(&mut self, change: &Change) {
        self.ledger.note(change);
    }

    /// The revision from which on it knows what the replica holds now. It will be told, whatever else happens.
    pub(super) fn promise(&mut self, replica: &Replica) -> u64 {
        self.ledger.promise(replica.machine(), replica.store())
    }

    /// Tells everything, whatever was told before; only the first records if all are more than the budget.
    pub(super) fn state(&mut self, seen: u64, replica: &Replica, budget: usize) -> State {
        self.ledger
            .state(seen, replica.machine(), replica.store(), budget)
    }

    /// Wants the next delta as soon as there is one. If the last one never arrived, that one tells it too.
    pub(super) fn wait(&mut self, seen: u64, budget: usize, reply: oneshot::Sender<Delta>) {
        self.ledger.rewind(seen);
        self.waiting = Some(Waiting { budget, reply });
    }

    /// Does not wait any longer: nothing is new.
    pub(super) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Tells what is new to one who waits for it.
    pub(super) fn deliver(&mut self, replica: &Replica) {
        // One who stopped waiting takes no delta: what it would say is kept for the next one.
        self.waiting.take_if(|it| it.reply.is_closed());
        let Some(waiting) = &self.waiting else { return };
        let (machine, store) = (replica.machine(), replica.store());
        if let Some(delta) = self.ledger.delta(machine, store, waiting.budget)
            && let Some(waiting) = self.waiting.take()
        {
            let _ = waiting.reply.send(delta);
        }
    }
}
