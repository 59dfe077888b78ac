//! The store, a page's mirror of it and a naive model agree, whatever happens in whatever order.
//!
//! Needs node and the built npm package: `cargo xtask agree` runs it.

mod model;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use contrail_sync_engine::{
    BackoffPolicy, Edit, EditError, EditRecord, Filter, Path, SortBy, View,
    pure::{
        ledger::follower::FollowerLedger,
        lifecycle::{
            backoff::Backoff,
            machine::{COMPARE_EVERY, Input, Machine, MachineOptions},
        },
        protocol::{
            listed::Listed,
            wire::{ChildAdded, ChildRemoved, ServerEvent},
        },
        replica::{Action, Replica},
        store::{Store, home::Home, window::Wanted},
    },
};
use serde_json::{Value, json, value::to_raw_value};

use crate::bridge::payload;
use model::{Model, Row};

const URL: &str = "https://a.example/xrpc/c.watchRecords?actor=did:plc:alice";
const DIDS: [&str; 3] = ["did:plc:alice", "did:plc:bob", "did:plc:carol"];
const RKEYS: [&str; 4] = ["self", "a", "b", "c"];
const SPACES: [Option<&str>; 3] = [
    None,
    Some("ats://did:plc:alice/t/1"),
    Some("ats://did:plc:alice/t/2"),
];
const T: i64 = 1_795_432_906_000_000;

/// A page: a node process that keeps a mirror.
struct Page {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Page {
    fn open() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement/mirror.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn tell(&mut self, kind: char, json: &str) {
        writeln!(self.input, "{kind}{json}").expect("the page lives");
    }

    fn shown(&mut self) -> Vec<Value> {
        self.tell('?', "");
        self.input.flush().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the page shows its records: see its error above")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One random life of a watch.
struct Life<'a> {
    rng: fastrand::Rng,
    page: &'a mut Page,
    replica: Replica,
    model: Model,
    /// What the server has.
    rows: Vec<Row>,
    follower: FollowerLedger,
    seen: u64,
    now: i64,
    /// The lifecycle's clock: an hour a step, so that no snapshot has to wait.
    hours: u64,
    /// A quiet snapshot is wanted from this hour on.
    compare: Option<u64>,
    written: u32,
}

impl<'a> Life<'a> {
    fn new(seed: u64, page: &'a mut Page) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let view = view(&mut rng);
        let options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
            spans_spaces: false,
            compare_every: COMPARE_EVERY,
        };
        let backoff = Backoff::new(BackoffPolicy::default(), rng.clone());
        let mut life = Self {
            replica: Replica::new(
                Machine::new(options, backoff),
                Store::new(view.clone(), Home::of(&URL.parse().unwrap())),
            ),
            model: Model::new(view),
            rows: Vec::new(),
            follower: FollowerLedger::default(),
            seen: 0,
            now: T,
            hours: 0,
            compare: None,
            written: 0,
            rng,
            page,
        };
        life.input(Input::Start);
        // A record that nobody touches shows what the relation looks like.
        let mut shape = Row::new(
            "did:plc:shape",
            "shape",
            None,
            T,
            json!({ "room": 1, "n": 1 }),
        );
        shape
            .children
            .push(json!({ "did": "did:plc:shape", "rkey": "s", "value": 1 }));
        life.rows.push(shape);
        life.send_snapshot(1);
        life.end_snapshot();
        life.reload();
        life
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        let (now, mut actions) = (Duration::from_secs(3600 * self.hours), Vec::new());
        self.replica.step(now, input, &mut actions);
        self.note_compare(&actions);
        actions
    }

