//! Records: written, deleted, counted and found.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;
use crate::ingest::{Contrail, created_at};
use crate::record::{
    Bulk, Delete, Put, Record, What, check_did, check_rkey, collection, record_uri,
};
use crate::schema::{COLLECTIONS, Collection, Match, Relation, text_at};
use crate::world::{Key, State, World};

/// Bound on one `bulk` call.
const BULK_MAX: usize = 100_000;
/// How often a put looks whether the clock has moved on, and how many times at most.
const TICK: Duration = Duration::from_micros(100);
const TICKS: usize = 100;

impl World {
    /// Writes a record and answers its URI. Every put moves the record: it replaces the stored time, but for the one that
    /// a public record says itself, as today's contrail has it.
    pub fn put(&self, put: Put) -> Result<String, Error> {
        let collection = collection(&put.collection)?;
        check_did(&put.did)?;
        check_rkey(&put.rkey)?;
        if put.space_uri.is_some() {
            return self.take_put(put);
        }
        // What is public is in its author's repo too, where the PDS finds it.
        let mut pds = self.pds();
        let (did, rkey) = (put.did.clone(), put.rkey.clone());
        let (cid, value) = (put.cid.clone(), put.record.clone());
        let uri = self.take_put(put)?;
        pds.keep(&did, collection.nsid, &rkey, cid, value);
        Ok(uri)
    }

    /// Takes a record in, or lets it wait.
    pub(crate) fn take_put(&self, put: Put) -> Result<String, Error> {
        let collection = collection(&put.collection)?;
        if Self::delays_put(&mut self.lock(), &put) {
            return Ok(record_uri(&put.did, collection, &put.rkey));
        }
        self.put_now(put)
    }

    /// The same, whether public records wait or not.
    pub(crate) fn put_now(&self, put: Put) -> Result<String, Error> {
        let collection = collection(&put.collection)?;
        let is_timed = put.created_at.is_some() || put.event_at.is_some();
        let mut state = if put.concurrent || is_timed {
            self.lock()
        } else {
            self.lock_later()
        };
        let space = state.known(put.space_uri.as_deref())?;
        let key = (
            space.clone(),
            collection.nsid,
            put.did.clone(),
            put.rkey.clone(),
        );
        let time = state.time_of(&put, &key)?;
        let record = state.store(key, collection, put.cid, put.record, time);
        let uri = record.uri();
        if !put.silent && space.is_none() {
            state.ingest.moves();
        }
        if !put.silent && state.is_published(space.as_deref(), Some(&record.did)) {
            self.publish(&mut state, space, What::Put(record));
        }
        Ok(uri)
    }

