//! How long to wait after an attempt that may not have arrived: full jitter, doubling.

use std::{collections::HashMap, time::Duration};

/// Upper end of the first delay.
const FIRST: Duration = Duration::from_secs(1);
/// Upper end of every delay.
const LONGEST: Duration = Duration::from_secs(60);
/// No server may silence an account for longer.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Accounts that wait: what keeps one write from arriving mostly keeps the others too.
#[derive(Debug)]
pub(super) struct Pace {
    rng: fastrand::Rng,
    pauses: HashMap<Option<String>, Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Duration,
    /// Until when the server wants to hear nothing.
    asked: Duration,
    failures: u32,
}

impl Pace {
    pub(super) fn new(rng: fastrand::Rng) -> Self {
        Self {
            rng,
            pauses: HashMap::new(),
        }
    }

    /// Until when the account waits; nothing if it does not.
    pub(super) fn until(&self, account: &Option<String>) -> Duration {
        let pause = self.pauses.get(account);
        pause.map_or(Duration::ZERO, |it| it.until)
    }

    /// An attempt of this account did not arrive. Attempts that ran side by side are one failure.
    pub(super) fn failed(
        &mut self,
        account: &Option<String>,
        now: Duration,
        asked: Option<Duration>,
    ) {
        let pause = self.pauses.entry(account.clone()).or_default();
        if pause.until <= now {
            pause.failures = pause.failures.saturating_add(1);
        }
        let failures = pause.failures;
        let delay = self.delay(failures, asked);
        if let Some(pause) = self.pauses.get_mut(account) {
            pause.until = pause.until.max(now.saturating_add(delay));
            if asked.is_some() {
                pause.asked = pause.until;
            }
        }
    }

    /// An attempt of this account arrived, or the user or the network says to try now.
    pub(super) fn clear(&mut self, account: &Option<String>) {
        self.pauses.remove(account);
    }

    /// The network may be back. That does not shorten what a server has asked for.
    pub(super) fn clear_all(&mut self) {
        for pause in self.pauses.values_mut() {
            (pause.until, pause.failures) = (pause.asked, 0);
        }
    }

    /// The delay after this many failures in a row; not below what the server asked for.
    pub(super) fn delay(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(6));
        let upper = doubled.min(LONGEST);
        let delay = upper.mul_f64(0.5 + self.rng.f64() / 2.0);
        asked.map_or(delay, |asked| asked.min(LONGEST_ASKED).max(delay))
    }
}