    fn note_compare(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::CompareAfter(delay) => {
                    self.compare = Some(self.hours + delay.as_secs().div_ceil(3600));
                }
                Action::Disconnect => self.compare = None,
                _ => {}
            }
        }
    }

    fn hear(&mut self, event: ServerEvent) -> Vec<Action> {
        self.input(Input::Event(event))
    }

    fn step(&mut self) {
        self.now += self.rng.i64(1..5_000);
        self.hours += 1;
        if self.is_due() {
            self.quiet_snapshot();
        }
        match self.rng.u8(..100) {
            0..30 => _ = self.write(),
            30..42 => self.delete(),
            42..58 => self.edit(),
            58..64 => self.fail_or_roll_back(),
            64..76 => self.child(),
            76..82 => self.snapshot(),
            82..86 => self.reload(),
            _ => _ = self.pull(),
        }
        self.note_changes();
    }

    fn note_changes(&mut self) {
        for change in self.replica.store_mut().take_changes() {
            self.follower.note(&change);
        }
    }

    /// The server creates or updates a record, and says so unless the event is lost. Gives the URI if it says so.
    fn write(&mut self) -> Option<String> {
        let (did, rkey, space) = self.identity();
        let value = self.body();
        let now = self.now;
        // Stored a little before it is published.
        let time_us = now - self.rng.i64(0..3_000);
        let row = match self.rows.iter_mut().find(|it| it.is(did, rkey, space)) {
            Some(row) => {
                (row.value, row.time_us) = (value, time_us);
                row.clone()
            }
            None => {
                let row = Row::new(did, rkey, space, time_us, value);
                self.rows.push(row.clone());
                row
            }
        };
        if self.is_heard() {
            let live = Row {
                time_us: now,
                children: Vec::new(),
                ..row
            };
            self.hear(ServerEvent::Created(live.bare()));
            self.model.upsert(&live);
            return Some(live.uri());
        }
        None
    }

    fn delete(&mut self) {
        if self.rows.len() < 2 {
            return;
        }
        let row = self.rows.swap_remove(self.rng.usize(1..self.rows.len()));
        if self.is_heard() {
            self.hear(ServerEvent::Deleted { uri: row.uri() });
            if self.model.delete(&row.uri()) {
                self.quiet_snapshot();
            }
        }
    }

    /// The watch compares itself with a snapshot beside its stream, while something happens.
    fn quiet_snapshot(&mut self) {
        if !self.input(Input::CompareDue).contains(&Action::Compare) {
            return;
        }
        self.compare = None;
        let wanted = Wanted {
            first: true,
            older: false,
        };
        let Some(page) = self.replica.begin_page(wanted) else {
            return;
        };
        let (listed, mut meanwhile) = (self.rows.clone(), BTreeSet::new());
        for _ in 0..self.rng.u8(..3) {
            meanwhile.extend(self.write());
        }
        let answer = Listed {
            is_empty: listed.is_empty(),
            records: listed.iter().map(Row::whole).collect(),
            unreadable: Vec::new(),
            cursor: None,
            ..Listed::default()
        };
        let now = Duration::from_secs(3600 * self.hours);
        let mut actions = Vec::new();
        let told = self.replica.end_page(now, &page, answer, &mut actions);
        assert!(told.is_ok());
        self.note_compare(&actions);
        self.model.quiet_snapshot(&listed, &meanwhile);
    }

    fn edit(&mut self) {
        let (did, rkey, space) = self.identity();
        let value = match self.rows.iter().find(|it| it.is(did, rkey, space)) {
            // Sometimes an edit changes nothing.
            Some(row) if self.rng.u8(..) < 40 => row.value.clone(),
            _ => self.body(),
        };
        let mut record = EditRecord::new(did, rkey, to_raw_value(&value).unwrap());
        record.collection = Some("c".into());
        record.time_us = Some(self.now);
        record.uri = Some(format!("at://{did}/c/{rkey}"));
        record.space = space.map(Into::into);
        self.model.edit(did, rkey, space, self.now, &value);
        let edit = Edit::Add { record };
        self.replica.store_mut().edit(edit, self.now).unwrap();
        // The server may take the edit at once.
        if self.rng.bool() {
            let now = self.now;
            if let Some(row) = self.rows.iter_mut().find(|it| it.is(did, rkey, space)) {
                (row.value, row.time_us) = (value, now);
            } else {
                self.rows.push(Row::new(did, rkey, space, now, value));
            }
        }
    }

    fn fail_or_roll_back(&mut self) {
        let rkey = *self.rng.choice(&RKEYS).unwrap();
        let did = self.rng.bool().then(|| *self.rng.choice(&DIDS).unwrap());
        let edit = if self.rng.bool() {
            self.model.fail(rkey, did);
            let error = EditError::new("Error", "no");
            Edit::Fail {
                rkey: rkey.into(),
                did: did.map(Into::into),
                error,
            }
        } else {
            self.model.roll_back(rkey, did);
            Edit::Remove {
                rkey: rkey.into(),
                did: did.map(Into::into),
            }
        };
        self.replica.store_mut().edit(edit, self.now).unwrap();
    }

    /// A child comes, changes, moves or goes.
    fn child(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.rows.len());
        let (uri, did) = (self.rows[at].uri(), *self.rng.choice(&DIDS).unwrap());
        let rkey = *self.rng.choice(&RKEYS[..2]).unwrap();
        let child = json!({ "did": did, "rkey": rkey, "value": self.rng.u8(..) });
        let is_it = |it: &Value| it["did"] == did && it["rkey"] == rkey;
        // With one URI in several spaces the event means all of them.
        let same = self.rows.iter().filter(|it| it.uri() == uri).count();
        if same > 1 {
            return;
        }
        let heard = self.is_heard();
        if self.rng.u8(..) < 180 {
            for (n, row) in self.rows.iter_mut().enumerate() {
                let place = row.children.iter().position(is_it);
                match place {
                    Some(place) if n == at => row.children[place] = child.clone(),
                    Some(place) => drop(row.children.remove(place)),
                    None if n == at => row.children.insert(0, child.clone()),
                    None => {}
                }
            }
            if heard {
                let event = json!({ "parentUri": uri, "relation": "likes", "child": child });
                let added: ChildAdded = serde_json::from_value(event).unwrap();
                self.hear(ServerEvent::HydrationAdded(added.into()));
                self.model.add_child(&uri, &child);
                self.settle_doubt();
            }
        } else {
            self.rows[at].children.retain(|it| !is_it(it));
            if heard {
                let event = json!({ "parentUri": uri, "relation": "likes", "childRkey": rkey, "childDid": did });
                let removed: ChildRemoved = serde_json::from_value(event).unwrap();
                self.hear(ServerEvent::HydrationRemoved(removed));
                self.model.remove_child(&uri, did, rkey);
                self.settle_doubt();
            }
        }
    }

    fn is_due(&self) -> bool {
        self.compare.is_some_and(|due| due <= self.hours)
    }

    /// The store may not know how a child changes its record's place; a whole snapshot tells it.
    fn settle_doubt(&mut self) {
        self.send_snapshot(self.rows.len());
        self.end_snapshot();
    }

    /// A snapshot: whole, or cut in the middle.
    fn snapshot(&mut self) {
        let whole = self.rng.u8(..) < 200;
        let sent = if whole {
            self.rows.len()
        } else {
            self.rows.len().div_ceil(2)
        };
        self.send_snapshot(sent);
        if whole {
            self.end_snapshot();
        }
    }

    fn send_snapshot(&mut self, rows: usize) {
        self.hear(ServerEvent::SnapshotStart);
        self.model.begin_snapshot();
        for at in 0..rows {
            let row = self.rows[at].clone();
            self.hear(ServerEvent::SnapshotRecord(row.whole()));
            self.model.confirm(&row);
        }
    }

    fn end_snapshot(&mut self) {
        self.hear(ServerEvent::SnapshotEnd { cursor: None });
        self.model.end_snapshot();
    }

    /// The page is a new one.
    fn reload(&mut self) {
        self.note_changes();
        self.follower = FollowerLedger::default();
        self.seen = 0;
        self.tell_state();
    }

    fn tell_state(&mut self) {
        // What happened before is part of the state.
        self.note_changes();
        let budget = self.rng.usize(..3_000);
        let (machine, store) = (self.replica.machine(), self.replica.store());
        let state = self.follower.state(self.seen, machine, store, budget);
        self.seen = state.rev;
        let json = payload::state(payload::Origin::default(), &state).unwrap();
        self.page.tell('S', &json);
    }

    /// The page takes a delta, unless it is lost on its way. Says whether there was one.
    fn pull(&mut self) -> bool {
        self.note_changes();
        let budget = self.rng.usize(..3_000);
        self.follower.rewind(self.seen);
        let (machine, store) = (self.replica.machine(), self.replica.store());
        let Some(delta) = self.follower.delta(machine, store, budget) else {
            return false;
        };
        match self.rng.u8(..) {
            // The task that waited for it was cancelled.
            0..20 => {}
            // The page noticed a gap.
            20..30 => self.tell_state(),
            _ => {
                self.seen = delta.rev;
                self.page.tell('D', &payload::delta(1, &delta).unwrap());
            }
        }
        true
    }

    /// Everything arrives; then all agree.
    fn settle(mut self) -> Result<(), String> {
        if self.is_due() {
            self.quiet_snapshot();
        }
        // A last snapshot would hide what went wrong before it.
        if self.rng.bool() {
            self.send_snapshot(self.rows.len());
            self.end_snapshot();
        }
        while self.pull() {}
        let wanted = self.model.shown();
        let store = serde_json::to_value(
            self.replica
                .store()
                .entries()
                .map(|it| &**it)
                .collect::<Vec<_>>(),
        );
        let store = normal(store.unwrap().as_array().unwrap());
        let page = normal(&self.page.shown());
        if store != wanted {
            return Err(format!(
                "the store shows\n{store:#?}\nthe model\n{wanted:#?}"
            ));
        }
        if page != store {
            return Err(format!("the page shows\n{page:#?}\nthe store\n{store:#?}"));
        }
        Ok(())
    }

    fn identity(&mut self) -> (&'static str, &'static str, Option<&'static str>) {
        (
            *self.rng.choice(&DIDS).unwrap(),
            *self.rng.choice(&RKEYS).unwrap(),
            *self.rng.choice(&SPACES).unwrap(),
        )
    }

    fn body(&mut self) -> Value {
        self.written += 1;
        json!({ "room": self.rng.u8(..3), "n": self.rng.u8(..6), "text": self.written })
    }

    /// One in eight live events falls into an outage.
    fn is_heard(&mut self) -> bool {
        self.rng.u8(..8) != 0
    }
}

