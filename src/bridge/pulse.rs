//! What has to be looked at from time to time: leases, and whether the machine slept.

use std::{
    sync::Weak,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, MissedTickBehavior};

use super::Bridge;
use crate::engine::sleep::SleepWatch;

/// Time between two looks.
const TICK: Duration = Duration::from_secs(10);

/// Runs until the bridge is gone. `wall` tells the time of day.
pub async fn pulse(bridge: Weak<Bridge>, wall: impl Fn() -> SystemTime) {
    let Some(woken) = bridge.upgrade().map(|it| it.woken.clone()) else {
        return;
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clocks = SleepWatch::new(TICK, wall(), Instant::now());
    loop {
        let ticked = tokio::select! {
            _ = ticks.tick() => true,
            () = woken.notified() => false,
        };
        let Some(bridge) = bridge.upgrade() else {
            return;
        };
        if !ticked {
            bridge.engine.wake().await;
        } else if clocks.slept(wall(), Instant::now()) {
            tracing::debug!("the machine slept");
            // No page could give a sign of life, and no socket can be trusted.
            bridge.lock().renew_all();
            bridge.suspend().await;
            bridge.engine.wake().await;
        } else {
            bridge.lock().lapse();
        }
    }
}

#[cfg(test)]
#[path = "pulse_tests.rs"]
mod tests;
