//! What happens in all watches of an engine, line by line, kept only while somebody reads it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{clock::now_ms, id::WatchId};

/// Lines that are kept; of a burst the last ones.
const MAX_LINES: usize = 500;
/// So long after it was read last, it is kept on.
const KEPT: Duration = Duration::from_secs(5);

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number: 1 and up.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub at: i64,
    /// Whose it is.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub watch: WatchId,
    /// What happened: the name of an event, or of a [`MomentKind`](super::MomentKind).
    pub kind: &'static str,
    /// Which record it is about, or why it happened. Never a record's body, and never a ticket.
    pub words: String,
}

/// What is new in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct LivePart {
    /// The number of the last line, to ask from next time.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub last: u64,
    /// Lines between that were not kept.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub missed: u64,
    /// The lines, the oldest first.
    pub lines: Vec<LogEntry>,
}

/// The log of an engine. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    /// Until when it is kept, in milliseconds since then; zero while nobody reads it.
    until: AtomicU64,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    last: u64,
    kept: VecDeque<LogEntry>,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Shared {
            epoch: Instant::now(),
            until: AtomicU64::new(0),
            lines: Mutex::default(),
        }))
    }
}

impl Live {
    /// Whether somebody reads it. One load while nobody does.
    pub(crate) fn is_on(&self) -> bool {
        let until = self.0.until.load(Ordering::Relaxed);
        until != 0 && !self.lapsed(until)
    }

    /// Nobody has read it for long: then it is forgotten.
    fn lapsed(&self, until: u64) -> bool {
        if self.elapsed() < until {
            return false;
        }
        self.0.until.store(0, Ordering::Relaxed);
        self.lines().kept = VecDeque::new();
        true
    }

    /// One line more.
    pub(super) fn push(&self, watch: WatchId, kind: &'static str, words: String) {
        let mut lines = self.lines();
        lines.last += 1;
        let entry = LogEntry {
            seq: lines.last,
            at: now_ms(),
            watch,
            kind,
            words,
        };
        if lines.kept.len() == MAX_LINES {
            lines.kept.pop_front();
        }
        lines.kept.push_back(entry);
    }

    /// What is new after the line `since`. From now on it is kept for a while.
    pub(crate) fn read(&self, since: u64) -> LivePart {
        let until = self.elapsed() + KEPT.as_millis() as u64;
        // One that lapsed has nothing to tell of the time between.
        self.is_on();
        self.0.until.store(until, Ordering::Relaxed);
        let lines = self.lines();
        let new: Vec<_> = lines
            .kept
            .iter()
            .filter(|it| it.seq > since)
            .cloned()
            .collect();
        let all = lines.last.saturating_sub(since);
        LivePart {
            last: lines.last,
            missed: match since {
                // Who begins to read has missed nothing.
                0 => 0,
                _ => all.saturating_sub(new.len() as u64),
            },
            lines: new,
        }
    }

    fn elapsed(&self) -> u64 {
        let millis = self.0.epoch.elapsed().as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_are_kept_while_somebody_reads_them_and_forgotten_afterwards() {
        let (live, watch) = (Live::default(), WatchId::next());
        assert!(!live.is_on());
        assert_eq!(live.read(0), LivePart::default());
        assert!(live.is_on());
        live.push(watch, "created", "a".into());
        live.push(watch, "deleted", "a".into());
        let part = live.read(0);
        let kinds: Vec<_> = part.lines.iter().map(|it| it.kind).collect();
        assert_eq!((part.last, kinds), (2, vec!["created", "deleted"]));
        assert_eq!(live.read(part.last).lines, []);
        advance(KEPT - Duration::from_millis(1)).await;
        assert!(live.is_on());
        advance(Duration::from_millis(1)).await;
        assert!(!live.is_on());
        assert_eq!(live.read(0).lines, []);
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_burst_the_last_lines_are_kept_and_the_others_counted() {
        let (live, watch) = (Live::default(), WatchId::next());
        live.read(0);
        live.push(watch, "created", String::new());
        let since = live.read(0).last;
        for _ in 0..MAX_LINES + 7 {
            live.push(watch, "created", String::new());
        }
        let part = live.read(since);
        assert_eq!((part.lines.len(), part.missed), (MAX_LINES, 7));
        assert_eq!(part.lines[0].seq, since + 8);
        assert_eq!(part.lines.last().unwrap().seq, part.last);
    }
}
