//! Which versions of records an outbox has made: lists that are older than that must not be taken for news.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::row::RecordKey;

/// Most records that are remembered; beyond, the one whose first write was sent longest ago is forgotten.
pub const MOST_RECORDS: usize = 1024;
/// Most versions of each.
const MOST_VERSIONS: usize = 16;
/// No list is older than that. A version that comes up later is one that somebody has made again.
const OLDEST_LIST: Duration = Duration::from_secs(600);

/// Content hashes of records, in the order in which the server had them, as far as this outbox has to do with it.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: HashMap<RecordKey, VecDeque<Version>>,
    order: VecDeque<RecordKey>,
    /// What changed since it was asked last.
    changed: HashSet<RecordKey>,
}

#[derive(Debug)]
struct Version {
    cid: String,
    /// Since when it was the newest one.
    since: Duration,
}

impl History {
    /// The server has made `cid` of what was `over`.
    pub(super) fn note(
        &mut self,
        now: Duration,
        record: &RecordKey,
        over: Option<&String>,
        cid: &str,
    ) {
        if !self.versions.contains_key(record) {
            self.order.push_back(record.clone());
            if self.order.len() > MOST_RECORDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.versions.remove(&oldest);
            }
        }
        let versions = self.versions.entry(record.clone()).or_default();
        for cid in over.map(String::as_str).into_iter().chain([cid]) {
            versions.retain(|it| it.cid != cid);
            versions.push_back(Version {
                cid: cid.to_owned(),
                since: now,
            });
        }
        while versions.len() > MOST_VERSIONS {
            versions.pop_front();
        }
        self.changed.insert(record.clone());
    }

    /// What an earlier process remembered.
    pub(super) fn restore(&mut self, record: RecordKey, cids: Vec<String>) {
        if self.order.len() < MOST_RECORDS && !self.versions.contains_key(&record) {
            let since = Duration::ZERO;
            let versions = cids.into_iter().map(|cid| Version { cid, since });
            self.order.push_back(record.clone());
            self.versions.insert(record, versions.collect());
        }
    }

    /// What changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<(RecordKey, Vec<String>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let versions = |record: RecordKey| {
            let versions = self.versions.get(&record)?.iter();
            let cids = versions.map(|it| it.cid.clone()).collect();
            Some((record, cids))
        };
        changed.filter_map(versions).collect()
    }

    /// Forgets what this account has made, or everything.
    pub(super) fn forget(&mut self, account: &Option<String>) {
        let stays = |it: &RecordKey| account.is_some() && it.0 != *account;
        self.versions.retain(|record, _| stays(record));
        self.order.retain(stays);
        self.changed.retain(stays);
    }

    /// What the server has of a record that was seen as `cid`: something newer, where that is known.
    pub(super) fn newest(
        &self,
        now: Duration,
        record: &RecordKey,
        cid: Option<&String>,
    ) -> Option<String> {
        let is_old = cid.is_some_and(|cid| self.past(now, record).contains(cid));
        let versions = self.versions.get(record);
        match versions.and_then(VecDeque::back) {
            Some(newest) if is_old => Some(newest.cid.clone()),
            _ => cid.cloned(),
        }
    }

    /// Versions that are older than the newest one, and that an old list may still have.
    pub(super) fn past(&self, now: Duration, record: &RecordKey) -> Vec<String> {
        let Some(versions) = self.versions.get(record) else {
            return Vec::new();
        };
        let next = versions.iter().skip(1);
        let past = std::iter::zip(versions, next);
        past.filter(|(_, next)| now.saturating_sub(next.since) < OLDEST_LIST)
            .map(|(version, _)| version.cid.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn record(account: &str) -> RecordKey {
        (Some(account.into()), None, Arc::from("at://a/c/k"))
    }

    #[test]
    fn an_old_list_is_known_as_such_for_a_while_and_a_version_that_comes_again_is_news_after_it() {
        let (mut all, alice) = (History::default(), record("alice"));
        all.note(Duration::ZERO, &alice, Some(&"on".into()), "off");
        let on = Some("on".to_owned());
        let newest = |all: &History, now| all.newest(now, &alice, on.as_ref());
        assert_eq!(newest(&all, Duration::from_secs(1)).as_deref(), Some("off"));
        assert_eq!(
            newest(&all, OLDEST_LIST),
            on,
            "another device has set it again"
        );
        assert!(all.past(OLDEST_LIST, &alice).is_empty());
        assert_eq!(
            all.take_changed(),
            [(alice, vec!["on".into(), "off".into()])]
        );
    }

    #[test]
    fn an_account_is_forgotten_alone() {
        let mut all = History::default();
        for account in ["alice", "bob"] {
            all.note(Duration::ZERO, &record(account), None, "a");
            all.note(Duration::ZERO, &record(account), None, "b");
        }
        all.forget(&Some("alice".into()));
        assert!(all.past(Duration::ZERO, &record("alice")).is_empty());
        assert_eq!(all.past(Duration::ZERO, &record("bob")), ["a"]);
    }

    #[test]
    fn no_more_is_remembered_than_the_bounds_allow() {
        let mut all = History::default();
        for n in 0..MOST_RECORDS + 9 {
            let record: RecordKey = (None, None, Arc::from(n.to_string()));
            for cid in 0..MOST_VERSIONS + 9 {
                all.note(Duration::ZERO, &record, None, &cid.to_string());
            }
        }
        assert_eq!(
            (all.versions.len(), all.order.len()),
            (MOST_RECORDS, MOST_RECORDS)
        );
        assert!(all.versions.values().all(|it| it.len() == MOST_VERSIONS));
    }
}
