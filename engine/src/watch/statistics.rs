//! What an engine counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// What the watches of an engine have done since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct Statistics {
    /// Attempts to connect.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub connects: u64,
    /// Quiet snapshots that a live watch compared itself with.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub compared: u64,
    /// Those of them that told something new: events that a server lost, mended.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub mended: u64,
    /// Lists that were asked for because they may have changed, where a server has no stream.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub polled: u64,
    /// What servers sent and was left out because it would have passed a bound: children, fields of an update.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub left_out: u64,
}

/// The counters themselves. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connects: AtomicU64,
    compared: AtomicU64,
    mended: AtomicU64,
    polled: AtomicU64,
    left_out: AtomicU64,
}

impl Counters {
    /// An attempt to connect.
    pub(crate) fn connecting(&self) {
        self.0.connects.fetch_add(1, Ordering::Relaxed);
    }

    /// A quiet snapshot, and whether it told something new.
    pub(crate) fn compared(&self, told: bool) {
        self.0.compared.fetch_add(1, Ordering::Relaxed);
        self.0.mended.fetch_add(u64::from(told), Ordering::Relaxed);
    }

    /// A list, where there is no stream.
    pub(crate) fn polled(&self) {
        self.0.polled.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was left out.
    pub(crate) fn left_out(&self) {
        self.0.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// How things stand.
    pub(crate) fn read(&self) -> Statistics {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        Statistics {
            connects: read(&self.0.connects),
            compared: read(&self.0.compared),
            mended: read(&self.0.mended),
            polled: read(&self.0.polled),
            left_out: read(&self.0.left_out),
        }
    }
}
