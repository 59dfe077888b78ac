//! What was told of the queue, for those who ask what has changed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::oneshot;

use super::terms::{WriteChanges, WriteInfo};
use crate::pure::outbox::{row::Row, write::WriteId};

/// Writes that are over and are remembered, for those who have not heard yet.
const REMEMBERED: usize = 256;
/// Most that wait for a change at once.
const MOST_ASKING: usize = 256;

/// The last word on each write, and who waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Told {
    rev: u64,
    /// With the revision of the last change, and the account.
    writes: BTreeMap<WriteId, (u64, Option<String>, WriteInfo)>,
    over: VecDeque<WriteId>,
    /// Who heard nothing since this revision may have missed the end of a write.
    floor: u64,
    asking: Vec<Asking>,
    waiting: HashMap<WriteId, Vec<oneshot::Sender<WriteInfo>>>,
}

#[derive(Debug)]
struct Asking {
    account: Option<String>,
    after: u64,
    reply: oneshot::Sender<WriteChanges>,
}

impl Told {
    /// Takes what changed.
    pub(super) fn take(&mut self, rows: BTreeMap<WriteId, Row>) {
        if rows.is_empty() {
            return;
        }
        self.rev += 1;
        for (id, row) in rows {
            let info = WriteInfo::from(&row);
            let is_settled = info.state.is_over() || info.state.is_sent() || info.error_is_final();
            if is_settled {
                for waiting in self.waiting.remove(&id).into_iter().flatten() {
                    let _ = waiting.send(info.clone());
                }
            }
            if info.state.is_over() {
                self.over.push_back(id);
            }
            self.writes.insert(id, (self.rev, row.write.account, info));
        }
        while self.over.len() > REMEMBERED {
            let gone = self.over.pop_front().and_then(|id| self.writes.remove(&id));
            self.floor = gone.map_or(self.floor, |(rev, ..)| self.floor.max(rev));
        }
        let asking = std::mem::take(&mut self.asking);
        for it in asking {
            self.ask(it.account, it.after, it.reply);
        }
    }

    /// Answers as soon as something of this account has changed after `after`.
    pub(super) fn ask(
        &mut self,
        account: Option<String>,
        after: u64,
        reply: oneshot::Sender<WriteChanges>,
    ) {
        if reply.is_closed() {
            return;
        }
        let whole = after == 0 || after < self.floor || after > self.rev;
        let is_news = |it: &&(u64, Option<String>, WriteInfo)| {
            let is_theirs = account.is_none() || it.1 == account;
            // Those that were over a moment ago, too: who missed it learns how they ended.
            is_theirs && (whole || it.0 > after)
        };
        let writes: Vec<_> = self
            .writes
            .values()
            .filter(is_news)
            .map(|it| it.2.clone())
            .collect();
        if whole || !writes.is_empty() {
            // Never 0, which asks for everything.
            let rev = self.rev.max(1);
            self.rev = rev;
            let _ = reply.send(WriteChanges { rev, whole, writes });
            return;
        }
        self.asking.retain(|it| !it.reply.is_closed());
        if self.asking.len() < MOST_ASKING {
            self.asking.push(Asking {
                account,
                after,
                reply,
            });
        }
    }

    /// Answers once the write has been taken, has failed or is over; drops the reply for one that nobody knows.
    pub(super) fn wait(&mut self, id: WriteId, reply: oneshot::Sender<WriteInfo>) {
        let Some((_, _, info)) = self.writes.get(&id) else {
            return;
        };
        if info.state.is_over() || info.state.is_sent() || info.error_is_final() {
            let _ = reply.send(info.clone());
            return;
        }
        let waiting = self.waiting.entry(id).or_default();
        waiting.retain(|it| !it.is_closed());
        waiting.push(reply);
    }

    /// The last word on a write.
    pub(super) fn info(&self, id: WriteId) -> Option<&WriteInfo> {
        self.writes.get(&id).map(|(_, _, info)| info)
    }
}