    /// Waits until a record would be stored later than all before. Not longer than a moment, should the clock go back.
    fn lock_later(&self) -> MutexGuard<'_, State> {
        for _ in 0..TICKS {
            let state = self.lock();
            if state.clock.has_moved_on() {
                return state;
            }
            drop(state);
            std::thread::sleep(TICK);
        }
        self.lock()
    }

    /// Deletes a record and answers whether it existed. Watchers are told in both cases.
    pub fn delete(&self, delete: Delete) -> Result<bool, Error> {
        let collection = collection(&delete.collection)?;
        check_did(&delete.did)?;
        check_rkey(&delete.rkey)?;
        if delete.space_uri.is_some() {
            return self.take_delete(delete);
        }
        let mut pds = self.pds();
        pds.forget(&delete.did, collection.nsid, &delete.rkey);
        self.take_delete(delete)
    }

    /// Takes a deletion in, or lets it wait.
    pub(crate) fn take_delete(&self, delete: Delete) -> Result<bool, Error> {
        if Self::delays_delete(&mut self.lock(), &delete) {
            return Ok(true);
        }
        self.delete_now(delete)
    }

    /// The same, whether public records wait or not.
    pub(crate) fn delete_now(&self, delete: Delete) -> Result<bool, Error> {
        let collection = collection(&delete.collection)?;
        let mut state = self.lock();
        let space = state.known(delete.space_uri.as_deref())?;
        let (did, rkey) = (delete.did, delete.rkey);
        let key = (space.clone(), collection.nsid, did.clone(), rkey.clone());
        let gone = state.records.remove(&key);
        if let Some(gone) = &gone {
            state.recount(gone, None);
        }
        if !delete.silent && space.is_none() {
            state.ingest.moves();
        }
        if !delete.silent && state.is_published(space.as_deref(), Some(&did)) {
            let what = What::Deleted {
                collection,
                did,
                rkey,
            };
            self.publish(&mut state, space, what);
        }
        Ok(gone.is_some())
    }

    /// Writes `n` messages of the space's owner, as if they had come one millisecond apart until now, with keys that go
    /// on where the last call ended: `b000000`, `b000001`, …
    pub fn bulk(&self, bulk: Bulk) -> Result<(), Error> {
        if bulk.n > BULK_MAX {
            return Err(Error::TooMany(BULK_MAX));
        }
        let collection = collection("message")?;
        let mut state = self.lock();
        let space = state.known(Some(&bulk.space_uri))?;
        let known = state.space(&bulk.space_uri)?;
        let (owner, first) = (known.owner.clone(), known.bulk_written);
        known.bulk_written += bulk.n;
        let is_told = !bulk.silent && state.is_published(Some(&bulk.space_uri), Some(&owner));
        let filler = "x".repeat(bulk.size);
        let oldest = state.clock.store() - i64::try_from(bulk.n).unwrap_or(0) + 1;
        for (time, number) in (oldest..).zip(first..first + bulk.n) {
            let rkey = format!("b{number:06}");
            let key = (space.clone(), collection.nsid, owner.clone(), rkey);
            let body = json!({ "text": format!("m{number} {filler}") });
            let record = state.store(key, collection, None, body, time);
            if is_told {
                self.publish(&mut state, space.clone(), What::Put(record));
            }
        }
        Ok(())
    }

    /// The records of one collection in one space, or outside of all.
    pub(crate) fn records(&self, space: Option<&Arc<str>>, nsid: &'static str) -> Vec<Arc<Record>> {
        let state = self.lock();
        let records = state.range(space.cloned(), nsid, String::new());
        records.map(|(_, record)| record.clone()).collect()
    }

    /// The records of one author in one collection, in every space and outside.
    pub(crate) fn everywhere(&self, nsid: &'static str, did: &str) -> Vec<Arc<Record>> {
        let state = self.lock();
        let all = state.records.values();
        all.filter(|record| record.collection.nsid == nsid && record.did == did)
            .cloned()
            .collect()
    }

    /// The record with this URI in one space, or outside.
    pub(crate) fn find(
        &self,
        space: Option<&Arc<str>>,
        nsid: &'static str,
        uri: &str,
    ) -> Option<Arc<Record>> {
        let (did, rkey) = did_and_rkey(uri, nsid)?;
        let key = (space.cloned(), nsid, did, rkey);
        self.lock().records.get(&key).cloned()
    }
}

/// Of a record in this collection.
fn did_and_rkey(uri: &str, nsid: &str) -> Option<(String, String)> {
    let (did, path) = uri.strip_prefix("at://")?.split_once('/')?;
    let rkey = path.strip_prefix(nsid)?.strip_prefix('/')?;
    Some((did.to_owned(), rkey.to_owned()))
}

impl State {
    /// The time that a put stores: in milliseconds in a space, in microseconds outside.
    fn time_of(&mut self, put: &Put, key: &Key) -> Result<i64, Error> {
        let is_public = key.0.is_none();
        let scale = if is_public { 1000 } else { 1 };
        let said = match self.ingest.contrail {
            Contrail::V0_19 if is_public => created_at(&put.record),
            _ => None,
        };
        match (said.or(put.event_at), put.created_at) {
            (Some(_), _) if !is_public => Err(Error::NoEvent),
            (_, Some(_)) if !self.lenient.created_at => Err(Error::NoCreatedAt),
            (Some(time), _) => Ok(time),
            (None, Some(ms)) => Ok(ms.saturating_mul(scale)),
            (None, None) => {
                let known = self.records.get(key).filter(|_| self.lenient.edits_stay);
                let time = known.map(|known| known.time);
                Ok(time.unwrap_or_else(|| self.clock.store() * scale))
            }
        }
    }

