//! Who may write rows, and when they may be read: a clear takes effect at once, whatever is under way.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::watch;

use super::CacheKey;

/// Which rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clear {
    /// Those of this key and its views, of this account, of both at once, or all there are.
    Named {
        key: Option<String>,
        account: Option<String>,
    },
    /// Access was lost: those of this watch, and all others of its realm and account.
    Lost(CacheKey),
    /// Access to a space was lost: its records, in all watches of this account.
    LostSpace {
        account: Option<String>,
        space: String,
    },
}

impl Clear {
    /// Whether all rows of the watch go.
    pub(crate) fn names(&self, watch: &CacheKey) -> bool {
        match self {
            Self::Named { key, account } => {
                key.as_deref().is_none_or(|key| watch.is_view_of(key))
                    && (account.is_none() || *account == watch.account)
            }
            Self::Lost(lost) => {
                lost.key == watch.key
                    || (&lost.realm, &lost.account) == (&watch.realm, &watch.account)
            }
            Self::LostSpace { .. } => false,
        }
    }

    /// What it makes of the leases that it names.
    fn leaves(&self) -> Standing {
        match self {
            Self::Named { .. } | Self::LostSpace { .. } => Standing::Cleared,
            Self::Lost(_) => Standing::Lost,
        }
    }
}

/// What a lease is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its holder may write.
    Good,
    /// Somebody cleared the rows since.
    Cleared,
    /// The account lost access to them since.
    Lost,
}

/// A watch's right to write its rows, until a clear names them. What is written under a lease builds on what was written
/// under the same one.
#[derive(Debug)]
pub struct Lease {
    pub(super) key: CacheKey,
    /// Tells it from all others, those of other processes included.
    pub(super) id: i64,
    standing: AtomicU8,
}

impl Lease {
    /// What it is worth now.
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::SeqCst) {
            0 => Standing::Good,
            1 => Standing::Cleared,
            _ => Standing::Lost,
        }
    }
}

/// The leases there are, and the clears under way.
#[derive(Default)]
pub(super) struct Clears {
    leases: Mutex<Vec<Weak<Lease>>>,
    under_way: watch::Sender<Vec<Arc<Clear>>>,
}

impl Clears {
    pub(super) fn lease(&self, key: CacheKey) -> Arc<Lease> {
        let lease = Arc::new(Lease {
            key,
            id: fastrand::i64(1..),
            standing: AtomicU8::new(0),
        });
        let mut leases = self.leases();
        if leases.len() == leases.capacity() {
            leases.retain(|it| it.strong_count() > 0);
        }
        leases.push(Arc::downgrade(&lease));
        lease
    }

    /// From here on nothing that is named is written or read, until the clear is done.
    pub(super) fn begin(self: &Arc<Self>, clear: Clear) -> Clearing {
        let clear = Arc::new(clear);
        self.under_way.send_modify(|it| it.push(clear.clone()));
        for lease in self.leases().iter().filter_map(Weak::upgrade) {
            if clear.names(&lease.key) {
                let left = clear.leaves() as u8;
                lease.standing.fetch_max(left, Ordering::SeqCst);
            }
        }
        let clears = self.clone();
        Clearing { clear, clears }
    }

    /// Waits for the clears that name these rows.
    pub(super) async fn pass(&self, key: &CacheKey) {
        let mut under_way = self.under_way.subscribe();
        let passed = under_way.wait_for(|clears| !clears.iter().any(|it| it.names(key)));
        // Fails only without a sender, and there is one.
        let _ = passed.await;
    }

    fn leases(&self) -> MutexGuard<'_, Vec<Weak<Lease>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clear under way: until this is dropped.
pub(super) struct Clearing {
    pub(super) clear: Arc<Clear>,
    clears: Arc<Clears>,
}

impl Drop for Clearing {
    fn drop(&mut self) {
        self.clears
            .under_way
            .send_modify(|it| it.retain(|it| !Arc::ptr_eq(it, &self.clear)));
    }
}
