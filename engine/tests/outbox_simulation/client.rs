//! An app that writes: the real queue, the real list, a disk that survives it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use contrail_sync_engine::{
    Action, AtUri, Limits, Outcome, Record, View, Write, WriteState,
    pure::{
        outbox::{
            limits::Place,
            queue::Queue,
            row::{NewWrite, RecordKey, Row, SentBy},
        },
        store::{Store, home::Home},
    },
};
use serde_json::value::RawValue;

use crate::server::{Answer, Event, Server, Version, rkey};

const ALICE: &str = "did:plc:alice";
const COLLECTION: &str = "com.example.chat.message";
/// The clock on the wall as it starts.
const EPOCH_MS: i64 = 1_795_000_000_000;

#[derive(Debug)]
pub(crate) struct Client {
    queue: Queue,
    store: Store,
    disk: BTreeMap<u64, Row>,
    /// What the disk remembers of the versions that were made.
    versions: HashMap<RecordKey, Vec<String>>,
    last_id: u64,
    flying: Vec<Write>,
    parallel: usize,
    now: Duration,
    wall: i64,
    rng: fastrand::Rng,
    texts: u64,
    /// Writes that were taken back before any server saw them.
    never: HashSet<u64>,
    /// A write was taken back that may have arrived: what became of it is nobody's to know.
    lost_sight: bool,
    /// Versions that this process was told it made.
    made: HashSet<String>,
    /// Writes that must arrive, by the number that they have now.
    owed: BTreeSet<u64>,
}

fn limits(parallel: usize) -> Limits {
    let mut limits = Limits::default();
    limits.parallel = parallel;
    limits
}

fn store() -> Store {
    Store::new(View::default(), Home::default())
}

fn uri(rkey: &str) -> AtUri {
    AtUri::parse(format!("at://{ALICE}/{COLLECTION}/{rkey}")).unwrap()
}

fn raw(text: &str) -> Arc<RawValue> {
    Arc::from(RawValue::from_string(text.to_owned()).unwrap())
}

impl Client {
    pub(crate) fn new(parallel: usize, server: &mut Server, mut rng: fastrand::Rng) -> Self {
        let mut client = Self {
            queue: Queue::new(limits(parallel), rng.fork()),
            store: store(),
            disk: BTreeMap::new(),
            versions: HashMap::new(),
            last_id: 0,
            flying: Vec::new(),
            parallel,
            now: Duration::ZERO,
            wall: EPOCH_MS,
            rng,
            texts: 0,
            never: HashSet::new(),
            lost_sight: false,
            made: HashSet::new(),
            owed: BTreeSet::new(),
        };
        client.reconnect(server);
        client
    }

    pub(crate) fn put(&mut self, any: u64) {
        self.texts += 1;
        let action = Action::Put(raw(&format!("\"mine {}\"", self.texts)));
        self.write(&rkey(any), action);
    }

    pub(crate) fn delete(&mut self, any: u64) {
        self.write(&rkey(any), Action::Delete);
    }

    fn write(&mut self, rkey: &str, action: Action) {
        let entry = self.store.entries().find(|it| it.record.rkey() == rkey);
        let base = entry.and_then(|it| match &it.optimistic {
            None => it.record.cid.as_deref().map(str::to_owned),
            Some(_) => self.base(rkey),
        });
        self.texts += 1;
        let new = NewWrite {
            key: format!("key {}", self.texts),
            account: None,
            uri: uri(rkey),
            space: None,
            action,
            swap: base,
            time_us: i64::try_from(self.now.as_micros()).unwrap() + EPOCH_MS * 1000,
            view: "view".into(),
            sent_by: SentBy::Name("pds".into()),
            queued_at: self.wall,
        };
        match self.queue.place(self.now, &new).unwrap() {
            Place::Known(_) => unreachable!("each key is another one"),
            Place::InPlaceOf(id) => {
                self.queue.replace(id, &new);
                self.owed.insert(id);
                self.keep_all([id]);
            }
            Place::Own { over_last, swap } => {
                let new = NewWrite { swap, ..new };
                self.last_id += 1;
                let row = Row::new(self.last_id, new, over_last);
                self.disk.insert(self.last_id, row.clone());
                self.owed.insert(self.last_id);
                self.queue.insert(self.now, row);
            }
        }
    }

    /// The hash of what the server has of a record that is being written, as the app's watch knows it.
    fn base(&self, rkey: &str) -> Option<String> {
        let target = self.store.delete_target(rkey, Some(ALICE))?;
        target.over
    }

    pub(crate) fn retry(&mut self, any: u64) {
        if let Some(id) = self.any_row(any) {
            self.queue.retry(self.wall, id);
        }
    }

    pub(crate) fn retry_all(&mut self) {
        let ids: Vec<u64> = self.queue.rows().map(|it| it.write.id).collect();
        for id in ids {
            self.queue.retry(self.wall, id);
        }
    }

