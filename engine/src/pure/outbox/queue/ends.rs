//! What becomes of a write: an attempt ended, somebody took it back, its account went.

use std::time::Duration;

use super::{MAX_CID, Queue, STEPS_ASIDE_AFTER};
use crate::pure::outbox::{
    row::{Lost, Row},
    write::{ACCESS_LOST, CONFLICT, Outcome, SendError, WriteId, WriteState},
};

impl Queue {
    /// An attempt has ended. `now_ms`: milliseconds since the Unix epoch.
    pub fn ended(&mut self, now: Duration, now_ms: i64, id: WriteId, outcome: Outcome) {
        let sending = |it: &&mut Row| it.state == WriteState::Sending;
        let Some(row) = self.rows.get_mut(&id).filter(sending) else {
            return;
        };
        let account = row.write.account.clone();
        match (outcome, row.ends.clone()) {
            (Outcome::Sent { cid }, _) => {
                self.pace.clear(&account);
                self.sent(now, now_ms, id, cid);
            }
            (_, Some(why)) => self.end(id, WriteState::Discarded, why),
            (Outcome::Refused(error), None) => {
                row.state = WriteState::Failed;
                row.error = Some(error);
                row.laters = 0;
                self.pace.clear(&account);
            }
            (Outcome::Later { after, why }, None) => {
                row.state = WriteState::Queued;
                row.error = Some(why);
                row.laters = row.laters.saturating_add(1);
                if row.laters < STEPS_ASIDE_AFTER {
                    self.pace.failed(&account, now, after);
                } else {
                    let delay = self.pace.delay(row.laters, after);
                    row.not_before = now.saturating_add(delay);
                }
            }
        }
        self.dirty.insert(id);
        self.note(id);
    }

    /// The server has it. If another write of the record follows, that one is what to wait for.
    fn sent(&mut self, now: Duration, now_ms: i64, id: WriteId, cid: Option<String>) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let cid = cid.filter(|it| it.len() <= MAX_CID);
        if let Some(cid) = &cid {
            let over = row.write.swap.as_ref();
            self.history.note(now, &row.record(), over, cid);
        }
        row.state = WriteState::Sent;
        row.error = None;
        row.laters = 0;
        row.cid.clone_from(&cid);
        row.sent_at = Some(now);
        row.sent_ms = Some(now_ms);
        let Some(next) = self.after(id).and_then(|next| self.rows.get_mut(&next)) else {
            return;
        };
        if std::mem::take(&mut next.over_last) {
            next.write.swap = cid;
            self.dirty.insert(next.write.id);
        }
        self.end(id, WriteState::Confirmed, None);
    }

    /// The next write of the same record.
    fn after(&self, id: WriteId) -> Option<WriteId> {
        let chain = self.chains.get(&self.rows.get(&id)?.record())?;
        chain.iter().copied().find(|it| *it > id)
    }

    /// Sends a write once more that was refused, or one that waits without delay. After a conflict it takes the place of
    /// whatever is there.
    pub fn retry(&mut self, now_ms: i64, id: WriteId) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        match row.state {
            WriteState::Failed => {
                if row.error.take().is_some_and(|it| it.kind == CONFLICT) {
                    row.write.swap = None;
                }
                row.state = WriteState::Queued;
                row.write.queued_at = now_ms;
                row.asked = true;
                self.dirty.insert(id);
            }
            WriteState::Queued => {}
            _ => return,
        }
        row.not_before = Duration::ZERO;
        let account = row.write.account.clone();
        self.pace.clear(&account);
        self.note(id);
    }

    /// Takes a write back. One that a sender has at the moment is taken back if the attempt fails.
    pub fn discard(&mut self, id: WriteId) {
        self.give_up(id, None);
    }

    /// Drops what an account can send no more.
    pub fn lose(&mut self, account: &Option<String>, lost: &Lost) {
        let is_lost = |row: &&Row| {
            row.write.account == *account
                && match lost {
                    Lost::View(view) => row.view == *view,
                    Lost::Space(space) => row.write.space.as_ref() == Some(space),
                }
        };
        let ids: Vec<WriteId> = self.rows().filter(is_lost).map(|it| it.write.id).collect();
        for id in ids {
            let why = "the account may not see these records any more";
            self.give_up(id, Some(SendError::new(ACCESS_LOST, why)));
        }
    }

    pub(super) fn give_up(&mut self, id: WriteId, why: Option<SendError>) {
        match self.rows.get_mut(&id) {
            Some(row) if row.state == WriteState::Sending => row.ends = Some(why),
            // The server has it: there is nothing to take back.
            Some(row) if row.state.is_sent() => self.end(id, WriteState::Confirmed, None),
            Some(_) => self.end(id, WriteState::Discarded, why),
            None => {}
        }
    }

    /// The watch shows what became of it.
    pub fn confirm(&mut self, id: WriteId) {
        let Some(row) = self.rows.get(&id).filter(|it| it.state.is_sent()) else {
            return;
        };
        let record = row.record();
        self.end(id, WriteState::Confirmed, None);
        self.touched.insert(record, true);
    }

    /// Takes a row out.
    pub(super) fn end(&mut self, id: WriteId, state: WriteState, why: Option<SendError>) {
        let next = self.after(id);
        let Some(mut row) = self.rows.remove(&id) else {
            return;
        };
        let is_sent = row.state.is_sent();
        if let Some(next) = next.and_then(|next| self.rows.get_mut(&next))
            && next.over_last
            && !is_sent
        {
            // What it was to change never came about: it changes what that one would have changed.
            next.write.swap = row.write.swap.clone();
            next.over_last = row.over_last;
            self.dirty.insert(next.write.id);
        }
        let record = row.record();
        if let Some(chain) = self.chains.get_mut(&record) {
            chain.retain(|it| *it != id);
            if chain.is_empty() {
                self.chains.remove(&record);
            }
        }
        self.keys.remove(&row.write.key);
        self.remember(row.write.key.clone(), id);
        row.state = state;
        row.error = why;
        self.dirty.insert(id);
        self.touched.insert(record, false);
        self.told.insert(id, row);
    }
}
