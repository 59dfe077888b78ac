//! Which versions of records an outbox has made: lists that are older than that must not be taken for news.

use std::collections::{HashMap, HashSet, VecDeque};

use super::row::RecordKey;

/// Most records that are remembered; beyond, the one whose first write was sent longest ago is forgotten.
pub const MOST_RECORDS: usize = 1024;
/// Most versions of each.
const MOST_VERSIONS: usize = 16;

/// Content hashes of records, in the order in which the server had them, as far as this outbox has to do with it.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: HashMap<RecordKey, VecDeque<String>>,
    order: VecDeque<RecordKey>,
    /// What changed since it was asked last.
    changed: HashSet<RecordKey>,
}

impl History {
    /// The server has made `cid` of what was `over`.
    pub(super) fn note(&mut self, record: &RecordKey, over: Option<&String>, cid: &str) {
        if !self.versions.contains_key(record) {
            self.order.push_back(record.clone());
            if self.order.len() > MOST_RECORDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.versions.remove(&oldest);
            }
        }
        let versions = self.versions.entry(record.clone()).or_default();
        for version in over.map(String::as_str).into_iter().chain([cid]) {
            versions.retain(|it| it != version);
            versions.push_back(version.to_owned());
        }
        while versions.len() > MOST_VERSIONS {
            versions.pop_front();
        }
        self.changed.insert(record.clone());
    }

    /// What an earlier process remembered.
    pub(super) fn restore(&mut self, record: RecordKey, versions: Vec<String>) {
        if self.order.len() < MOST_RECORDS && !self.versions.contains_key(&record) {
            self.order.push_back(record.clone());
            self.versions.insert(record, versions.into());
        }
    }

    /// What changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<(RecordKey, Vec<String>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let versions = |record: RecordKey| {
            let versions = self.versions.get(&record)?.iter().cloned().collect();
            Some((record, versions))
        };
        changed.filter_map(versions).collect()
    }

    /// What the server has of a record that was seen as `cid`: something newer, where that is known.
    pub(super) fn newest(&self, record: &RecordKey, cid: Option<&String>) -> Option<String> {
        let versions = self.versions.get(record);
        let is_old = versions.is_some_and(|it| cid.is_some_and(|cid| it.contains(cid)));
        match versions.and_then(VecDeque::back) {
            Some(newest) if is_old => Some(newest.clone()),
            _ => cid.cloned(),
        }
    }

    /// Versions that are older than the newest one.
    pub(super) fn past(&self, record: &RecordKey) -> Vec<String> {
        let versions = self.versions.get(record).into_iter().flatten();
        let mut past: Vec<String> = versions.cloned().collect();
        past.pop();
        past
    }
}
