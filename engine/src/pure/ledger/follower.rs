//! What one follower has not heard yet.

use std::sync::Arc;

use super::{
    delta::{Changed, Delta, State},
    touches::Touches,
};
use crate::{
    failure::ErrorPayload,
    maps::FastSet,
    pure::{
        lifecycle::machine::{Machine, Status},
        store::{
            Store,
            change::{Change, Touch},
            profiles::Profiles,
        },
    },
};

/// Merges what happens until the follower asks: it costs bounded memory however long that takes.
#[derive(Debug)]
pub struct FollowerLedger {
    rev: u64,
    /// What is new or changed.
    touches: Touches,
    gone: FastSet<u64>,
    /// What the last delta told, in case it never arrived.
    sent: Sent,
    told: Option<Heading>,
    /// It was told no records since the last state.
    fresh: bool,
    /// It was told that the watch is live, with all there was, and nothing else since.
    was_live: bool,
    /// A revision that was promised: there has to be one, with news or without.
    promised: u64,
    /// What it had not heard before the state that was told last, in case that never arrived.
    before: Option<Box<Before>>,
}

/// How a follower stood before it was told a state.
#[derive(Debug)]
struct Before {
    rev: u64,
    touches: Touches,
    gone: FastSet<u64>,
    fresh: bool,
    was_live: bool,
}

#[derive(Debug, Default)]
struct Sent {
    set: Vec<Told>,
    gone: Vec<u64>,
}

#[derive(Debug)]
struct Told {
    id: u64,
    slot: usize,
    touch: Touch,
}

/// What a delta says beside the records.
type Heading = (Status, Option<ErrorPayload>, Option<Arc<str>>, Profiles);

impl Default for FollowerLedger {
    fn default() -> Self {
        Self {
            rev: 0,
            touches: Touches::default(),
            gone: FastSet::default(),
            sent: Sent::default(),
            told: None,
            fresh: true,
            was_live: false,
            promised: 0,
            before: None,
        }
    }
}

impl FollowerLedger {
    /// Merges a change into what is still to be told.
    pub fn note(&mut self, change: &Change) {
        note(&mut self.touches, &mut self.gone, change);
        if let Some(before) = &mut self.before {
            note(&mut before.touches, &mut before.gone, change);
        }
    }

    /// Whether there is something to tell.
    fn has_news(&self, machine: &Machine, store: &Store) -> bool {
        let more = !self.touches.is_empty();
        let owed = self.rev < self.promised;
        more || owed
            || !self.gone.is_empty()
            || self.told != Some(self.heading(machine, store, more))
    }

    /// The revision from which on this follower knows what the store holds now. There will be one, even if what it is
    /// told in between never arrives.
    pub fn promise(&mut self, machine: &Machine, store: &Store) -> u64 {
        let next = self.rev + u64::from(self.has_news(machine, store));
        self.promised = self.promised.max(next);
        next
    }

    /// Tells everything to a follower that has everything up to `seen`; only the first records if all are more than the
    /// budget.
    pub fn state(&mut self, seen: u64, machine: &Machine, store: &Store, budget: usize) -> State {
        self.rewind(seen);
        let rev = self.rev;
        // What was promised for the next revision is in it.
        self.rev = (rev + 1).max(self.promised);
        self.sent = Sent::default();
        let touches = std::mem::take(&mut self.touches);
        let gone = std::mem::take(&mut self.gone);
        let (fresh, was_live) = (self.fresh, self.was_live);
        // Of several states that never arrived, the first one has it all.
        self.before.get_or_insert_with(|| {
            Box::new(Before {
                rev,
                touches,
                gone,
                fresh,
                was_live,
            })
        });
        let first = first_part(machine, store, budget);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in store.entries() {
            if bytes < first {
                bytes += entry.size();
                entries.push(entry.clone());
            } else {
                self.touches.merge(entry.slot, Touch::New);
            }
        }
        self.fresh = entries.is_empty();
        let more = !self.touches.is_empty();
        let (status, error, cursor, profiles) = self.tell_heading(machine, store, more);
        State {
            rev: self.rev,
            status,
            error,
            cursor,
            entries,
            profiles,
            more,
        }
    }

    /// Live is only said with all there is.
    fn heading(&self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let status = match machine.status() {
            Status::Live if more && !self.was_live => Status::Snapshot,
            status => status,
        };
        let (error, cursor) = (machine.error().cloned(), store.cursor().cloned());
        (status, error, cursor, store.profiles().clone())
    }

