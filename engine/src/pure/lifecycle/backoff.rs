//! When to connect again: full jitter, doubling, under a hard limit of connects per minute.

use std::time::Duration;

/// Bounds of the delays between connects.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BackoffPolicy {
    /// Upper end of the first delay.
    pub base: Duration,
    /// Upper end of every delay.
    pub cap: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
        }
    }
}

/// The limit on connects is looser in the first minute of trouble.
const FIRST_PHASE: Duration = Duration::from_secs(60);
/// Connects that a peer may see in the first minute of trouble.
const CONNECTS_IN_FIRST_PHASE: u32 = 10;
/// After it: less than three a minute, whatever window one looks through.
const SPACING_AFTER: Duration = Duration::from_secs(21);
/// A connection that stayed live this long starts again at the small delay.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Live this long ends the trouble: the next one has its own first minute.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(600);
/// No server may silence us for longer by `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Counts connects and says how long to wait for the next. Times are readings of one monotonic clock.
#[derive(Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    rng: fastrand::Rng,
    attempt: u32,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    since: Duration,
    connects: u32,
    last: Duration,
}

impl Backoff {
    /// Starts without trouble. The `rng` decides the jitter: a seeded one makes every delay repeatable.
    pub fn new(policy: BackoffPolicy, rng: fastrand::Rng) -> Self {
        Self {
            policy,
            rng,
            attempt: 0,
            trouble: None,
        }
    }

    /// Another one with the same bounds, which counts by itself.
    pub fn fork(&mut self) -> Self {
        Self::new(self.policy, self.rng.fork())
    }

    /// About this time: from half of it on.
    pub fn jitter(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.5 + self.rng.f64() / 2.0)
    }

    /// Notes that a connect begins.
    pub fn connecting(&mut self, now: Duration) {
        let trouble = self.trouble.get_or_insert(Trouble {
            since: now,
            connects: 0,
            last: now,
        });
        trouble.connects = trouble.connects.saturating_add(1);
        trouble.last = now;
    }

    /// Notes that a connection ended which had been live for `live`.
    pub fn ended(&mut self, live: Duration) {
        if live >= STABLE_AFTER {
            self.attempt = 0;
        }
        if live >= HEALTHY_AFTER {
            self.trouble = None;
        }
    }

    /// How long to wait before the next connect; the server may have asked for more.
    pub fn next_delay(&mut self, now: Duration, retry_after: Option<Duration>) -> Duration {
        let factor = 1u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.attempt = self.attempt.saturating_add(1);
        let ceiling = self.policy.base.saturating_mul(factor).min(self.policy.cap);
        let jittered = ceiling.mul_f64(self.rng.f64());
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.limit(now, jittered.max(asked))
    }

    /// The shortest allowed delay of at least `wanted`: for connects that something better than hope asks for.
    pub fn limit(&self, now: Duration, wanted: Duration) -> Duration {
        let Some(trouble) = &self.trouble else {
            return wanted;
        };
        let calm = trouble.since + FIRST_PHASE;
        let mut at = now + wanted;
        if trouble.connects >= CONNECTS_IN_FIRST_PHASE {
            at = at.max(calm);
        }
        if at >= calm {
            at = at.max(trouble.last + SPACING_AFTER);
        }
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connect times over `minutes` of a peer that fails at once, always.
    fn failing(seed: u64, minutes: u64, live: Duration) -> Vec<Duration> {
        let mut backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(seed));
        let (mut now, mut connects) = (Duration::ZERO, Vec::new());
        while now < Duration::from_secs(60 * minutes) {
            backoff.connecting(now);
            connects.push(now);
            now += live;
            backoff.ended(live);
            now += backoff.next_delay(now, None).max(Duration::from_millis(1));
        }
        connects
    }

    /// Holds the connects of a peer that is live for so long each time against the bounds.
    fn check(seed: u64, live: Duration) {
        let times = failing(seed, 20, live);
        let minute = Duration::from_secs(60);
        let first = times.iter().filter(|t| **t < minute).count();
        assert!(first <= 10, "seed {seed}, {live:?}: {first}");
        for start in times.iter().filter(|t| **t >= minute) {
            let window = times
                .iter()
                .filter(|t| *t >= start && **t < *start + minute);
            assert!(window.count() <= 3, "seed {seed}, {live:?}");
        }
    }

    #[test]
    fn no_failing_peer_sees_more_than_ten_connects_in_a_minute_nor_three_a_minute_after() {
        for seed in 0..500 {
            check(seed, Duration::ZERO);
        }
    }

    #[test]
    fn a_peer_that_lives_for_a_while_each_time_sees_no_more_than_that_either() {
        for seed in 0..100 {
            for seconds in [1, 5, 15, 60] {
                check(seed, Duration::from_secs(seconds));
            }
        }
    }

    #[test]
    fn delays_double_up_to_the_cap_with_full_jitter() {
        let mut longest = [Duration::ZERO; 8];
        let mut shortest = [Duration::MAX; 8];
        for seed in 0..2000 {
            let mut backoff =
                Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(seed));
            for n in 0..8 {
                let delay = backoff.next_delay(Duration::ZERO, None);
                longest[n] = longest[n].max(delay);
                shortest[n] = shortest[n].min(delay);
            }
        }
        for (n, ceiling) in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
            .iter()
            .enumerate()
        {
            let seen = longest[n].as_secs_f64();
            assert!(seen <= *ceiling && seen > 0.9 * ceiling, "{n}: {seen}");
            assert!(
                shortest[n].as_secs_f64() < 0.1 * ceiling,
                "{n}: {:?}",
                shortest[n]
            );
        }
    }

    #[test]
    fn an_hour_of_healthy_life_starts_again_at_the_small_delay() {
        let mut backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(7));
        let mut now = Duration::ZERO;
        for _ in 0..30 {
            backoff.connecting(now);
            now += backoff.next_delay(now, None);
        }
        backoff.connecting(now);
        now += Duration::from_secs(3600);
        backoff.ended(Duration::from_secs(3600));
        // The next trouble has a first minute of its own.
        for ceiling in [1, 2, 4] {
            let delay = backoff.next_delay(now, None);
            assert!(delay <= Duration::from_secs(ceiling), "{delay:?}");
            now += delay;
            backoff.connecting(now);
            backoff.ended(Duration::ZERO);
        }
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let mut backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
        let asked = Duration::from_secs(90);
        assert!(backoff.next_delay(Duration::ZERO, Some(asked)) >= asked);
        let absurd = Some(Duration::from_secs(1_000_000));
        assert!(backoff.next_delay(Duration::ZERO, absurd) <= LONGEST_RETRY_AFTER);
    }
}
