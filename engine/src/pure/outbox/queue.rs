//! The queue of all accounts. Times are readings of one monotonic clock; where the process may end in between, milliseconds
//! since the Unix epoch.

mod ends;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    history::History,
    limits::{Limits, Place, QueueFull},
    pace::Pace,
    row::{NewWrite, RecordKey, Row},
    write::{Action, EXPIRED, SendError, SendReason, Write, WriteId, WriteState},
};
use crate::pure::store::{
    edit::EditError,
    written::{Overlay, Written},
};

/// After so many attempts in a row that may not have arrived, a write lets others pass: the cause may be its own.
const STEPS_ASIDE_AFTER: u32 = 5;
/// Longest time between two looks at what grew too old.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Time until another look at what could be sent and is not.
const SOON: Duration = Duration::from_secs(2);
/// Keys of writes that are over and are remembered.
const REMEMBERED: usize = 1000;
/// Longest content hash, in bytes.
const MAX_CID: usize = 256;

/// The writes of all accounts, and what is known about them.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    rows: BTreeMap<WriteId, Row>,
    /// The rows of each record, in order.
    chains: HashMap<RecordKey, Vec<WriteId>>,
    keys: HashMap<String, WriteId>,
    pace: Pace,
    history: History,
    /// Rows whose lasting part changed, or that are gone.
    dirty: BTreeSet<WriteId>,
    /// Rows to tell about, with those that are over as they were at the end.
    told: BTreeMap<WriteId, Row>,
    /// Records whose rows changed, and whether a watch has shown what became of the last one that ended.
    touched: HashMap<RecordKey, bool>,
    /// Keys of writes that are over or were changed, and what they are the keys of.
    known: HashMap<String, WriteId>,
    known_order: VecDeque<String>,
}

impl Queue {
    /// An empty queue. The `rng` decides the jitter of delays.
    pub fn new(limits: Limits, rng: fastrand::Rng) -> Self {
        Self {
            limits,
            rows: BTreeMap::new(),
            chains: HashMap::new(),
            keys: HashMap::new(),
            pace: Pace::new(rng),
            history: History::default(),
            dirty: BTreeSet::new(),
            told: BTreeMap::new(),
            touched: HashMap::new(),
            known: HashMap::new(),
            known_order: VecDeque::new(),
        }
    }

    /// All writes, in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// One write.
    pub fn get(&self, id: WriteId) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// Where a new write would stand.
    ///
    /// # Errors
    /// Its account has as many writes waiting as it may, or as large ones.
    pub fn place(&self, now: Duration, new: &NewWrite) -> Result<Place, QueueFull> {
        let known = self.keys.get(&new.key).or_else(|| self.known.get(&new.key));
        if let Some(id) = known {
            return Ok(Place::Known(*id));
        }
        let record = (
            new.account.clone(),
            new.space.clone(),
            new.uri.shared().clone(),
        );
        let last = self.chains.get(&record).and_then(|it| it.last());
        let last = last.and_then(|id| self.rows.get(id));
        let replaced = last.filter(|it| it.is_untried() && it.sent_by == new.sent_by);
        let waiting = self.rows().filter(|it| it.write.account == new.account);
        let waiting = waiting.filter(|it| !it.state.is_sent());
        let (mut writes, mut bytes) = (0, new.action.bytes());
        for row in waiting.filter(|it| replaced.is_none_or(|old| old.write.id != it.write.id)) {
            writes += 1;
            bytes = bytes.saturating_add(row.write.action.bytes());
        }
        let Limits {
            writes: most,
            bytes: limit,
            ..
        } = self.limits;
        if writes >= most {
            return Err(QueueFull::Writes { limit: most });
        }
        if bytes > limit {
            return Err(QueueFull::Bytes { limit });
        }
        Ok(match replaced {
            Some(old) => Place::InPlaceOf(old.write.id),
            None => Place::Own {
                over_last: last.is_some_and(Row::holds_up),
                swap: match last {
                    // What the server has by now, although the watch may not have shown it yet.
                    Some(last) if last.state.is_sent() => last.cid.clone(),
                    Some(_) => None,
                    // The list may be older than what was sent last.
                    None => self.history.newest(now, &record, new.swap.as_ref()),
                },
            },
        })
    }

    /// Takes a row: a new one that is on disk, or one of an earlier process.
    pub fn insert(&mut self, now: Duration, mut row: Row) {
        let id = row.write.id;
        if row.state.is_sent() {
            row.sent_at = Some(now);
        }
        self.keys.insert(row.write.key.clone(), id);
        let chain = self.chains.entry(row.record()).or_default();
        let at = chain.partition_point(|it| *it < id);
        chain.insert(at, id);
        // From here on this one is what to wait for.
        let sent = |it: &WriteId| self.rows.get(it).is_some_and(|it| it.state.is_sent());
        let before = chain.get(..at).unwrap_or_default().iter();
        let over: Vec<WriteId> = before.copied().filter(sent).collect();
        self.rows.insert(id, row);
        self.note(id);
        for id in over {
            self.end(id, WriteState::Confirmed, None);
        }
    }

