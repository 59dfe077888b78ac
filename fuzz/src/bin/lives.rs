//! Lives of a watch: each line is an event, `<kind> <data>`, or what happens to the watch. After each of them its list is in
//! order and within its bounds, and who follows it by deltas has the same.
#![no_main]

use std::{sync::Arc, time::Duration};

use contrail_sync_engine::{
    Delta, Edit, Entry, fuzzing,
    pure::{
        ledger::follower::FollowerLedger,
        lifecycle::{
            backoff::{Backoff, BackoffPolicy},
            machine::{COMPARE_EVERY, Input, Machine, MachineOptions, Status},
        },
        protocol::wire::decode,
        replica::Replica,
        store::{Store, window::Wanted},
    },
};
use libfuzzer_sys::fuzz_target;

/// A delta has about so many bytes.
const PART: usize = 400;

struct Life {
    replica: Replica,
    now: Duration,
    follower: FollowerLedger,
    seen: u64,
    list: Vec<Arc<Entry>>,
}

impl Life {
    fn new() -> Self {
        let options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
            spans_spaces: true,
            compare_every: COMPARE_EVERY,
        };
        let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
        Self {
            replica: Replica::new(Machine::new(options, backoff), Store::default()),
            now: Duration::ZERO,
            follower: FollowerLedger::default(),
            seen: 0,
            list: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        self.replica.step(self.now, input, &mut Vec::new());
    }

    /// A line that is nothing does nothing.
    fn live(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.now += Duration::from_millis(700);
        match word {
            "start" => self.step(Input::Start),
            "stop" => self.step(Input::Stop),
            "wake" => self.step(Input::Wake),
            "suspend" => self.step(Input::Suspend),
            "waited" => self.step(Input::Waited),
            "compare" => self.step(Input::CompareDue),
            "later" => self.now += Duration::from_secs(600),
            "edit" => self.edit(rest),
            "first" => self.page(true, rest),
            "older" => self.page(false, rest),
            kind => match decode(kind, rest) {
                Ok(Some(event)) => self.step(Input::Event(event)),
                Ok(None) => {}
                Err(error) => self.step(Input::Skipped(error.uri().cloned())),
            },
        }
    }

    fn edit(&mut self, json: &str) {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(json)
            && let Ok(edit) = Edit::try_from(value)
        {
            let _ = self.replica.store_mut().edit(edit, 1);
        }
    }

    fn page(&mut self, first: bool, json: &str) {
        let wanted = Wanted {
            first,
            older: !first,
        };
        if let Some(page) = self.replica.begin_page(wanted) {
            match fuzzing::page(json.as_bytes()) {
                Some(listed) => {
                    let mut actions = Vec::new();
                    let _ = self.replica.end_page(self.now, &page, listed, &mut actions);
                }
                None => self.replica.store_mut().drop_page(),
            }
        }
    }

    /// The follower takes what is new.
    fn follow(&mut self) {
        for change in self.replica.store_mut().take_changes() {
            self.follower.note(&change);
        }
        loop {
            self.follower.rewind(self.seen);
            let (machine, store) = (self.replica.machine(), self.replica.store());
            let Some(delta) = self.follower.delta(machine, store, PART) else {
                return;
            };
            assert_eq!(delta.rev, self.seen + 1);
            self.seen = delta.rev;
            let is_last = !delta.more;
            apply(&mut self.list, delta);
            if is_last && self.seen % 2 == 0 {
                return;
            }
        }
    }

    fn check(&self) {
        let store = self.replica.store();
        assert_eq!(store.entries().count(), store.len());
        for (index, entry) in store.entries().enumerate() {
            let (found, it) = store.find(entry.id).expect("what is shown is found");
            assert!(found == index && Arc::ptr_eq(it, entry));
        }
        if self.replica.machine().status() == Status::Idle {
            return;
        }
        let told = self.list.iter().map(|it| it.id);
        assert!(
            told.eq(store.entries().map(|it| it.id)),
            "a follower has another list"
        );
        for (told, entry) in self.list.iter().zip(store.entries()) {
            assert!(told.record.same_content(&entry.record));
        }
    }
}

fn apply(list: &mut Vec<Arc<Entry>>, delta: Delta) {
    let is_old =
        |id| delta.removed.contains(&id) || delta.changed.iter().any(|it| it.entry.id == id);
    list.retain(|it| !is_old(it.id));
    for changed in delta.changed {
        list.insert(changed.index, changed.entry);
    }
    assert_eq!(list.len(), delta.len);
}

fuzz_target!(|input: &str| {
    let mut life = Life::new();
    life.step(Input::Start);
    for line in input.lines().take(200) {
        life.live(line);
        life.follow();
        life.check();
    }
});
