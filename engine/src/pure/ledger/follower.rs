//! A subscriber as its watch's task sees it: what it has not been told yet.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::{
    machine::{Machine, Status},
    marks::Marks,
    store::{Change, FastSet, Store, Touch},
    subscription::{Alive, Changed, Delta, State},
};
use crate::{error::ErrorPayload, tickets::Minter};

/// One follower, and what is new for it.
pub(super) struct Subscriber {
    pub alive: Weak<Alive>,
    pub minter: Option<Arc<dyn Minter>>,
    rev: u64,
    /// What is new or changed.
    marks: Marks,
    gone: FastSet<u64>,
    /// What the last delta told, in case it never arrived.
    sent: Sent,
    told: Option<Heading>,
    /// It was told no records since the last state.
    fresh: bool,
    /// It was told that the watch is live, with all there was, and nothing else since.
    was_live: bool,
    waiting: Option<Waiting>,
}

#[derive(Default)]
struct Sent {
    set: Vec<Told>,
    gone: Vec<u64>,
}

struct Told {
    id: u64,
    slot: usize,
    touch: Touch,
}

struct Waiting {
    budget: usize,
    reply: oneshot::Sender<Delta>,
}

/// What a delta says beside the records.
type Heading = (Status, Option<ErrorPayload>, Option<Arc<str>>);

impl Subscriber {
    pub fn new(alive: Weak<Alive>, minter: Option<Arc<dyn Minter>>) -> Self {
        Self {
            alive,
            minter,
            rev: 0,
            marks: Marks::default(),
            gone: FastSet::default(),
            sent: Sent::default(),
            told: None,
            fresh: true,
            was_live: false,
            waiting: None,
        }
    }

