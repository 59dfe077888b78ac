//! When a live watch compares itself with a quiet snapshot: the server's list, fetched beside the open stream.

use std::time::Duration;

use super::{
    backoff::Backoff,
    signals::{Effect, MachineOptions},
};

/// Between two fresh snapshots that the store needs.
pub const SNAPSHOT_SPACING: Duration = Duration::from_secs(2);
/// Between two of which it could do without, but for a count that may be wrong.
pub const DOUBT_SPACING: Duration = Duration::from_secs(300);
/// Servers lose events by themselves, most of them while a connection opens: so long after it went live, at most, a
/// watch compares itself with a quiet snapshot …
pub const FIRST_COMPARE: Duration = Duration::from_secs(10);
/// … and then again and again, by default; where changes may never be published, five times as often.
pub const COMPARE_EVERY: Duration = Duration::from_secs(600);

/// Between two that were asked for: calls that come closer together share one.
pub const REFRESH_SPACING: Duration = Duration::from_secs(1);

/// Decides when; the machine acts. Times are readings of one monotonic clock.
#[derive(Debug)]
pub(super) struct Compare {
    /// Longest time between two.
    every: Duration,
    /// Bounds how often, as connects are bounded.
    backoff: Backoff,
    stage: Stage,
    /// The store cannot know its truth without one …
    needed: bool,
    /// … which is why one is on its way.
    serves_need: bool,
    /// When the last one was asked for.
    last: Option<Duration>,
    /// Quiet snapshots of this server are not what its stream says.
    distrusted: bool,
    /// The server has no stream, and says itself when its list may have changed.
    listing: bool,
    /// One that was asked for, to begin after the one under way, or as soon as it may.
    asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not without a live connection.
    Off,
    /// From this time on.
    Due(Duration),
    /// It is being fetched.
    UnderWay,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This, if anything.
    Do(Option<Effect>),
    /// Only a new connection can tell.
    Reconnect,
}

impl Compare {
    pub(super) fn new(options: &MachineOptions, backoff: Backoff) -> Self {
        let every = options.compare_every;
        Self {
            every: if options.spans_spaces {
                every / 5
            } else {
                every
            },
            backoff,
            stage: Stage::Off,
            needed: false,
            serves_need: false,
            last: None,
            distrusted: false,
            listing: false,
            asked: false,
        }
    }

    /// From now on a new connection tells instead.
    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// This connection has no stream.
    pub(super) fn lists(&mut self) {
        self.listing = true;
    }

    /// Whether this connection has no stream.
    pub(super) fn is_listing(&self) -> bool {
        self.listing
    }

    /// The connection is live.
    pub(super) fn live(&mut self, now: Duration) -> Option<Effect> {
        if self.stage != Stage::Off || self.listing {
            return None;
        }
        let first = match self.needed {
            true => SNAPSHOT_SPACING,
            false => self.backoff.jitter(FIRST_COMPARE),
        };
        self.after(now, first)
    }

    /// The connection is over; the next one brings a snapshot anyway.
    pub(super) fn off(&mut self) {
        self.stage = Stage::Off;
        self.needed = false;
        self.listing = false;
        self.asked = false;
    }

    /// It is asked for: none that is under way already counts, and calls in a row share one.
    pub(super) fn refresh(&mut self, now: Duration) -> Option<Effect> {
        if self.distrusted && !self.listing {
            return self.again(now, Duration::ZERO);
        }
        self.asked = true;
        let soonest = self.last.map_or(now, |last| last + REFRESH_SPACING);
        match self.stage {
            Stage::UnderWay => None,
            Stage::Due(due) if due <= soonest && due > now => None,
            _ if soonest > now => {
                self.stage = Stage::Due(soonest);
                Some(Effect::CompareAfter(soonest - now))
            }
            _ => {
                self.begin(now);
                Some(Effect::Compare)
            }
        }
    }

    fn begin(&mut self, now: Duration) {
        self.stage = Stage::UnderWay;
        self.asked = false;
        self.serves_need = std::mem::take(&mut self.needed);
        self.last = Some(now);
    }

    /// The store wants to be sure, at most once in so long. While a snapshot arrives, its end is waited for.
    pub(super) fn need(
        &mut self,
        now: Duration,
        spacing: Duration,
        is_live: bool,
    ) -> Option<Effect> {
        self.needed = true;
        let last = self.last;
        let wanted = last.map_or(Duration::ZERO, |last| (last + spacing).saturating_sub(now));
        match self.stage {
            Stage::Due(due) if now + wanted < due => self.after(now, wanted),
            Stage::Due(_) | Stage::UnderWay => None,
            // Nothing is scheduled where quiet snapshots count for nothing.
            Stage::Off if self.distrusted && is_live => self.after(now, wanted),
            Stage::Off => None,
        }
    }

    /// The time has come.
    pub(super) fn due(&mut self, now: Duration) -> Verdict {
        if !matches!(self.stage, Stage::Due(_)) {
            return Verdict::Do(None);
        }
        // What was asked for has a bound of its own.
        if !self.asked {
            self.backoff.connecting(now);
        }
        self.begin(now);
        match self.distrusted {
            true => self.not_to_be_had(now),
            false => Verdict::Do(Some(Effect::Compare)),
        }
    }

    /// The quiet snapshot is in the store.
    pub(super) fn done(&mut self, now: Duration) -> Option<Effect> {
        if self.stage != Stage::UnderWay {
            return None;
        }
        self.stage = Stage::Off;
        if self.asked {
            return self.refresh(now);
        }
        if self.listing {
            return None;
        }
        let wait = match self.needed {
            true => SNAPSHOT_SPACING,
            false => self.backoff.jitter(self.every),
        };
        self.after(now, wait)
    }

    /// Whether the one under way is what the store needs.
    pub(super) fn serves_need(&self) -> bool {
        matches!(self.stage, Stage::UnderWay) && self.serves_need
    }

    /// It could not be had.
    pub(super) fn not_to_be_had(&mut self, now: Duration) -> Verdict {
        match (self.stage, self.serves_need) {
            (Stage::UnderWay, true) => Verdict::Reconnect,
            _ => Verdict::Do(self.done(now)),
        }
    }

    /// It was had, and cannot be true.
    pub(super) fn not_believed(&mut self, now: Duration) -> Verdict {
        self.serves_need = true;
        self.not_to_be_had(now)
    }

    /// What the store needs has to wait for so long.
    pub(super) fn again(&mut self, now: Duration, delay: Duration) -> Option<Effect> {
        self.needed = true;
        self.after(now, delay)
    }

    fn after(&mut self, now: Duration, wanted: Duration) -> Option<Effect> {
        if self.distrusted && !self.needed {
            self.stage = Stage::Off;
            return None;
        }
        let delay = self.backoff.limit(now, wanted);
        self.stage = Stage::Due(now + delay);
        Some(Effect::CompareAfter(delay))
    }
}