    fn store(
        &mut self,
        key: Key,
        collection: &'static Collection,
        cid: Option<String>,
        value: Value,
        time: i64,
    ) -> Arc<Record> {
        let before = self.records.get(&key).cloned();
        self.rows += u64::from(before.is_none());
        let record = Arc::new(Record {
            space: key.0.clone(),
            collection,
            did: key.2.clone(),
            rkey: key.3.clone(),
            cid,
            value: value.into(),
            time,
            row: before.as_ref().map_or(self.rows, |before| before.row),
            counts: before
                .as_ref()
                .map(|before| before.counts.clone())
                .unwrap_or_default(),
        });
        self.records.insert(key, record.clone());
        self.recount(&record, before.as_deref());
        record
    }

    /// From this author on, in one collection of one space.
    fn range(
        &self,
        space: Option<Arc<str>>,
        nsid: &'static str,
        did: String,
    ) -> impl Iterator<Item = (&Key, &Arc<Record>)> {
        let from = (space.clone(), nsid, did, String::new());
        let from_here = self.records.range(from..);
        from_here.take_while(move |(key, _)| key.0 == space && key.1 == nsid)
    }

    /// A child has come, changed or gone: counts those of its parents anew. Nothing else does, so that a parent that came
    /// after its children has no count until the next one.
    fn recount(&mut self, child: &Record, before: Option<&Record>) {
        let nsid = child.collection.nsid;
        for parents in COLLECTIONS {
            let relations = parents.relations.iter();
            for relation in relations.filter(|relation| relation.child == nsid) {
                let bodies = [Some(child), before].into_iter().flatten();
                let targets: BTreeSet<_> = bodies
                    .filter_map(|child| counted_for(relation, child))
                    .map(str::to_owned)
                    .collect();
                for target in targets {
                    self.count(parents, relation, child.space.as_ref(), &target);
                }
            }
        }
    }

    fn count(
        &mut self,
        parents: &'static Collection,
        relation: &Relation,
        space: Option<&Arc<str>>,
        target: &str,
    ) {
        let children = self.range(space.cloned(), relation.child, String::new());
        let bodies = children.map(|(_, child)| &child.value);
        let children: Vec<_> = bodies
            .filter(|body| text_at(body, relation.field) == Some(target))
            .collect();
        let number = |group: Option<&str>| {
            let of_group = |body: &&&Arc<Value>| match (&relation.groups, group) {
                (Some(groups), Some(group)) => text_at(body, groups.by) == Some(group),
                _ => true,
            };
            children.iter().filter(of_group).count()
        };
        let counters = relation.counters();
        let counts: Vec<_> = counters
            .map(|counter| (counter.counted, number(counter.counted.1)))
            .collect();
        for key in self.parents(parents, relation, space, target) {
            let Some(parent) = self.records.get_mut(&key) else {
                continue;
            };
            let parent = Arc::make_mut(parent);
            for (counted, number) in &counts {
                parent.counts.insert(*counted, *number);
            }
        }
    }

    fn parents(
        &self,
        parents: &'static Collection,
        relation: &Relation,
        space: Option<&Arc<str>>,
        target: &str,
    ) -> Vec<Key> {
        let nsid = parents.nsid;
        match relation.matches {
            Match::Uri => did_and_rkey(target, nsid)
                .map(|(did, rkey)| (space.cloned(), nsid, did, rkey))
                .into_iter()
                .collect(),
            Match::Did => self
                .range(space.cloned(), nsid, target.to_owned())
                .take_while(|(key, _)| key.2 == target)
                .map(|(key, _)| key.clone())
                .collect(),
        }
    }
}

/// Whose children are counted when this one changes. In a space the real server takes the child's *own* author for the
/// did that it names: it counts right only what people give themselves.
fn counted_for<'a>(relation: &Relation, child: &'a Record) -> Option<&'a str> {
    match (relation.matches, &child.space) {
        (Match::Did, Some(_)) => Some(&child.did),
        _ => text_at(&child.value, relation.field),
    }
}