    fn tell_heading(&mut self, machine: &Machine, store: &Store, more: bool) -> Heading {
        let heading = self.heading(machine, store, more);
        self.was_live = heading.0 == Status::Live;
        self.told = Some(heading.clone());
        heading
    }

    /// The follower has everything up to `seen`. If the last delta or state never arrived, the next delta tells it too.
    pub fn rewind(&mut self, seen: u64) {
        match self.before.take() {
            // The state never arrived.
            Some(before) if seen <= before.rev => {
                self.sent = Sent::default();
                (self.rev, self.touches, self.gone) = (seen, before.touches, before.gone);
                (self.fresh, self.was_live) = (before.fresh, before.was_live);
                self.told = None;
            }
            _ if seen < self.rev => {
                let Sent { set, gone } = std::mem::take(&mut self.sent);
                for Told { id, slot, touch } in set {
                    // One that is gone may have left its slot to another.
                    if !self.gone.contains(&id) {
                        self.touches.merge(slot, touch);
                    }
                }
                self.gone.extend(gone);
                self.told = None;
                self.rev = seen;
            }
            _ => {}
        }
    }

    /// What is new, about as much as the budget allows; `None` if nothing is.
    pub fn delta(&mut self, machine: &Machine, store: &Store, budget: usize) -> Option<Delta> {
        if !self.has_news(machine, store) {
            return None;
        }
        let budget = match self.fresh {
            true => first_part(machine, store, budget),
            false => budget,
        };
        let changed = self.changed(store, budget);
        self.fresh &= changed.is_empty();
        let more = !self.touches.is_empty();
        let arriving = matches!(machine.status(), Status::Connecting | Status::Snapshot);
        let untold = self.touches.count(Touch::New);
        let mut removed: Vec<u64> = self.gone.drain().collect();
        removed.sort_unstable();
        self.rev += 1;
        self.sent.gone.clone_from(&removed);
        let before = self.told.take().map(|(.., profiles)| profiles);
        let (status, error, cursor, profiles) = self.tell_heading(machine, store, more);
        let profiles = (before.as_ref() != Some(&profiles)).then_some(profiles);
        Some(Delta {
            rev: self.rev,
            status,
            error,
            cursor,
            len: store.len() - untold,
            removed,
            changed,
            profiles,
            more: more || arriving,
        })
    }

