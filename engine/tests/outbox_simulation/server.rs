//! A server as a PDS and its appview are: records with hashes, and events about them.

use std::collections::{BTreeMap, VecDeque};

/// What the server did, for those who watch.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Put(String, Version),
    Deleted(String),
}

/// A record's body and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) body: String,
    pub(crate) cid: String,
    /// Counts the server's changes.
    pub(crate) time: i64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Option<String>),
    Conflict,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) records: BTreeMap<String, Version>,
    /// Events that are under way.
    pub(crate) events: VecDeque<Event>,
    /// What was carried out: record, number of the write.
    pub(crate) done: Vec<(String, u64)>,
    /// It tells hashes and heeds them, as a PDS does; contrail's spaces do not.
    pub(crate) has_cids: bool,
    /// It does not keep bodies as they were sent.
    pub(crate) rewrites: bool,
    changes: i64,
    /// How often somebody else wrote.
    pub(crate) others: u64,
    /// The records after each change.
    past: Vec<BTreeMap<String, Version>>,
}

/// The records of this world.
pub(crate) fn rkey(any: u64) -> String {
    format!("k{}", any % 5)
}

impl Server {
    pub(crate) fn new(has_cids: bool, rewrites: bool) -> Self {
        Self {
            records: BTreeMap::new(),
            events: VecDeque::new(),
            done: Vec::new(),
            has_cids,
            rewrites,
            changes: 0,
            others: 0,
            past: vec![BTreeMap::new()],
        }
    }

    /// Carries out a write; one that changes another version than the one that is there is refused.
    pub(crate) fn write(
        &mut self,
        id: u64,
        rkey: &str,
        body: Option<&str>,
        swap: Option<&str>,
    ) -> Answer {
        let body = body.map(|it| self.kept(it));
        let now = self.records.get(rkey);
        let is_same = now.map(|it| &it.body) == body.as_ref();
        if !is_same && self.has_cids && swap.is_some() && now.map(|it| &*it.cid) != swap {
            return Answer::Conflict;
        }
        self.done.push((rkey.to_owned(), id));
        if !is_same {
            self.set(rkey, body);
        } else if let Some(version) = self.records.get(rkey) {
            // Watchers are told in any case.
            let event = Event::Put(rkey.to_owned(), version.clone());
            self.events.push_back(event);
        } else {
            self.events.push_back(Event::Deleted(rkey.to_owned()));
        }
        let cid = self.records.get(rkey).map(|it| it.cid.clone());
        Answer::Done(cid.filter(|_| self.has_cids))
    }

    /// Somebody else writes.
    pub(crate) fn write_as_other(&mut self, any: u64, deletes: bool) {
        self.others += 1;
        let body = (!deletes).then(|| format!("\"other {}\"", self.changes));
        self.set(&rkey(any), body);
    }

    fn set(&mut self, rkey: &str, body: Option<String>) {
        self.changes += 1;
        let event = match body {
            Some(body) => {
                let cid = format!("cid of {}", body.replace('"', "'"));
                let time = self.changes;
                let version = Version { body, cid, time };
                self.records.insert(rkey.to_owned(), version.clone());
                Event::Put(rkey.to_owned(), version)
            }
            None => {
                self.records.remove(rkey);
                Event::Deleted(rkey.to_owned())
            }
        };
        self.events.push_back(event);
        self.past.push(self.records.clone());
    }

    /// The records as they were so many changes ago.
    pub(crate) fn as_it_was(&self, age: u64) -> &BTreeMap<String, Version> {
        let at = self.past.len().saturating_sub(1 + age as usize);
        &self.past[at]
    }

    /// A body as the server keeps it.
    pub(crate) fn kept(&self, body: &str) -> String {
        match self.rewrites {
            true => body.replace("mine", "Mine"),
            false => body.to_owned(),
        }
    }
}