    pub(crate) fn discard(&mut self, any: u64) {
        let Some(id) = self.any_row(any) else { return };
        let row = self.queue.get(id).unwrap();
        if row.write.attempt == 0 {
            self.never.insert(id);
        } else {
            self.lost_sight = true;
        }
        self.owed.remove(&id);
        self.queue.discard(id);
    }

    fn any_row(&self, any: u64) -> Option<u64> {
        let count = self.queue.rows().count() as u64;
        let at = any.checked_rem(count)?;
        self.queue.rows().nth(at as usize).map(|it| it.write.id)
    }

    pub(crate) fn send(&mut self) {
        while let Some((write, _)) = self.queue.next(self.now, |_| true) {
            // That it is tried is on the disk before it goes out.
            self.keep();
            self.flying.push(write);
        }
    }

    /// A request ends in the way that `how` says.
    pub(crate) fn end_one(&mut self, any: u64, how: u64, server: &mut Server) {
        let Some(at) = any.checked_rem(self.flying.len() as u64) else {
            return;
        };
        let write = self.flying.remove(at as usize);
        let lost = Outcome::later("connect", "lost");
        let outcome = match how % 8 {
            0 => lost,
            1 => {
                deliver(&write, server);
                lost
            }
            2 => Outcome::refused("no", "never"),
            3 => {
                deliver(&write, server);
                deliver(&write, server)
            }
            _ => deliver(&write, server),
        };
        self.answered(&write, outcome, server);
    }

    pub(crate) fn end_all(&mut self, server: &mut Server) {
        for write in std::mem::take(&mut self.flying) {
            let outcome = deliver(&write, server);
            self.answered(&write, outcome, server);
        }
    }

    fn answered(&mut self, write: &Write, outcome: Outcome, server: &Server) {
        match &outcome {
            Outcome::Sent { cid } => {
                self.owed.remove(&write.id);
                self.made.extend(cid.clone());
            }
            Outcome::Refused(error) if error.kind == "conflict" => {
                let now = server.records.get(write.uri.rkey());
                let is_own = now.is_some_and(|it| self.made.contains(&it.cid));
                // An old list with a version of somebody else's that was never seen cannot be told from a new one.
                let may_be_told = server.others == 0 && !self.lost_sight;
                assert!(
                    !is_own || !may_be_told,
                    "{} conflicts with the own {now:?}",
                    write.id
                );
            }
            _ => {}
        }
        self.queue.ended(self.now, self.wall, write.id, outcome);
    }

    pub(crate) fn hear(&mut self, server: &mut Server) {
        match server.events.pop_front() {
            Some(Event::Put(rkey, version)) => {
                let record = record(&rkey, &version, server.has_cids);
                self.store.upsert(record);
            }
            Some(Event::Deleted(rkey)) => {
                let _ = self.store.delete(uri(&rkey).as_str());
            }
            None => {}
        }
    }

    pub(crate) fn hear_all(&mut self, server: &mut Server) {
        while !server.events.is_empty() {
            self.hear(server);
        }
    }

    pub(crate) fn reconnect(&mut self, server: &mut Server) {
        server.events.clear();
        self.list(server, 0);
    }

    /// A list arrives that is so many changes old.
    pub(crate) fn list(&mut self, server: &Server, age: u64) {
        self.store.begin_snapshot();
        for (rkey, version) in server.as_it_was(age) {
            self.store.confirm(record(rkey, version, server.has_cids));
        }
        self.store.end_snapshot(None);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall += i64::try_from(time.as_millis()).unwrap();
        self.queue.tick(self.now, self.wall);
    }

    pub(crate) fn jump(&mut self, millis: i64) {
        self.wall += millis;
    }

    pub(crate) fn wake(&mut self) {
        self.queue.wake();
    }

    /// Killed, and started again: what is not on the disk is gone.
    pub(crate) fn restart(&mut self, any: u64, server: &mut Server) {
        for (n, write) in std::mem::take(&mut self.flying).into_iter().enumerate() {
            if any >> (n % 64) & 1 == 1 {
                deliver(&write, server);
            }
        }
        self.queue = Queue::new(limits(self.parallel), self.rng.fork());
        for (record, versions) in &self.versions {
            self.queue.restore_made(record.clone(), versions.clone());
        }
        self.store = store();
        self.now = Duration::ZERO;
        for row in self.disk.values() {
            let mut row = row.clone();
            // What only the process knew.
            if row.state == WriteState::Sending {
                row.state = WriteState::Queued;
            }
            self.queue.insert(self.now, row);
        }
        self.show();
        self.reconnect(server);
    }

    /// What follows from a step, until nothing does: the disk, the list, and what the list tells.
    pub(crate) fn settle(&mut self) {
        loop {
            self.keep();
            self.show();
            let confirmed = self.store.take_confirmed();
            if confirmed.is_empty() {
                break;
            }
            for id in confirmed {
                self.queue.confirm(id);
            }
        }
        self.store.take_changes();
        self.queue.take_told();
    }

    fn keep(&mut self) {
        let dirty = self.queue.take_dirty();
        self.versions.extend(self.queue.take_made());
        self.keep_all(dirty);
    }