    /// Merges a change into what is still to be told.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Set(entry, touch) => self.marks.merge(entry.slot, *touch),
            Change::Gone(entry) => {
                // Of what it has never heard of, it need not hear that it is gone.
                if self.marks.take(entry.slot) != Some(Touch::New) {
                    self.gone.insert(entry.id);
                }
            }
        }
    }

    /// Whether there is something to tell.
    fn has_news(&self, machine: &Machine, store: &Store) -> bool {
        let more = !self.marks.is_empty();
        more || !self.gone.is_empty() || self.told != Some(self.heading(machine, store, more))
    }

    /// The revision from which on this subscriber knows what the store holds now.
    pub fn next_rev(&self, machine: &Machine, store: &Store) -> u64 {
        self.rev + u64::from(self.has_news(machine, store))
    }

    /// Tells everything, whatever was told before; only the first records if all are more than the budget.
    pub fn state(&mut self, machine: &Machine, store: &Store, budget: usize) -> State {
        // What was promised for the next revision is in it.
        self.rev = self.next_rev(machine, store);
        self.gone.clear();
        self.marks.clear();
        self.sent = Sent::default();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in store.entries() {
            if bytes < budget.div_ceil(FIRST_PART) {
                bytes += entry.size();
                entries.push(entry.clone());
            } else {
                self.marks.merge(entry.slot, Touch::New);
            }
        }
        self.fresh = entries.is_empty();
        let more = !self.marks.is_empty();
        let (status, error, cursor) = self.tell_heading(machine, store, more);
        State {
            rev: self.rev,
            status,
            error,
            cursor,
            entries,
            more,
        }
    }

    /// Live is only said with all there is.
    fn heading(&self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let status = match machine.status() {
            Status::Live if more && !self.was_live => Status::Snapshot,
            status => status,
        };
        (status, machine.error().cloned(), store.cursor().cloned())
    }

    fn tell_heading(&mut self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let heading = self.heading(machine, store, more);
        self.was_live = heading.0 == Status::Live;
        self.told = Some(heading.clone());
        heading
    }

    /// Wants the next delta as soon as there is one. If the last one never arrived, that one tells it too.
    pub fn wait(&mut self, seen: u64, budget: usize, reply: oneshot::Sender<Delta>) {
        if seen < self.rev {
            let Sent { set, gone } = std::mem::take(&mut self.sent);
            for Told { id, slot, touch } in set {
                // One that is gone may have left its slot to another.
                if !self.gone.contains(&id) {
                    self.marks.merge(slot, touch);
                }
            }
            self.gone.extend(gone);
            self.told = None;
            self.rev = seen;
        }
        self.waiting = Some(Waiting { budget, reply });
    }

    /// Does not wait any longer: nothing is new.
    pub fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Tells what is new to one who waits for it.
    pub fn flush(&mut self, machine: &Machine, store: &Store) {
        // One who stopped waiting takes no delta: what it would say is kept for the next one.
        self.waiting.take_if(|it| it.reply.is_closed());
        if self.waiting.is_none() || !self.has_news(machine, store) {
            return;
        }
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let budget = match self.fresh {
            true => waiting.budget.div_ceil(FIRST_PART),
            false => waiting.budget,
        };
        let changed = self.changed(store, budget);
        self.fresh &= changed.is_empty();
        let more = !self.marks.is_empty();
        let arriving = matches!(machine.status(), Status::Connecting | Status::Snapshot);
        let untold = self.marks.count(Touch::New);
        let mut removed: Vec<u64> = self.gone.drain().collect();
        removed.sort_unstable();
        self.rev += 1;
        self.sent.gone.clone_from(&removed);
        let (status, error, cursor) = self.tell_heading(machine, store, more);
        let delta = Delta {
            rev: self.rev,
            status,
            error,
            cursor,
            len: store.len() - untold,
            removed,
            changed,
            more: more || arriving,
        };
        let _ = waiting.reply.send(delta);
    }

    /// Takes as much of what changed as the budget allows, with the indices it has among what is told.
    fn changed(&mut self, store: &Store, budget: usize) -> Vec<Changed> {
        self.sent.set.clear();
        if self.marks.len() * STEPS < store.len() {
            let (mut changed, mut bytes) = (Vec::with_capacity(self.marks.len()), 0);
            for slot in self.marks.slots() {
                if let Some((index, entry)) = store.at(slot) {
                    bytes += entry.size();
                    let entry = entry.clone();
                    changed.push(Changed { index, entry });
                }
            }
            if bytes <= budget {
                changed.sort_unstable_by_key(|it| it.index);
                for it in &changed {
                    self.tell(it);
                }
                return changed;
            }
        }
        self.first_changed(store, budget)
    }

    /// In one walk along the order. Records that moved all go at once: where they were, they must not stay. Of the
    /// others those beyond the budget wait: a new one is not there yet, a changed one still has its old content.
    fn first_changed(&mut self, store: &Store, budget: usize) -> Vec<Changed> {
        let (mut changed, mut bytes, mut index) = (Vec::new(), 0, 0);
        for slot in store.slots() {
            let moved = self.marks.count(Touch::Moved);
            if self.marks.is_empty() || bytes >= budget && moved == 0 {
                break;
            }
            match (self.marks.get(slot), store.records.at(slot)) {
                (Some(touch), Some(entry)) if bytes < budget || touch == Touch::Moved => {
                    bytes += entry.size();
                    let entry = entry.clone();
                    let told = Changed { index, entry };
                    self.tell(&told);
                    changed.push(told);
                    index += 1;
                }
                (Some(Touch::New), _) => {}
                _ => index += 1,
            }
        }
        changed
    }

    /// This goes with the next delta.
    fn tell(&mut self, changed: &Changed) {
        let (id, slot) = (changed.entry.id, changed.entry.slot);
        let told = self.marks.take(slot);
        self.sent
            .set
            .extend(told.map(|touch| Told { id, slot, touch }));
    }
}

/// The first part with records is by this factor smaller than the others.
const FIRST_PART: usize = 4;
/// Steps of a walk along the order that take as long as looking one record up.
const STEPS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{
        backoff::{Backoff, BackoffPolicy},
        machine::{Input, MachineOptions},
    };

    fn connecting() -> Machine {
        let options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
        };
        let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
        let mut machine = Machine::new(options, backoff);
        machine.step(Duration::ZERO, Input::Start, &mut Vec::new());
        machine
    }

    #[tokio::test]
    async fn the_first_records_come_in_a_small_part_whether_as_a_state_or_as_a_delta() {
        let (machine, mut store) = (connecting(), Store::default());
        let mut early = Subscriber::new(Weak::new(), None);
        let budget = 64 * 1024;
        let told = early.state(&machine, &store, budget);
        for n in 0..1000 {
            let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":1}}"#);
            store.confirm(serde_json::from_str(&json).unwrap());
        }
        store.take_changes().for_each(|it| early.note(&it));
        let mut seen = told.rev;
        let mut part = || {
            let (reply, mut delta) = oneshot::channel();
            early.wait(seen, budget, reply);
            early.flush(&machine, &store);
            let delta = delta.try_recv().unwrap();
            seen = delta.rev;
            delta.changed.len()
        };
        let (first, second) = (part(), part());
        assert!(told.entries.is_empty() && first > 0);
        assert!(first.abs_diff(second / 4) <= 1, "{first}, {second}");

        let mut late = Subscriber::new(Weak::new(), None);
        let told = late.state(&machine, &store, budget);
        assert_eq!(told.entries.len(), first);
    }
}
