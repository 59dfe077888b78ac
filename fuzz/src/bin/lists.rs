//! Lives of a watch whose server has lists only: each line is an answer of the server, `<request> <answer>`, or what happens
//! to the watch. A whole list is what shows, in its order; where the appview stands tells no more than that it moved.
#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contrail_sync_engine::{
    Edit, Record, Status, fuzzing,
    pure::{
        lifecycle::{
            backoff::{Backoff, BackoffPolicy},
            machine::{COMPARE_EVERY, Input, Machine, MachineOptions},
        },
        replica::{Action, Replica},
        store::{
            Store,
            window::{Page, Wanted},
        },
    },
};
use libfuzzer_sys::fuzz_target;

struct Life {
    replica: Replica,
    now: Duration,
    position: Option<Option<String>>,
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
            position: None,
        }
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.replica.step(self.now, input, &mut actions);
        actions
    }

    /// A line that is nothing does nothing.
    fn live(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.now += Duration::from_secs(2);
        match word {
            "connect" => self.connect(rest),
            "position" => self.position(rest),
            "list" => self.list(rest),
            "older" => self.page(false, rest),
            "edit" => self.edit(rest),
            _ => {}
        }
    }

    /// A connection begins with a list, as the transport tells it.
    fn connect(&mut self, json: &str) {
        self.step(Input::Suspend);
        self.now += Duration::from_secs(60);
        self.step(Input::Wake);
        self.now += Duration::from_secs(60);
        self.step(Input::Waited);
        let Some(events) = fuzzing::list(json.as_bytes()) else {
            return;
        };
        self.step(Input::Lists);
        for event in events {
            self.step(match event {
                Ok(event) => Input::Event(event),
                Err(error) => Input::Skipped(error.uri().cloned()),
            });
        }
        if self.replica.machine().is_listing() {
            assert_eq!(self.replica.machine().status(), Status::Live);
            assert!(!self.replica.store().is_arriving());
            self.is(json);
        }
    }

    /// Where the appview stands: what stands beside it, and the space around it, say nothing.
    fn position(&mut self, json: &str) {
        let told = fuzzing::position(json.as_bytes());
        assert_eq!(told, fuzzing::position(format!("\n {json}\t").as_bytes()));
        if let Some(Some(told)) = &told {
            assert!(json.contains(told.as_str()) && !told.is_empty());
        }
        if told.is_none() || told != self.position {
            self.step(Input::Refresh);
        }
        self.position = told;
    }

    fn list(&mut self, json: &str) {
        self.step(Input::Refresh);
        self.page(true, json);
    }

    fn edit(&mut self, json: &str) {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(json)
            && let Ok(edit) = Edit::try_from(value)
        {
            let _ = self.replica.store_mut().edit(edit, 1);
        }
    }

    /// What cannot be read is a list that failed: it takes nothing away.
    fn page(&mut self, first: bool, json: &str) {
        let wanted = Wanted {
            first,
            older: !first,
        };
        let Some(page) = self.replica.begin_page(wanted) else {
            return;
        };
        let Some(listed) = fuzzing::page(json.as_bytes()) else {
            let before = self.replica.store().len();
            self.replica.store_mut().drop_page();
            assert_eq!(self.replica.store().len(), before);
            return;
        };
        let mut actions = Vec::new();
        let ended = self.replica.end_page(self.now, &page, listed, &mut actions);
        if ended.is_ok() && page == Page::First && self.replica.machine().is_listing() {
            self.is(json);
        }
    }

    /// A list that does not go on is all there is.
    fn is(&self, json: &str) {
        let Some(listed) = fuzzing::page(json.as_bytes()) else {
            return;
        };
        let store = self.replica.store();
        if listed.cursor.is_some() || !listed.unreadable.is_empty() {
            return;
        }
        assert!(store.cursor().is_none());
        // Of one that is listed twice the last one counts.
        let told = listed.records.into_iter().map(|it| (it.identity(), it));
        let told: BTreeMap<_, Record> = told.collect();
        let edited = store.entries().filter(|it| it.optimistic.is_some());
        let edited: BTreeSet<_> = edited.map(|it| it.record.uri.as_str().to_owned()).collect();
        let mut told: Vec<Record> = told.into_values().collect();
        told.retain(|it| !edited.contains(it.uri.as_str()));
        told.sort_by(|a, b| {
            let keys = |it: &Record| (-i128::from(it.time_us), it.uri.as_str().to_owned());
            keys(a).cmp(&keys(b)).then_with(|| a.space.cmp(&b.space))
        });
        let shown = store.entries().map(|it| &it.record);
        let shown: Vec<&Record> = shown
            .filter(|it| !edited.contains(it.uri.as_str()))
            .collect();
        assert_eq!(shown.len(), told.len());
        for (shown, told) in shown.into_iter().zip(&told) {
            assert_eq!(shown.identity(), told.identity());
            assert_eq!(shown.value.get(), told.value.get());
        }
    }

    fn check(&self) {
        let store = self.replica.store();
        assert_eq!(store.entries().count(), store.len());
        for (index, entry) in store.entries().enumerate() {
            let found = store.find(entry.id).map(|(index, _)| index);
            assert_eq!(found, Some(index), "what is shown is found");
        }
    }
}

fuzz_target!(|input: &str| {
    let mut life = Life::new();
    life.step(Input::Start);
    for line in input.lines().take(200) {
        life.live(line);
        life.replica.store_mut().take_changes();
        life.check();
    }
});