    fn keep_all(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            match self.queue.get(id) {
                Some(row) => {
                    let mut row = row.clone();
                    if row.state == WriteState::Unconfirmed {
                        row.state = WriteState::Sent;
                    }
                    self.disk.insert(id, row);
                }
                None => {
                    self.disk.remove(&id);
                }
            }
        }
    }

    fn show(&mut self) {
        for (key, confirmed) in self.queue.take_touched() {
            let Some(mut overlay) = self.queue.overlay(self.now, &key) else {
                self.store.withdraw_write(&key.2, None, confirmed);
                continue;
            };
            overlay.adds = true;
            self.store.show_write(overlay, EPOCH_MS * 1000);
        }
    }

    /// What holds at every moment.
    pub(crate) fn check(&self, server: &Server) {
        self.check_order(server);
        for (_, id) in &server.done {
            assert!(!self.never.contains(id), "{id} was taken back, and arrived");
        }
        let keys: HashSet<_> = self.queue.records().cloned().collect();
        for key in &keys {
            let rows: Vec<&Row> = self.queue.of_record(key).collect();
            let last = rows.last().unwrap();
            if last.state.is_sent() {
                continue;
            }
            let shown = self
                .store
                .entries()
                .find(|it| it.record.uri.as_str() == &*key.2);
            match &last.write.action {
                Action::Put(value) => {
                    let shown = shown.map(|it| it.record.value.get());
                    assert_eq!(shown, Some(value.get()), "{} shows its last write", key.2);
                }
                Action::Delete => {
                    let going = shown.is_none_or(|it| it.written().is_some_and(|it| it.deletes));
                    assert!(going, "{} is shown as deleted: {shown:?} {rows:?}", key.2);
                }
            }
        }
        let on_disk: Vec<u64> = self.disk.keys().copied().collect();
        let queued: Vec<u64> = self.queue.rows().map(|it| it.write.id).collect();
        assert_eq!(on_disk, queued, "the disk has what the queue has");
        let sending = self
            .queue
            .rows()
            .filter(|it| it.state == WriteState::Sending);
        assert!(sending.count() <= self.parallel, "too many at once");
    }

    /// Of one record no write arrives before one that was queued earlier.
    fn check_order(&self, server: &Server) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (rkey, id) in &server.done {
            let before = last.insert(rkey, *id);
            assert!(
                before.is_none_or(|it| it <= *id),
                "{rkey}: {id} came after {before:?}"
            );
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.queue.rows().next().is_none() && self.flying.is_empty()
    }

    /// What is still not confirmed after a quiet time was put, and is not there any more.
    pub(crate) fn check_unconfirmed(&self, server: &Server) {
        for row in self.queue.rows() {
            let is_put = matches!(row.write.action, Action::Put(_));
            let is_there = server.records.contains_key(row.write.uri.rkey());
            assert!(
                row.state == WriteState::Unconfirmed && is_put && !is_there,
                "still queued: {row:?}\nin the list: {:?}",
                self.store.entries().collect::<Vec<_>>()
            );
        }
    }

    /// What holds after a quiet time.
    pub(crate) fn check_calm(&self, server: &Server) {
        let rows: Vec<_> = self.queue.rows().collect();
        assert!(
            rows.is_empty(),
            "still queued: {rows:?}\nin the list: {:?}",
            self.store.entries().collect::<Vec<_>>()
        );
        assert!(self.owed.is_empty(), "lost: {:?}", self.owed);
        let shown: BTreeMap<String, String> = self
            .store
            .entries()
            .map(|it| {
                assert!(it.optimistic.is_none(), "still shown as pending: {it:?}");
                (
                    it.record.rkey().to_owned(),
                    it.record.value.get().to_owned(),
                )
            })
            .collect();
        let there: BTreeMap<String, String> = server
            .records
            .iter()
            .map(|(rkey, it)| (rkey.clone(), it.body.clone()))
            .collect();
        assert_eq!(shown, there, "the list is the server's");
    }
}

fn deliver(write: &Write, server: &mut Server) -> Outcome {
    let body = match &write.action {
        Action::Put(value) => Some(value.get()),
        Action::Delete => None,
    };
    let answer = server.write(write.id, write.uri.rkey(), body, write.swap.as_deref());
    match answer {
        Answer::Done(cid) => Outcome::Sent { cid },
        Answer::Conflict => Outcome::refused("conflict", "somebody else's"),
    }
}

fn record(rkey: &str, version: &Version, has_cid: bool) -> Record {
    let cid = match has_cid {
        true => format!(r#","cid":"{}""#, version.cid.replace('"', "'")),
        false => String::new(),
    };
    let json = format!(
        r#"{{"uri":"at://{ALICE}/{COLLECTION}/{rkey}","did":"{ALICE}","rkey":"{rkey}","time_us":{}{cid},"value":{}}}"#,
        EPOCH_MS * 1000 + version.time,
        version.body
    );
    serde_json::from_str(&json).unwrap()
}
