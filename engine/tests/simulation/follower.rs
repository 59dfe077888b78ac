//! One who follows the watch: a mirror that knows only what it was told.

use std::sync::Arc;

use contrail_sync_engine::{
    Delta, Entry, Status,
    pure::{ledger::follower::FollowerLedger, replica::Replica, store::change::Change},
};

/// A follower and its ledger.
pub(crate) struct Follower {
    pub(crate) id: u64,
    ledger: FollowerLedger,
    /// The last revision that it was told.
    seen: u64,
    pub(crate) list: Vec<Arc<Entry>>,
    /// Whether it asks for what is new.
    pub(crate) is_awake: bool,
    /// The next delta never arrives.
    pub(crate) loses_next: bool,
    /// Bytes of a delta.
    budget: usize,
    /// Status, whether there is an error, cursor.
    told: Option<(Status, bool, Option<Arc<str>>)>,
    promised: u64,
}

impl Follower {
    pub(crate) fn new(id: u64, budget: usize) -> Self {
        Self {
            id,
            ledger: FollowerLedger::default(),
            seen: 0,
            list: Vec::new(),
            is_awake: true,
            loses_next: false,
            budget,
            told: None,
            promised: 0,
        }
    }

    pub(crate) fn note(&mut self, change: &Change) {
        self.ledger.note(change);
    }

    pub(crate) fn promise(&mut self, replica: &Replica) {
        let promised = self.ledger.promise(replica.machine(), replica.store());
        self.promised = self.promised.max(promised);
    }

    /// Asks for everything; the answer may never arrive.
    pub(crate) fn state(&mut self, replica: &Replica, is_lost: bool) {
        let (machine, store) = (replica.machine(), replica.store());
        let state = self.ledger.state(self.seen, machine, store, self.budget);
        if is_lost {
            return;
        }
        assert!(
            state.rev > self.seen,
            "a state tells revision {}",
            state.rev
        );
        self.seen = state.rev;
        self.list = state.entries;
        self.told = Some((state.status, state.error.is_some(), state.cursor));
    }

    /// Takes what is new, at most so many deltas. Says whether that was all.
    pub(crate) fn pull(&mut self, replica: &Replica, most: usize) -> bool {
        for _ in 0..most {
            if !self.is_awake {
                return false;
            }
            self.ledger.rewind(self.seen);
            let (machine, store) = (replica.machine(), replica.store());
            let Some(delta) = self.ledger.delta(machine, store, self.budget) else {
                assert!(
                    self.seen >= self.promised,
                    "revision {} was promised, and there is nothing after {}",
                    self.promised,
                    self.seen
                );
                return true;
            };
            assert_eq!(delta.rev, self.seen + 1, "revisions have no gaps");
            if !std::mem::take(&mut self.loses_next) {
                self.seen = delta.rev;
                self.apply(delta);
            }
        }
        false
    }

    fn apply(&mut self, delta: Delta) {
        let is_old =
            |id| delta.removed.contains(&id) || delta.changed.iter().any(|it| it.entry.id == id);
        self.list.retain(|it| !is_old(it.id));
        let mut last = None;
        for changed in delta.changed {
            assert!(last < Some(changed.index), "indices ascend");
            last = Some(changed.index);
            assert!(changed.index <= self.list.len(), "an index beyond the list");
            self.list.insert(changed.index, changed.entry);
        }
        assert_eq!(self.list.len(), delta.len, "the list has another length");
        self.told = Some((delta.status, delta.error.is_some(), delta.cursor));
    }

    /// It has been told everything, and has what the watch shows.
    pub(crate) fn check(&self, replica: &Replica) {
        let (machine, store) = (replica.machine(), replica.store());
        assert_eq!(self.list.len(), store.len(), "a follower has another list");
        for (index, (told, shown)) in self.list.iter().zip(store.entries()).enumerate() {
            assert!(
                Arc::ptr_eq(told, shown),
                "a follower has another record at {index}: {told:?}, shown is {shown:?}"
            );
        }
        let heading = (
            machine.status(),
            machine.error().is_some(),
            store.cursor().cloned(),
        );
        assert_eq!(self.told, Some(heading), "a follower was told otherwise");
    }
}