    /// Takes as much of what changed as the budget allows, with the indices it has among what is told.
    fn changed(&mut self, store: &Store, budget: usize) -> Vec<Changed> {
        self.sent.set.clear();
        if self.touches.len() * STEPS < store.len() {
            let (mut changed, mut bytes) = (Vec::with_capacity(self.touches.len()), 0);
            for slot in self.touches.slots() {
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
            let moved = self.touches.count(Touch::Moved);
            if self.touches.is_empty() || bytes >= budget && moved == 0 {
                break;
            }
            match (self.touches.get(slot), store.entry_at(slot)) {
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
        let told = self.touches.take(slot);
        self.sent
            .set
            .extend(told.map(|touch| Told { id, slot, touch }));
    }
}

/// Bytes of the first part with records. A second one would come only after the frame that shows the first.
fn first_part(machine: &Machine, store: &Store, budget: usize) -> usize {
    match machine.status() == Status::Live && store.bytes() <= budget {
        true => budget,
        false => budget.div_ceil(FIRST_PART),
    }
}

fn note(touches: &mut Touches, gone: &mut FastSet<u64>, change: &Change) {
    match change {
        Change::Set(entry, touch) => touches.merge(entry.slot, *touch),
        Change::Gone(entry) => {
            // Of what it has never heard of, it need not hear that it is gone.
            if touches.take(entry.slot) != Some(Touch::New) {
                gone.insert(entry.id);
            }
        }
    }
}

/// The first part with records is by this factor smaller than the others, unless one part has the whole list.
const FIRST_PART: usize = 4;
/// Steps of a walk along the order that take as long as looking one record up.
const STEPS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pure::{
        lifecycle::{
            backoff::{Backoff, BackoffPolicy},
            machine::{COMPARE_EVERY, Input, MachineOptions},
        },
        protocol::{profile::Profile, record::Record, wire::ServerEvent},
    };

    fn connecting() -> Machine {
        let options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
            spans_spaces: false,
            compare_every: COMPARE_EVERY,
        };
        let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
        let mut machine = Machine::new(options, backoff);
        machine.step(Duration::ZERO, Input::Start, &mut Vec::new());
        machine
    }

    #[test]
    fn the_first_records_come_in_a_small_part_whether_as_a_state_or_as_a_delta() {
        let (machine, mut store) = (connecting(), Store::default());
        let mut early = FollowerLedger::default();
        let budget = 64 * 1024;
        let told = early.state(0, &machine, &store, budget);
        for n in 0..1000 {
            let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":1}}"#);
            store.confirm(serde_json::from_str(&json).unwrap());
        }
        store.take_changes().for_each(|it| early.note(&it));
        let mut seen = told.rev;
        let mut part = || {
            early.rewind(seen);
            let delta = early.delta(&machine, &store, budget).unwrap();
            seen = delta.rev;
            delta.changed.len()
        };
        let (first, second) = (part(), part());
        assert!(told.entries.is_empty() && first > 0);
        assert!(first.abs_diff(second / 4) <= 1, "{first}, {second}");

        let mut late = FollowerLedger::default();
        let told = late.state(0, &machine, &store, budget);
        assert_eq!(told.entries.len(), first);
    }

    #[test]
    fn a_list_that_fits_into_one_part_comes_whole_once_it_is_live() {
        let (mut machine, mut store) = (connecting(), Store::default());
        for n in 0..300 {
            store.upsert(record(n));
        }
        let end = ServerEvent::SnapshotEnd { cursor: None };
        let told = |machine: &Machine, store: &Store, budget| {
            let told = FollowerLedger::default().state(0, machine, store, budget);
            (told.entries.len(), told.status)
        };
        let (whole, less) = (store.bytes(), store.bytes() - 1);
        // More of it may be about to arrive.
        let (first, status) = told(&machine, &store, whole);
        assert!(first < 100 && status == Status::Connecting, "{first}");
        machine.step(Duration::ZERO, Input::Event(end), &mut Vec::new());
        assert_eq!(told(&machine, &store, whole), (300, Status::Live));
        assert_eq!(told(&machine, &store, less), (first, Status::Snapshot));
        // As a delta, too.
        let mut early = FollowerLedger::default();
        let empty = early.state(0, &machine, &Store::default(), whole);
        hear(&mut store, &mut early);
        early.rewind(empty.rev);
        let delta = early.delta(&machine, &store, whole).unwrap();
        assert_eq!((delta.changed.len(), delta.status), (300, Status::Live));
    }

    fn record(n: i64) -> Record {
        let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":1}}"#);
        serde_json::from_str(&json).unwrap()
    }

    /// A follower that has heard of one record, and the revision that it has.
    fn following() -> (Machine, Store, FollowerLedger, u64) {
        let (machine, mut store) = (connecting(), Store::default());
        let mut follower = FollowerLedger::default();
        store.upsert(record(1));
        hear(&mut store, &mut follower);
        let seen = follower.state(0, &machine, &store, usize::MAX).rev;
        (machine, store, follower, seen)
    }

    fn hear(store: &mut Store, follower: &mut FollowerLedger) {
        store.take_changes().for_each(|it| follower.note(&it));
    }

    #[test]
    fn a_state_that_never_arrives_takes_nothing_from_the_next_delta() {
        let (machine, mut store, mut follower, seen) = following();
        store.upsert(record(2));
        hear(&mut store, &mut follower);
        let lost = follower.state(seen, &machine, &store, usize::MAX);
        assert_eq!(lost.entries.len(), 2);
        // Nor does a second one, or what happens in between.
        store.upsert(record(3));
        store.delete("at://d/c/1").unwrap();
        hear(&mut store, &mut follower);
        follower.state(seen, &machine, &store, usize::MAX);

        follower.rewind(seen);
        let delta = follower.delta(&machine, &store, usize::MAX).unwrap();
        assert_eq!((delta.rev, delta.len), (seen + 1, 2));
        assert_eq!((delta.changed.len(), delta.removed.len()), (2, 1));
        follower.rewind(delta.rev);
        assert!(follower.delta(&machine, &store, usize::MAX).is_none());
    }

    #[test]
    fn profiles_are_told_once_and_again_if_that_never_arrived() {
        let (machine, mut store, mut follower, seen) = following();
        let profile = Profile::parse(r#"{"did":"did:plc:bob","handle":"bob.test"}"#);
        store.learn(vec![profile.unwrap()]);
        let mut told = |seen| {
            follower.rewind(seen);
            let delta = follower.delta(&machine, &store, usize::MAX);
            delta.and_then(|it| it.profiles).map(|it| it.len())
        };
        assert_eq!(told(seen), Some(1));
        // It was lost.
        assert_eq!(told(seen), Some(1));
        assert_eq!(told(seen + 1), None);
        store.upsert(record(2));
        hear(&mut store, &mut follower);
        let delta = follower.delta(&machine, &store, usize::MAX).unwrap();
        assert!(delta.profiles.is_none(), "they are the same as before");
        let state = follower.state(delta.rev, &machine, &store, usize::MAX);
        assert_eq!(state.profiles.len(), 1);
    }

    #[test]
    fn a_state_that_arrived_is_not_told_again() {
        let (machine, mut store, mut follower, seen) = following();
        store.upsert(record(2));
        hear(&mut store, &mut follower);
        let state = follower.state(seen, &machine, &store, usize::MAX);
        follower.rewind(state.rev);
        assert!(follower.delta(&machine, &store, usize::MAX).is_none());
    }

    #[test]
    fn a_revision_that_was_promised_comes_whatever_is_lost_on_its_way() {
        let (machine, mut store, mut follower, seen) = following();
        store.upsert(record(2));
        hear(&mut store, &mut follower);
        // This one is lost.
        follower.delta(&machine, &store, usize::MAX).unwrap();
        store.upsert(record(3));
        hear(&mut store, &mut follower);
        let promised = follower.promise(&machine, &store);
        assert_eq!(promised, seen + 2);
        let mut seen = seen;
        let mut known = 1;
        while seen < promised {
            follower.rewind(seen);
            let delta = follower.delta(&machine, &store, usize::MAX);
            let delta = delta.expect("it was promised");
            (seen, known) = (delta.rev, delta.len);
        }
        assert_eq!((seen, known), (promised, 3));
        follower.rewind(seen);
        assert!(follower.delta(&machine, &store, usize::MAX).is_none());
    }

    #[test]
    fn what_moved_is_told_at_once_and_of_the_rest_about_as_much_as_the_budget_allows() {
        let (machine, mut store, mut follower, _) = following();
        for n in 100..300 {
            store.upsert(record(n));
        }
        hear(&mut store, &mut follower);
        let state = follower.state(0, &machine, &store, usize::MAX);
        follower.rewind(state.rev);
        // Each gets another body where it stands, but the newest goes to the very end.
        for n in 100..300 {
            let time_us = if n == 299 { -1 } else { n };
            let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{time_us},"value":2}}"#);
            store.upsert(serde_json::from_str(&json).unwrap());
        }
        hear(&mut store, &mut follower);

        let budget = 20 * store.entries().next().unwrap().size();
        let first = follower.delta(&machine, &store, budget).unwrap();
        let last = first.changed.last().unwrap();
        assert_eq!((last.index, last.entry.record.rkey()), (200, "299"));
        assert_eq!(first.changed.len(), 20 + 1);
        let mut seen = first.rev;
        for _ in (20..199).step_by(20) {
            follower.rewind(seen);
            let delta = follower.delta(&machine, &store, budget).unwrap();
            assert!((19..=20).contains(&delta.changed.len()));
            seen = delta.rev;
        }
        follower.rewind(seen);
        assert!(follower.delta(&machine, &store, budget).is_none());
    }

    #[test]
    fn a_delta_says_whether_more_is_waiting() {
        let (mut machine, mut store, mut follower, _) = following();
        store.upsert(record(2));
        hear(&mut store, &mut follower);
        let delta = follower.delta(&machine, &store, usize::MAX).unwrap();
        assert!(delta.more, "a snapshot is about to arrive");

        let mut seen = delta.rev;
        let end = ServerEvent::SnapshotEnd { cursor: None };
        machine.step(Duration::ZERO, Input::Event(end), &mut Vec::new());
        for n in 3..6 {
            store.upsert(record(n));
        }
        hear(&mut store, &mut follower);
        for (count, more) in [(1, true), (1, true), (1, false)] {
            follower.rewind(seen);
            let delta = follower.delta(&machine, &store, 1).unwrap();
            assert_eq!((delta.changed.len(), delta.more), (count, more));
            // Live is only said with all there is.
            let status = if more { Status::Snapshot } else { Status::Live };
            assert_eq!(delta.status, status);
            seen = delta.rev;
        }
    }
}
