//! Notices that the machine slept: sockets die silently then.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A clock that is ahead by more than this was not merely set, or late.
const JUMP: Duration = Duration::from_secs(30);

/// Compares the readings of two clocks, taken at a slow tick. Pure: the caller reads the clocks.
///
/// The wall clock goes on while the machine sleeps; on most systems the monotonic one stands still. Where it
/// goes on as well, the tick comes late by both.
#[derive(Debug)]
pub struct SleepWatch {
    tick: Duration,
    wall: SystemTime,
    steady: Instant,
}

impl SleepWatch {
    /// Begins with these readings; the next ones come after `tick`.
    pub fn new(tick: Duration, wall: SystemTime, steady: Instant) -> Self {
        Self { tick, wall, steady }
    }

    /// Takes the readings of a tick. Says whether the machine slept since the last ones.
    pub fn slept(&mut self, wall: SystemTime, steady: Instant) -> bool {
        // A wall clock that was set back tells nothing.
        let by_wall = wall.duration_since(self.wall).unwrap_or_default();
        let by_steady = steady.saturating_duration_since(self.steady);
        (self.wall, self.steady) = (wall, steady);
        by_wall.saturating_sub(by_steady) > JUMP || by_steady > self.tick + JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(10);

    #[test]
    fn a_jump_of_either_clock_is_a_sleep_and_nothing_else_is() {
        let second = Duration::from_secs(1);
        let (mut wall, mut steady) = (SystemTime::UNIX_EPOCH, Instant::now());
        let mut watch = SleepWatch::new(TICK, wall, steady);
        for (by_wall, by_steady, slept) in [
            (10, 10, false),
            // Asleep for an hour: the monotonic clock stood still, or did not.
            (3610, 10, true),
            (10, 10, false),
            (3610, 3610, true),
            // A busy machine, or a clock that was set a little.
            (25, 25, false),
            (35, 10, false),
            (41, 10, true),
        ] {
            wall += second * by_wall;
            steady += second * by_steady;
            assert_eq!(watch.slept(wall, steady), slept, "{by_wall} {by_steady}");
        }
        // Set back: not a sleep, nor is the tick after it.
        wall -= second * 3600;
        steady += TICK;
        assert!(!watch.slept(wall, steady));
        assert!(!watch.slept(wall + TICK, steady + TICK));
    }
}
