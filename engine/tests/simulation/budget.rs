//! How often a watch may bother a server.

use crate::world::SECOND;

/// What was spent in the trouble under way, on the device's steady clock.
#[derive(Debug, Default)]
pub(crate) struct Budget(Vec<u64>);

impl Budget {
    /// No more than ten times in the first minute, and no more than three in any minute after it.
    pub(crate) fn spend(&mut self, at: u64, what: &str) {
        self.0.push(at);
        let calm = self.0[0] + 60 * SECOND;
        let first = self.0.iter().filter(|it| **it < calm).count();
        assert!(first <= 10, "7: {first} {what} in the first minute");
        let minute = at.saturating_sub(60 * SECOND).max(calm);
        let later = self.0.iter().filter(|it| **it > minute).count();
        assert!(later <= 3, "7: {later} {what} in a minute");
    }

    /// A connection ended that was live for so long: ten minutes of it end the trouble.
    pub(crate) fn was_live(&mut self, time: u64) {
        if time >= 600 * SECOND {
            self.0.clear();
        }
    }
}
