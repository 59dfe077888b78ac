//! What one event may cost.

use crate::pure::protocol::bound::{Bound, MAX_COST};

/// Most bytes that are put by.
const MAX_SAVED: usize = 32 * 1024 * 1024;

/// Where one event changes many records, all of them are told to pages and to the cache. What the server has sent pays for
/// that, some times over: so it can never cost more than a small multiple of what was sent.
#[derive(Debug, Default)]
pub(super) struct Allowance(usize);

impl Allowance {
    /// The server sent so many bytes.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.0 = self
            .0
            .saturating_add(bytes.saturating_mul(MAX_COST))
            .min(MAX_SAVED);
    }

    /// Spends so many bytes. Where there are too few, what there is was the price of finding out.
    pub(super) fn pay(&mut self, bytes: usize) -> Result<(), Bound> {
        let rest = self.0.checked_sub(bytes);
        self.0 = rest.unwrap_or(0);
        rest.map(drop).ok_or(Bound::Cost)
    }
}