    /// Takes the place of a write that no server has seen. It keeps what it was made over.
    pub fn replace(&mut self, id: WriteId, new: &NewWrite) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut row.write.key, new.key.clone());
        self.keys.remove(&old);
        row.write.action = new.action.clone();
        row.write.queued_at = new.queued_at;
        row.view.clone_from(&new.view);
        self.keys.insert(new.key.clone(), id);
        self.remember(old, id);
        self.note(id);
    }

    /// Commands may be repeated: whoever asks for this key again means that write.
    fn remember(&mut self, key: String, id: WriteId) {
        self.known.insert(key.clone(), id);
        self.known_order.push_back(key);
        if self.known_order.len() > REMEMBERED
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Another process has what was to be sent, in another form: it was not sent from here.
    pub fn unclaim(&mut self, id: WriteId) {
        let sending = |it: &&mut Row| it.state == WriteState::Sending;
        if let Some(row) = self.rows.get_mut(&id).filter(sending) {
            row.state = WriteState::Queued;
            row.write.attempt = row.write.attempt.saturating_sub(1);
            self.note(id);
        }
    }

    /// Whether this is another form of a write that was not tried here.
    pub fn is_stale(&self, row: &Row) -> bool {
        let known = self.rows.get(&row.write.id);
        known.is_some_and(|it| it.is_untried() && it.write.key != row.write.key)
    }

    /// The next write to send, if one may be sent now; it counts as sent to its sender. `can_send`: whether there is a sender
    /// for it, and its account is signed in.
    pub fn next(
        &mut self,
        now: Duration,
        can_send: impl Fn(&Row) -> bool,
    ) -> Option<(Write, SendReason)> {
        let id = self.candidate(now, can_send)?;
        let row = self.rows.get_mut(&id)?;
        let reason = match (std::mem::take(&mut row.asked), row.write.attempt) {
            (true, _) => SendReason::Asked,
            (false, 0) => SendReason::First,
            (false, _) => SendReason::Again,
        };
        row.write.attempt = row.write.attempt.saturating_add(1);
        row.state = WriteState::Sending;
        let write = row.write.clone();
        self.dirty.insert(id);
        self.note(id);
        Some((write, reason))
    }

    fn candidate(&self, now: Duration, can_send: impl Fn(&Row) -> bool) -> Option<WriteId> {
        let mut sending: HashMap<&Option<String>, usize> = HashMap::new();
        for row in self.rows().filter(|it| it.state == WriteState::Sending) {
            *sending.entry(&row.write.account).or_default() += 1;
        }
        let is_free = |row: &&Row| {
            let account = &row.write.account;
            row.state == WriteState::Queued
                && row.not_before <= now
                && self.pace.until(account) <= now
                && sending.get(account).copied().unwrap_or(0) < self.limits.parallel
                && self.is_first(row)
                && can_send(row)
        };
        let steps_aside = |row: &Row| row.laters >= STEPS_ASIDE_AFTER;
        let mut free = self.rows().filter(is_free);
        let first = free.next()?;
        if !steps_aside(first) {
            return Some(first.write.id);
        }
        let other = free.find(|it| !steps_aside(it));
        Some(other.unwrap_or(first).write.id)
    }

    /// Whether no earlier write of its record holds it up.
    fn is_first(&self, row: &Row) -> bool {
        let chain = self.chains.get(&row.record());
        let mut chain = chain.into_iter().flatten();
        let holding = chain.find(|id| self.rows.get(id).is_some_and(Row::holds_up));
        holding == Some(&row.write.id)
    }

    /// Takes what another process, the one that sends, has made of a write.
    pub fn refresh(&mut self, now: Duration, mut row: Row) {
        let id = row.write.id;
        let Some(known) = self.rows.get(&id) else {
            return;
        };
        let is_same = known.state == row.state && known.write.attempt == row.write.attempt;
        if is_same && known.write.key == row.write.key && known.error == row.error {
            return;
        }
        self.keys.remove(&known.write.key);
        self.keys.insert(row.write.key.clone(), id);
        row.sent_at = row.state.is_sent().then_some(known.sent_at.unwrap_or(now));
        if known.state == WriteState::Unconfirmed && row.state.is_sent() {
            row.state = WriteState::Unconfirmed;
        }
        self.rows.insert(id, row);
        self.note(id);
    }

    /// Another process, the one that sends, has done with it.
    pub fn forget(&mut self, id: WriteId) {
        self.end(id, WriteState::Confirmed, None);
    }

    /// The network may be back.
    pub fn wake(&mut self) {
        self.pace.clear_all();
        for row in self.rows.values_mut() {
            row.not_before = Duration::ZERO;
        }
    }

    /// Looks at what grew too old.
    pub fn tick(&mut self, now: Duration, now_ms: i64) {
        let ids: Vec<WriteId> = self.rows.keys().copied().collect();
        for id in ids {
            self.look(now, now_ms, id);
        }
    }

    fn look(&mut self, now: Duration, now_ms: i64, id: WriteId) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let is_over = |since: i64, most: Duration| {
            let age = now_ms.saturating_sub(since);
            u128::try_from(age).is_ok_and(|age| age >= most.as_millis())
        };
        match row.state {
            WriteState::Queued if is_over(row.write.queued_at, self.limits.max_age) => {
                row.state = WriteState::Failed;
                row.error = Some(SendError::new(EXPIRED, "it has waited too long"));
                self.dirty.insert(id);
                self.note(id);
            }
            state if state.is_sent() => {
                // The wall's clock may have been set back.
                let shown = now.saturating_sub(row.sent_at.unwrap_or(now));
                let keep = self.limits.keep_sent;
                if shown >= keep || is_over(row.sent_ms.unwrap_or(now_ms), keep) {
                    self.end(id, WriteState::Confirmed, None);
                } else if state == WriteState::Sent && shown >= self.limits.unconfirmed_after {
                    if matches!(row.write.action, Action::Delete) {
                        // A record that is still there, or there again, must not stay hidden.
                        self.end(id, WriteState::Confirmed, None);
                        return;
                    }
                    row.state = WriteState::Unconfirmed;
                    self.note(id);
                }
            }
            _ => {}
        }
    }

    /// When there may be something to do that nobody tells of; nothing if the queue is empty.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let times = self.rows().map(|row| match (row.state, row.sent_at) {
            (WriteState::Queued, _) => row.not_before.max(self.pace.until(&row.write.account)),
            (WriteState::Sent, Some(at)) => at.saturating_add(self.limits.unconfirmed_after),
            _ => Duration::MAX,
        });
        // What is due already waits for something else, or has become due at this moment.
        let soon = now.saturating_add(SOON);
        let next = times.map(|it| if it > now { it } else { soon }).min();
        let look = now.saturating_add(LOOK_EVERY);
        (!self.rows.is_empty()).then(|| next.map_or(look, |it| it.min(look)))
    }

    fn note(&mut self, id: WriteId) {
        if let Some(row) = self.rows.get(&id) {
            self.touched.insert(row.record(), false);
            self.told.insert(id, row.clone());
        }
    }

    /// Rows whose lasting part changed since the last call; those that are not here any more are gone.
    pub fn take_dirty(&mut self) -> BTreeSet<WriteId> {
        std::mem::take(&mut self.dirty)
    }

    /// Rows to tell about since the last call.
    pub fn take_told(&mut self) -> BTreeMap<WriteId, Row> {
        std::mem::take(&mut self.told)
    }

    /// Records whose rows changed since the last call, and whether a watch has shown what became of the last one that ended.
    pub fn take_touched(&mut self) -> HashMap<RecordKey, bool> {
        std::mem::take(&mut self.touched)
    }

    /// The writes of one record, in order.
    pub fn of_record(&self, record: &RecordKey) -> impl Iterator<Item = &Row> {
        let ids = self.chains.get(record);
        ids.into_iter().flatten().filter_map(|id| self.rows.get(id))
    }

    /// What lists show of a record: what its last write makes of it, and as failed if one of them has. `None` without writes.
    pub fn overlay(&self, now: Duration, record: &RecordKey) -> Option<Overlay> {
        let last = self.of_record(record).last()?;
        let failed = self
            .of_record(record)
            .find(|it| it.state == WriteState::Failed);
        let error = failed.and_then(|it| it.error.as_ref());
        Some(Overlay {
            written: Written {
                id: failed.unwrap_or(last).write.id,
                deletes: matches!(last.write.action, Action::Delete),
                sent: last.state.is_sent(),
                cid: last.cid.clone(),
                over: last.write.swap.clone(),
                past: self.history.past(now, record),
            },
            uri: last.write.uri.clone(),
            space: record.1.as_deref().map(Arc::from),
            value: match &last.write.action {
                Action::Put(value) => Some(value.clone()),
                Action::Delete => None,
            },
            time_us: last.time_us,
            failed: error.map(|it| EditError::new(&*it.kind, &*it.message)),
            adds: false,
        })
    }

    /// Forgets which versions this account has made, or all.
    pub fn forget_made(&mut self, account: &Option<String>) {
        self.history.forget(account);
    }

    /// Takes what an earlier process remembered of the versions that it made.
    pub fn restore_made(&mut self, record: RecordKey, versions: Vec<String>) {
        self.history.restore(record, versions);
    }

    /// Records of which there is another version than at the last call, each with all that are remembered.
    pub fn take_made(&mut self) -> Vec<(RecordKey, Vec<String>)> {
        self.history.take_changed()
    }

    /// The records with writes.
    pub fn records(&self) -> impl Iterator<Item = &RecordKey> {
        self.chains.keys()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
