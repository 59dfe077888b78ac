//! What a watch is called where its URL would say too much or too little: two of them may differ in the query alone, which
//! no log shows.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

static LAST: AtomicU64 = AtomicU64::new(0);

/// Names a watch in the log, as long as the process lives. Written as `w7`; for pages it is the number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WatchId(u64);

impl WatchId {
    /// One that no other watch of this process has.
    #[doc(hidden)]
    pub fn next() -> Self {
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The watch of this number, if there is one.
    pub fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// As a page knows it: 1 and up. A watch that ended and was begun anew for the same spec has another.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}