fn view(rng: &mut fastrand::Rng) -> View {
    let path = |text: &str| Path::parse(text).unwrap();
    let by = match rng.u8(..4) {
        0 | 1 => SortBy::TimeUs,
        2 => SortBy::Rkey,
        _ => SortBy::Value(path("value.n")),
    };
    let filter = match rng.u8(..3) {
        0 => Filter::new(vec![(path("value.room"), 1.into())]),
        _ => Filter::default(),
    };
    let mut view = View::default();
    view.sort.by = by;
    view.sort.ascending = rng.bool();
    view.filter = filter;
    view.max_records = (rng.u8(..3) == 0).then(|| rng.usize(2..8));
    view
}

/// What a reader sees of records, in order.
fn normal(records: &[Value]) -> Vec<String> {
    let line = |it: &Value| {
        let mark = it["optimistic"].as_str().unwrap_or_default();
        let count = it
            .get("likesCount")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let likes = it
            .get("likes")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        format!(
            "{} {} {} {} {mark} {count} {}",
            it["uri"],
            it["space"],
            it["time_us"],
            it["value"],
            json!(likes)
        )
    };
    records.iter().map(line).collect()
}

#[test]
#[ignore = "needs node and the built npm package: cargo xtask agree"]
fn store_mirror_and_model_agree_after_any_life_of_a_watch() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |it| it.parse().expect("a number"))
    };
    let (cases, first) = (setting("AGREE_CASES", 1_200), setting("AGREE_SEED", 0));
    let mut page = Page::open();
    for seed in first..first + cases {
        let mut life = Life::new(seed, &mut page);
        for _ in 0..life.rng.u8(5..60) {
            life.step();
        }
        if let Err(difference) = life.settle() {
            panic!("with AGREE_SEED={seed} AGREE_CASES=1: {difference}");
        }
    }
    println!("{cases} lives agreed");
}
